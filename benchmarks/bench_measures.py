"""What each measure costs for one frame of 480x640, on one thread: a round is one frame.

The maps are rendered or NYU's depth, and this depth blurred, scaled and with bumps for a prediction.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rsgt import region_support
from rsgt.quality import boundaries, breakdown, metrics, normals, planes
from rsgt.quality.judged import judged
from rsgt.quality.measures import SETS
from rsgt.quality.pooling import Pool
from rsgt.sources.cameras import nyu_camera


@pytest.fixture(scope="module")
def judged_frames(frames):
    """Prediction, truth and valid pixels, checked; categories, regions and camera of a few frames."""
    rng, found = np.random.default_rng(0), []
    for depth, semantic, _ in frames[:6]:
        bumps = gaussian_filter(rng.normal(0, 0.5, depth.shape), 6)
        prediction = (1.05 * gaussian_filter(depth, 1.5) + bumps).astype(np.float32)
        maps = judged(prediction, depth, depth > 0)
        found.append((maps, semantic, region_support(depth, semantic).region))
    return found, normals.known_intrinsics(nyu_camera(found[0][1].shape))


MEASURES = {
    "depth": lambda maps, *_: metrics.depth_measures(maps),
    "normals": lambda maps, semantic, region, camera: normals.normal_measures(maps, camera),
    "boundaries": lambda maps, *_: boundaries.boundary_measures(maps),
    "distance": lambda maps, *_: breakdown.distance_measures(maps),
    "categories": lambda maps, semantic, *_: breakdown.category_measures(maps, semantic, 894),
    "percentiles": lambda maps, *_: breakdown.percentile_measures(maps),
    "shape": lambda maps, semantic, region, _: breakdown.region_shape_measures(maps, region),
    "regions (always)": lambda maps, semantic, region, _: metrics.region_errors(
        maps.prediction, maps.target, region
    ),
    "checks (always)": lambda maps, *_: judged(*maps),
}


def every_measure(*frame):
    pool = Pool()
    pool.add(*(MEASURES[name](*frame) for name in SETS))
    return pool


def over_frames(benchmark, measure, cases, camera):
    """Time a measure frame after frame."""
    measure(*cases[0], camera)
    rounds = iter([(*case, camera) for case in cases] * 3)
    return benchmark.pedantic(measure, setup=lambda: (next(rounds), {}), rounds=3 * len(cases))


@pytest.mark.benchmark(group="measures of one frame")
@pytest.mark.parametrize("name", MEASURES)
def test_measure(benchmark, judged_frames, name):
    assert over_frames(benchmark, MEASURES[name], *judged_frames)


@pytest.mark.benchmark(group="measures of one frame")
def test_all_of_them_pooled(benchmark, judged_frames):
    pool = over_frames(benchmark, every_measure, *judged_frames)
    assert pool.frames == 1


@pytest.mark.benchmark(group="planes of one frame's regions")
@pytest.mark.parametrize("part", ["residual", "residual and normals"])
def test_planes(benchmark, judged_frames, part):
    def fit(maps, semantic, region, camera):
        return planes.region_planes(
            maps.target, region, int(region.max()), camera if "normals" in part else None
        )

    assert over_frames(benchmark, fit, *judged_frames).plane_rmse.size
