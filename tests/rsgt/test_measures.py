"""The table of measures against what is measured, and the counts that give quantiles of many images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsgt.quality.boundaries import boundary_measures
from rsgt.quality.breakdown import (
    category_measures,
    distance_measures,
    percentile_measures,
    region_shape_measures,
)
from rsgt.quality.judged import judged
from rsgt.quality.measures import MEASURES, described
from rsgt.quality.metrics import DEPTH_ERRORS, depth_measures
from rsgt.quality.normals import known_intrinsics, normal_measures
from rsgt.quality.quantiles import BINS, counts, quantile
from rsgt.sources.cameras import nyu_camera
from tests.rendered import SHAPE, rooms


def test_every_measure_of_a_frame_is_described_once():
    room = rooms(1)[0]
    target = room.depth_m
    maps = judged(1.1 * target, target, target > 0)
    region = room.semantic.astype(np.int32)
    every = [
        depth_measures(maps),
        distance_measures(maps),
        percentile_measures(maps),
        category_measures(maps, room.semantic, 894),
        region_shape_measures(maps, region),
        boundary_measures(maps),
        normal_measures(maps, known_intrinsics(nyu_camera(SHAPE))),
    ]
    names = [name for found in every for name in found.values]
    assert len(names) == len(set(names))
    for name in names:
        assert described(name).definition
    for found in every:
        assert set(found.pooled(found.sums)) == set(found.values)
    assert set(DEPTH_ERRORS) <= set(MEASURES)


def test_which_way_is_better():
    for name in ("rmse", "normal_mean", "category_abs_rel_12", "region_rmse_scale"):
        assert described(name).less_is_better
    for name in ("delta1_from_4m", "normal_11", "boundary_f1", "category_delta1_3"):
        assert not described(name).less_is_better
    assert described("category_rmse_7") == MEASURES["category_rmse"]
    assert described("category_delta1") == MEASURES["category_delta1"]
    with pytest.raises(KeyError):
        described("rmse_7")


@given(
    hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1e6, width=32)),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
)
def test_quantiles_lie_where_the_ranked_values_do(values, share):
    found = quantile(counts(values), share)
    ranked = np.sort(values)[int(np.ceil(share * values.size - 1e-9)) - 1]
    assert found == pytest.approx(float(ranked), rel=8e-3, abs=1e-35)


def test_counts_add_up():
    rng = np.random.default_rng(0)
    parts = [rng.lognormal(k, 1, 5000).astype(np.float32) for k in range(3)]
    total = sum(counts(part) for part in parts)
    assert total.shape == (BINS,)
    assert total.sum() == 15000
    exact = np.quantile(np.concatenate(parts), 0.9)
    assert quantile(total, 0.9) == pytest.approx(exact, rel=4e-3)
    assert np.isnan(quantile(np.zeros(BINS), 0.5))


def test_what_is_judged():
    target = np.full((2, 3), 2.0)
    prediction = np.array([[0.0, -1, 1e-9], [2, np.nan, 3]])
    valid = np.isfinite(prediction)
    found = judged(prediction, target, valid)
    assert found.prediction.dtype == found.target.dtype == np.float32
    np.testing.assert_array_equal(found.prediction[0], np.float32(1e-3))
    assert found.valid.flags.c_contiguous
