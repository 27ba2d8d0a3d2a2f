"""``nyu_depth_v2_labeled.mat`` (and the v1 file), streamed along its own chunk grid.

MATLAB writes HDF5 with its axes reversed, so that h5py sees (frame, x, y); here they become (frame, y, x).
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from rsgt.files import spaced_blocks
from rsgt.inputs import FURTHEST_LEAST_M, FURTHEST_MEDIAN_M, InputError, unit_doubt
from rsgt.regions import kernels
from rsgt.sources import facts
from rsgt.sources.cameras import nyu_camera
from rsgt.sources.chunks import ChunkError, Place, first_frame, stream
from rsgt.sources.facts import LabelSet
from rsgt.sources.layout import STACKS, check_layout
from rsgt.sources.matlab import MatFile, damaged, is_matlab73, reading
from rsgt.sources.options import SourceOptions
from rsgt.sources.source import TEST, TRAIN, Camera, Source

Array = npt.NDArray[Any]
_FACTS = "the official file is nyu_depth_v2_labeled.mat, 2.8 GB, from the data set's page"

STACK_OF_KIND = {"filled": "depths", "raw": "rawDepths"}

OPTIONS: frozenset[str] = frozenset()
"""A labelled file says all that there is to know."""


def recognises(path: Path) -> bool:
    """Whether a file is HDF5, as MATLAB 7.3's are."""
    return path.is_file() and is_matlab73(path)


def open_frames(path: Path, options: SourceOptions) -> "NyuFile":
    """Open a labelled NYU file (v2 or v1, real or synthetic)."""
    return NyuFile(path)


