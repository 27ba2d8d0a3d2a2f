import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from rsgt.inputs import InputError
from rsgt.quality.judged import judged
from rsgt.quality.metrics import (
    adjusted_rand,
    bootstrap_interval,
    depth_errors,
    instability,
    region_errors,
    region_quality,
)
from rsgt.quality.statistics import pixel_errors
from rsgt.regions import kernels
from tests.rsn import reference


def maps(seed, shape=(20, 30)):
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.5, 9, shape).astype(np.float32)
    prediction = (target * rng.lognormal(0.1, 0.3, shape)).astype(np.float32)
    return prediction, target, rng.random(shape) < 0.7


def test_a_case_computed_by_hand():
    prediction, target = np.array([[1.0, 3.0, 2.0, 7.0]]), np.array([[2.0, 2.0, 2.0, 0.0]])
    errors = depth_errors(judged(prediction, target, target > 0))
    up, down = math.log(1.5), math.log(2)  # log errors: -ln 2, ln 1.5, 0
    square, mean = (down**2 + up**2) / 3, (up - down) / 3
    expected = {
        "rmse": math.sqrt(2 / 3),
        "rmse_log": math.sqrt(square),
        "rmse_log10": math.sqrt((math.log10(2) ** 2 + math.log10(1.5) ** 2) / 3),
        "log10": (math.log10(2) + math.log10(1.5)) / 3,
        "abs_rel": 1 / 3,
        "sq_rel": 1 / 3,
        "silog": 100 * math.sqrt(square - mean**2),
        "delta1": 1 / 3,
        "delta2": 2 / 3,
        "delta3": 2 / 3,
        "pixels": 3,
        "log_bias": mean,
    }
    assert errors == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn(seed):
    prediction, target, valid = maps(seed)
    p, q = prediction[valid].astype(float), target[valid].astype(float)
    errors = depth_errors(judged(prediction, target, valid))
    assert errors["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(q, p))
    assert errors["abs_rel"] == pytest.approx(sklearn_metrics.mean_absolute_percentage_error(q, p))
    assert errors["sq_rel"] == pytest.approx(
        sklearn_metrics.mean_squared_error(q, p, sample_weight=1 / q) * np.mean(1 / q)
    )
    log_p, log_q = np.log(p), np.log(q)
    assert errors["rmse_log"] == pytest.approx(sklearn_metrics.root_mean_squared_error(log_q, log_p))
    assert errors["rmse_log10"] == pytest.approx(
        sklearn_metrics.root_mean_squared_error(np.log10(q), np.log10(p))
    )
    assert errors["log10"] == pytest.approx(sklearn_metrics.mean_absolute_error(np.log10(q), np.log10(p)))
    assert errors["silog"] == pytest.approx(100 * np.sqrt(np.cov(log_p - log_q, ddof=0)))
    for power in (1, 2, 3):
        near = (p < q * 1.25**power) & (q < p * 1.25**power)
        assert errors[f"delta{power}"] == pytest.approx(
            sklearn_metrics.accuracy_score(np.ones_like(near), near)
        )


def test_scale_moves_everything_but_the_scale_invariant_error():
    prediction, target, valid = maps(1)
    one, scaled = (depth_errors(judged(scale * prediction, target, valid)) for scale in (1.0, 1.7))
    assert scaled["silog"] == pytest.approx(one["silog"], rel=1e-5)
    assert scaled["rmse"] > one["rmse"]


def test_predictions_below_a_millimetre_count_as_a_millimetre():
    target = np.full((2, 2), 2.0)
    for prediction in (0.0, -3.0, 1e-9):
        errors = depth_errors(judged(np.full((2, 2), prediction), target, target > 0))
        assert errors["abs_rel"] == pytest.approx(1.999 / 2)
        assert errors["rmse_log"] == pytest.approx(math.log(2000))


def test_what_cannot_be_measured_is_refused():
    prediction, target, valid = maps(0)
    with pytest.raises(InputError, match="no valid pixel"):
        depth_errors(judged(prediction, target, np.zeros_like(valid)))
    with pytest.raises(InputError, match="1 predictions are not finite"):
        depth_errors(
            judged(np.where(np.arange(600).reshape(20, 30) == 5, np.nan, prediction), target, target > 0)
        )
    with pytest.raises(InputError, match="mark such pixels invalid"):
        depth_errors(judged(prediction, np.zeros_like(target), valid))
    with pytest.raises(InputError, match="expected one shape"):
        depth_errors(judged(prediction, target[:-1], valid))


def test_the_bootstrap_interval_is_seeded_and_close_to_the_normal_one():
    values = np.random.default_rng(0).normal(0.6, 0.2, 654)
    low, high = bootstrap_interval(values, seed=1)
    assert (low, high) == bootstrap_interval(list(values), seed=1)
    assert (low, high) != bootstrap_interval(values, seed=2)
    half = 1.96 * values.std() / math.sqrt(654)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert bootstrap_interval(values, seed=1, level=0.5)[0] > low
    with pytest.raises(InputError, match="one number an image"):
        bootstrap_interval([], seed=0)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), labels=st.integers(2, 40))
