"""Depth boundaries: steps by hand, an obvious twin, and frames without any."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.quality.boundaries import NAMES, THRESHOLDS, boundary_counts, boundary_measures
from rsgt.quality.judged import judged
from rsgt.quality.pooling import Pool
from tests import reference_measures as reference
from tests.rendered import rooms


def steps(*columns, height=6, width=12, factor=1.5):
    """Depth of 2 m, ``factor`` times as far from each of the columns on than before it."""
    depth = np.full((height, width), 2.0, np.float32)
    for column in columns:
        depth[:, column:] *= factor
    return depth


def box(row, column, size=4, shape=(20, 24)):
    """A box at 2 m before a wall at 3 m: all four kinds of boundary."""
    depth = np.full(shape, 3.0, np.float32)
    depth[row : row + size, column : column + size] = 2
    return depth


def measured(prediction, target):
    return boundary_measures(judged(prediction, target, target > 0)).values


def test_one_step_in_its_place_and_beside_it():
    """All that there is has one kind of four, whose shares are 1: the mean over the kinds is a quarter."""
    target = steps(5)
    assert measured(target, target) == pytest.approx(dict.fromkeys(NAMES, 0.25))
    assert measured(steps(6), target) == dict.fromkeys(NAMES, 0)
    assert measured(steps(), target) == dict.fromkeys(NAMES, 0)


def test_a_box_by_hand():
    target = box(5, 5)
    assert measured(target, target) == pytest.approx(dict.fromkeys(NAMES, 1))
    # One pixel to the right: upper and lower sides keep 3 of 4 pairs, left and right ones keep none.
    assert measured(box(5, 6), target) == pytest.approx(dict.fromkeys(NAMES, 3 / 8))
    # A second box halves the precision, and no recall.
    both = np.minimum(target, box(12, 15))
    found = measured(both, target)
    assert found["boundary_precision"] == pytest.approx(0.5)
    assert found["boundary_recall"] == pytest.approx(1)
    assert found["boundary_f1"] == pytest.approx(2 / 3)


def test_the_nearer_side_counts():
    turned = box(5, 5)
    turned = np.where(turned == 2, 3, 2).astype(np.float32)
    assert measured(turned, box(5, 5))["boundary_f1"] == 0


def test_thresholds_weigh_by_their_size():
    """Predicted boundaries of ratio 1.15 in place of 1.5: right up to that threshold, missing above."""
    target = box(5, 5)
    weak = np.where(target == 2, 2, 2.3).astype(np.float32)
    below = THRESHOLDS < 1.15
    expected = THRESHOLDS[below].sum() / THRESHOLDS.sum()
    assert measured(weak, target)["boundary_recall"] == pytest.approx(expected)
    assert measured(weak, target)["boundary_f1"] == pytest.approx(expected)


def test_scale_changes_nothing():
    rng = np.random.default_rng(0)
    target = rng.choice([1.0, 1.1, 1.3, 2.0], (20, 20)).astype(np.float32)
    prediction = rng.choice([1.0, 1.1, 1.3, 2.0], (20, 20)).astype(np.float32)
    assert measured(4 * prediction, target) == pytest.approx(measured(prediction, target))


def test_holes_have_no_boundaries():
    target = box(5, 5)
    target[0:3, 0:3] = 0
    prediction = box(5, 5)
    assert measured(prediction, target) == pytest.approx(dict.fromkeys(NAMES, 1))


def test_a_frame_without_a_boundary_has_no_value():
    flat = steps()
    pool = Pool()
    for target, valid in ((flat, flat > 0), (box(5, 5), np.zeros((20, 24), bool))):
        found = boundary_measures(judged(target, target, valid))
        assert all(math.isnan(value) for value in found.values.values())
        pool.add(found)
    pool.add(boundary_measures(judged(box(5, 5), box(5, 5), box(5, 5) > 0)))
    assert pool.reduced()["image_mean"] == pytest.approx(dict.fromkeys(NAMES, 1))
    assert pool.reduced()["pixel_pool"] == pytest.approx(dict.fromkeys(NAMES, 1))


def test_false_boundaries_of_a_frame_without_any_count_in_the_pool():
    flat, target = np.full((20, 24), 3, np.float32), box(5, 5)
    pool = Pool()
    pool.add(boundary_measures(judged(target, target, target > 0)))
    pool.add(boundary_measures(judged(target, flat, flat > 0)))
    assert pool.reduced()["pixel_pool"]["boundary_precision"] == pytest.approx(0.5)


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    spread=st.sampled_from([0.02, 0.1, 0.4]),
    holes=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_equal_to_the_obvious_twin(seed, height, width, spread, holes):
    rng = np.random.default_rng(seed)
    target = rng.lognormal(0.7, spread, (height, width)).astype(np.float32)
    prediction = (target * rng.lognormal(0, 0.05, target.shape)).astype(np.float32)
    valid = rng.random(target.shape) >= holes
    expected = reference.boundary_measures(prediction, target, valid, THRESHOLDS)
    found = boundary_measures(judged(prediction, target, valid)).values
    np.testing.assert_allclose([found[name] for name in NAMES], expected, rtol=1e-9)


def test_counts_fall_with_the_threshold():
    room = rooms(1)[0]
    depth = room.depth_m
    predicted, true, both = boundary_counts(depth, depth, depth > 0, THRESHOLDS)
    np.testing.assert_array_equal(predicted, both)
    np.testing.assert_array_equal(true, both)
    assert (np.diff(both, axis=1) <= 0).all()
    assert both[:, 0].all()  # a furnished room has all four kinds
    blurred = (depth + np.roll(depth, 1, 1) + np.roll(depth, -1, 1)) / 3
    assert measured(blurred, depth)["boundary_f1"] < 0.9 * measured(depth, depth)["boundary_f1"]
