"""One frame of a store, with its maps and its regions."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One frame of a store; every map is (y, x).

    Attributes
    ----------
    number : int
        Its number (from 1) in the source.
    name : str
        Its name in the source, such as that of its file.
    split, scene : str
        ``"train"`` or ``"test"``, and the scene's name.
    intrinsics : dict
        Pinhole camera: fx, fy, cx, cy in pixels of these maps; empty = unknown.
    rgb : uint8 array, (y, x, channel)
        Colour, sRGB.
    depth : float32 array
        Metres along the optical axis; 0 = no depth.
    semantic, instance : uint16 array
        Category, and counter of the object within it; 0 = none.
    region : int32 array
        Region, dense from 1; 0 = none.
    support : float32 array
        Mean depth of the region, or the depth of its plane there, in metres; 0 = no region.
    regions : dict of arrays
        A row a region, in the order of its labels: columns of ``docs/reference/format.md``, "Regions".
    """

    number: int
    name: str
    split: str
    scene: str
    intrinsics: dict[str, float]
    rgb: Array
    depth: Array
    semantic: Array
    instance: Array
    region: Array
    support: Array
    regions: dict[str, Array]

    def __repr__(self) -> str:
        height, width = self.depth.shape
        count = self.regions["label"].size
        return f"<Frame {self.number}: {height}x{width}, {count} regions, {self.split}, scene {self.scene}>"
