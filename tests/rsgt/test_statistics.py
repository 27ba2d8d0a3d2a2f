"""The statistics, of stores and of predictions: against pandas, SciPy, NumPy and by hand."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from rsgt import builder
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.quality.statistics import statistics
from rsgt.regions import kernels
from rsgt.sources import facts, open_source
from rsgt.store import predictions, reader, schema
from tests.conftest import known_camera, smooth_frames, write_nyu
from tests.rooms import write_rooms

KEYS = {
    "frames", "regions", "regions_per_frame", "coverage", "rmse", "abs_rel", "sq_rel", "delta1",
    "delta2", "delta3", "region_rmse", "region_variance", "instability",
}  # fmt: skip


@pytest.fixture(params=["default", "published", "raw", "plane"])
def built(request, nyu_file, tmp_path):
    parameters = {
        "default": builder.Parameters(min_size=4),
        "published": builder.Parameters(variant="published"),
        "raw": builder.Parameters(min_size=4, depth="raw", unlabelled="ignore"),
        "plane": builder.Parameters(min_size=4, surface="plane", regions=6),
    }[request.param]
    source = open_source(nyu_file[0])
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, parameters, shard_frames=3))
    return reader.open_store(tmp_path / "s.zarr")


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
    assert summary["rmse"] == pytest.approx(expected["rmse"].mean(), rel=1e-6)
    assert summary["instability"] == pytest.approx(variance.mean() / rmse.mean(), rel=1e-4)


def test_planes_tell_how_far_off_and_how_turned_they_are(nyu_file, tmp_path):
    with known_camera():
        found = builder.build(nyu_file[0], tmp_path / "p.zarr", min_size=4, surface="plane", regions=6)
    distributions = statistics(found).document()["distributions"]
    residual, slant = [], []
    for frame in found:
        for r in frame.regions["label"]:
            inside = frame.region == r
            off = (frame.support - frame.depth)[inside].astype(float)
            residual.append(np.sqrt(np.mean(off**2)))
        slant += np.degrees(np.arctan2(
            np.hypot(frame.regions["normal_x"], frame.regions["normal_y"]), frame.regions["normal_z"]
        )).tolist()  # fmt: skip
    assert distributions["plane_residual"]["median"] == pytest.approx(np.median(residual), abs=1e-5)
    assert distributions["plane_slant"]["p95"] == pytest.approx(np.quantile(slant, 0.95), abs=1e-4)
    assert 0 < distributions["plane_slant"]["maximum"] < 90
    constant = builder.build(nyu_file[0], tmp_path / "c.zarr", min_size=4)
    assert not [name for name in statistics(constant).distributions() if name.startswith("plane")]


def test_split_selects_frames(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    builder.build_plan(
        source, tmp_path / "s.zarr", builder.plan_build(source, builder.Parameters(), shard_frames=3)
    )
    opened = reader.open_store(tmp_path / "s.zarr")
    whole, test = statistics(opened), statistics(opened, "test")
    picks = np.flatnonzero(opened.split == 1)
    assert test.frame.tolist() == picks.tolist()
    np.testing.assert_array_equal(test.errors["rmse"], whole.errors["rmse"][picks])
    np.testing.assert_array_equal(test.region_rmse, whole.region_rmse[picks])
    with pytest.raises(InputError, match="split: got 'val'"):
        statistics(opened, "val")


def test_coverage_is_one_by_default(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    parameters = builder.Parameters(depth="raw")
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, parameters))
    assert statistics(reader.open_store(tmp_path / "s.zarr")).summary()["coverage"] == 1.0


def test_frames_without_depth_do_not_spoil_the_means(tmp_path):
    from tests.conftest import smooth_frames, write_nyu

    arrays = smooth_frames(4)
    arrays["depths"][2] = 0
    source = open_source(write_nyu(tmp_path / "a.mat", arrays))
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, builder.Parameters()))
    found = statistics(reader.open_store(tmp_path / "s.zarr"))
    assert found.regions[2] == 0
    assert np.isfinite(list(found.summary().values())).all()


@pytest.fixture(params=["default", "published"])
def opened(request, nyu_file, tmp_path):
    parameters = {
        "default": builder.Parameters(min_size=4, depth="raw"),
        "published": builder.Parameters(variant="published"),
    }[request.param]
    source = open_source(nyu_file[0])
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, parameters, shard_frames=3))
    return reader.open_store(tmp_path / "s.zarr")


def pixels(opened, frames, maps=None):
    """One row a pixel that has a region and depth."""
    parts = []
    for i, k in enumerate(frames):
        columns = {n: opened.read(n, k, k + 1)[0].ravel() for n in ("depth", "support", "region", "semantic")}
        part = pd.DataFrame(columns).astype({"depth": float, "support": float})
        part["frame"] = k
        if maps is not None:
            part["predicted"] = maps[i].ravel().astype(float)
        parts.append(part[(part.region > 0) & (part.depth > 0)])
    return pd.concat(parts)


def test_distributions_and_categories_agree_with_pandas(opened):
    found = statistics(opened)
    table = pixels(opened, range(10))
    regions = table.groupby(["frame", "region"]).depth.agg(["size", "mean", lambda d: d.std(ddof=0)])
    regions.columns = ["area", "mean", "spread"]
    document = found.document()
    for name, values in (
        ("regions_per_frame", regions.groupby("frame").size()),
        ("region_area", regions.area),
        ("region_spread", regions.spread),
    ):
        expected = values.quantile([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
        got = document["distributions"][name]
        assert got.pop("mean") == pytest.approx(values.mean(), rel=1e-6)
        assert list(got.values()) == pytest.approx(expected, rel=1e-5, abs=1e-7)

    regions["category"] = table.groupby(["frame", "region"]).semantic.agg(lambda s: s.mode()[0])
    rows = pd.DataFrame(found.categories()).set_index("category")
    by_category = regions.reset_index().groupby("category")
    assert rows.index.tolist() == sorted(regions.category.unique())
    np.testing.assert_array_equal(rows.regions, by_category.size())
    np.testing.assert_array_equal(rows.frames, by_category.frame.nunique())
    np.testing.assert_array_equal(rows.pixels, by_category.area.sum())
    np.testing.assert_allclose(rows.region_area, by_category.area.median())
    np.testing.assert_allclose(rows.region_rmse, by_category.spread.mean(), rtol=1e-6)
    np.testing.assert_allclose(
        rows.region_variance, by_category.spread.apply(lambda s: (s**2).mean()), rtol=1e-6
    )
    pixel_mean = table.assign(
        category=regions.category.reindex(table.set_index(["frame", "region"]).index).to_numpy()
    )
    np.testing.assert_allclose(rows.depth_mean, pixel_mean.groupby("category").depth.mean(), rtol=1e-6)
    assert rows.share.sum() == pytest.approx(1)
    names = facts.class_names("894")
    assert rows.name.tolist() == [names[k - 1] if k else "unlabelled" for k in rows.index]


def test_categories_without_a_name_go_by_number(tmp_path):
    """As of a folder whose label files come without --classes; a list of names may have gaps, too."""
    for names, expected in (((), "class 1"), (("", "floor"), "class 1"), (("wall",), "wall")):
        path = write_rooms(tmp_path / f"{len(names)}.zarr", train=1, test=1, class_names=names)
        assert [row["name"] for row in statistics(path).categories()] == [expected]
        done = CliRunner().invoke(
            main, ["stats", str(path), "--by", "category", "--csv", str(tmp_path / "c.csv")]
        )
        assert done.exit_code == 0, done.output
        assert expected in done.stdout
        assert expected in (tmp_path / "c.csv").read_text()
    assert [schema.class_name(("wall", ""), k) for k in range(4)] == [
        "unlabelled",
        "wall",
        "class 2",
        "class 3",
    ]


def test_rows_a_frame(opened):
    found = statistics(opened, "test")
    rows = pd.DataFrame(found.frames())
    assert rows.frame.tolist() == opened.frame_id[found.frame].tolist()
    assert set(rows.split) == {"test"}
    assert rows.regions.sum() == found.summary()["regions"]
    assert rows.rmse.mean() == pytest.approx(found.summary()["rmse"])
    assert rows.region_variance.mean() == pytest.approx(found.summary()["region_variance"])


def as_frames(maps):
    return [{"prediction": values} for values in maps]


def made_maps(opened, seed=0):
    """A smooth map for each frame: the depth with its bumps worn off, and noise."""
    depth = opened.read("depth", 0, len(opened))
    noise = np.random.default_rng(seed).normal(0, 0.05, depth.shape)
    return (ndimage.uniform_filter(depth, (0, 7, 7)) + 0.1 + noise).astype(np.float32)


@pytest.mark.parametrize("form", ["zarr", "npy"])
def test_prediction_agrees_with_pandas(opened, tmp_path, form):
    maps = made_maps(opened)
    if form == "zarr":
        path = tmp_path / "p.zarr"
        predictions.write_prediction(path, as_frames(maps[::-1]), opened.frame_id[::-1], opened.shape)
    else:
        path = tmp_path / "p.npy"
        np.save(path, maps)
    found = statistics(opened, prediction=path).document()["prediction"]
    table = pixels(opened, range(10), maps)
    for name in ("depth", "support"):
        error = (table.predicted - table[name]).groupby([table.frame, table.region])
        rmse = error.apply(lambda e: np.sqrt((e**2).mean())).groupby("frame").mean().mean()
        variance = error.var(ddof=0).groupby("frame").mean().mean()
        got = found[f"against_{name}"]
        assert got["region_rmse"] == pytest.approx(rmse, rel=1e-6)
        assert got["region_variance"] == pytest.approx(variance, rel=1e-6)
        assert got["instability"] == pytest.approx(variance / rmse, rel=1e-6)
        if name == "support":
            squares = (table.predicted - table.support) ** 2
            assert got["rmse"] == pytest.approx(np.sqrt(squares.groupby(table.frame).mean()).mean(), rel=1e-6)
            ratio = np.maximum(table.predicted / table.support, table.support / table.predicted) < 1.25
            assert got["delta1"] == pytest.approx(ratio.groupby(table.frame).mean().mean(), rel=1e-6)


@pytest.mark.parametrize("form", ["npz", "npy files", "png"])
def test_maps_of_every_form_that_evaluate_opens_give_the_same(opened, tmp_path, form):
    maps = (np.round(1000 * made_maps(opened)) / 1000).astype(np.float32)
    np.save(tmp_path / "p.npy", maps)
    one = statistics(opened, prediction=tmp_path / "p.npy").document()
    path, options = tmp_path / "maps", {"match": "number"}
    path.mkdir()
    for number, values in zip(opened.frame_id.tolist(), maps, strict=True):
        if form == "png":
            options |= {"scale": 1000}
            Image.fromarray(np.round(1000 * values).astype(np.uint16)).save(path / f"{number}.png")
        elif form == "npy files":
            np.save(path / f"{number}.npy", values)
    if form == "npz":
        path = tmp_path / "p.npz"
        np.savez(path, maps=maps[::-1], frame=opened.frame_id[::-1])
    two = statistics(opened, prediction=path, **options).document()
    assert (one["maps"]["matched_by"], two["maps"]["matched_by"]) == ("order", "number")
    assert two | {"maps": 0} == one | {"maps": 0}


def test_maps_of_another_size_are_resized_and_said_so(opened, tmp_path):
    np.save(tmp_path / "small.npy", made_maps(opened)[:, ::2, ::2])
    done = CliRunner().invoke(main, ["stats", str(opened.path), "--prediction", str(tmp_path / "small.npy")])
    assert done.exit_code == 0, done.output
    assert "maps: .npy, depth, matched by order\n" in done.stdout
    assert "resized to the store's size, bilinear between pixel centres, from ['12x16']\n" in done.stdout


def test_the_support_itself_as_prediction(opened, tmp_path):
    np.save(tmp_path / "support.npy", opened.read("support", 0, 10))
    found = statistics(opened, prediction=tmp_path / "support.npy")
    document = found.document()
    against_depth, against_support = (document["prediction"][f"against_{n}"] for n in ("depth", "support"))
    assert against_support["rmse"] == against_support["region_rmse"] == 0
    for name in KEYS - {"frames", "regions", "regions_per_frame", "coverage"}:
        assert against_depth[name] == pytest.approx(document[name], rel=1e-4), name


def test_a_prediction_of_some_frames_decides_which_are_judged(opened, tmp_path):
    maps = made_maps(opened)
    some = [7, 2, 4]
    predictions.write_prediction(
        tmp_path / "p.zarr", as_frames(maps[some]), opened.frame_id[some], opened.shape
    )
    found = statistics(opened, prediction=tmp_path / "p.zarr")
    assert found.frame.tolist() == [2, 4, 7]
    whole = statistics(opened)
    np.testing.assert_array_equal(found.errors["rmse"], whole.errors["rmse"][[2, 4, 7]])
    np.testing.assert_array_equal(found.region_rmse, whole.region_rmse[[2, 4, 7]])
    test = np.flatnonzero(opened.split == schema.TEST)
    np.save(tmp_path / "test.npy", maps[test])
    of_test = statistics(opened, "test", prediction=tmp_path / "test.npy").prediction["depth"]
    np.save(tmp_path / "all.npy", maps)
    of_all = statistics(opened, "test", prediction=tmp_path / "all.npy").prediction["depth"]
    np.testing.assert_array_equal(of_test.region_rmse, of_all.region_rmse)


@given(
    hnp.arrays(np.int32, (5, 7), elements=st.integers(0, 4)),
    hnp.arrays(np.int64, (3, 5, 7), elements=st.integers(0, 400)),
)
@settings(max_examples=100)
def test_region_errors_equal_scipy(region, maps):
    estimate, reference, depth = (maps / 64).astype(np.float32)
    rmse, variance = kernels.region_errors(estimate, reference, region, depth)
    inside = np.where(depth > 0, region, 0)
    present = [r for r in range(1, 5) if (inside == r).any()]
    error = (estimate - reference).astype(float)
    assert rmse.size == variance.size == len(present)
    if present:
        with np.errstate(invalid="ignore"):  # SciPy divides for the labels that it leaves out, too
            squares, spread = (
                ndimage.mean(error**2, inside, present),
                ndimage.variance(error, inside, present),
            )
        assert rmse == pytest.approx(np.sqrt(squares))
        assert variance == pytest.approx(spread, abs=1e-9)


def test_hand_computed_region_errors():
    estimate = np.array([[1.0, 3.0, 5.0, 9.0]], np.float32)
    reference = np.array([[1.0, 1.0, 4.0, 4.0]], np.float32)
    region = np.array([[1, 1, 2, 2]], np.int32)
    rmse, variance = kernels.region_errors(estimate, reference, region, np.array([[1, 1, 1, 0]], np.float32))
    assert rmse.tolist() == pytest.approx([np.sqrt(2), 1])
    assert variance.tolist() == [1, 0]


def test_command(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    path = tmp_path / "s.zarr"
    builder.build_plan(source, path, builder.plan_build(source, builder.Parameters(min_size=4)))
    opened = reader.open_store(path)
    np.save(tmp_path / "p.npy", made_maps(opened))

    def run(*options):
        result = CliRunner().invoke(main, ["stats", str(path), *map(str, options)])
        assert result.exit_code == 0, result.output
        return result.stdout

    plain = json.loads(run("--json"))
    assert set(plain) == KEYS | {"distributions"}
    with_prediction = json.loads(run("--json", "--prediction", tmp_path / "p.npy", "--by", "frame"))
    assert set(with_prediction) == KEYS | {"distributions", "prediction", "maps", "skipped", "rows"}
    assert {name: with_prediction[name] for name in KEYS} == {name: plain[name] for name in KEYS}
    assert len(with_prediction["rows"]) == 10
    assert "prediction_support_region_variance" in with_prediction["rows"][0]

    run("--csv", tmp_path / "frames.csv", "--plot", tmp_path / "plot.png")
    frames = pd.read_csv(tmp_path / "frames.csv")
    assert frames.rmse.mean() == pytest.approx(plain["rmse"])
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size[0] > 800
    text = run("--by", "category", "--csv", tmp_path / "categories.csv", "--prediction", tmp_path / "p.npy")
    with (tmp_path / "categories.csv").open(newline="") as file:
        categories = list(csv.DictReader(file))
    assert sum(int(row["regions"]) for row in categories) == plain["regions"]
    assert re.search(r"regions per frame \(median\) +[0-9]+(\.5)?\n", text)
    for part in ("region rmse", "prediction against support", "region spread", categories[-1]["name"]):
        assert part in text


def test_mistakes_are_named(opened, tmp_path):
    maps = made_maps(opened)
    np.save(tmp_path / "short.npy", maps[:3])
    np.save(tmp_path / "turned.npy", maps.transpose(0, 2, 1))
    np.save(tmp_path / "whole.npy", (1000 * maps).astype(np.uint16))
    (tmp_path / "text.npy").write_text("depth")
    predictions.write_prediction(
        tmp_path / "other.zarr", as_frames(maps[:1]), np.array([4711], np.int32), opened.shape
    )
    maps[:, 2, 2] = np.nan
    np.save(tmp_path / "nan.npy", maps)
    for name, message in (
        ("short.npy", "got 3 maps, expected 10"),
        ("turned.npy", "frame 1: .*maps are 32x24, expected the shape of 24x32; transposed"),
        ("whole.npy", "frame 1: .*without a unit; give --prediction-scale"),
        (
            "nan.npy",
            "frame 1: .*nan.npy has values that are NaN or infinite.* none of its 10 frames can be judged",
        ),
        ("text.npy", "no array here"),
        ("missing.npy", "no such file or folder"),
        ("other.zarr", "none of its 1 frames"),
        ("missing.zarr", "no such file or folder"),
    ):
        with pytest.raises(InputError, match=message):
            statistics(opened, prediction=tmp_path / name)
    done = CliRunner().invoke(main, ["stats", str(opened.path), "--prediction-scale", "1000"])
    assert (done.exit_code, done.stderr) == (
        2,
        "error: --prediction-scale and --match are for --prediction; omit them\n",
    )


def test_a_map_that_is_none_is_skipped_and_named(opened, tmp_path):
    maps = made_maps(opened)
    np.save(tmp_path / "whole.npy", maps)
    maps[4, 2, 2], maps[7] = np.nan, 0
    np.save(tmp_path / "p.npy", maps)
    whole = statistics(opened, prediction=tmp_path / "whole.npy")
    for form in ("", "--json"):
        options = ["stats", str(opened.path), "--prediction", str(tmp_path / "p.npy"), *form.split()]
        done = CliRunner().invoke(main, options)
        assert done.exit_code == 1
        assert [line.partition("; ")[0] for line in done.stderr.splitlines()] == [
            f"skipped: frame 5: {tmp_path / 'p.npy'} has values that are NaN or infinite",
            f"skipped: frame 8: {tmp_path / 'p.npy'} is 0 everywhere, which is no prediction",
            "2 skipped",
        ]
    document, rest = json.loads(done.stdout), np.isin(np.arange(10), (4, 7), invert=True)
    assert len(document["skipped"]) == 2
    rmse = whole.prediction["depth"].errors["rmse"][rest]
    assert document["prediction"]["against_depth"]["rmse"] == pytest.approx(rmse.mean())
    assert document["rmse"] == pytest.approx(whole.summary()["rmse"])


def test_a_frame_without_depth_has_no_figures(tmp_path):
    arrays = smooth_frames(4)
    arrays["depths"][2] = 0
    source = open_source(write_nyu(tmp_path / "a.mat", arrays))
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, builder.Parameters()))
    opened = reader.open_store(tmp_path / "s.zarr")
    np.save(tmp_path / "p.npy", np.ones((4, *opened.shape), np.float32))
    found = statistics(opened, prediction=tmp_path / "p.npy")
    row = found.frames()[2]
    assert (row["valid"], row["rmse"], row["region_rmse"], row["prediction_depth_rmse"]) == (
        0,
        None,
        None,
        None,
    )
    json.dumps(found.document(), allow_nan=False)
