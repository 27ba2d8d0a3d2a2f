"""Anybody's maps against the truth: every form, matching, alignment, reducers, and what is refused."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.optimize import linprog

import rsgt
from rsgt.quality.breakdown import category_measures, region_shape_measures
from rsgt.quality.evaluation.alignment import aligned
from rsgt.quality.evaluation.protocol import NYU_EIGEN, NYUD_MT, PAPER, compared
from rsgt.quality.evaluation.resizing import bilinear
from rsgt.quality.measures import MEASURES, SETS, described
from rsgt.quality.metrics import DEPTH_ERRORS, depth_errors
from rsgt.quality.normals import known_intrinsics, normal_measures
from rsgt.sources.cameras import pinhole
from rsn.cli import main
from tests.rooms import write_rooms
from tests.rsgt.test_folder_values import write_exr, write_pfm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return rsgt.open(write_rooms(tmp_path_factory.mktemp("rooms") / "s.zarr", train=2, test=4))


@pytest.fixture(scope="module")
def maps(store):
    """Millimetres of the test frames' depth, with noise, and a few pixels that say nothing."""
    depth = store.read("depth", 2, 6)
    noise = np.random.default_rng(0).normal(1.1, 0.2, depth.shape)
    found = (np.round(1000 * np.clip(depth * noise, 0.3, 20)) / 1000).astype(np.float32)
    found[1, 20:23, 30] = 0
    return found


def numbers(store):
    return store.frame_id[2:].tolist()


def written(path, form, store, maps):
    if form == "npy":
        np.save(path / "m.npy", maps)
        return path / "m.npy", {}
    if form == "npz keys":
        np.savez(
            path / "m.npz", **{f"{n:05}_depth": one for n, one in zip(numbers(store), maps, strict=True)}
        )
        return path / "m.npz", {}
    if form == "npz stack":
        np.savez(path / "m.npz", maps=maps[::-1], frame=numbers(store)[::-1])
        return path / "m.npz", {}
    if form == "zarr":
        rsgt.write_prediction(
            path / "m.zarr", [{"prediction": one} for one in maps], store.frame_id[2:], store.shape
        )
        return path / "m.zarr", {}
    (path / "maps").mkdir()
    for number, one in zip(numbers(store), maps, strict=True):
        file = path / "maps" / f"{number}.{form}"
        if form == "png":
            Image.fromarray(np.round(1000 * one).astype(np.uint16)).save(file)
        elif form == "tiff":
            Image.fromarray(one).save(file)
        elif form == "exr":
            write_exr(file, Z=one)
        elif form == "pfm":
            write_pfm(file, one)
        else:
            np.save(file.with_suffix(".npy"), one)
    return path / "maps", {"scale": 1000} if form == "png" else {}


def figures(record):
    keys = ("protocols", "frames", "metrics", "intervals", "invalid_pixels", "regions", "by_frame")
    return json.loads(json.dumps({key: record[key] for key in keys}))


@pytest.mark.parametrize("form", ["npz keys", "npz stack", "zarr", "png", "tiff", "exr", "pfm", "folder"])
def test_every_form_gives_the_same_record(store, maps, tmp_path, form):
    (tmp_path / "a").mkdir()
    one = rsgt.evaluate(store, written(tmp_path / "a", "npy", store, maps)[0])
    (tmp_path / "b").mkdir()
    path, options = written(tmp_path / "b", form, store, maps)
    two = rsgt.evaluate(store, path, **options)
    assert figures(two) == figures(one)
    assert two["invalid_pixels"]["paper"] == 3
    assert one["prediction"]["matched_by"] == "order"
    in_folder = form not in ("npz keys", "npz stack", "zarr")
    assert two["prediction"]["matched_by"] == ("name" if in_folder else "number")


