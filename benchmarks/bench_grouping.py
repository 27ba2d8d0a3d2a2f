"""What the splits cost and bring: one pass over the frames, with the error of the support beside the time.

``python -m benchmarks.bench_grouping STORE`` prints the errors over all frames of a store: of the groups
themselves, at equal numbers, and of the regions that their connected pieces are.
"""

import json
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from sklearn.cluster import KMeans

import rsgt
from benchmarks.conftest import over
from rsgt import region_support
from rsgt.regions import grouping, kernels
from rsgt.regions.algorithm import DEFAULT_BINS

GROUPINGS = ("equal", "log", "natural")
ERRORS = ("count", "rmse", "rmse_log", "abs_rel")


def figures(frames, results):
    """``errors`` of each frame's regions, averaged over the frames."""
    rows = [errors(result.region, depth) for (depth, *_), result in zip(frames, results, strict=True)]
    return dict(zip(ERRORS, np.mean(rows, axis=0).tolist(), strict=True))


@pytest.mark.benchmark(group="splits of the frames")
@pytest.mark.parametrize("min_size", [0, 32])
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_grouping(benchmark, frames, grouping, min_size):
    def method(depth, semantic, rgb):
        return region_support(depth, semantic, grouping=grouping, min_size=min_size)

    over(method, frames[:1])
    found = figures(frames, benchmark.pedantic(over, (method, frames), rounds=10, iterations=1))
    equal = figures(frames, [region_support(d, s, min_size=min_size) for d, s, _ in frames])
    benchmark.extra_info.update({**found, "rmse_to_equal": found["rmse"] / equal["rmse"]})
    print(
        f"\n{grouping}, min-size {min_size}: "
        + ", ".join(f"{k} {v:.4f}" for k, v in benchmark.extra_info.items())
    )
    if grouping == "natural":
        assert found["rmse"] < equal["rmse"]


@pytest.mark.benchmark(group="breaks of one histogram of 256 bins, 8 groups")
@pytest.mark.parametrize("peer", ["natural_groups", "sklearn.KMeans"])
def test_breaks(benchmark, peer):
    rng = np.random.default_rng(0)
    count = np.histogram(
        np.concatenate([rng.normal(m, 0.3, 9000) for m in (1, 2, 2.6, 4, 7)]), grouping.BINS
    )[0]
    centres = np.arange(grouping.BINS, dtype=float)

    def exact():
        return grouping.natural_groups(np.array([0, grouping.BINS]), count, np.ones(1), 8)

    def k_means():
        return KMeans(8, n_init=1, random_state=0).fit(centres[:, None], sample_weight=count).labels_

    method = exact if peer == "natural_groups" else k_means
    method()
    group = benchmark.pedantic(method, rounds=10, iterations=1)
    mean = np.bincount(group, count * centres) / np.bincount(group, count)
    benchmark.extra_info["squared_error"] = float(count @ (centres - mean[group]) ** 2)


@numba.njit
def group_map(depth, semantic, kind):
    """Group of each pixel, before groups fall into pieces: kind 0 = equal, 1 = log, 2 = natural."""
    runs = kernels.segment_runs(depth, semantic, False)
    starts, ends, row = runs.starts, runs.ends, runs.row
    segment = kernels.connect(starts, ends, row, runs.key, starts.size)
    step = np.zeros(depth.shape, np.int32)
    offset, step, group = grouping.by_steps(depth, runs, segment, DEFAULT_BINS, kind == 1, step)
    if kind == 2:
        offset, step, group = grouping.by_breaks(depth, runs, segment, group[-1] + 1, step)
    found = np.full(depth.shape, -1, np.int32)
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            first, last = offset[segment[i]], offset[segment[i] + 1] - 1
            for x in range(starts[i], ends[i]):
                found[y, x] = group[first + step[y, x]] if last > first else group[first]
    return found


def errors(label, depth):
    """Number of labels, RMSE (m), RMSE of log depth and AbsRel of the labels' mean depths, over pixels."""
    label, depth = label[depth > 0], depth[depth > 0].astype(np.float64)
    count = np.bincount(label)
    mean = (np.bincount(label, depth) / np.maximum(count, 1))[label]
    logarithm = np.log(mean / depth)
    return (
        np.count_nonzero(count), np.sqrt(np.mean((mean - depth) ** 2)), np.sqrt(np.mean(logarithm**2)),
        np.mean(np.abs(mean - depth) / depth),
    )  # fmt: skip


def main(path):
    store = rsgt.open(path)
    rows = {}
    for first in range(0, len(store), store.shard_frames):
        last = min(first + store.shard_frames, len(store))
        for depth, semantic in zip(
            store.read("depth", first, last), store.read("semantic", first, last), strict=True
        ):
            for k, kind in enumerate(GROUPINGS):
                rows.setdefault(("groups", kind), []).append(errors(group_map(depth, semantic, k), depth))
                for size in (0, 32):
                    region = region_support(depth, semantic, grouping=kind, min_size=size).region
                    rows.setdefault((f"regions, min-size {size}", kind), []).append(errors(region, depth))
    for (what, kind), values in rows.items():
        mean, equal = np.mean(values, axis=0), np.mean(rows[what, "equal"], axis=0)
        figures = dict(zip(ERRORS, mean.round(5).tolist(), strict=True))
        to_equal = {f"{name}_to_equal": round(float(m / e), 4) for name, m, e in
                    zip(ERRORS[:3], mean, equal, strict=False)}  # fmt: skip
        print(json.dumps({"of": what, "grouping": kind, "frames": len(values), **figures, **to_equal}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
