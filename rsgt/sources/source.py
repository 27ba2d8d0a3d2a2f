"""Where frames come from: the protocol that every source keeps.

Units become metres, radial depth becomes planar, and axes (frame, y, x), inside a source and nowhere else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError

Array = npt.NDArray[Any]
Camera = Mapping[str, float]
"""Pinhole camera: fx, fy, cx, cy in pixels, the first pixel's centre at (0, 0); empty = unknown."""

TRAIN, TEST = "train", "test"

NO_LABELS, MASKS = "none", "masks"
"""Label sets of what has no categories: none at all, or masks of objects alone (one category, instances)."""


class Source(Protocol):
    """Frames with colour and depth, and as far as there are any, labels, objects, cameras and scenes.

    Derive from it and define ``path``, ``frame_ids``, ``shape``, ``rgb`` and ``depth``; all else has a
    default, which says that there is none. ``rsgt.check_source`` tells whether an object keeps the protocol.

    A source pickles, and each process opens its own files. ``frames`` arguments are positions from 0 in
    ascending order; ``frame_ids`` are the numbers that the source's users know, from 1, ascending. ``out`` is
    memory to fill and return, of the result's shape and type; ``room`` makes it where there is none. Methods
    that read raise ``rsgt.InputError`` where something is missing or damaged, and are called by several
    threads at once.
    """

    path: Path
    """The file or folder: what messages name."""

    @property
    def frame_ids(self) -> Sequence[int]:
        """Number of each frame."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all frames in pixels."""
        raise NotImplementedError

    def rgb(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint8]:
        """Colour, (frame, y, x, channel), sRGB."""
        raise NotImplementedError

    def depth(
        self, frames: Sequence[int], kind: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.float32]:
        """Planar depth in metres, (frame, y, x), 0 = none; of the first of ``depth_kinds`` by default."""
        raise NotImplementedError

    def semantic(
        self, frames: Sequence[int], labels: str | None = None, out: Array | None = None
    ) -> npt.NDArray[np.uint16]:
        """Category, (frame, y, x), 0 = unlabelled; of the first of ``label_sets`` by default."""
        out = self.room(out, frames, np.uint16)
        out[:] = 0
        return out

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object within its category, (frame, y, x), 0 = none."""
        out = self.room(out, frames, np.uint16)
        out[:] = 0
        return out

    @property
    def names(self) -> Sequence[str]:
        """Name of each frame, by which its users know it, such as that of its file; no two are equal."""
        return [str(number) for number in self.frame_ids]

    @property
    def scenes(self) -> Sequence[str]:
        """Scene of each frame: a split never cuts one in two."""
        return [self.path.name] * len(self.frame_ids)

    @property
    def split(self) -> Sequence[str] | None:
        """``"train"`` or ``"test"`` of each frame, where its publishers say so; else None."""
        return None

    @property
    def label_sets(self) -> Sequence[str]:
        """Names of the class lists that ``semantic`` can give, the usual one first."""
        return (NO_LABELS,)

    @property
    def depth_kinds(self) -> Sequence[str]:
        """Names of what ``depth`` can give, such as ``filled`` and ``raw``, the usual one first."""
        return ("stored",)

    def class_names(self, labels: str | None = None) -> Sequence[str]:
        """Names of the classes 1, 2, … of a label set; "" for a number that is no class."""
        return ()

    @property
    def has_instances(self) -> bool:
        """Whether the source tells apart objects of one category."""
        return False

    @property
    def cameras(self) -> Sequence[Camera]:
        """Camera of each frame."""
        return [{}] * len(self.frame_ids)

    @property
    def unpaired(self) -> Sequence[str]:
        """What was left out because its depth, colour or labels are missing: file, and what it lacks."""
        return ()

    def identity(self) -> dict[str, Any]:
        """What tells this source from another one, as plain JSON types.

        ``kind`` is the format, ``name`` and ``frames`` are for people, and equal ``fingerprint`` and other
        entries mean equal frames: a build that was begun goes on with the same identity alone.
        """
        told = (self.names, self.shape, self.scenes)
        return {
            "kind": type(self).__name__,
            "name": self.path.name,
            "frames": len(self.frame_ids),
            "fingerprint": hashlib.sha256(repr(told).encode()).hexdigest(),
        }

    def details(self) -> dict[str, Any]:
        """What ``rsgt info`` shows of this kind of source alone, as plain JSON types."""
        return {}

    def room(self, out: Array | None, frames: Sequence[int], dtype: npt.DTypeLike, *channels: int) -> Array:
        """Take the caller's memory where it is given, else fresh memory: (frame, y, x, *channels).

        Raises
        ------
        InputError
            Where the memory that is needed is not there.
        ValueError
            Where ``out`` has another shape or type.
        """
        shape = (len(frames), *self.shape, *channels)
        if out is None:
            try:
                return np.empty(shape, dtype)
            except MemoryError as error:
                size = np.prod(shape, dtype=float) * np.dtype(dtype).itemsize / 2**30
                raise InputError(
                    f"{self.path}: {len(frames)} frames need {size:,.1f} GiB at once; read fewer"
                ) from error
        if out.shape != shape or out.dtype != dtype:
            raise ValueError(f"out: got {out.dtype} {out.shape}, expected {np.dtype(dtype)} {shape}")
        return out
