"""The statistics against pandas and plain NumPy, and the published figures on the real frames."""

import numpy as np
import pandas as pd
import pytest

from rsgt import build as assembly
from rsgt import store
from rsgt.schema import InputError
from rsgt.source import open_source
from rsgt.stats import statistics


@pytest.fixture(params=["default", "published", "raw"])
def built(request, nyu_file, tmp_path):
    parameters = {
        "default": assembly.Parameters(min_size=4),
        "published": assembly.Parameters(variant="published"),
        "raw": assembly.Parameters(min_size=4, depth="raw", unlabelled="ignore"),
    }[request.param]
    source = open_source(nyu_file[0])
    assembly.build(source, tmp_path / "s.zarr", assembly.plan_build(source, parameters, shard_frames=3))
    return store.open_store(tmp_path / "s.zarr")


def test_equal_to_pandas(built):
    rows, frames = [], []
    for k in range(len(built)):
        depth, support, region = (built.read(n, k, k + 1)[0].ravel() for n in ("depth", "support", "region"))
        q, p = depth[depth > 0].astype(float), support[depth > 0].astype(float)
        with np.errstate(divide="ignore"):
            ratio = np.maximum(p / q, q / p)
        frames.append({
            "rmse": np.sqrt(np.mean((p - q) ** 2)), "abs_rel": np.mean(np.abs(p - q) / q),
            "sq_rel": np.mean((p - q) ** 2 / q),
            **{f"delta{i}": np.mean(ratio < 1.25**i) for i in (1, 2, 3)},
            "covered": np.mean(region[depth > 0] > 0),
        })  # fmt: skip
        inside = region > 0
        error = (support - depth)[inside].astype(float)
        rows.append(pd.DataFrame({"frame": k, "region": region[inside], "error": error}))
    per_region = pd.concat(rows).groupby(["frame", "region"])["error"]
    rmse = per_region.apply(lambda e: np.sqrt((e**2).mean())).groupby("frame").mean()
    variance = per_region.var(ddof=0).groupby("frame").mean()
    expected = pd.DataFrame(frames)

    found = statistics(built)
    for name in ("rmse", "abs_rel", "sq_rel", "delta1", "delta2", "delta3"):
        np.testing.assert_allclose(found.errors[name], expected[name], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(found.region_rmse, rmse, rtol=1e-4)
    np.testing.assert_allclose(found.region_variance, variance, rtol=1e-4)
    np.testing.assert_allclose(found.covered / found.valid, expected["covered"])
    summary = found.summary()
    assert summary["frames"] == 10
    assert summary["regions"] == len(per_region)
    assert summary["pixel_rmse"] == pytest.approx(expected["rmse"].mean(), rel=1e-6)
    assert summary["instability"] == pytest.approx(variance.mean() / rmse.mean(), rel=1e-4)


def test_split_selects_frames(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    assembly.build(
        source, tmp_path / "s.zarr", assembly.plan_build(source, assembly.Parameters(), shard_frames=3)
    )
    opened = store.open_store(tmp_path / "s.zarr")
    whole, test = statistics(opened), statistics(opened, "test")
    picks = np.flatnonzero(opened.split == 1)
    assert test.frame.tolist() == picks.tolist()
    np.testing.assert_array_equal(test.errors["rmse"], whole.errors["rmse"][picks])
    np.testing.assert_array_equal(test.region_rmse, whole.region_rmse[picks])
    with pytest.raises(InputError, match="split: got 'val'"):
        statistics(opened, "val")


def test_coverage_is_one_by_default(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    parameters = assembly.Parameters(depth="raw")
    assembly.build(source, tmp_path / "s.zarr", assembly.plan_build(source, parameters))
    assert statistics(store.open_store(tmp_path / "s.zarr")).summary()["coverage"] == 1.0


def test_frames_without_depth_do_not_spoil_the_means(tmp_path):
    from tests.conftest import smooth_frames, write_nyu

    arrays = smooth_frames(4)
    arrays["depths"][2] = 0
    source = open_source(write_nyu(tmp_path / "a.mat", arrays))
    assembly.build(source, tmp_path / "s.zarr", assembly.plan_build(source, assembly.Parameters()))
    found = statistics(store.open_store(tmp_path / "s.zarr"))
    assert found.regions[2] == 0
    assert np.isfinite(list(found.summary().values())).all()
