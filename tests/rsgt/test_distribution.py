"""Quantiles of a stream, and figures of the regions' table in blocks: equal to those of all at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rsgt
from rsgt.quality import distribution
from rsgt.quality.distribution import mean_and_quantiles, order_statistics
from rsgt.quality.region_rows import RegionRows
from tests.conftest import smooth_frames, write_nyu

SHARES = (0, 0.05, 0.25, 0.3, 0.5, 0.95, 1)
VALUES = st.one_of(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60),
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60),
    st.lists(st.integers(-3, 3), min_size=1, max_size=60),
)


def parts_of(values, cut):
    return lambda: iter([np.array(values)[:cut], np.array(values)[cut:]])


@given(VALUES, st.integers(0, 60))
def test_order_statistics_are_those_of_the_sorted_values(values, cut):
    found = order_statistics(parts_of(values, cut), np.arange(len(values)))
    assert found.tolist() == sorted(map(float, values))


@pytest.mark.parametrize("held", [0, distribution.HELD])
def test_mean_and_quantiles_are_numpys(monkeypatch, held):
    monkeypatch.setattr(distribution, "HELD", held)

    @given(VALUES, st.integers(0, 60))
    def check(values, cut):
        mean, found = mean_and_quantiles(parts_of(values, cut), SHARES)
        expected = np.quantile(np.array(values, np.float64), SHARES)
        np.testing.assert_allclose(found, expected, rtol=1e-15)
        np.testing.assert_allclose(mean, np.mean(np.array(values, np.float64)), rtol=1e-9, atol=1e-290)

    check()


def test_no_value_has_no_quantile():
    assert mean_and_quantiles(parts_of([], 0), SHARES) is None


@pytest.fixture(scope="module", params=["constant", "plane"])
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    mat = write_nyu(folder / "a.mat", smooth_frames(9))
    return rsgt.build(mat, folder / "s.zarr", shard_frames=2, min_size=4, surface=request.param)


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_blocks_of_rows_make_the_figures_of_all(store, monkeypatch, split):
    whole = rsgt.statistics(store, split, planes=True)
    document, categories = whole.document(), whole.categories()
    monkeypatch.setattr("rsgt.store.reader._BLOCK_ROWS", 1)
    blocks = [*whole.rows.blocks(["area"])]
    assert len(blocks) == len({k // 2 for k in whole.frame})
    cut = rsgt.statistics(store, split, planes=True)
    assert cut.document() == document
    for mine, other in zip(cut.categories(), categories, strict=True):
        assert mine.keys() == other.keys()
        assert mine == pytest.approx(other, rel=1e-12)
    assert all(
        np.array_equal(cut.table[name], values, equal_nan=True) for name, values in whole.table.items()
    )
    owner = whole.table["owner"]
    assert np.array_equal(np.bincount(owner, minlength=len(whole.frame)), whole.regions)
    for name, values in RegionRows(store, whole.frame).means(["depth_mean"]).items():
        expected = [whole.table[name][owner == k].mean() for k in range(len(whole.frame))]
        np.testing.assert_allclose(values, expected, rtol=1e-12)