def test_millimetres_of_16_bits_differ_by_quantisation_alone(store, tmp_path):
    depth = store.read("depth", 2, 6)
    exact = np.clip(depth * np.random.default_rng(3).normal(1.1, 0.2, depth.shape), 0.3, 20)
    records = []
    for name, form, maps in (
        ("a", "npy", exact),
        ("b", "npy", np.round(1000 * exact) / 1000),
        ("c", "png", exact),
    ):
        (tmp_path / name).mkdir()
        path, options = written(tmp_path / name, form, store, maps.astype(np.float32))
        records.append(rsgt.evaluate(store, path, **options))
    assert figures(records[2]) == figures(records[1])
    one, two = (np.array(records[k]["by_frame"]["paper"]["rmse"]) for k in (0, 2))
    assert 0 < np.abs(one - two).max() <= 0.0005


def test_figures_are_those_of_an_obvious_twin(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", maps)
    record = rsgt.evaluate(store, tmp_path / "m.npy", protocols=["paper", "nyud-mt"])
    squares, relative, rmse = [], [], []
    for depth, one in zip(store.read("depth", 2, 6), maps, strict=True):
        p, q = np.maximum(one[depth > 0].astype(float), 1e-3), depth[depth > 0].astype(float)
        squares.append((p - q) ** 2)
        relative.append(np.mean(abs(p - q) / q))
        rmse.append(np.sqrt(np.mean((p - q) ** 2)))
    found = record["metrics"]["paper"]
    assert found["image_mean"]["rmse"] == pytest.approx(np.mean(rmse))
    assert found["image_median"]["abs_rel"] == pytest.approx(np.median(relative))
    assert found["pixel_pool"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.concatenate(squares))))
    pooled = record["metrics"]["nyud-mt"]["pixel_pool"]["rmse"]
    assert pooled == pytest.approx(found["pixel_pool"]["rmse"], rel=1e-4)
    assert record["by_frame"]["paper"]["rmse"] == pytest.approx(rmse)
    assert record["by_frame"]["frame_id"] == numbers(store)


def test_figures_are_those_of_an_evaluator_that_others_wrote(store, maps, tmp_path):
    """euler-eval's own functions, of one file: the package as a whole needs torchvision."""
    package = importlib.util.find_spec("euler_eval")
    if package is None:
        pytest.skip("euler-eval is not there: pip install --no-deps euler-eval")
    file = Path(package.submodule_search_locations[0]) / "metrics" / "depth_standard.py"
    spec = importlib.util.spec_from_file_location("depth_standard", file)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    np.save(tmp_path / "m.npy", maps)
    ours = rsgt.evaluate(store, tmp_path / "m.npy")["metrics"]["paper"]
    pool = theirs.init_standard_depth_store()
    for prediction, depth in zip(maps, store.read("depth", 2, 6), strict=True):
        found = theirs.compute_standard_depth_metrics(np.maximum(prediction, 1e-3), depth, depth > 1e-3)
        theirs.append_standard_depth_metrics(pool, *found)
    names = {"absrel": "abs_rel", "sqrel": "sq_rel"}
    for reducer, figures in theirs.summarize_standard_depth_store(pool).items():
        for name, value in figures.items():
            if name != "mae":  # which we do not have
                factor = 100 if name == "silog" else 1
                assert ours[reducer][names.get(name, name)] == pytest.approx(factor * value, rel=1e-9)


def errors(protocol, prediction, depth):
    return depth_errors(compared(protocol, prediction, depth).maps)


def test_protocols_differ_by_a_tenth_and_more_on_the_same_map():
    depth = np.full((480, 640), 2.0)
    prediction = depth + 0.1
    prediction[:45] += 0.9
    whole, crop = (errors(protocol, prediction, depth)["rmse"] for protocol in (PAPER, NYU_EIGEN))
    assert whole > 1.1 * crop
    assert crop == pytest.approx(0.1)
    nothing = np.where(np.arange(640) < 9, 0.0, depth)
    logs = [errors(protocol, nothing, depth)["rmse_log"] for protocol in (PAPER, NYUD_MT)]
    assert logs[1] > 1.1 * logs[0]


