"""Rooms in SUN RGB-D's official layout, with its toolbox's tables."""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from scipy.io import savemat

from rsgt.sources.exports.hdf5 import matlab_cells
from rsgt.sources.exports.maps import classes40, intrinsic_matrix, matrix_text, millimetres, save, save_text
from rsgt.sources.rooms.frame import Room

_FIRST_DAY = date(2014, 5, 1)
_PREFIXES = ("/n/fs/sun3d/data/", "/data1/")
_LAST_CLASS = 37
TEST_EVERY = 3
"""Of so many rooms, the last is for testing."""


def write(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as frames of the sensor kv2, with rotated depth, 37 classes, and the split.

    A room is a day, for scenes go by their day in that layout. Frames are listed in the tables in another
    order than on disk, and by paths of another machine.
    """
    toolbox = out / "SUNRGBDtoolbox"
    scenes: dict[str, int] = {}
    keys: list[str] = []
    in_test: list[bool] = []
    labels = []
    for number, room in enumerate(rooms, start=1):
        day = scenes.setdefault(room.scene, len(scenes))
        stamp = f"{_FIRST_DAY + timedelta(day)}_14-{number // 60 % 24:02d}-{number % 60:02d}"
        key = f"kv2/kinect2data/{number:06d}_{stamp}_260595134347_rgbf{number:06d}-resize"
        folder, name = out / key, f"{number:07d}"
        save(folder / "image" / f"{name}.jpg", room.rgb)
        for place, depth in (("depth", room.raw_depth_m), ("depth_bfx", room.depth_m)):
            stored = millimetres(depth)
            save(folder / place / f"{name}.png", (stored << 3) | (stored >> 13))
        save_text(folder / "intrinsics.txt", matrix_text(intrinsic_matrix(room)))
        save_text(folder / "scene.txt", room.scene_type)
        keys.append(key)
        in_test.append(day % TEST_EVERY == TEST_EVERY - 1)
        classes = classes40(room)
        labels.append(np.where(classes > _LAST_CLASS, 0, classes).astype(np.uint8))
    order = list(range(len(keys)))[::-1]
    (toolbox / "traintestSUNRGBD").mkdir(parents=True, exist_ok=True)
    lists = {"alltrain": False, "alltest": True}
    savemat(
        toolbox / "traintestSUNRGBD" / "allsplit.mat",
        {
            name: _cells([_path(keys[k], k) for k in range(len(keys)) if in_test[k] == tested])
            for name, tested in lists.items()
        },
    )
    with matlab_cells(toolbox / "Metadata" / "SUNRGBD2Dseg.mat", "SUNRGBD2Dseg/seglabel") as add:
        for k in order:
            add(labels[k])
    sequences = [f"SUNRGBD/{keys[k]}" for k in order]
    paths = [f"{_PREFIXES[0]}SUNRGBD/{keys[k]}/image/{k + 1:07d}.jpg" for k in order]
    meta = np.zeros((1, len(keys)), [("sequenceName", object), ("rgbpath", object)])
    meta["sequenceName"], meta["rgbpath"] = sequences, paths
    savemat(toolbox / "Metadata" / "SUNRGBDMeta.mat", {"SUNRGBDMeta": meta})


def _path(key: str, number: int) -> str:
    """A frame's path as the split has it: of either machine, with a slash or without."""
    return f"{_PREFIXES[number % 2]}SUNRGBD/{key}{'/' if number % 3 == 0 else ''}"


def _cells(texts: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
    cells = np.empty((1, len(texts)), object)
    cells[0, :] = texts
    return cells
