"""What the splits cost and bring: one pass over the frames, with the error of the support beside the time."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from benchmarks.conftest import over
from rsgt import splits
from rsgt.region_support import region_support

SPLITS = ("equal", "log", "natural")


def figures(frames, results):
    """Per-image means over all valid pixels: RMSE (m), RMSE of the natural logarithm, and regions."""
    rows = []
    for (depth, *_), result in zip(frames, results, strict=True):
        valid = depth > 0
        truth, support = depth[valid].astype(float), result.support[valid].astype(float)
        error, logarithm = support - truth, np.log(support / truth)
        rows.append((np.sqrt(np.mean(error**2)), np.sqrt(np.mean(logarithm**2)), result.region.max()))
    return dict(zip(("rmse", "rmse_log", "regions"), np.mean(rows, axis=0).tolist(), strict=True))


@pytest.mark.benchmark(group="splits of the frames")
@pytest.mark.parametrize("min_size", [0, 32])
@pytest.mark.parametrize("split", SPLITS)
def test_split(benchmark, frames, split, min_size):
    def method(depth, semantic, rgb):
        return region_support(depth, semantic, split=split, min_size=min_size)

    over(method, frames[:1])
    found = figures(frames, benchmark.pedantic(over, (method, frames), rounds=10, iterations=1))
    equal = figures(frames, [region_support(d, s, min_size=min_size) for d, s, _ in frames])
    benchmark.extra_info.update({**found, "rmse_to_equal": found["rmse"] / equal["rmse"]})
    print(
        f"\n{split}, min-size {min_size}: "
        + ", ".join(f"{k} {v:.4f}" for k, v in benchmark.extra_info.items())
    )
    if split == "natural":
        assert found["rmse"] < equal["rmse"]


@pytest.mark.benchmark(group="breaks of one histogram of 256 bins, 8 groups")
@pytest.mark.parametrize("peer", ["natural_groups", "sklearn.KMeans"])
def test_breaks(benchmark, peer):
    rng = np.random.default_rng(0)
    count = np.histogram(np.concatenate([rng.normal(m, 0.3, 9000) for m in (1, 2, 2.6, 4, 7)]), splits.BINS)[
        0
    ]
    centres = np.arange(splits.BINS, dtype=float)

    def exact():
        return splits.natural_groups(np.array([0, splits.BINS]), count, np.ones(1), 8)

    def k_means():
        return KMeans(8, n_init=1, random_state=0).fit(centres[:, None], sample_weight=count).labels_

    method = exact if peer == "natural_groups" else k_means
    method()
    group = benchmark.pedantic(method, rounds=10, iterations=1)
    mean = np.bincount(group, count * centres) / np.bincount(group, count)
    benchmark.extra_info["squared_error"] = float(count @ (centres - mean[group]) ** 2)
