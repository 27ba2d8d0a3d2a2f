"""Where frames come from: the protocol that every source keeps.

Units become metres, and axes (frame, y, x), inside a source and nowhere else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from rsgt.sources.facts import LabelSet

Array = npt.NDArray[Any]
DepthKind = Literal["filled", "raw"]
"""In-painted depth without holes, or the sensor's own with 0 where it saw nothing."""


class Source(Protocol):
    """Frames with colour, depth and labels. A source pickles, and each process opens its own file.

    ``frames`` arguments are positions from 0 in ascending order; ``frame_ids`` are the numbers that the
    source's users know, from 1. ``out`` is memory to fill and return, of the result's shape and type.
    """

    path: Path

    @property
    def frame_ids(self) -> Sequence[int]:
        """Number of each frame."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""

    @property
    def scenes(self) -> Sequence[str]:
        """Scene of each frame."""

    @property
    def has_instances(self) -> bool:
        """Whether the source tells apart objects of one category."""

    @property
    def is_official(self) -> bool:
        """Whether the frames are NYU Depth v2's 1449, so that its official split holds."""

    @property
    def intrinsics(self) -> dict[str, float]:
        """Pinhole camera of the frames: fx, fy, cx, cy in pixels."""

    def class_names(self, labels: LabelSet) -> Sequence[str]:
        """Names of the classes 1, 2, …."""

    def identity(self) -> dict[str, Any]:
        """What tells this source from another one, as plain JSON types."""

    def describe(self) -> dict[str, Any]:
        """Return what the source holds, as plain JSON types; ``arrays`` has one entry a stack."""

    def rgb(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint8]:
        """Colour, (frame, y, x, channel)."""

    def depth(
        self, frames: Sequence[int], kind: DepthKind = "filled", out: Array | None = None
    ) -> npt.NDArray[np.float32]:
        """Depth in metres, (frame, y, x), 0 = none."""

    def semantic(
        self, frames: Sequence[int], labels: LabelSet = "894", out: Array | None = None
    ) -> npt.NDArray[np.uint16]:
        """Category, (frame, y, x), 0 = unlabelled."""

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object within its category, (frame, y, x), 0 = none."""
