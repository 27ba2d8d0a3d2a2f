"""What the splits cost and bring: one pass over the frames, with the error of the support beside the time."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from benchmarks.conftest import over
from rsgt import region_support
from rsgt.regions import natural_breaks

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
        np.concatenate([rng.normal(m, 0.3, 9000) for m in (1, 2, 2.6, 4, 7)]), natural_breaks.BINS
    )[0]
    centres = np.arange(natural_breaks.BINS, dtype=float)

    def exact():
        return natural_breaks.natural_groups(np.array([0, natural_breaks.BINS]), count, np.ones(1), 8)

    def k_means():
        return KMeans(8, n_init=1, random_state=0).fit(centres[:, None], sample_weight=count).labels_

    method = exact if peer == "natural_groups" else k_means
    method()
    group = benchmark.pedantic(method, rounds=10, iterations=1)
    mean = np.bincount(group, count * centres) / np.bincount(group, count)
    benchmark.extra_info["squared_error"] = float(count @ (centres - mean[group]) ** 2)


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
