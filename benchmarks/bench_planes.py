"""What planes bring: error of the support over the number of regions, beside constants, and the time of both.

``python -m benchmarks.bench_planes STORE [STEP]`` takes every STEP-th frame of a store (72).
"""

import json
import sys
import time

import numpy as np

import rsgt
from rsgt import region_support

NUMBERS = (None, 150, 80, 60, 40)
"""Regions a frame; None = as many as the paper's steps make."""


def variants():
    """Name and options of each."""
    yield "constants, equal steps", {}
    for number in NUMBERS:
        yield "planes", {"surface": "plane", "regions": number}
    for number in (None, *NUMBERS[2:]):
        yield "constants, natural breaks", {"grouping": "natural", "groups": number}
    for number in NUMBERS[:1] + NUMBERS[2:]:
        yield "planes, across labels", {"surface": "plane", "regions": number, "across_labels": True}
    for tolerance in (0.02, 0.05, 0.1):
        yield f"planes, tolerance {tolerance} m", {"surface": "plane", "tolerance": tolerance}


def main(path, step=72):
    store = rsgt.open(path)
    frames = [store.maps(k) for k in range(0, len(store), step)]
    for name, options in variants():
        region_support(frames[0]["depth"], frames[0]["semantic"], **options)
        rows = []
        for frame in frames:
            begin = time.process_time()
            found = region_support(frame["depth"], frame["semantic"], **options)
            seconds = time.process_time() - begin
            valid = frame["depth"] > 0
            error = found.support[valid].astype(float) - frame["depth"][valid]
            rows.append((found.region.max(), np.sqrt((error**2).mean()), seconds))
        regions, rmse, seconds = np.mean(rows, axis=0)
        print(json.dumps({
            "of": name, "frames": len(rows), "regions": round(regions, 1), "rmse": round(rmse, 4),
            "ms": round(1e3 * seconds, 1),
        }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
