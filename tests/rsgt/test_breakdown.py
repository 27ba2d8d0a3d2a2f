"""Errors by distance, category, percentile and region: by hand, against obvious twins, and without pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError
from rsgt.quality.breakdown import (
    BANDS,
    aligned_errors,
    category_measures,
    distance_measures,
    percentile_measures,
    region_shape_measures,
    sums_by_label,
)
from rsgt.quality.judged import judged
from rsgt.quality.metrics import depth_errors
from rsgt.quality.pooling import Pool
from tests import reference_measures as reference
from tests.rendered import rooms


def depths(*values):
    return np.array([values], np.float32)


def test_distances_by_hand():
    target = depths(1, 1.5, 2, 3.9, 4, 8)
    prediction = target + depths(0.1, -0.1, 0.5, 0.5, 1, 1)
    found = distance_measures(judged(prediction, target, target > 0)).values
    assert found["rmse_below_2m"] == pytest.approx(0.1, rel=1e-5)
    assert found["rmse_2m_to_4m"] == pytest.approx(0.5)
    assert found["rmse_from_4m"] == pytest.approx(1)
    assert found["abs_rel_from_4m"] == pytest.approx((1 / 4 + 1 / 8) / 2)
    assert found["delta1_from_4m"] == 0.5  # 5 / 4 is not below 1.25
    near = target < 2
    whole = depth_errors(judged(prediction, target, near))
    for name in ("rmse", "abs_rel", "delta1"):
        assert found[f"{name}_below_2m"] == pytest.approx(whole[name])


def test_a_band_without_pixels_has_no_value_and_counts_nowhere():
    pool = Pool()
    for target in (depths(1, 5), depths(1, 1)):
        pool.add(distance_measures(judged(target + 0.5, target, target > 0)))
    found = pool.reduced()
    assert found["image_mean"]["rmse_from_4m"] == found["pixel_pool"]["rmse_from_4m"] == 0.5
    assert all(math.isnan(errors["rmse_2m_to_4m"]) for errors in found.values())
    assert set(found["pixel_pool"]) == {
        f"{n}_{band}" for n in ("rmse", "abs_rel", "delta1") for band in BANDS
    }


def test_categories_by_hand():
    target, semantic = depths(2, 2, 2, 4), np.array([[3, 3, 0, 7]], np.uint16)
    prediction = depths(2.1, 1.9, 3, 4)
    found = category_measures(judged(prediction, target, target > 0), semantic, 9).values
    assert {name for name in found if "rmse" in name} == {f"category_rmse_{k}" for k in (0, 3, 7)}
    assert found["category_rmse_3"] == pytest.approx(0.1, rel=1e-5)
    assert found["category_rmse_7"] == 0
    assert found["category_delta1_0"] == 0
    with pytest.raises(InputError, match="got category 7, expected at most 5"):
        category_measures(judged(prediction, target, target > 0), semantic, 5)
    with pytest.raises(InputError, match="expected integers of shape"):
        category_measures(judged(prediction, target, target > 0), semantic.astype(float), 9)
    with pytest.raises(InputError, match="expected none below 0"):
        category_measures(judged(prediction, target, target > 0), semantic.astype(int) - 1, 9)


def test_categories_pool_over_the_frames_that_show_them():
    pool = Pool()
    for category, error, width in ((1, 0.2, 3), (2, 0.5, 2), (1, 0.4, 1)):
        target = np.full((2, width), 2, np.float32)
        semantic = np.full(target.shape, category)
        pool.add(category_measures(judged(target + np.float32(error), target, target > 0), semantic, 2))
    found = pool.reduced()
    assert found["image_mean"]["category_rmse_1"] == pytest.approx(0.3, rel=1e-5)
    assert found["pixel_pool"]["category_rmse_1"] == pytest.approx(math.sqrt((3 * 0.04 + 0.16) / 4), rel=1e-5)
    assert found["image_median"]["category_rmse_2"] == pytest.approx(0.5, rel=1e-5)


def test_percentiles_by_hand_and_pooled():
    target = np.full((10, 10), 2, np.float32)
    error = np.arange(100, dtype=np.float32).reshape(10, 10) / 100
    found = percentile_measures(judged(target + error, target, target > 0))
    assert found.values["error_p90"] == pytest.approx(np.quantile(error, 0.9), rel=1e-5)
    assert found.values["abs_rel_p90"] == pytest.approx(np.quantile(error, 0.9) / 2, rel=1e-5)
    pool = Pool()
    pool.add(found)
    pool.add(percentile_measures(judged(target + 3 * error, target, target > 0)))
    together = np.concatenate([error.ravel(), 3 * error.ravel()])
    ranked = np.sort(together)[[178, 181]]  # so few pixels are far apart
    assert 0.996 * ranked[0] <= pool.reduced()["pixel_pool"]["error_p90"] <= 1.004 * ranked[1]


def test_pooled_percentiles_of_many_pixels_are_as_fine_as_they_say():
    rng = np.random.default_rng(0)
    pool, errors = Pool(), []
    for scale in (0.05, 0.2, 0.6):
        target = rng.uniform(0.5, 9, (200, 300)).astype(np.float32)
        prediction = (target * rng.lognormal(0, scale, target.shape)).astype(np.float32)
        pool.add(percentile_measures(judged(prediction, target, target > 0)))
        errors.append(np.abs(prediction - target) / target)
    exact = np.quantile(np.concatenate(errors), 0.9)
    assert pool.reduced()["pixel_pool"]["abs_rel_p90"] == pytest.approx(exact, rel=4e-3)


def ramp(height=5, width=8):
    """A slanting region (y, x) from 2 m on."""
    return np.broadcast_to(2 + 0.1 * np.arange(width), (height, width)).astype(np.float32)


def test_the_shape_of_a_region_apart_from_its_level():
    target = ramp()
    region = np.ones(target.shape, np.int32)

    def shape(prediction):
        return region_shape_measures(judged(prediction, target, target > 0), region).values

    exact = pytest.approx(0, abs=1e-6)
    assert shape(1.3 * target) == {"region_rmse_scale": exact, "region_rmse_scale_shift": exact}
    shifted = shape(0.5 * target + 1)
    assert shifted["region_rmse_scale_shift"] == exact
    assert shifted["region_rmse_scale"] > 0.01
    spread = pytest.approx(float(target.std()), rel=1e-5)
    assert shape(np.full_like(target, 3))["region_rmse_scale_shift"] == spread
    # Inside out: the best factor is below 0, and is not taken.
    assert shape(6 - target)["region_rmse_scale_shift"] == spread


def test_each_region_has_its_own_alignment():
    target = np.concatenate([ramp(), ramp() + 3])
    region = np.repeat([[1], [2]], 5, axis=0) * np.ones((1, 8), np.int32)
    prediction = np.where(region == 1, 2 * target, 0.5 * target).astype(np.float32)
    found = region_shape_measures(judged(prediction, target, target > 0), region).values
    assert found["region_rmse_scale"] == pytest.approx(0, abs=1e-6)


def test_small_regions_and_holes_do_not_count():
    target = ramp(3, 6)
    region = np.zeros(target.shape, np.int32)
    region[0] = 1  # six pixels
    region[2, 5] = 2  # one
    found = region_shape_measures(judged(target, target, target > 0), region)
    assert all(math.isnan(value) for value in found.values.values())
    for region_of_none in (np.zeros_like(region), region):
        none = np.zeros(target.shape, bool)
        values = region_shape_measures(judged(target, target, none), region_of_none).values
        assert all(math.isnan(value) for value in values.values())
    with pytest.raises(InputError, match="region measures: got labels int32 of shape"):
        region_shape_measures(judged(target, target, target > 0), region[1:])


def test_regions_pool_over_all_regions():
    pool = Pool()
    for regions, error in ((1, 0.1), (3, 0.5)):
        target = np.tile(ramp(2, 8), (regions, 1))
        noise = error * np.where(np.arange(8) % 2, 1, -1)
        region = np.repeat(np.arange(1, regions + 1), 2)[:, None] * np.ones((1, 8), np.int32)
        pool.add(
            region_shape_measures(judged((target + noise).astype(np.float32), target, target > 0), region)
        )
    one, three = pool.images()["region_rmse_scale_shift"]
    assert pool.reduced()["pixel_pool"]["region_rmse_scale_shift"] == pytest.approx((one + 3 * three) / 4)


frames = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0, 0.4])
)


def made(frame):
    seed, height, width, holes = frame
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.5, 6, (height, width)).astype(np.float32)
    prediction = (target * rng.lognormal(0.1, 0.3, target.shape)).astype(np.float32)
    label = rng.integers(0, 4, target.shape).astype(np.int32)
    return prediction, target, rng.random(target.shape) >= holes, label


@settings(max_examples=60)
@given(frames)
def test_sums_equal_the_obvious_twin(frame):
    prediction, target, valid, label = made(frame)
    found = sums_by_label(prediction, target, valid, label, 5)
    np.testing.assert_allclose(
        found, reference.sums_by_label(prediction, target, valid, label, 5), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=60)
@given(frames)
def test_alignment_equals_the_obvious_twin(frame):
    prediction, target, valid, region = made(frame)
    found = aligned_errors(prediction, target, valid, region, 5)
    for ours, expected in zip(
        found, reference.aligned_errors(prediction, target, valid, region, 5), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


def test_on_a_rendered_room_the_parts_make_up_the_whole():
    room = rooms(1)[0]
    target = room.depth_m
    prediction = (1.1 * target).astype(np.float32)
    valid = target > 0
    whole = depth_errors(judged(prediction, target, valid))
    for found in (
        distance_measures(judged(prediction, target, valid)).sums["bands"],
        category_measures(judged(prediction, target, valid), room.semantic, 894).sums["categories"],
    ):
        pixels, squares, relative, close = found.sum(axis=0)
        assert pixels == whole["pixels"]
        assert math.sqrt(squares / pixels) == pytest.approx(whole["rmse"])
        assert relative / pixels == pytest.approx(whole["abs_rel"])
        assert close / pixels == whole["delta1"]
