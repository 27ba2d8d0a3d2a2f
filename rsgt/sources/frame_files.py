"""Sources whose maps are files of their own: how frames are read, brought to one size, and told apart.

A format derives from ``FileSource``: it lists its frames, which opens none of their files, and says how one
file becomes colour, metres and labels. Memory, sizes, checks and identity are here.
"""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import MOST_FRAMES, MOST_LABEL, InputError, dense
from rsgt.sources.cameras import scaled
from rsgt.sources.images import image_size, nearest, smooth
from rsgt.sources.options import SourceOptions, plain
from rsgt.sources.source import MASKS, NO_LABELS, Camera, Source

Array = npt.NDArray[Any]

SAMPLED_FILES = 64
SHAPE_TRIES = 16


@dataclass(frozen=True)
class FrameFiles:
    """One frame: its name, its scene, and the files of its maps (``rgb`` and ``depth`` at least)."""

    name: str
    scene: str
    files: Mapping[str, Path] = field(hash=False)


class FileSource(Source):
    """Frames whose maps are files of their own, in the order that they are given, numbered from 1.

    Parameters
    ----------
    path
        The folder that was asked for.
    frames
        The frames.
    options
        What was said of them; ``size`` is looked to here, the rest by the formats.
    unpaired
        What was left out for want of a file.

    Raises
    ------
    InputError
        Where there is no frame.
    """

    kind: str
    """Name of the format."""

    follows_depth = False
    """Whether colour and labels of another size are brought to that of the depth map without being asked."""

    def __init__(
        self,
        path: Path,
        frames: Sequence[FrameFiles],
        options: SourceOptions,
        unpaired: Sequence[str] = (),
    ) -> None:
        if not 0 < len(frames) <= MOST_FRAMES:
            missing = f"; {len(unpaired)} files have no counterpart ({unpaired[0]})" if unpaired else ""
            raise InputError(
                f"{path}: has {len(frames):,} frames of format {self.kind}, expected 1 to {MOST_FRAMES:,}"
                f"{missing}; `rsgt info` says what is there"
            )
        self.path, self.frames, self.options = path, tuple(frames), options
        self._unpaired = tuple(unpaired)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "path": self.path.absolute()}

    @abstractmethod
    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame, (h, w, 3) uint8, of any size."""

    @abstractmethod
    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Planar depth of a frame in metres, (h, w) floats; 0 or NaN = none."""

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """Category of a frame by one of ``own_label_sets``, (h, w) integers up to 65,535; None = all 0."""
        return None

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame, (h, w) integers from 0, 0 = none, of any size; None = there are none."""
        return None

    @property
    def own_label_sets(self) -> Sequence[str]:
        """Label sets that the frames' labels have, the usual one first; empty without labels."""
        return ()

    def names_of(self, labels: str) -> Sequence[str]:
        """Names of the classes of one of ``own_label_sets``; empty where nobody gave any."""
        return ()

    def remedy_for(self, labels: str) -> str:
        """What brings a label set that there is not, as the end of a message that begins with a mark."""
        return ""

    def native_camera(self, frame: FrameFiles) -> Camera:
        """Camera of a frame in pixels of its depth map; empty = unknown."""
        return {}

    def native_shape(self, frame: FrameFiles) -> tuple[int, int]:
        """Height and width of a frame's depth map: here, those of the first one."""
        return self._first_shape

    @cached_property
    def _first_shape(self) -> tuple[int, int]:
        damaged: InputError | None = None
        for frame in self.frames[:SHAPE_TRIES]:  # one that is damaged is no reason to read none
            try:
                return image_size(frame.files["depth"])
            except InputError as error:
                damaged = damaged or error
        raise damaged or InputError(f"{self.path}: has no frames")

    @property
    def frame_ids(self) -> range:
        """Frames go by their place in the list, from 1."""
        return range(1, len(self.frames) + 1)

    @cached_property
    def names(self) -> list[str]:
        """Name of each frame."""
        return [frame.name for frame in self.frames]

    @cached_property
    def scenes(self) -> list[str]:
        """Scene of each frame."""
        return [frame.scene for frame in self.frames]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all frames: those asked for, else those of the first depth map."""
        return self.options.get("size") or self._first_shape

    @property
    def label_sets(self) -> Sequence[str]:
        """Label sets of the labels; without any, ``masks`` where objects are told apart, else ``none``."""
        return self.own_label_sets or ((MASKS,) if self.has_instances else (NO_LABELS,))

    def _one_of_label_sets(self, labels: str | None) -> str:
        labels = labels or self.label_sets[0]
        if labels not in self.label_sets:
            raise InputError(
                f"{self.path}: labels: got {labels!r}, expected {' or '.join(self.label_sets)}"
                f"{self.remedy_for(labels)}"
            )
        return labels

    def class_names(self, labels: str | None = None) -> Sequence[str]:
        """Names of the classes 1, 2, … of a label set; none where nobody gave any."""
        labels = self._one_of_label_sets(labels)
        if labels == MASKS:
            return ("object",)
        return () if labels == NO_LABELS else self.names_of(labels)

    @property
    def unpaired(self) -> Sequence[str]:
        """What was left out for want of a file."""
        return self._unpaired

    @cached_property
    def cameras(self) -> list[Camera]:
        """Camera of each frame, in pixels of the frames as they are handed out."""
        return [
            scaled(self.native_camera(frame), self.native_shape(frame), self.shape) for frame in self.frames
        ]

    def identity(self) -> dict[str, Any]:
        """Format, name, options, the number of files, and a fingerprint.

        The fingerprint is SHA-256 over the name and size of every file and the content of 64 of them, evenly
        spaced: it finds what was added, lost, cut or replaced by another size, not a single altered byte.
        """
        digest, files = hashlib.sha256(repr((self.names, self.scenes)).encode()), self._every_file()
        total = 0
        for file in files:
            try:
                size = file.stat().st_size
            except OSError as error:
                raise InputError(f"{file}: {error.strerror or error}; copy the file again") from error
            total += size
            place = Path(os.path.relpath(file, self.path)).as_posix()
            digest.update(f"{place}\0{size}\0".encode())
        for file in files[:: -(-len(files) // SAMPLED_FILES)]:
            digest.update(self.content(file))
        return {
            "kind": self.kind,
            "name": self.path.resolve().name,
            "frames": len(self.frames),
            "files": len(files),
            "bytes": total,
            "options": {name: plain(value) for name, value in sorted(self.told_options().items())},
            "fingerprint": digest.hexdigest(),
        }

    def told_options(self) -> dict[str, Any]:
        """The options that shape what is read, for provenance."""
        return dict(self.options)

    def opened(self, frames: Sequence[int], key: str) -> Iterator[FrameFiles]:
        """Frames at positions, to read one map of; a format of many frames in a file reads ahead here."""
        return (self.frames[f] for f in frames)

    def content(self, file: Path) -> bytes:
        """What the fingerprint takes of a file that it looks into."""
        return file.read_bytes()

    def _every_file(self) -> list[Path]:
        return [file for frame in self.frames for file in frame.files.values()]

    def rgb(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint8]:
        """Colour, (frame, y, x, channel)."""
        out = self.room(out, frames, np.uint8, 3)
        for row, frame in enumerate(self.opened(frames, "rgb")):
            image = self.read_rgb(frame)
            if image.shape[:2] != self.shape:
                self._check_size(frame, "colour", image.shape[:2])
                image = smooth(image, self.shape)
            out[row] = image
        return out

    def depth(
        self, frames: Sequence[int], kind: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.float32]:
        """Planar depth in metres, (frame, y, x), 0 = none.

        Raises
        ------
        InputError
            Where a file is missing, damaged or of another size, or holds negative depth.
        """
        out = self.room(out, frames, np.float32)
        for row, frame in enumerate(self.opened(frames, "depth")):
            metres = self.read_depth(frame, kind or self.depth_kinds[0])
            if metres.shape != self.shape:
                self._check_size(frame, "depth", metres.shape)
                metres = nearest(metres, self.shape)
            out[row] = metres
            if not np.isfinite(out[row].sum(dtype=np.float64)):
                np.nan_to_num(out[row], copy=False, nan=0.0, posinf=0.0, neginf=-1.0)
            if out[row].min() < 0:
                raise InputError(
                    f"{frame.files['depth']}: has depth below 0 (frame {frame.name}), expected 0 for none; "
                    "name the value that means none (--no-depth), or leave the frame out (--on-error skip)"
                )
        return out

    def semantic(
        self, frames: Sequence[int], labels: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.uint16]:
        """Category, (frame, y, x), 0 = unlabelled."""
        wanted = self._one_of_label_sets(labels)
        if wanted == NO_LABELS:
            return super().semantic(frames, labels, out)
        if wanted == MASKS:
            return self._labels(frames, out, "instance", self._read_mask)
        return self._labels(frames, out, "semantic", lambda frame: self.read_semantic(frame, wanted))

    def _read_mask(self, frame: FrameFiles) -> Array | None:
        objects = self.read_instance(frame)
        return None if objects is None else (objects > 0).astype(np.uint8)

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object, (frame, y, x), 0 = none; numbers above 65,535 are counted anew."""
        return self._labels(frames, out, "instance", self.read_instance)

    def _labels(
        self,
        frames: Sequence[int],
        out: Array | None,
        key: str,
        read: Callable[[FrameFiles], Array | None],
    ) -> npt.NDArray[np.uint16]:
        out = self.room(out, frames, np.uint16)
        what = {"instance": "instances", "semantic": "labels"}[key]
        for row, frame in enumerate(self.opened(frames, key)):
            values = read(frame)
            if values is None:
                out[row] = 0
                continue
            if values.shape != self.shape:
                self._check_size(frame, what, values.shape)
                values = nearest(values, self.shape)
            if values.dtype.kind not in "ui":
                raise InputError(f"frame {frame.name}: {what} are {values.dtype}, expected whole numbers")
            low, high = int(values.min()), int(values.max())
            if key == "instance" and low >= 0 and high > MOST_LABEL:
                values = dense(values)
                high = int(values.max())
            if low < 0 or high > MOST_LABEL:
                raise InputError(
                    f"{self.path}: {what} of frame {frame.name} go from {low} to {high}, expected 0 to "
                    f"{MOST_LABEL:,}, 0 = none; --classes with JSON {{number: name}} brings others to 1, 2, …"
                )
            out[row] = values
        return out

    def _check_size(self, frame: FrameFiles, what: str, shape: Sequence[int]) -> None:
        """Refuse a map of another size than the store's, where nobody asked for one size."""
        if "size" not in self.options and (what == "depth" or not self.follows_depth):
            got, wanted = (f"{one[0]}x{one[1]}" for one in (shape, self.shape))
            raise InputError(
                f"{self.path}: {what} of frame {frame.name} is {got}, expected {wanted} as the first depth "
                f"map; --size {wanted} brings all maps to one size"
            )
