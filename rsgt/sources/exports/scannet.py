"""Rooms in ScanNet's layouts: as its SensReader exports a scan, and as ``scannet_frames_25k``."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from rsgt.sources import facts
from rsgt.sources.exports.maps import (
    Array,
    classes40,
    intrinsic_matrix,
    matrix_text,
    millimetres,
    objects,
    save,
    save_text,
)
from rsgt.sources.images import nearest
from rsgt.sources.rooms.frame import Room
from rsgt.sources.scannet.tables import LISTS, TABLE

COLOUR = (968 / 480, 1296 / 640)
"""How many times larger colour is than depth, in y and in x."""

FIRST_NUMBER = 8
"""Number of a scan's first frame: they cross from one digit to two."""

VALIDATION_EVERY = 3
"""Of so many rooms, the last is for validation."""


def write(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as scans below ``scans``, with the label table and the lists of the split.

    A raw id is the number of NYU's raw category, whose rows in the table are doubled for some, a wrong one
    first. Every fifth pose is lost.
    """
    scans: dict[str, None] = {}
    for number, scan, room in _numbered(rooms):
        folder = out / "scans" / scan
        large = _larger(room)
        save(folder / "color" / f"{number}.jpg", large)
        save(folder / "depth" / f"{number}.png", millimetres(room.raw_depth_m))
        shape = (large.shape[0], large.shape[1])
        save(folder / "label-filt" / f"{number}.png", nearest(room.semantic, shape))
        save(folder / "instance-filt" / f"{number}.png", nearest(objects(room), shape).astype(np.uint8))
        save_text(folder / "pose" / f"{number}.txt", _pose(room, lost=number % 5 == FIRST_NUMBER % 5))
        save_text(folder / "intrinsic" / "intrinsic_depth.txt", matrix_text(_four(intrinsic_matrix(room))))
        scans[scan] = None
    _write_lists(out, list(scans))
    rows = ["id\traw_category\tcategory\tnyu40id\tnyu40class"]
    map40, names, names40 = facts.class_map("40"), facts.class_names("894"), facts.class_names("40")
    for number, name in enumerate(names, start=1):
        if number % 10 == 0:
            rows.append(f"{number}\told {name}\t{name}\t40\totherprop")
        rows.append(f"{number}\t{name}\t{name}\t{map40[number]}\t{names40[map40[number] - 1]}")
    save_text(out / TABLE, "\n".join(rows) + "\n")


def write_25k(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as ``scannet_frames_25k``: padded numbers, 40 classes of 8 bits, objects of 16."""
    for number, scan, room in _numbered(rooms):
        folder, name = out / scan, f"{number * 100:06d}"
        classes = classes40(room)
        save(folder / "color" / f"{name}.jpg", _larger(room))
        save(folder / "depth" / f"{name}.png", millimetres(room.raw_depth_m))
        save(folder / "label" / f"{name}.png", classes.astype(np.uint8))
        counted = np.where(room.instance > 0, classes * 1000 + objects(room), 0)
        save(folder / "instance" / f"{name}.png", counted.astype(np.uint16))
        save_text(folder / "pose" / f"{name}.txt", _pose(room, lost=False))
        save_text(folder / "intrinsics_depth.txt", matrix_text(_four(intrinsic_matrix(room))))


def _numbered(rooms: Iterable[Room]) -> Iterator[tuple[int, str, Room]]:
    """Rooms with their scan's name and their number in it."""
    scans: dict[str, int] = {}
    frames: dict[str, int] = {}
    for room in rooms:
        scan = f"scene{scans.setdefault(room.scene, len(scans)):04d}_00"
        frames[scan] = frames.get(scan, FIRST_NUMBER - 1) + 1
        yield frames[scan], scan, room


def _larger(room: Room) -> Array:
    height, width = room.rgb.shape[:2]
    size = (round(width * COLOUR[1]), round(height * COLOUR[0]))
    return np.asarray(Image.fromarray(room.rgb).resize(size, Image.Resampling.BICUBIC))


def _pose(room: Room, *, lost: bool) -> str:
    """From the camera (x right, y down, z ahead) to the world, or lost."""
    if lost:
        return "-inf -inf -inf -inf\n" * 4
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = room.camera.axes().T, room.camera[:3]
    return matrix_text(pose)


def _four(matrix: Array) -> Array:
    wide = np.eye(4)
    wide[:3, :3] = matrix
    return wide


def _write_lists(out: Path, scans: list[str]) -> None:
    train, validation, test = LISTS
    held = scans[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]
    for name, members in (
        (train, [scan for scan in scans if scan not in held]),
        (validation, held),
        (test, []),
    ):
        save_text(out / name, "".join(f"{scan}\n" for scan in members))
