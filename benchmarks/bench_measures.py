"""What each measure costs for one frame of 480x640, on one thread: a round is one frame.

The maps are rendered or NYU's depth, and this depth blurred, scaled and with bumps for a prediction.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rsgt import region_support
from rsgt.quality import boundaries, breakdown, metrics, normals, planes
from rsgt.quality.pooling import Pool
from rsgt.sources.cameras import nyu_camera


@pytest.fixture(scope="module")
def judged(frames):
    """Prediction, truth, valid pixels, categories, regions and camera of a few frames."""
    rng, found = np.random.default_rng(0), []
    for depth, semantic, _ in frames[:6]:
        bumps = gaussian_filter(rng.normal(0, 0.5, depth.shape), 6)
        prediction = (1.05 * gaussian_filter(depth, 1.5) + bumps).astype(np.float32)
        region = region_support(depth, semantic).region
        found.append((prediction, depth, depth > 0, semantic, region))
    return found, normals.camera_of(nyu_camera(found[0][1].shape))


MEASURES = {
    "errors of depth": lambda p, q, valid, *_: metrics.depth_measures(p, q, valid),
    "normals": lambda p, q, valid, semantic, region, camera: normals.normal_measures(p, q, valid, camera),
    "boundaries": lambda p, q, valid, *_: boundaries.boundary_measures(p, q, valid),
    "by distance": lambda p, q, valid, *_: breakdown.distance_measures(p, q, valid),
    "by category": lambda p, q, valid, semantic, *_: breakdown.category_measures(p, q, valid, semantic, 894),
    "90th percentiles": lambda p, q, valid, *_: breakdown.percentile_measures(p, q, valid),
    "shape of regions": lambda p, q, valid, semantic, region, _: breakdown.region_shape_measures(
        p, q, valid, region
    ),
}


def every_measure(*frame):
    pool = Pool()
    pool.add(*(measure(*frame) for measure in MEASURES.values()))
    return pool


def over_frames(benchmark, measure, judged):
    """Time a measure frame after frame."""
    cases, camera = judged
    measure(*cases[0], camera)
    rounds = iter([(*case, camera) for case in cases] * 3)
    return benchmark.pedantic(measure, setup=lambda: (next(rounds), {}), rounds=3 * len(cases))


@pytest.mark.benchmark(group="measures of one frame")
@pytest.mark.parametrize("name", MEASURES)
def test_measure(benchmark, judged, name):
    assert over_frames(benchmark, MEASURES[name], judged).values


@pytest.mark.benchmark(group="measures of one frame")
def test_all_of_them_pooled(benchmark, judged):
    pool = over_frames(benchmark, every_measure, judged)
    assert pool.frames == 1


@pytest.mark.benchmark(group="planes of one frame's regions")
@pytest.mark.parametrize("part", ["residual", "residual and normals"])
def test_planes(benchmark, judged, part):
    def fit(p, q, valid, semantic, region, camera):
        return planes.region_planes(q, region, int(region.max()), camera if "normals" in part else None)

    assert over_frames(benchmark, fit, judged).plane_rmse.size