def test_a_record_names_the_kind_of_depth_that_the_store_has(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", maps)
    path = write_rooms(tmp_path / "s.zarr", train=2, test=4, depth="stored")
    for place, kind in ((store, "filled"), (path, "stored")):
        told = rsgt.evaluate(place, tmp_path / "m.npy", protocols=["paper"])["protocols"]
        assert {name: fields["reference"] for name, fields in told.items()} == {"paper": kind}


@pytest.mark.parametrize("align", ["median", "scale", "scale-shift", "disparity"])
def test_alignment_forgives_what_it_says_and_fits_by_least_squares(align):
    rng = np.random.default_rng(1)
    depth = rng.uniform(1, 9, (30, 40))
    noisy = depth * rng.uniform(0.9, 1.1, depth.shape)
    every = np.ones(depth.shape, bool)
    once = aligned(noisy, depth, every, "depth", align, None)
    moved = 1 / (0.3 / noisy + 0.02) if align == "disparity" else 3 * noisy + 2 * (align == "scale-shift")
    assert aligned(moved, depth, every, "depth", align, None) == pytest.approx(once, rel=1e-6)
    x, y = (1 / noisy, 1 / depth) if align == "disparity" else (noisy, depth)
    columns = [x.ravel()] + [np.ones(x.size)] * (align in ("scale-shift", "disparity"))
    if align != "median":
        factors = np.linalg.lstsq(np.stack(columns, 1), y.ravel(), rcond=None)[0]
        fitted = (np.stack(columns, 1) @ factors).reshape(x.shape)
        assert once == pytest.approx(1 / np.maximum(fitted, y.min()) if align == "disparity" else fitted)


@pytest.mark.parametrize("align", ["robust-scale", "robust-scale-shift"])
def test_robust_alignment_has_the_least_absolute_relative_error(align):
    """Against a linear program; and a tenth of wild truth does not move it as it moves least squares."""
    rng = np.random.default_rng(2)
    depth = rng.uniform(1, 9, (12, 20))
    every = np.ones(depth.shape, bool)
    shifted = align == "robust-scale-shift"
    noisy = depth * rng.uniform(0.9, 1.1, depth.shape) / 3 + 40 * shifted
    wild = rng.random(depth.shape) < 0.1
    depth[wild] += 30
    found = aligned(noisy, depth, every, "depth", align, None)

    columns = np.stack([noisy.ravel()] + [np.ones(depth.size)] * shifted, 1)
    identity, n = np.eye(depth.size), columns.shape[1]
    best = linprog(
        np.concatenate([np.zeros(n), 1 / depth.ravel()]),
        A_ub=np.block([[columns, -identity], [-columns, -identity]]),
        b_ub=np.concatenate([depth.ravel(), -depth.ravel()]),
        bounds=[(None, None)] * n + [(0, None)] * depth.size,
    )
    assert np.sum(abs(found - depth) / depth) == pytest.approx(best.fun, rel=1e-5)
    assert found == pytest.approx((columns @ best.x[:n]).reshape(depth.shape), rel=1e-3)
    squares = aligned(noisy, depth, every, "depth", align.removeprefix("robust-"), None)
    off = [np.median((abs(one - depth) / depth)[~wild]) for one in (found, squares)]
    assert off[0] < 0.06 < off[1]


@pytest.mark.parametrize("align", ["robust-scale", "robust-scale-shift"])
@pytest.mark.parametrize("size", [1, 2, 400])
def test_robust_alignment_of_flat_and_single_values(align, size):
    depth = np.linspace(2, 4, size)[None]
    for flat in (np.full(depth.shape, 7.0), depth * 5):
        found = aligned(flat, depth, depth > 0, "depth", align, None)
        assert np.isfinite(found).all()
        if np.ptp(flat):
            assert found == pytest.approx(depth, rel=1e-4)


def test_inverse_depth_without_unit_and_other_sizes(store, tmp_path):
    depth = store.read("depth", 2, 6)
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 0.1), 0)
    np.save(tmp_path / "m.npy", 40 * inverse + 7)
    record = rsgt.evaluate(store, tmp_path / "m.npy", kind="disparity", align="disparity")
    assert record["metrics"]["paper+disparity"]["image_mean"]["rmse"] < 1e-4
    np.save(tmp_path / "h.npy", np.where(depth > 0, depth, 1)[:, ::2, ::2])
    record = rsgt.evaluate(store, tmp_path / "h.npy")
    assert record["prediction"]["resized"] == {"method": "bilinear between pixel centres", "from": ["24x32"]}
    ramp = np.arange(1.0, 5.0)[None].repeat(2, 0)
    assert bilinear(ramp, (2, 8))[0].tolist() == [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]


