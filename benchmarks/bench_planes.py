"""What planes bring: error of the support over the number of regions, beside constants, and the time of each.

``python -m benchmarks.bench_planes STORE [STEP]`` takes every STEP-th frame of a store (24). ``rmse`` is the
mean of the frames' RMSE, ``pooled`` that over all their pixels.
"""

import json
import sys
import time

import numpy as np

import rsgt
from rsgt import region_support

NUMBERS = (30, 45, 60, 80, 111, 160, 220)
"""Regions of each frame."""
TOLERANCES = (0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.035, 0.025)
"""Metres: each frame has as many regions as it needs."""


def variants():
    """Name and options of each."""
    yield "constants, equal steps", {}
    for number in (None, *NUMBERS):
        yield "constants, natural breaks", {"grouping": "natural", "groups": number}
    for number in (None, *NUMBERS):
        yield "planes", {"surface": "plane", "regions": number}
    for tolerance in TOLERANCES:
        yield "planes by tolerance", {"surface": "plane", "tolerance": tolerance}
    for number in (None, *NUMBERS):
        yield "planes, across labels", {"surface": "plane", "regions": number, "across_labels": True}


def measured(frames, options):
    """Per frame: regions, mean squared error (m²) and seconds of CPU."""
    for depth, semantic in frames:
        begin = time.process_time()
        found = region_support(depth, semantic, **options)
        seconds = time.process_time() - begin
        valid = depth > 0
        error = found.support[valid].astype(float) - depth[valid]
        yield found.region.max(), (error**2).mean(), seconds


def main(path, step=24):
    store = rsgt.open(path)
    maps = (store.maps(k) for k in range(0, len(store), step))
    frames = [(one["depth"], one["semantic"]) for one in maps]
    for name, options in variants():
        region_support(*frames[0], **options)
        regions, squares, seconds = np.array([*measured(frames, options)]).T
        print(json.dumps({
            "of": name,
            **{key: options[key] for key in ("regions", "groups", "tolerance") if options.get(key)},
            "frames": len(frames), "mean_regions": round(regions.mean(), 1),
            "rmse": round(np.sqrt(squares).mean(), 4), "pooled": round(np.sqrt(squares.mean()), 4),
            "ms": round(1e3 * seconds.mean(), 1),
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
