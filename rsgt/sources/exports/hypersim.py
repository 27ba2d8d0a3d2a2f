"""Rooms in Hypersim's layout, with its tables of cameras and of the split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rsgt.sources.exports.hdf5 import write_image
from rsgt.sources.exports.maps import Array, camera, classes40, objects, save, save_text
from rsgt.sources.facts import class_names
from rsgt.sources.hypersim.cameras import planar_factor
from rsgt.sources.hypersim.tables import CAMERA_TABLE, SPLIT_TABLE, Matrix
from rsgt.sources.rooms.frame import Room

TEST_EVERY = 3
"""Of so many rooms, the last is for testing."""


def write(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as scenes of one camera: distances from its centre, -1 for no label, NaN for no depth.

    There is no depth behind windows, as in scenes without a world outside.
    """
    scenes: dict[str, str] = {}
    frames: dict[str, int] = {}
    matrices: dict[str, Matrix] = {}
    window = class_names("40").index("window") + 1
    for room in rooms:
        count = len(scenes)
        scene = scenes.setdefault(room.scene, f"ai_{1 + count // 10:03d}_{1 + count % 10:03d}")
        number = frames[scene] = frames.get(scene, -1) + 1
        matrix = matrices.setdefault(scene, matrix_of(room))
        images, name = out / scene / "images", f"frame.{number:04d}"
        geometry = images / "scene_cam_00_geometry_hdf5"
        height, width = room.depth_m.shape
        classes, counted = classes40(room), objects(room)
        radial = room.depth_m / planar_factor(matrix, (height, width))
        radial[classes == window] = np.nan
        save(images / "scene_cam_00_final_preview" / f"{name}.tonemap.jpg", room.rgb)
        write_image(geometry / f"{name}.depth_meters.hdf5", radial.astype(np.float16))
        write_image(geometry / f"{name}.semantic.hdf5", _with_minus_one(classes))
        write_image(geometry / f"{name}.semantic_instance.hdf5", _with_minus_one(counted))
    cells = [f"M_cam_from_uv_{row}{column}" for row in range(3) for column in range(3)]
    rows = [
        ",".join([scene, *(f"{value!r}" for row in matrix for value in row)])
        for scene, matrix in matrices.items()
    ]
    save_text(out / CAMERA_TABLE, "\n".join([",".join(["scene_name", *cells]), *rows]) + "\n")
    lines = ["scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name"]
    for place, scene in enumerate(matrices, start=1):
        part = "val" if place % TEST_EVERY == 0 else "train"
        lines += [f"{scene},cam_00,{number},True,,{part}" for number in range(frames[scene] + 1)]
        lines += [f"{scene},cam_00,{frames[scene] + 1},False,no geometry,"]
    save_text(out / SPLIT_TABLE, "\n".join(lines) + "\n")


def matrix_of(room: Room) -> Matrix:
    """Camera of a room as Hypersim writes it: from (u, v, 1) to a ray with z = -1."""
    lens, (height, width) = camera(room), room.depth_m.shape
    x = ((width - 1) / 2 - lens["cx"]) / lens["fx"]
    y = (lens["cy"] - (height - 1) / 2) / lens["fy"]
    return (
        (width / 2 / lens["fx"], 0.0, x),
        (0.0, height / 2 / lens["fy"], y),
        (0.0, 0.0, -1.0),
    )


def _with_minus_one(values: Array) -> Array:
    return np.where(values == 0, -1, values.astype(np.int16))
