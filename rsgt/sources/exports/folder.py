"""Rooms as plain folders: a folder a scene, and in it colour, depth, labels and objects under one name."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rsgt.sources import facts
from rsgt.sources.exports.maps import camera, classes40, millimetres, objects, save, save_text
from rsgt.sources.rooms.frame import Room

UNITS_PER_METRE = 1000


def write(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as ``<scene>/{rgb,depth,labels,instances}/NNNN.png``, numbered from 1 over all scenes.

    Depth is the sensor's, in millimetres with holes of 0; labels are NYU's 40 classes, named in
    ``classes.txt``. ``intrinsics.json`` has the camera, and says the depth's scale.

    Parameters
    ----------
    out
        The folder to write to, which may be missing.
    rooms
        Frames, one after another.
    """
    for number, room in enumerate(rooms, start=1):
        folder, name = out / room.scene, f"{number:04d}.png"
        save(folder / "rgb" / name, room.rgb)
        save(folder / "depth" / name, millimetres(room.raw_depth_m))
        save(folder / "labels" / name, classes40(room).astype(np.uint8))
        save(folder / "instances" / name, objects(room).astype(np.uint16))
        if number == 1:
            told = camera(room) | {"depth_scale": UNITS_PER_METRE}
            save_text(out / "intrinsics.json", json.dumps(told, indent=1) + "\n")
    save_text(out / "classes.txt", "".join(f"{name}\n" for name in facts.class_names("40")))
