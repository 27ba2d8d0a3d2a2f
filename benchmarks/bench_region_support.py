"""Algorithm 1 on one thread against one pass of cc3d over the same labels, and against superpixels."""

import cc3d
import numpy as np
import pytest
from skimage.segmentation import felzenszwalb, slic

from benchmarks.conftest import over
from rsgt import region_support
from rsgt.regions import kernels

METHODS = {
    "cc3d.connected_components": lambda depth, semantic, rgb: cc3d.connected_components(
        semantic, connectivity=8
    ),
    "region support, default": lambda depth, semantic, rgb: region_support(depth, semantic).region,
    "region support, no merging": lambda depth, semantic, rgb: (
        region_support(depth, semantic, min_size=0).region
    ),
    "region support, published": lambda depth, semantic, rgb: (
        region_support(depth, semantic, variant="published").region
    ),
    "felzenszwalb": lambda depth, semantic, rgb: felzenszwalb(rgb, scale=200),
    "slic": lambda depth, semantic, rgb: slic(rgb, n_segments=100),
}


@pytest.mark.benchmark(group="partition of the frames")
@pytest.mark.parametrize("method", METHODS)
def test_partition(benchmark, frames, method):
    over(METHODS[method], frames[:1])
    slow = method in ("felzenszwalb", "slic")
    results = benchmark.pedantic(
        over, (METHODS[method], frames[:6] if slow else frames), rounds=2 if slow else 15, iterations=1
    )
    assert all(r.shape == d.shape for r, (d, _, _) in zip(results, frames, strict=False))


@pytest.mark.benchmark(group="statistics of the regions")
@pytest.mark.parametrize("peer", ["kernel", "numpy"])
def test_region_statistics(benchmark, frames, peer):
    region = [region_support(depth, semantic).region for depth, semantic, _ in frames]

    def with_numpy(region, depth):
        area = np.bincount(region.ravel())
        mean = np.bincount(region.ravel(), depth.ravel()) / np.maximum(area, 1)
        return mean, np.bincount(region.ravel(), (depth - mean[region]).ravel() ** 2) / np.maximum(area, 1)

    def every():
        for r, (depth, semantic, _) in zip(region, frames, strict=True):
            if peer == "kernel":
                kernels.region_statistics(r, depth, semantic, int(r.max()))
            else:
                with_numpy(r, depth)

    every()
    benchmark.pedantic(every, rounds=10, iterations=1)
