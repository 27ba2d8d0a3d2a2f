"""Three reducers of the same frames: by hand, against all pixels at once, where a frame lacks a measure."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError
from rsgt.quality.judged import judged
from rsgt.quality.metrics import DEPTH_ERRORS, depth_errors, depth_measures
from rsgt.quality.pooling import REDUCERS, FrameMeasures, Pool, ratio


def share(sums):
    """A measure of the tests: hits of pixels."""
    return {"share": ratio(sums["hits"], sums["pixels"])}


def shares(hits, pixels):
    return FrameMeasures({"share": ratio(hits, pixels)}, {"hits": hits, "pixels": pixels}, share)


def test_three_numbers_for_one_measure():
    pool = Pool()
    for hits, pixels in ((1, 2), (1, 10), (90, 100)):
        pool.add(shares(hits, pixels))
    assert pool.reduced() == {
        "image_mean": {"share": pytest.approx(0.5)},
        "image_median": {"share": 0.5},
        "pixel_pool": {"share": pytest.approx(92 / 112)},
    }
    assert set(pool.reduced()) == set(REDUCERS)


def test_frames_without_a_measure_count_in_none_of_its_figures():
    pool = Pool()
    pool.add(None)
    pool.add(shares(3, 4), None)
    pool.add(shares(0, 0))
    pool.add()
    assert pool.frames == 4
    np.testing.assert_array_equal(pool.images()["share"], [np.nan, 0.75, np.nan, np.nan])
    assert all(found == {"share": 0.75} for found in pool.reduced().values())


def test_a_measure_that_no_frame_has_is_nan():
    pool = Pool()
    pool.add(shares(0, 0))
    assert all(math.isnan(found["share"]) for found in pool.reduced().values())
    with pytest.raises(InputError, match="no image"):
        Pool().reduced()


def test_what_was_added_stays_as_it_was():
    sums = {"hits": np.array([1.0, 2.0]), "pixels": np.array([2.0, 2.0])}
    frame = FrameMeasures({"share": 0.5}, sums, lambda found: {"share": float(found["hits"].sum())})
    pool = Pool()
    for _ in range(3):
        pool.add(frame)
    assert pool.reduced()["pixel_pool"]["share"] == 9
    np.testing.assert_array_equal(sums["hits"], [1, 2])


@settings(max_examples=30)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_pooled_depth_errors_are_those_of_all_pixels_at_once(seeds):
    """Roots and the scale-invariant error too, which no weighted mean of images gives."""
    pool, pixels, errors = Pool(), [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        target = rng.uniform(0.5, 9, tuple(rng.integers(1, 20, 2)))
        prediction = target * rng.lognormal(rng.normal(0, 0.3), 0.3, target.shape)
        valid = rng.random(target.shape) < 0.7
        valid[0, 0] = True
        maps = judged(prediction, target, valid)
        pool.add(depth_measures(maps))
        errors.append(depth_errors(maps))
        pixels.append((prediction[valid], target[valid]))
    together = [np.concatenate(part)[None] for part in zip(*pixels, strict=True)]
    expected = depth_errors(judged(*together, np.ones(together[0].shape, bool)))
    found = pool.reduced()
    for name in DEPTH_ERRORS:
        assert found["pixel_pool"][name] == pytest.approx(expected[name], rel=1e-9, abs=1e-5), name
        assert found["image_mean"][name] == pytest.approx(np.mean([one[name] for one in errors])), name
        assert found["image_median"][name] == pytest.approx(np.median([one[name] for one in errors])), name


def test_where_the_reducers_part_by_a_tenth_and_more():
    """Few pixels at a great distance: an image mean says half of what pooled pixels say."""
    pool = Pool()
    for error, height in ((0.1, 1), (1.0, 20)):
        target = np.full((height, 8), 4.0)
        pool.add(depth_measures(judged(target + error, target, target > 0)))
    found = {reducer: errors["rmse"] for reducer, errors in pool.reduced().items()}
    assert found["image_mean"] == pytest.approx(0.55)
    assert found["pixel_pool"] == pytest.approx(math.sqrt((0.01 + 20) / 21))
    assert found["pixel_pool"] > 1.1 * found["image_mean"]
