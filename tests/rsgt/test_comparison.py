"""Partitions and their measures: against scikit-learn, SciPy, pandas and figures worked out by hand."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score, r2_score, root_mean_squared_error

from rsgt import builder
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.quality import comparison, families, partitions
from rsgt.quality.statistics import statistics
from rsgt.regions.algorithm import region_support
from rsgt.sources import facts, open_source
from rsgt.store import predictions, reader
from tests import reference_planar
from tests.conftest import smooth_frames, write_nyu

label_maps = hnp.arrays(np.int32, (9, 11), elements=st.integers(0, 5))
depth_maps = hnp.arrays(np.int64, (9, 11), elements=st.integers(0, 300)).map(
    lambda d: (d / 64).astype(np.float32)
)


def measure(region, depth, reference=None):
    return partitions.measure(region, partitions.target(depth, region if reference is None else reference))


@given(label_maps, depth_maps, label_maps)
@settings(max_examples=100)
def test_measures_agree_with_pandas_and_scikit_learn(region, depth, reference):
    found = measure(region, depth, reference)
    valid = depth > 0
    if not valid.any():
        assert np.isnan(list(found.values())).all()
        return
    table = pd.DataFrame({"region": region[valid], "depth": depth[valid].astype(float)})
    table["estimate"] = table.groupby("region").depth.transform("mean").where(table.region > 0, 0.0)
    spread = table.groupby("region").depth.transform("std", ddof=0)[table.region > 0]
    assert found["regions"] == table.region[table.region > 0].nunique()
    assert found["coverage"] == pytest.approx((table.region > 0).mean())
    assert found["rmse"] == pytest.approx(root_mean_squared_error(table.depth, table.estimate), abs=1e-7)
    assert found["abs_rel"] == pytest.approx(((table.estimate - table.depth).abs() / table.depth).mean())
    ratio = np.maximum(table.estimate, table.depth) / np.minimum(table.estimate, table.depth).where(
        lambda m: m > 0, 1e-9
    )
    assert found["delta1"] == pytest.approx((ratio < 1.25).mean())
    if table.depth.nunique() > 1:
        assert found["explained_variation"] == pytest.approx(r2_score(table.depth, table.estimate))
    assert found["agreement"] == pytest.approx(adjusted_rand_score(region[valid], reference[valid]))
    if len(spread):
        covered = table[table.region > 0]
        logarithm = root_mean_squared_error(np.log(covered.depth), np.log(covered.estimate))
        assert found["rmse_log"] == pytest.approx(logarithm, abs=1e-7)
        for name, share in (("spread_median", 0.5), ("spread_p95", 0.95)):
            assert found[name] == pytest.approx(np.quantile(spread, share, method="inverted_cdf"), abs=1e-7)


@given(label_maps, depth_maps)
@settings(max_examples=100)
def test_edges_agree_with_a_walk_over_the_pairs(region, depth):
    found = measure(region, depth)
    height, width = depth.shape
    pairs = [((y, x), (y, x + 1)) for y in range(height) for x in range(width - 1)]
    pairs += [((y, x), (y + 1, x)) for y in range(height - 1) for x in range(width)]
    jumps = [(a, b) for a, b in pairs if min(depth[a], depth[b]) > 0
             and max(depth[a], depth[b]) > np.float32(1.1) * min(depth[a], depth[b])]  # fmt: skip
    present = set(region[(depth > 0) & (region > 0)].tolist())
    crossing = {region[a] for a, b in jumps if region[a] == region[b]} & present
    if present:
        assert found["cross_share"] == pytest.approx(len(crossing) / len(present))
    border = np.zeros(depth.shape, bool)
    for a, b in pairs:
        border[a] |= region[a] != region[b]
    near = border  # 0.0025 of such a small diagonal is no pixel
    wanted = {a for a, _ in jumps}
    if wanted:
        assert found["edge_recall"] == pytest.approx(np.mean([near[a] for a in wanted]))
    elif (depth > 0).any():
        assert np.isnan(found["edge_recall"])


def test_a_border_two_pixels_off_recalls_an_edge_of_a_full_frame():
    depth = np.full((480, 640), 2.0, np.float32)
    depth[:, 320:] = 3
    for offset, recall in ((0, 1), (2, 1), (-2, 1), (3, 0), (-3, 0)):
        region = np.ones(depth.shape, np.int32)
        region[:, 320 + offset :] = 2
        assert measure(region, depth)["edge_recall"] == recall
        assert measure(region, depth)["cross_share"] == (0 if offset == 0 else 0.5)


def test_hand_computed_measures():
    # Regions 1 (1 m, 3 m) and 2 (4 m, 4 m); the last pixel has no depth, the one before it no region.
    depth = np.array([[1, 3, 4, 4, 2, 0]], np.float32)
    region = np.array([[1, 1, 2, 2, 0, 2]])
    found = measure(region, depth)
    assert found["regions"] == 2
    assert found["coverage"] == pytest.approx(4 / 5)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 1 + 4) / 5))
    assert found["abs_rel"] == pytest.approx((1 + 1 / 3 + 1) / 5)
    assert found["delta1"] == pytest.approx(2 / 5)
    assert (found["spread_median"], found["spread_p95"]) == (0, 1)
    assert found["cross_share"] == 0.5
    assert found["agreement"] == 1


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.floats(0.01, 1))
def test_weighted_quantile_is_that_of_the_repeated_values(values, share):
    weights = np.arange(1, len(values) + 1)
    expected = np.quantile(np.repeat(values, weights), share, method="inverted_cdf")
    assert partitions.weighted_quantile(np.array(values), weights, share) == pytest.approx(expected)


def test_partitions_by_label():
    semantic = np.array([[0, 7, 7, 3], [0, 0, 7, 7]], np.uint16)
    instance = np.array([[0, 1, 1, 1], [0, 2, 2, 2]], np.uint16)
    assert families.category_regions(semantic).tolist() == [[1, 8, 8, 4], [1, 1, 8, 8]]
    found = families.instance_regions(semantic, instance)
    assert found.tolist() == [[1, 3, 3, 2], [1, 1, 4, 4]]
    assert families.grid_regions((3, 5), 2).tolist() == [[1, 1, 2, 2, 3], [1, 1, 2, 2, 3], [4, 4, 5, 5, 6]]


def test_superpixels_follow_colour_or_depth():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:, 30:] = (250, 40, 40)
    depth = np.full((40, 60), 1.0, np.float32)
    depth[20:] = 8
    left = np.arange(60) < 30
    for region in (families.slic_regions(rgb, 12), families.felzenszwalb_regions(rgb, 100)):
        assert region.dtype == np.int32
        assert region.min() == 1
        assert not set(region[:, left].ravel()) & set(region[:, ~left].ravel())
    on_depth = families.felzenszwalb_regions(depth, 100)
    assert on_depth.min() == 1
    assert not set(on_depth[:15].ravel()) & set(on_depth[25:].ravel())


def test_label_sets_of_the_semantic_partitions():
    def names(class_names):
        means = [p for p in families.partitions(class_names) if p.surface == "mean"]
        return [p.name for p in means if p.name.startswith("semantic")]

    assert names(facts.class_names("894")) == ["semantic 894", "semantic 40", "semantic 13"]
    assert names(facts.class_names("40")) == ["semantic 40", "semantic 13"]
    assert names(facts.class_names("13")) == ["semantic 13"]
    assert names(["floor", "wall"]) == ["semantic"]
    raw = np.arange(895, dtype=np.uint16)[None]
    frame = families.FrameMaps(raw, raw, facts.class_map("40")[raw], raw, raw, raw)
    (of_40,) = [p for p in families.partitions(facts.class_names("40")) if p.name == "semantic 13"]
    assert np.array_equal(of_40.regions(frame)[0], facts.class_map("13") + 1)


@pytest.fixture(scope="module")
def room_store(tmp_path_factory):
    """Six frames of slanted walls and boxes, 60x80, with colours that say nothing of the depth."""
    folder = tmp_path_factory.mktemp("rooms")
    arrays = smooth_frames(6, (60, 80), seed=3)
    arrays["images"] = ndimage.uniform_filter(arrays["images"], (0, 9, 9, 0))
    source = open_source(write_nyu(folder / "rooms.mat", arrays))
    path = folder / "rooms.zarr"
    builder.build_plan(source, path, builder.plan_build(source, builder.Parameters(min_size=8)))
    return path


@pytest.fixture(scope="module")
def compared(room_store):
    opened = reader.open_store(room_store)
    return comparison.compare_frames(opened, np.arange(6), workers=1)


def test_comparison_rows_are_means_of_the_measures(room_store, compared):
    opened = reader.open_store(room_store)
    rows = {(row["name"], row["parameter"]): row for row in compared.rows()}
    assert rows["this store", ""]["regions"] == np.diff(opened.region_start).mean()
    assert rows["this store", ""]["agreement"] == 1
    families = {name.split(",")[0] for name, _ in rows}
    assert families >= {
        "region support",
        "semantic 894",
        "semantic 13",
        "segments",
        "instances",
        "SLIC",
        "grid",
    }
    assert families >= {"Felzenszwalb", "Felzenszwalb on depth"}
    expected = []
    for k in range(6):
        depth, semantic, region = (opened.read(name, k, k + 1)[0] for name in ("depth", "semantic", "region"))
        expected.append(measure(region_support(depth, semantic, bins=20).region, depth, region))
    for name, mean in pd.DataFrame(expected).mean().items():
        assert rows["region support", "bins=20"][name] == pytest.approx(mean)
    assert rows["region support", "bins=10"]["rmse"] < rows["semantic 894", ""]["rmse"]


def test_each_family_is_there_with_a_plane_in_each_region(room_store, compared):
    opened = reader.open_store(room_store)
    rows = {(row["name"], row["parameter"]): row for row in compared.rows()}
    of_means = {key for key, row in rows.items() if row["surface"] == "mean" and "published" not in key[0]}
    assert {(name + families.EACH, setting) for name, setting in of_means} <= {*rows}
    for k in range(6):
        depth = opened.read("depth", k, k + 1)[0]
        grid = families.grid_regions(depth.shape, 27)
        row = compared.partitions.index(
            next(p for p in compared.partitions if p.name == "grid" + families.EACH and "27" in p.parameter)
        )
        found = dict(zip(partitions.MEASURES, compared.values[row, k], strict=True))
        off = (reference_planar.support(depth, np.where(depth > 0, grid, 0)) - depth)[depth > 0]
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(off.astype(float) ** 2)), rel=1e-5)
        area = np.maximum(np.bincount(grid[depth > 0]), 1)
        squares = np.bincount(grid[depth > 0], off.astype(float) ** 2) / area
        spread = np.sqrt(squares[grid[depth > 0]])
        median = np.quantile(spread, 0.5, method="inverted_cdf")
        assert found["spread_median"] == pytest.approx(median, rel=1e-5)
    for name in ("edge_recall", "cross_share", "agreement", "regions", "coverage"):
        assert rows["SLIC", "n_segments=65"][name] == rows["SLIC, a plane each", "n_segments=65"][name]
    planes = rows["region support, planes", "regions=40"]
    assert planes["surface"] == "plane"
    assert planes["rmse"] < rows["region support", "bins=3"]["rmse"]


def test_a_planar_store_is_judged_by_its_planes(room_store, tmp_path):
    source = open_source(room_store.parent / "rooms.mat")
    found = builder.build(source, tmp_path / "p.zarr", surface="plane", min_size=8, regions=12)
    (row,) = comparison.compare(found, only=["this store"]).rows()
    assert row["surface"] == "own"
    assert row["rmse"] == pytest.approx(statistics(found).summary()["rmse"], rel=1e-6)
    by_means = [
        measure(*(found.read(name, k, k + 1)[0] for name in ("region", "depth")))["rmse"] for k in range(6)
    ]
    assert row["rmse"] < 0.7 * np.mean(by_means)


def test_two_threads_measure_what_one_does(room_store, compared):
    again = comparison.compare_frames(reader.open_store(room_store), np.arange(6), workers=2)
    assert np.array_equal(again.values, compared.values, equal_nan=True)


def test_some_families_alone(room_store, compared):
    options = ["compare", str(room_store), "--sample", "6", "--only", "grid", "--only", "this store"]
    document = json.loads(CliRunner().invoke(main, [*options, "--json"]).stdout)
    assert document["rows"] == [row for row in compared.rows() if row["name"] in ("this store", "grid")]


def test_figures_at_equal_counts_lie_on_the_curve(compared):
    settings_of_grid = [families.Partition("grid", f"side={n}", None) for n in (2, 1)]
    point = families.Partition("this store", "", None)
    values = np.full((3, 2, len(partitions.MEASURES)), np.nan)
    values[:, :, :2] = [[[90, 0.3], [110, 0.5]], [[8, 2.0], [12, 4.0]], [[50, 1], [60, 1]]]
    made = comparison.Comparison(np.arange(2), [*settings_of_grid, point], values)
    assert made.curves()["grid"][0] == made.rows()[1], "from few regions to many"
    (row,) = made.at_count(np.sqrt(10 * 100))  # halfway from 10 to 100 on the logarithm
    assert (row["name"], row["rmse"], row["abs_rel"]) == ("grid", pytest.approx((3 + 0.4) / 2), None)
    assert made.at_count(10)[0]["rmse"] == pytest.approx(3)
    assert made.at_count(9.9) == made.at_count(100.1) == []
    assert [e["regions"] for e in made.document()["equal_counts"]] == [50, 55, 100, 400]
    names = {row["name"] for e in compared.document()["equal_counts"] for row in e["rows"]}
    assert "segments" not in names, "a single setting is a point, not a curve"


def test_sample_is_seeded_and_bounded():
    assert comparison.sample_frames(np.arange(6), 100).tolist() == [0, 1, 2, 3, 4, 5]
    drawn = comparison.sample_frames(np.arange(6), 3, seed=4)
    assert np.array_equal(drawn, comparison.sample_frames(np.arange(6), 3, seed=4))
    assert np.unique(drawn).size == 3
    with pytest.raises(InputError, match="sample: got 0"):
        comparison.sample_frames(np.arange(6), 0)


def test_command(room_store, tmp_path):
    table, picture = tmp_path / "rows.csv", tmp_path / "curve.png"
    options = ["--frames", "2-3", "--workers", "1", "--json", "--csv", str(table), "--plot", str(picture)]
    result = CliRunner().invoke(main, ["compare", str(room_store), *options])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["frames"] == 2
    keys = {"name", "parameter", "surface", *partitions.MEASURES}
    assert all(set(row) == keys for row in document["rows"])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [row["name"] for row in document["rows"]]
    assert float(rows[0]["rmse"]) == document["rows"][0]["rmse"]
    with Image.open(picture) as image:
        assert image.size[0] > 800
    text = CliRunner().invoke(main, ["compare", str(room_store), "--sample", "1", "--workers", "1"])
    assert text.exit_code == 0
    assert "region support, natural" in text.stdout
    assert "at equal counts" in text.stdout


def test_predicted_regions_are_compared_where_there_are_any(room_store, tmp_path):
    opened, path = reader.open_store(room_store), tmp_path / "p.zarr"
    some = [4, 1]
    grid = families.grid_regions(opened.shape, 20)
    found = [{"prediction": np.ones(opened.shape, np.float32), "region": grid} for _ in some]
    predictions.write_prediction(path, found, opened.frame_id[some], opened.shape)
    options = ["compare", str(room_store), "--prediction", str(path), "--workers", "1"]
    options += ["--only", "prediction", "--only", "prediction, a plane each"]
    document = json.loads(CliRunner().invoke(main, [*options, "--json"]).stdout)
    assert document["frames"] == 2
    rows = {row["name"]: row for row in document["rows"] if not row["parameter"]}
    assert rows["prediction"]["regions"] == 12
    depth = opened.read("depth", 0, 6)[some].astype(float).reshape(2, 3, 20, 4, 20)
    away = depth - depth.mean(axis=(2, 4), keepdims=True)
    assert rows["prediction"]["rmse"] == pytest.approx(np.sqrt((away**2).mean(axis=(1, 2, 3, 4))).mean())
    assert 12 in [equal["regions"] for equal in document["equal_counts"]]
    done = CliRunner().invoke(main, [*options, "--frames", "1"])
    assert done.exit_code == 2
    assert "frame 1 is not in the prediction" in done.stderr
    for number in opened.frame_id[some]:
        (tmp_path / "maps").mkdir(exist_ok=True)
        Image.fromarray(grid.astype(np.uint8)).save(tmp_path / f"maps/{number:04d}.png")
    options[options.index(str(path))] = str(tmp_path / "maps")
    assert json.loads(CliRunner().invoke(main, [*options, "--json"]).stdout) == document


def test_regions_that_are_none_are_skipped_and_named(room_store, tmp_path):
    opened = reader.open_store(room_store)
    maps = np.ones((len(opened), *opened.shape), np.int32)
    np.save(tmp_path / "whole.npy", maps)
    maps[1, 4, 4] = -1
    np.save(tmp_path / "p.npy", maps)
    options = ["compare", str(room_store), "--only", "prediction", "--only", "this store", "--json"]
    done = CliRunner().invoke(main, [*options, "--prediction", str(tmp_path / "p.npy")])
    assert done.exit_code == 1
    number = opened.frame_id[1]
    assert f"skipped: {tmp_path / 'p.npy'}: frame {number} has labels from -1" in done.stderr
    others = ",".join(str(n) for n in opened.frame_id if n != number)
    options += ["--prediction", str(tmp_path / "whole.npy"), "--frames", others]
    alone = CliRunner().invoke(main, options)
    assert alone.exit_code == 0
    document = json.loads(done.stdout)
    assert len(document["skipped"]) == 1
    assert document == json.loads(alone.stdout) | {"skipped": document["skipped"]}
    np.save(tmp_path / "p.npy", np.full_like(maps, -1))
    every = np.arange(len(opened))
    frames, predicted = predictions.open_prediction(tmp_path / "p.npy", opened, every, "region")
    with pytest.raises(InputError, match="none of its .* frames can be compared"):
        comparison.compare_frames(opened, frames, predicted=predicted)


def test_mistakes_are_named(room_store, monkeypatch):
    for options, message in (
        (["--frames", "7"], "frames: 7 asked for"),
        (["--frames", "1", "--sample", "1"], "--frames and --sample"),
        (["--sample", "0"], "sample: got 0"),
        (["--only", "slic"], "only: got 'slic', expected some of: this store; region support;"),
    ):
        result = CliRunner().invoke(main, ["compare", str(room_store), *options])
        assert result.exit_code == 2
        assert message in result.stderr
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(InputError, match=r"pip install 'region-support\[compare\]'"):
        families.slic_regions(np.zeros((4, 4, 3), np.uint8), 2)