def test_a_scale_that_was_given_wrong_is_named_with_the_one_to_give(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", 1000 * maps)
    for scale in (1, 1e5):
        told = f"--prediction-scale: got {scale:g}, expected 1000, by the looks of it"
        for judge in (rsgt.evaluate, rsgt.statistics):
            with pytest.raises(rsgt.InputError, match=told):
                judge(store, prediction=tmp_path / "m.npy", split="test", scale=scale)


def test_depth_for_disparity_and_the_reverse_are_warned_of(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", maps)
    with pytest.warns(rsgt.DataWarning, match="look like depth; omit --prediction-kind disparity"):
        rsgt.evaluate(store, tmp_path / "m.npy", kind="disparity", align="disparity")
    np.save(tmp_path / "d.npy", 1 / np.maximum(maps, 0.3))
    for judge in (rsgt.evaluate, rsgt.statistics):
        with pytest.warns(rsgt.DataWarning, match="look like inverse depth; .* --prediction-kind disparity"):
            judge(store, prediction=tmp_path / "d.npy", split="test")
    np.save(tmp_path / "far.npy", 50 / np.maximum(maps, 0.3))
    with pytest.raises(rsgt.InputError, match="of no unit. --align disparity grants each image a scale"):
        rsgt.evaluate(store, tmp_path / "far.npy", kind="disparity")


def folder(path, **arrays):
    path.mkdir()
    for name, values in arrays.items():
        np.save(path / name.strip("_"), values)
    return path


def test_a_subset_is_judged_and_said_so(store, maps, tmp_path):
    path = folder(tmp_path / "f", _103=maps[0], _105=maps[2])
    record = rsgt.evaluate(store, path)
    told = record["prediction"]
    assert (record["frames"], told["missing"], told["first_missing"]) == (2, 2, "104 (104)")
    (path / "105.npy").write_bytes(b"nothing")
    record = rsgt.evaluate(store, path)
    assert (record["frames"], len(record["damaged"])) == (1, 1)
    assert record["damaged"][0].startswith("frame 105: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: {"_103": maps[0], "_999": maps[1]}, "999 is no frame of"),
        (lambda maps: {"_103": 1000 * maps[0]}, "millimetres\\? give --prediction-scale 1000, or divide"),
        (lambda maps: {"_103": maps[0].T}, "transposed\\? turn them"),
        (lambda maps: {}, "holds no maps"),
        (lambda maps: {"_103": maps[0].astype(object)}, "Object arrays"),
        (lambda maps: {"_103": (1000 * maps[0]).astype(np.uint16)}, "give --prediction-scale"),
        (lambda maps: {"_101": maps[0]}, "none of its maps is of the 4 frames"),
        (lambda maps: {"_103": maps[0], "_0103": maps[0]}, "is not the only map"),
    ],
)
def test_bad_maps_are_one_line(store, maps, tmp_path, change, message):
    with pytest.raises(rsgt.InputError, match=message) as caught:
        rsgt.evaluate(store, folder(tmp_path / "f", **change(maps)))
    assert "\n" not in str(caught.value)


def test_two_records_are_paired_by_frame(store, maps, tmp_path):
    np.save(tmp_path / "a.npy", maps)
    np.save(tmp_path / "b.npy", np.maximum(store.read("depth", 2, 6), 0.5))
    for name in "ab":
        rsgt.evaluate(store, tmp_path / f"{name}.npy", out=tmp_path / f"{name}.json")
    found = rsgt.compare_records(tmp_path / "a.json", tmp_path / "b.json")
    one, two = (json.loads((tmp_path / f"{name}.json").read_text())["by_frame"]["paper"] for name in "ab")
    compared = found["protocols"]["paper"]
    assert found["frames"] == 4
    assert set(compared["differences"]) == set(DEPTH_ERRORS)
    difference = np.subtract(two["rmse"], one["rmse"])
    assert compared["differences"]["rmse"]["difference"] == pytest.approx(difference.mean())
    assert (
        compared["differences"]["rmse"]["better"] == compared["differences"]["delta1"]["better"] == "second"
    )
    assert compared["most"][0]["difference"] == pytest.approx(difference[np.argmax(abs(difference))])
    record = json.loads((tmp_path / "a.json").read_text())
    with pytest.raises(rsgt.InputError, match="of form 1, expected 2; run `rsn evaluate` again"):
        rsgt.compare_records({k: v for k, v in record.items() if k != "form"}, record)
    with pytest.raises(rsgt.InputError, match="judge on one"):
        rsgt.compare_records(record | {"store": "x"}, record)


def test_the_commands_need_no_torch(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", maps)
    script = "import sys; sys.modules['torch'] = None\nfrom rsn.cli import main\nmain(sys.argv[1:])"

    def call(*arguments):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    out = tmp_path / "r.json"
    done = call("evaluate", "--store", store.path, "--prediction", tmp_path / "m.npy", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "image mean*" in done.stdout
    assert "pixel pool" in done.stdout
    assert "matched by order" in done.stdout
    done = call("compare", out, out)
    assert done.returncode == 0, done.stderr
    assert call("evaluate", "--store", store.path).returncode == 2


def test_every_measure_comes_into_the_record_once_it_is_asked_for(store, maps, tmp_path, monkeypatch):
    monkeypatch.setattr(rsgt.Store, "intrinsics", lambda *_: pinhole(52, 52, 31.5, 23.5))
    np.save(tmp_path / "m.npy", maps)
    plain = rsgt.evaluate(store, tmp_path / "m.npy", out=tmp_path / "plain.json")
    record = rsgt.evaluate(
        store, tmp_path / "m.npy", measures="all", out=tmp_path / "all.json", table=tmp_path / "all.csv"
    )
    assert plain["measures"] == ["depth"]
    assert record["measures"] == list(SETS)
    found, frames = record["metrics"]["paper"], record["by_frame"]["paper"]
    for reducer, values in plain["metrics"]["paper"].items():
        assert values.items() <= found[reducer].items()
    assert {described(name) for name in found["image_mean"]} >= {
        MEASURES[name] for name in ("rmse", "error_p90", "rmse_2m_to_4m", "category_rmse", "normal_mean",
                                    "boundary_f1", "region_rmse_scale")
    }  # fmt: skip
    for k, position in enumerate(range(2, 6)):
        depth, semantic, region = (
            store.read(name, position, position + 1)[0] for name in ("depth", "semantic", "region")
        )
        maps_of_frame = compared(PAPER, maps[k], depth).maps
        camera = known_intrinsics(store.intrinsics(position))
        for one in (normal_measures(maps_of_frame, camera), region_shape_measures(maps_of_frame, region)):
            for name, value in one.values.items():
                assert frames[name][k] == value
        assert set(category_measures(maps_of_frame, semantic, 894).values) <= set(found["pixel_pool"])
    assert record["images"]["paper"]["normal_mean"] == record["images"]["paper"]["rmse"] == 4
    assert set(record["images"]["paper"]) == set(found["image_mean"])
    by_category = [name for name in found["image_mean"] if name.startswith("category_")]
    assert by_category
    assert not set(by_category) & {*frames, *record["intervals"]["paper"]}
    assert set(frames) == set(record["intervals"]["paper"]) == set(found["image_mean"]) - set(by_category)
    head = (tmp_path / "all.csv").read_text().partition("\n")[0].split(",")
    assert "paper.normal_mean" in head
    assert not any("category" in name for name in head)
    for name in ("plain", "all"):
        text = (tmp_path / f"{name}.json").read_text()
        json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_a_record_of_no_error_at_all_is_json(store, tmp_path):
    """Instability is a ratio: of none to none there is none."""
    np.save(tmp_path / "m.npy", store.read("support", 2, 6))
    record = rsgt.evaluate(store, tmp_path / "m.npy", out=tmp_path / "r.json")
    assert record["regions"]["prediction"]["support"]["instability"] is None
    assert "NaN" not in (tmp_path / "r.json").read_text()


def test_threads_and_blocks_do_not_change_a_record(store, maps, tmp_path, monkeypatch):
    np.save(tmp_path / "m.npy", maps)
    seen = []
    one = rsgt.evaluate(store, tmp_path / "m.npy", measures="all", workers=1)
    monkeypatch.setattr("rsgt.quality.evaluation.judging._AT_ONCE", 1)
    two = rsgt.evaluate(
        store, tmp_path / "m.npy", measures="all", workers=3, progress=lambda *at: seen.append(at)
    )
    assert figures(one) == figures(two)
    assert sorted(seen) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_measures_are_chosen_by_name_and_left_out_where_they_cannot_be(store, maps, tmp_path):
    np.save(tmp_path / "m.npy", maps)
    with pytest.raises(rsgt.InputError, match="measures: got 'normal', expected some of depth, percentiles"):
        rsgt.evaluate(store, tmp_path / "m.npy", measures=["normals", "normal"])
    assert store.intrinsics(0) == {}
    record = rsgt.evaluate(store, tmp_path / "m.npy", measures=["shape", "normals"])
    assert record["measures"] == ["depth", "normals", "shape"]
    assert not any(name.startswith("normal_") for name in record["metrics"]["paper"]["image_mean"])
    assert "region_rmse_scale" in record["intervals"]["paper"]


def test_labels_without_names_are_judged_by_number_on_the_page_too(maps, tmp_path):
    """As named ones are, of which only the names differ."""
    np.save(tmp_path / "m.npy", maps)
    unnamed = rsgt.open(write_rooms(tmp_path / "u.zarr", train=2, test=4, class_names=()))
    record = rsgt.evaluate(unnamed, tmp_path / "m.npy", measures="all")
    named = rsgt.open(write_rooms(tmp_path / "n.zarr", train=2, test=4))
    assert record["metrics"] == rsgt.evaluate(named, tmp_path / "m.npy", measures="all")["metrics"]
    page = tmp_path / "page.html"
    rsgt.result_page(unnamed, [(record, tmp_path / "m.npy")], page)
    assert ">class 2<" in page.read_text()


def test_figures_of_regions_have_their_units_and_a_narrow_table(store, maps, tmp_path):
    np.save(tmp_path / "mine.npy", maps)
    command = ["evaluate", "--store", str(store.path), "--prediction", str(tmp_path / "mine.npy")]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "judged.json")])
    assert re.search(r"against depth: rmse [\d.]+ m, variance [\d.]+ m², instability [\d.]+ m\n", done.stdout)
    rsgt.result_page(store, [(tmp_path / "judged.json", tmp_path / "mine.npy")], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<h1>mine (judged)</h1>" in text
    assert "<th scope=col>Measure<th scope=col class=n>against depth<th scope=col class=n>against s" in text
