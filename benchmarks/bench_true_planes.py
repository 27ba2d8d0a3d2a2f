"""Rendered rooms, where every plane is known: how many planes are found, and how far off they are.

``python -m benchmarks.bench_true_planes [FRAMES] [SEED]`` renders 24 frames of 480x640 of seed 0.
A true plane is a connected piece of a flat face of an object and of one label; it is found where a region
covers it with an intersection over union above one half, which no second region can. Twice: by the true
depth, and by that of a sensor with its noise and its holes.
"""

import json
import sys

import numpy as np
import pytest
from scipy import ndimage

from rsgt import region_support
from rsgt.regions.planes import plane_normals
from rsgt.sources.cameras import nyu_camera
from rsgt.sources.synthetic import render_room

EIGHT = np.ones((3, 3))
SIZES = (256, 1024, 4096)
"""Pixels that a true plane has at least, of 480x640."""
VARIANTS = {
    "planes": {"surface": "plane"},
    "planes, 60": {"surface": "plane", "regions": 60},
    "constants, natural breaks": {"grouping": "natural"},
}


def true_planes(room, valid, least):
    """Number of the true plane of each pixel, (y, x), from 1; and the planes' normals and distances."""
    number, faces = np.zeros(room.plane.shape, int), []
    key = (room.plane.astype(int) << 16 | room.semantic) * (valid & (room.plane > 0))
    keys, dense = np.unique(key, return_inverse=True)
    dense = dense.reshape(key.shape)
    for k, where in enumerate(ndimage.find_objects(dense), start=1):
        if where is None or keys[k] == 0:
            continue
        piece = ndimage.label(dense[where] == k, EIGHT)[0]
        for p in np.flatnonzero(np.bincount(piece.ravel())[1:] >= least) + 1:
            faces.append((keys[k] >> 16) - 1)
            number[where][piece == p] = len(faces)
    return number, room.planes[faces]


def judge(room, depth, found, least):
    """Of each true plane: pixels, the best intersection over union, and errors of angle (°) and distance (m).

    Those of the region that covers it best; NaN where regions are constants.
    """
    number, planes = true_planes(room, depth > 0, least)
    regions = int(found.region.max())
    both = np.bincount(
        number.ravel() * (regions + 1) + found.region.ravel(), minlength=(regions + 1) * (len(planes) + 1)
    )
    both = both.reshape(len(planes) + 1, regions + 1)
    area, covered = both.sum(axis=1)[1:], both.sum(axis=0)[1:]
    share = both[1:, 1:] / (area[:, None] + covered - both[1:, 1:])
    best = share.argmax(axis=1)
    angle = distance = np.full(len(planes), np.nan)
    if found.planes is not None:
        normals, offsets = plane_normals(found.planes[best], nyu_camera(depth.shape))
        cosine = np.abs((normals * planes[:, :3]).sum(axis=1))
        angle, distance = np.degrees(np.arccos(cosine.clip(0, 1))), np.abs(offsets - planes[:, 3])
    return np.stack([area, share.max(axis=1), angle, distance], axis=1)


def figures(rows, least):
    """How many planes there are and are found, and how far off those are (medians, and nine tenths)."""
    rows = rows[rows[:, 0] >= least]
    found = rows[rows[:, 1] > 0.5]
    told = {"planes": len(rows), "found": round(len(found) / len(rows), 3)}
    for name, column, digits in (("angle_deg", 2, 2), ("distance_m", 3, 4)):
        if not np.isnan(found[:, column]).any():
            low, high = np.quantile(found[:, column], (0.5, 0.9))
            told |= {name: round(float(low), digits), f"{name}_90": round(float(high), digits)}
    return told


@pytest.fixture(scope="module")
def rooms():
    pytest.importorskip("embreex", reason="rendering needs the extra synth")
    return [render_room(0, index, (240, 320)) for index in range(3)]


def test_true_planes_are_found(rooms):
    """Most large ones, and half of the small ones; within a degree and a centimetre."""
    rows = []
    for room in rooms:
        found = region_support(room.depth_m, room.semantic, surface="plane")
        rows.append(judge(room, room.depth_m, found, 256))
    large, all_of_them = (figures(np.concatenate(rows), least) for least in (1024, 256))
    assert all_of_them["planes"] > 2 * large["planes"] > 20
    assert large["found"] > 0.75
    assert all_of_them["found"] > 0.4
    for told in (large, all_of_them):
        assert told["angle_deg"] < 1
        assert told["distance_m"] < 0.01


def main(frames=24, seed=0):
    rooms = [render_room(seed, index) for index in range(frames)]
    for depths, of in (([r.depth_m for r in rooms], "true"), ([r.raw_depth_m for r in rooms], "sensor's")):
        for name, options in VARIANTS.items():
            results = [region_support(d, r.semantic, **options) for r, d in zip(rooms, depths, strict=True)]
            rows = [judge(r, d, f, SIZES[0]) for r, d, f in zip(rooms, depths, results, strict=True)]
            regions = float(np.mean([f.region.max() for f in results]))
            for least in SIZES:
                print(json.dumps({
                    "of": name, "depth": of, "frames": frames, "regions": round(regions, 1), "pixels": least,
                    **figures(np.concatenate(rows), least),
                }))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