class NyuFile(Source):
    """A labelled NYU Depth file as a source of frames.

    Parameters
    ----------
    path
        The .mat file. Datasets have the axes of the official file: images (frame, channel, x, y), the
        others (frame, x, y). Another process, or a worker on another machine, opens the same absolute path.

    Raises
    ------
    InputError
        Where the file is missing, no HDF5, truncated, or lacks a dataset or has one of another shape, type
        or place; in a worker, also where it first reads from a file that its machine lacks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _ = self._file  # opened and checked here, so that a mistake is told at once

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path.absolute()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _elsewhere=True)

    _elsewhere = False  # whether another process opened the file first

    @cached_property
    def _file(self) -> MatFile:
        if self._elsewhere and not self.path.exists():
            raise InputError(
                f"{self.path}: not found on this machine; put the file at the same path on every worker's "
                "machine, or on a shared disk"
            )
        file = MatFile(self.path, _FACTS)
        try:
            check_layout(file)
        except InputError:
            file.close()
            raise
        return file

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        _, _, width, height = self._file["images"].shape
        return height, width

    @property
    def frame_ids(self) -> range:
        """Frames go by their number, from 1, as in the official split."""
        return range(1, self._file["images"].shape[0] + 1)

    @property
    def has_instances(self) -> bool:
        """Whether the file tells apart objects of one category (the v1 file does not)."""
        return "instances" in self._file

    @property
    def is_synthetic(self) -> bool:
        """Whether ``rsgt synth`` made the file."""
        return self._file.has_attribute("rsgt_synthetic")

    @property
    def is_official(self) -> bool:
        """Whether these are NYU Depth v2's 1449 frames: their number, size and class names agree."""
        same = len(self.frame_ids) == facts.nyu_facts()["frames"] and self.shape == facts.NYU_SHAPE
        return same and not self.is_synthetic and facts.label_set(self._names) == "894"

    @property
    def split(self) -> list[str] | None:
        """The official parts of NYU Depth v2's frames."""
        if not self.is_official:
            return None
        train = facts.official_train_frames()
        return [TRAIN if number in train else TEST for number in self.frame_ids]

    @property
    def label_sets(self) -> tuple[str, ...]:
        """The raw names, and where they are NYU Depth v2's, the 40 and 13 classes that they map to."""
        return get_args(LabelSet) if facts.label_set(self._names) == "894" else ("894",)

    @property
    def depth_kinds(self) -> tuple[str, ...]:
        """In-painted depth without holes, or the sensor's own with 0 where it saw nothing."""
        return tuple(STACK_OF_KIND)

    @property
    def cameras(self) -> list[Camera]:
        """The colour camera, of every frame."""
        return [self.intrinsics] * len(self.frame_ids)

    @property
    def intrinsics(self) -> dict[str, float]:
        """The colour camera, scaled to the frame's size; the labelled depth lies on its plane.

        Known of NYU Depth v2's own frames, 480x640 pixels with its class names, and of ``rsgt synth``'s,
        which are rendered through that camera; empty of another file, whose camera nobody stated.
        """
        is_nyu = self.shape == facts.NYU_SHAPE and facts.label_set(self._names) == "894"
        return nyu_camera(self.shape) if is_nyu or self.is_synthetic else {}

    @cached_property
    def _names(self) -> list[str]:
        names = self._file.strings("names")
        if not 0 < len(names) <= 65535:
            raise InputError(f"{self.path}: names has {len(names)} entries, expected 1 to 65535; {_FACTS}")
        return names

    @cached_property
    def scenes(self) -> list[str]:
        """Scene of each frame."""
        if "scenes" not in self._file:
            return [f"frame {i}" for i in self.frame_ids]
        return self._file.strings("scenes", len(self.frame_ids))

    def class_names(self, labels: str | None = None) -> list[str]:
        """Names of the classes 1, 2, … of a label set.

        Raises
        ------
        InputError
            For 40 or 13 classes where the file's raw names are not NYU Depth v2's, whose map it is.
        """
        if labels in (None, "894"):
            return self._names
        if facts.label_set(self._names) != "894":
            raise InputError(
                f"{self.path}: has its own {len(self._names)} class names, which no map to {labels} classes "
                "is known for; use --labels 894"
            )
        return facts.class_names(_known(labels))

    def identity(self) -> dict[str, Any]:
        """Name, size and fingerprint: SHA-256 over 64 evenly spaced blocks of 64 KiB and the size.

        A fingerprint and not the hash of the whole file, which would take longer than reading the frames;
        it tells apart files and finds truncation, not a single altered byte.
        """
        size = self.path.stat().st_size
        digest = hashlib.sha256(str(size).encode() + spaced_blocks(self.path))
        return {
            "kind": "synthetic" if self.is_synthetic else "nyu",
            "name": self.path.name,
            "bytes": size,
            "fingerprint": digest.hexdigest(),
            "frames": len(self.frame_ids),
        }

    def details(self) -> dict[str, Any]:
        """Every stack's shape, dtype, chunk grid, filter and stored size."""
        arrays = {}
        for name in (name for name in STACKS if name in self._file):
            data = self._file[name]
            with reading(self.path, name):
                arrays[name] = {
                    "shape": list(data.shape),
                    "dtype": str(data.dtype),
                    "chunks": list(data.chunks) if data.chunks else None,
                    "compression": data.compression,
                    "bytes": data.id.get_storage_size(),
                }
        return {"arrays": arrays}

    def rgb(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint8]:
        """Colour, (frame, y, x, channel) uint8."""
        out = self.room(out, frames, np.uint8, 3)

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            channel, x, y = window
            kernels.transpose_rgb(block, out[rows, y, x, channel])

        self._stream("images", frames, place)
        return out

    def depth(
        self, frames: Sequence[int], kind: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.float32]:
        """Depth in metres, (frame, y, x) float32; 0 = none.

        NaN in raw depth is a hole, as many programs export it, and becomes 0; in-painted depth has no holes
        to mark, so that NaN there is an error.

        Raises
        ------
        InputError
            Where a value is infinite, negative or beyond float32 (or NaN in in-painted depth), a frame's
            median says that the unit is not the metre, or raw depth is asked of a file without it.
        """
        kind = kind or "filled"
        if kind not in STACK_OF_KIND:
            raise InputError(f"depth: got {kind!r}, expected one of {', '.join(STACK_OF_KIND)}")
        name = STACK_OF_KIND[kind]
        if name not in self._file:
            raise InputError(f"{self.path}: has no {name}; use --depth filled")
        out = self.room(out, frames, np.float32)
        largest, furthest = float(np.finfo(np.float32).max), 0.0

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            nonlocal furthest
            x, y = window
            if kind == "raw" and np.isnan(block.max()):
                block = np.where(np.isnan(block), 0, block)
            low, high = float(block.min()), float(block.max())
            if not (low >= 0 and high <= largest):  # false for NaN, too
                where = frames[rows][first_frame(~((block >= 0) & (block <= largest)))] + 1
                raise InputError(
                    f"{self.path}: {name} of frame {where} has values that are "
                    f"{'NaN, ' if kind == 'filled' else ''}infinite or negative; expected metres with 0 "
                    "for a hole; mend the frame or leave it out (--frames)"
                )
            furthest = max(furthest, high)
            out[rows, y, x] = block.swapaxes(1, 2)

        self._stream(name, frames, place)
        plausible = furthest == 0 or FURTHEST_LEAST_M <= furthest <= FURTHEST_MEDIAN_M
        for i in range(0 if plausible else len(frames)):
            if doubt := unit_doubt(out[i], FURTHEST_MEDIAN_M, FURTHEST_LEAST_M):
                raise InputError(f"{self.path}: {name} of frame {frames[i] + 1} has {doubt}")
        return out

    def semantic(
        self, frames: Sequence[int], labels: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.uint16]:
        """Category, (frame, y, x) uint16, 0 = unlabelled.

        Raises
        ------
        InputError
            Where a label has no name, or the label set no map (see ``class_names``).
        """
        known = self.class_names("894")
        table = np.arange(len(known) + 1, dtype=np.uint16)
        if labels not in (None, "894") and self.class_names(labels):
            table = facts.class_map(_known(labels))
        return self._labels("labels", frames, out, table, f"0..{len(known)}, as many as names")

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object within its category, (frame, y, x) uint16, 0 = none; all 0 without them."""
        if not self.has_instances:
            out = self.room(out, frames, np.uint16)
            out[:] = 0
            return out
        return self._labels("instances", frames, out, np.arange(65536, dtype=np.uint16), "0..65535")

    def _labels(
        self, name: str, frames: Sequence[int], out: Array | None, table: Array, expected: str
    ) -> Array:
        out = self.room(out, frames, np.uint16)
        identical = np.array_equal(table, np.arange(len(table)))

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            x, y = window
            largest = int(block.max())
            if largest >= len(table):
                where = frames[rows][first_frame(block >= len(table))] + 1
                raise InputError(
                    f"{self.path}: {name} of frame {where} holds {largest}, expected {expected}; "
                    "the file is damaged or another one"
                )
            turned = block.swapaxes(1, 2)
            out[rows, y, x] = turned if identical else table[turned]

        self._stream(name, frames, place)
        return out

    def _stream(self, name: str, frames: Sequence[int], place: Place) -> None:
        try:
            stream(self._file[name], frames, place)
        except ChunkError as error:
            raise damaged(self.path, name, error) from error


def _known(labels: str | None) -> LabelSet:
    """Name of a label set of NYU Depth v2."""
    known: LabelSet
    for known in get_args(LabelSet):
        if labels == known:
            return known
    raise InputError(f"labels: got {labels!r}, expected one of {', '.join(get_args(LabelSet))}")
