"""Error by tenths of confidence, against sorting all pixels at once."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError
from rsgt.quality.confidence import LEVELS, ConfidenceTable
from rsgt.quality.judged import judged


def frames(seed, count=3, shape=(20, 30)):
    """Confidence on the table's own levels, prediction, truth, and where they count."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        truth = rng.uniform(1, 5, shape).astype(np.float32)
        sure = rng.permutation(LEVELS)[: truth.size].reshape(shape) / (LEVELS - 1)
        prediction = (truth * (1 + rng.normal(0, 0.01 + 0.2 * (1 - sure)))).astype(np.float32)
        yield sure, judged(np.maximum(prediction, 0.01), truth, rng.random(shape) < 0.9)


@settings(max_examples=20)
@example(529)  # Two equally sure pixels at the end of a tenth.
@given(st.integers(0, 1000))
def test_the_tenths_are_those_of_sorted_pixels(seed):
    table, pixels = ConfidenceTable(), []
    for sure, maps in frames(seed):
        table.add(sure, maps)
        error = np.abs(maps.prediction - maps.target.astype(np.float64))
        pixels.append(np.stack([sure, error, error / maps.target])[:, maps.valid])
    sure, error, relative = np.concatenate(pixels, axis=1)
    found = table.summary()
    assert found["pixels"] == sure.size
    # Of equally sure pixels, which lie in two frames here, none comes first.
    _, group, size = np.unique(sure, return_inverse=True, return_counts=True)
    first = np.cumsum(size) - size
    for i, tenth in enumerate(found["tenths"]):
        low, high = sure.size * i / 10, sure.size * (i + 1) / 10
        inside = np.minimum(first + size, high) - np.maximum(first, low)
        share = (inside.clip(0) / size)[group]
        assert share.sum() == pytest.approx(sure.size / 10)
        assert tenth["mae"] == pytest.approx(np.average(error, weights=share))
        assert tenth["rmse"] == pytest.approx(np.sqrt(np.average(error**2, weights=share)))
        assert tenth["abs_rel"] == pytest.approx(np.average(relative, weights=share))
    largest = np.sort(error)[::-1][: round(error.size / 10)]
    worst = found["worst_tenth"]
    assert worst["abs_best"] == pytest.approx(largest.sum() / error.sum(), rel=0.03)
    assert worst["abs"] <= worst["abs_best"] + 1e-9
    assert worst["squared"] <= worst["squared_best"] + 1e-9


def test_exact_tenths():
    """Forty pixels, sure in reverse of their error."""
    error = np.arange(40, dtype=np.float32).reshape(4, 10) / 100
    table = ConfidenceTable()
    table.add(1 - error.astype(np.float64), judged(2 + error, np.full_like(error, 2), np.ones((4, 10), bool)))
    found = table.summary()
    maes = [tenth["mae"] for tenth in found["tenths"]]
    assert maes == pytest.approx([error.ravel()[36 - 4 * i : 40 - 4 * i].mean() for i in range(10)], abs=1e-6)
    assert found["worst_tenth"]["abs"] == pytest.approx((36 + 37 + 38 + 39) / 780, rel=1e-5)
    assert found["worst_tenth"]["abs_best"] == pytest.approx(found["worst_tenth"]["abs"], rel=1e-5)
    assert found["tenths"][0]["from"] == pytest.approx(0.61, abs=1e-4)
    assert found["tenths"][-1]["to"] == pytest.approx(1)


def test_pixels_that_are_equally_sure_are_shared_out():
    error = np.linspace(0, 1, 50, dtype=np.float32).reshape(5, 10)
    table = ConfidenceTable()
    table.add(np.full((5, 10), 0.5), judged(2 + error, np.full_like(error, 2), np.ones((5, 10), bool)))
    found = table.summary()
    assert [tenth["mae"] for tenth in found["tenths"]] == pytest.approx([error.mean()] * 10)
    assert found["worst_tenth"]["abs"] == pytest.approx(0.1)


def test_no_error_at_all_has_no_share():
    truth = np.ones((2, 5), np.float32)
    table = ConfidenceTable()
    table.add(truth, judged(truth, truth, truth > 0))
    assert table.summary()["worst_tenth"] == dict.fromkeys(("abs", "abs_best", "squared", "squared_best"))


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_confidence_is_refused(wrong):
    truth = np.ones((2, 5), np.float32)
    sure = truth.copy()
    sure[0, 0] = wrong
    with pytest.raises(InputError, match="beyond 0 and 1"):
        ConfidenceTable().add(sure, judged(truth, truth, truth > 0))
    ConfidenceTable().add(sure, judged(truth, truth, np.indices((2, 5))[1] > 0))
    with pytest.raises(InputError, match="got shape"):
        ConfidenceTable().add(sure[1:], judged(truth, truth, truth > 0))
    with pytest.raises(InputError, match="no pixel counts"):
        ConfidenceTable().summary()
