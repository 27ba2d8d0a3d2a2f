"""What the layouts need of a room: objects as one number each, classes by another list, files of maps."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.inputs import dense
from rsgt.sources import facts
from rsgt.sources.cameras import nyu_camera
from rsgt.sources.rooms.frame import Room

Array = npt.NDArray[Any]


def classes40(room: Room) -> npt.NDArray[np.uint16]:
    """NYU's 40 classes (y, x), 0 = unlabelled."""
    return facts.class_map("40")[room.semantic]


def objects(room: Room) -> npt.NDArray[np.intp]:
    """Objects of a room (y, x), counted from 1 over all categories; 0 = none."""
    pairs = room.semantic.astype(np.int64) * 256 + room.instance
    pairs[(room.semantic == 0) | (room.instance == 0)] = 0
    return dense(pairs)


def millimetres(depth_m: Array) -> npt.NDArray[np.uint16]:
    """Depth in millimetres, 0 = none."""
    return (depth_m * 1000).round().clip(0, 65_535).astype(np.uint16)


def camera(room: Room) -> dict[str, float]:
    """Camera of a room's images."""
    height, width = room.rgb.shape[:2]
    return nyu_camera((height, width))


def matrix_text(rows: Array) -> str:
    """A matrix as text, a row a line."""
    return "".join(" ".join(f"{value:.6f}" for value in row) + "\n" for row in rows)


def intrinsic_matrix(room: Room) -> npt.NDArray[np.float64]:
    """The camera's matrix (3, 3)."""
    lens = camera(room)
    return np.array([[lens["fx"], 0, lens["cx"]], [0, lens["fy"], lens["cy"]], [0, 0, 1]])


def save(path: Path, values: Array) -> None:
    """Write an image: PNG with the array's own bits, or JPEG, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, quality=95)  # PNG passes it over


def save_text(path: Path, text: str) -> None:
    """Write a text, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")