def test_region_statistics_and_covering_equal_loops(seed, labels):
    rng = np.random.default_rng(seed)
    prediction, target, valid = maps(seed, (9, 12))
    target = np.where(valid, target, 0)
    region = rng.integers(0, labels, target.shape).astype(np.int32)
    region[0, 0], target[0, 0] = 1, 1
    assert region_errors(prediction, target, region) == pytest.approx(
        reference.region_errors(prediction, target, region)
    )
    other = rng.integers(0, 6, target.shape).astype(np.int32)
    assert region_quality(other, region)["covering"] == pytest.approx(reference.covering(other, region))


def test_region_statistics_by_hand():
    prediction = np.array([[1.0, 3.0, 4.0, 8.0, 5.0]])
    target = np.array([[2.0, 2.0, 4.0, 0.0, np.nan]])
    errors = region_errors(prediction, target, np.array([[1, 1, 2, 2, 2]]))
    assert errors == {"rmse": 0.5, "variance": 0.5}  # region 1: errors -1 and 1; region 2: 0
    assert instability(errors) == 1
    assert instability({"rmse": 0.2852, "variance": 0.117}) == pytest.approx(0.41, abs=0.001)
    assert math.isnan(instability({"rmse": 0.0, "variance": 0.0}))
    with pytest.raises(InputError, match="at least one"):
        region_errors(prediction, target, np.zeros((1, 5), int))


def test_region_quality_by_hand_and_at_its_ends():
    truth = np.array([[1, 1, 1, 2, 2, 2, 0, 0]])
    predicted = np.array([[5, 5, 6, 6, 6, 6, 6, 9]])
    quality = region_quality(predicted, truth)
    # Region 1 has its best overlap with 5 (2 of 3 pixels), region 2 with 6 (3 of 4 that count).
    assert quality["covering"] == pytest.approx((3 * 2 / 3 + 3 * 3 / 4) / 6)
    counted = truth > 0
    assert quality["adjusted_rand"] == pytest.approx(
        sklearn_metrics.adjusted_rand_score(predicted[counted], truth[counted])
    )
    assert region_quality(truth * 7, truth) == {"adjusted_rand": 1, "v_measure": 1, "covering": 1}
    everything = region_quality(np.ones_like(truth), truth)
    assert everything == {"adjusted_rand": 0, "v_measure": 0, "covering": 0.5}
    with pytest.raises(InputError, match="without regions"):
        region_quality(predicted, np.zeros_like(truth))


maps_of_frames = st.tuples(
    st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4])
)


@given(maps_of_frames)
@settings(max_examples=60)
def test_the_fast_paths_equal_the_definitions(frame):
    """``rsgt stats`` takes compiled sums; a depth of 0 is none, an estimate is 1 mm or more."""
    height, width, seed, holes = frame
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 9, (height, width)).astype(np.float32) * (rng.random((height, width)) >= holes)
    estimate = rng.uniform(0.5, 9, (height, width)).astype(np.float32)
    region = rng.integers(0, 4, (height, width)).astype(np.int32)
    if (depth > 0).any():
        expected = depth_errors(judged(estimate, depth, depth > 0))
        sums = kernels.map_errors(estimate, depth)[None].astype(np.float64)
        for name, (value,) in pixel_errors(sums).items():
            assert value == pytest.approx(expected[name], rel=1e-6), name
        assert sums[0, 0] == expected["pixels"]
    if ((depth > 0) & (region > 0)).any():
        expected = region_errors(estimate, depth, region)
        rmse, variance = kernels.region_errors(estimate, depth, region, depth)
        assert rmse.mean() == pytest.approx(expected["rmse"], rel=1e-6)
        assert variance.mean() == pytest.approx(expected["variance"], rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=60))
def test_adjusted_rand_equals_scikit_learn(pairs):
    a, b = np.array(pairs).T
    assert adjusted_rand(a, b) == pytest.approx(sklearn_metrics.adjusted_rand_score(a, b), abs=1e-12)
