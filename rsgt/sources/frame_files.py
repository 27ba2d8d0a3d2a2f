"""Sources whose maps are files of their own: how frames are read, brought to one size, and told apart.

A format derives from ``FileSource``: it lists its frames, which opens none of their files, and says how one
file becomes colour, metres and labels. Memory, sizes, checks and identity are here.
"""

import hashlib
import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.inputs import MOST_FRAMES, InputError
from rsgt.sources.cameras import scaled
from rsgt.sources.images import image_size
from rsgt.sources.options import SourceOptions
from rsgt.sources.source import Camera, Source

Array = npt.NDArray[Any]

SAMPLED_FILES = 64
SHAPE_TRIES = 16
MOST_LABEL = 65_535


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
        """Category of a frame, (h, w) integers from 0 to 65,535, 0 = unlabelled; None = no pixel has one."""
        return None

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame, (h, w) integers from 0, 0 = none, of any size; None = there are none."""
        return None

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
            "options": {name: _plain(value) for name, value in sorted(self.told_options().items())},
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
                pixels = Image.fromarray(image).resize(self.shape[::-1], Image.Resampling.BILINEAR)
                image = np.asarray(pixels)  # Pillow widens the filter where it shrinks: anti-aliasing
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
        wanted = labels or self.label_sets[0]
        return self._labels(frames, out, lambda frame: self.read_semantic(frame, wanted))

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object, (frame, y, x), 0 = none; numbers above 65,535 are counted anew."""
        return self._labels(frames, out, self.read_instance, dense=True)

    def _labels(
        self,
        frames: Sequence[int],
        out: Array | None,
        read: Callable[[FrameFiles], Array | None],
        *,
        dense: bool = False,
    ) -> npt.NDArray[np.uint16]:
        out = self.room(out, frames, np.uint16)
        for row, frame in enumerate(self.opened(frames, "instance" if dense else "semantic")):
            values = read(frame)
            if values is None:
                out[row] = 0
                continue
            what = "instances" if dense else "labels"
            if values.shape != self.shape:
                self._check_size(frame, what, values.shape)
                values = nearest(values, self.shape)
            if values.dtype.kind not in "ui":
                raise InputError(f"frame {frame.name}: {what} are {values.dtype}, expected whole numbers")
            low, high = int(values.min()), int(values.max())
            if dense and low >= 0 and high > MOST_LABEL:
                values = _counted(values)
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


def nearest(values: Array, shape: tuple[int, int]) -> Array:
    """Bring a map (y, x) to another size by taking the pixel at the centre of each new one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
        for old, new in zip(values.shape, shape, strict=True)
    )
    return np.asarray(values[rows[:, None], columns])


def natural(text: str) -> list[tuple[int, int | str]]:
    """Key that sorts names as people do: ``2`` before ``10``."""
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in parts]


def unique_names(path: Path, names: Iterable[str]) -> None:
    """Refuse two frames of one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: two frames are called {name}; rename one")
        seen.add(name)


def _counted(values: Array) -> Array:
    ids, places = np.unique(values, return_inverse=True)
    return np.asarray(places.reshape(values.shape) + (1 if ids[0] > 0 else 0))


def _plain(value: Any) -> Any:
    """What an option is to JSON: a file by its name, for it may lie elsewhere tomorrow."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value
