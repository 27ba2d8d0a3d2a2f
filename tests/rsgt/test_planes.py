"""Planes of regions: tilted ones, a sphere, regions that are a line or a point, and in `rsgt stats`."""

import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.cli.commands import main
from rsgt.page.report import report
from rsgt.quality.normals import Intrinsics
from rsgt.quality.planes import fit, normal_spreads, region_planes
from rsgt.quality.statistics import PLANES, statistics
from rsgt.store.reader import open_store
from tests import reference_measures as reference
from tests import reference_planar
from tests.rooms import write_rooms

CAMERA = Intrinsics(60.0, 55.0, 30.3, 22.8)
SHAPE = (24, 32)


def plane(normal, distance=2.0):
    return reference.plane_depth(SHAPE, CAMERA, normal, distance).astype(np.float32)


def plane_errors(depth, region, regions):
    return fit(depth, region, regions).residual[:, 0]


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.6, 0, 0.8), (0.2, -0.3, 0.9)])
def test_a_plane_at_any_slant_leaves_nothing(normal):
    depth = plane(normal)
    region = np.ones(SHAPE, np.int32)
    assert plane_errors(depth, region, 1)[0] == pytest.approx(0, abs=1e-6)
    assert region_planes(depth, region, 1, CAMERA).normal_spread[0] == pytest.approx(0, abs=0.01)


def test_noise_about_a_plane_is_its_residual():
    noise = 0.01 * np.random.default_rng(0).standard_normal(SHAPE)
    depth = (plane((0, 0, 1)) + noise).astype(np.float32)
    assert plane_errors(depth, np.ones(SHAPE, np.int32), 1)[0] == pytest.approx(0.01, rel=0.05)


def test_each_region_has_its_own_plane_and_a_step_inside_one_shows():
    depth = np.concatenate([plane((0, 0, 1))[:12], plane((0.5, 0, 1), 4.0)[12:]])
    region = np.repeat([1, 2], 12)[:, None] * np.ones((1, 32), np.int32)
    np.testing.assert_allclose(plane_errors(depth, region, 2), 0, atol=1e-6)
    assert plane_errors(depth, np.ones(SHAPE, np.int32), 1)[0] > 0.1


@pytest.mark.parametrize(
    "where", [np.s_[5, 7], np.s_[5, 3:20], np.s_[3:20, 7], np.s_[5:7, 7:9], np.s_[0, :], np.s_[:, 31]]
)
def test_points_and_lines_are_planes(where):
    region = np.zeros(SHAPE, np.int32)
    region[where] = 1
    assert plane_errors(plane((0.3, 0.2, 1)), region, 1)[0] == pytest.approx(0, abs=1e-6)
    diagonal = np.eye(*SHAPE, dtype=np.int32)
    assert plane_errors(plane((0.3, 0.2, 1)), diagonal, 1)[0] == pytest.approx(0, abs=1e-6)


def test_regions_without_depth_or_camera_have_no_figures():
    depth, region = plane((0, 0, 1)), np.ones(SHAPE, np.int32)
    region[:, 16:] = 2
    depth[:, 16:] = 0
    found = region_planes(depth, region, 3, CAMERA)
    for values in found:
        np.testing.assert_array_equal(np.isnan(values), [False, True, True])
    without = region_planes(depth, region, 3, None)
    np.testing.assert_array_equal(without.plane_rmse, found.plane_rmse)
    assert np.isnan(without.normal_spread).all()
    assert plane_errors(depth, np.zeros(SHAPE, np.int32), 0).size == 0


def test_normals_that_spread_by_a_known_angle():
    """Half of them turned by 30° to each side: arccos of the mean cosine, 30°."""
    normals = np.zeros((2, 4, 3))
    angle = math.radians(30) * np.array([1, -1, 1, -1])
    normals[..., 0], normals[..., 2] = np.sin(angle), np.cos(angle)
    region = np.ones((2, 4), np.int32)
    assert normal_spreads(normals, region, 1)[0] == pytest.approx(30)
    normals[0, :2] = np.nan
    assert normal_spreads(normals, region, 1)[0] == pytest.approx(30)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    holes=st.sampled_from([0.0, 0.4]),
)
def test_planes_of_any_partition_equal_the_obvious_twin(seed, height, width, holes):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 9, (height, width)).astype(np.float32)
    depth *= rng.random(depth.shape) >= holes
    region = rng.integers(0, 4, depth.shape).astype(np.int32)
    found = fit(depth, region, 3)
    there = np.where(depth > 0, region, 0)
    expected = reference_planar.support(depth, there)
    np.testing.assert_allclose(found.support, expected, rtol=1e-5)
    for r in range(1, 4):
        off = (expected - depth)[there == r]
        left = (np.sqrt(np.mean(off**2)), off.var()) if off.size else (np.nan, np.nan)
        np.testing.assert_allclose(found.residual[r - 1], left, rtol=1e-5, atol=1e-5)
        assert np.isnan(found.planes[r - 1]).all() == (off.size == 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(write_rooms(tmp_path_factory.mktemp("planes") / "s.zarr"))


def test_statistics_of_planes(store):
    plain, found = statistics(store), statistics(store, planes=True)
    assert plain.planes() == {}
    assert set(found.summary()) - set(plain.summary()) == set(PLANES)
    assert {name: found.summary()[name] for name in plain.summary()} == plain.summary()
    of_frames = []
    for k in range(len(store)):
        mine = found.table["plane_rmse"][found.table["owner"] == k]
        depth, region = (store.read(name, k, k + 1)[0] for name in ("depth", "region"))
        np.testing.assert_array_equal(mine, plane_errors(depth, region, mine.size))
        of_frames.append(mine.mean())
    np.testing.assert_allclose(found.planes()["plane_rmse"], of_frames)
    assert found.summary()["plane_rmse"] == pytest.approx(np.mean(of_frames))
    assert found.summary()["plane_rmse"] < found.summary()["region_rmse"]
    some = statistics(store, "test", planes=True)
    np.testing.assert_array_equal(some.planes()["plane_rmse"], found.planes()["plane_rmse"][some.frame])


def test_in_every_output_of_the_command(store, tmp_path):
    def run(*options):
        done = CliRunner().invoke(main, ["stats", str(store.path), "--planes", *map(str, options)])
        assert done.exit_code == 0, done.output
        return done.stdout

    document = json.loads(run("--json", "--by", "category"))
    known = not math.isnan(statistics(store, planes=True).summary()["normal_spread"])
    assert document["plane_rmse"] > 0
    assert (document["normal_spread"] is not None) == known
    assert set(PLANES) <= set(document["distributions"])
    assert all(row["plane_rmse"] is not None for row in document["rows"])
    run("--csv", tmp_path / "frames.csv", "--plot", tmp_path / "plot.png")
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert np.mean([float(row["plane_rmse"]) for row in rows]) == pytest.approx(document["plane_rmse"])
    text = run()
    line = next(one for one in text.splitlines() if one.startswith("plane rmse"))
    assert line.endswith(" m")
    assert "normal spread" in text


def test_the_page_has_none(store, tmp_path):
    report(store, tmp_path / "r.html", frames=[101])
    assert "plane_rmse" not in (tmp_path / "r.html").read_text(encoding="utf-8")
