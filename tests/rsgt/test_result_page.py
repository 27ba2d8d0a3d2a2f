"""The page about results: figures are the records', pictures the store's and the maps', in a browser too."""

import base64
import copy
import io
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import colormaps
from PIL import Image

import rsgt
from rsgt.page import result_page
from rsgt.page.result import open_results
from rsgt.quality.evaluation.protocol import compared, protocol_named
from rsgt.quality.measures import MEASURES
from rsgt.quality.metrics import depth_errors
from rsgt.quality.pooling import REDUCERS
from rsn.cli import main
from tests.chromium import acting_parts, in_chromium
from tests.conftest import often
from tests.rooms import write_rooms

ROOT = Path(__file__).parents[2]
NASTY = "<script>alert(1)</script><b>&'\""
SHAPE, SPLIT = (48, 64), slice(2, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def store(folder):
    """Two training and eight test frames, with names of a category and of frames that are HTML."""
    names = ("wall", NASTY, "box")
    opened = rsgt.open(write_rooms(folder / "s.zarr", train=2, test=8, shape=SHAPE, class_names=names))
    opened.__dict__["frame_names"] = [f"{NASTY} {number}" for number in opened.frame_id]
    return opened


@pytest.fixture(scope="module")
def maps(store, folder):
    """Two results in millimetres; the second is worse but for one frame, and says nothing at some pixels."""
    depth, rng = store.read("depth", 2, 10), np.random.default_rng(0)
    step = np.linspace(0.02, 0.2, 8)[:, None, None]
    good = np.clip(depth * (1 + step), 0.3, 20)
    bad = np.clip(good * rng.normal(1.2, 0.05, depth.shape), 0.3, 20)
    bad[3] = np.clip(depth[3] * 2, 0.3, 20)
    bad[:, 20:23, 30] = 0
    found = {name: (np.round(1000 * values) / 1000).astype(np.float32) for name, values in
             (("good", good), ("bad", bad))}  # fmt: skip
    for name, values in found.items():
        np.save(folder / f"{name}.npy", values)
    return found


@pytest.fixture(scope="module")
def records(store, maps, folder):
    """A record by two protocols of each, that of ``good`` with more measures."""
    found = {}
    for name in maps:
        found[name] = rsgt.evaluate(
            store, folder / f"{name}.npy", protocols=["paper", "nyud-mt"],
            measures=["distance", "categories", "percentiles"] if name == "good" else "depth",
        )  # fmt: skip
    for name, record in found.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    return found


@pytest.fixture(scope="module")
def pairs(records, folder):
    return [(folder / f"{name}.json", folder / f"{name}.npy") for name in records]


def page_of(store, pairs, **options):
    return result_page.page(store, open_results(store, pairs), **options)


@pytest.fixture(scope="module")
def html(store, pairs):
    return page_of(store, pairs)


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def unpacked(data, frame):
    """Independent twin of the page's ``unpack``: region, category, bits, truth and predictions in mm."""
    shape = (4 + len(data["results"]), 3, *data["shape"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(frame["maps"])), np.uint8).reshape(shape)
    values = planes[:, 0] + 256 * planes[:, 1].astype(np.int64) + 65536 * planes[:, 2].astype(np.int64)
    signed = np.where(values[3:] % 2, -(values[3:] + 1) // 2, values[3:] // 2)
    return [*values[:3], *signed.cumsum(axis=1).cumsum(axis=2)]


def table_of(html, caption):
    """Rows of the table of that caption, by their texts."""
    body = re.search(rf"<caption>{re.escape(caption)}</caption>.*?<tbody>(.*?)</table>", html, re.S)[1]
    return [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in body.split("<tr>")[1:]]


def head_of(html, caption):
    return re.findall(
        r"<th scope=col[^>]*>([^<]*)",
        re.search(rf"<caption>{re.escape(caption)}</caption>(.*?)<tbody>", html, re.S)[1],
    )


def test_the_page_needs_nothing_else_and_lets_nothing_else_act(html):
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["'`]?([^"'`\s>)]*)""", html)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "{{" not in html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]*\s(?:on\w+|style)=", html.partition("<script>")[0])


def test_names_are_text_everywhere(html, store, records, folder):
    assert html.count("</script>") == 2
    assert "<b>&'" not in html
    assert "alert(1)&lt;/script&gt;" in html
    data = data_of(html)
    assert data["categories"]["2"] == NASTY
    assert NASTY in data["frames"][0]["about"]
    name = NASTY.replace("/", "")
    (folder / f"{name}.json").write_text(json.dumps(records["good"]))
    page = page_of(store, [(folder / f"{name}.json", folder / "good.npy")] * 2)
    assert data_of(page)["results"] == [name, f"{name} (2)"]
    assert page.count("</script>") == 2
    assert "<b>&'" not in page


@pytest.mark.parametrize("protocol", ["paper", "nyud-mt"])
def test_every_figure_is_the_records_by_every_reducer(html, records, protocol):
    own = protocol_named(protocol).reducer
    caption = f"Depth errors, {protocol}"
    marked = [name.replace("_", " ") + "*" * (name == own) for name in REDUCERS]
    assert [name for name in head_of(html, caption) if name != "95 % of the mean"][2:] == marked
    rows = {(row[0].partition(" ")[0], row[1]): row[2:] for row in table_of(html, caption)}
    assert len(rows) == 20
    for name, record in records.items():
        for measure in record["metrics"][protocol]["image_mean"]:
            if (measure, name) in rows:
                mean, interval, median, pool = rows[measure, name]
                found = record["metrics"][protocol]
                expected = [found[reducer][measure] for reducer in REDUCERS]
                assert [mean, median, pool] == [f"{value:.4f}" for value in expected]
                assert interval == "{:.4f} to {:.4f}".format(*record["intervals"][protocol][measure])
    assert MEASURES["silog"].definition in html


def test_sections_are_there_where_the_record_has_their_measures(html, store, records, pairs):
    shown = table_of(html, "By distance, paper")
    figures = records["good"]["metrics"]["paper"]
    assert {row[1] for row in shown} == {"good"}
    assert [row[2] for row in shown if row[0].startswith("rmse_from_4m")] == [
        f"{figures['image_mean']['rmse_from_4m']:.4f}"
    ]
    rows = {row[0]: row for row in table_of(html, "category_rmse (m), paper")}
    assert set(rows) == {"wall", "box", "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;&amp;&#x27;&quot;"}
    frames = sum((store.read("semantic", *(k, k + 1)) == 3).any() for k in range(SPLIT.start, SPLIT.stop))
    assert rows["box"][2:4] == [str(frames), f"{figures['image_mean']['category_rmse_3']:.4f}"]
    assert "Chart: RMSE by category" in html
    assert MEASURES["rmse_below_2m"].definition in html
    assert re.search(r'<p class="soft" >Not in these records: surface normals, boundaries, shape of', html)

    plain = page_of(store, pairs[1:])
    assert "h-distance" not in plain
    assert re.search(r'<p class="soft" >Not in this record: the worst tenth, .*by distance, by cat', plain)
    every = {**records["good"], "metrics": copy.deepcopy(records["good"]["metrics"])}
    names = ("normal_mean", "boundary_f1", "region_rmse_scale")
    every["metrics"]["paper"]["image_mean"] |= dict.fromkeys(names, 0.5)
    assert '<p class="soft" hidden>' in page_of(store, [(every, pairs[0][1])])


def test_differences_are_those_of_compare(html, pairs):
    found = rsgt.compare_records(pairs[0][0], pairs[1][0])["protocols"]["paper"]
    rows = {row[0].partition(" ")[0]: row for row in table_of(html, "bad against good, paper")}
    for measure, one in found["differences"].items():
        assert rows[measure][4:] == [
            f"{one['difference']:+.4f}", "{:+.4f} to {:+.4f}".format(*one["interval"])
        ]  # fmt: skip
    assert rows["delta1"][1] == "good"
    most = [int(row[0]) for row in table_of(html, "Frames that differ most in rmse (m)")]
    assert most[: len(found["most"])] == [one["frame_id"] for one in found["most"]]


def test_frames_carry_truth_and_predictions_as_the_protocol_compares_them(html, store, maps):
    data = data_of(html)
    for frame in data["frames"]:
        k = frame["id"] - 101
        region, category, bits, truth, *predictions = unpacked(data, frame)
        depth = store.read("depth", k, k + 1)[0]
        assert np.array_equal(region, store.read("region", k, k + 1)[0])
        assert np.array_equal(category, store.read("semantic", k, k + 1)[0])
        assert np.array_equal(truth, np.rint(depth * 1000.0))
        for i, name in enumerate(("good", "bad")):
            given = maps[name][k - 2]
            assert np.array_equal(bits >> 2 * i & 1, depth > 1e-3)
            assert np.array_equal(bits >> 2 * i & 2, 2 * (given == 0))
            assert np.array_equal(predictions[i], np.maximum(np.rint(given * 1000.0), 1))
        reach = max(
            np.percentile(abs(p - truth)[depth > 0], 99) for p in predictions
        )  # one scale for all errors, and the truth's for all depths
        assert frame["error"] == pytest.approx(reach, abs=2)
        assert frame["depth"] == [round(1000 * float(depth[depth > 0].min())), truth.max()]


@pytest.mark.parametrize("align", ["disparity", "scale-shift"])
def test_maps_are_read_as_the_record_says(store, maps, tmp_path, align):
    """Kind, scale, matching and alignment come from the record; nobody says them twice."""
    kind = "disparity" if align == "disparity" else "depth"
    (tmp_path / "maps").mkdir()
    for number, values in zip(store.frame_id[2:], maps["good"], strict=True):
        stored = 5000 / values if kind == "disparity" else 5000 * values
        Image.fromarray(stored.astype(np.uint16)).save(tmp_path / "maps" / f"{number:04}_depth.png")
    record = rsgt.evaluate(
        store, tmp_path / "maps", align=align, kind=kind, scale=5000, protocols="paper", match="number"
    )
    data = data_of(page_of(store, [(record, tmp_path / "maps")]))
    assert data["results"] == ["maps"]
    _, _, _, truth, prediction = unpacked(data, data["frames"][0])
    depth = truth / 1000
    errors = depth_errors(compared(protocol_named("paper"), np.maximum(prediction, 1) / 1000, depth).maps)
    assert errors["rmse"] == pytest.approx(record["by_frame"][f"paper+{align}"]["rmse"][
        record["by_frame"]["frame_id"].index(data["frames"][0]["id"])], abs=1e-3)  # fmt: skip


def test_frames_go_from_the_best_to_the_worst_and_have_those_that_differ(html, store, pairs, records):
    errors = records["good"]["by_frame"]["paper"]["rmse"]
    places = [frame["id"] - 103 for frame in data_of(html)["frames"]]
    assert [errors[k] for k in places] == sorted(errors)
    few = open_results(store, pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsgt.page.result.DEFAULT_COUNT", 5)
        patch.setattr("rsgt.page.result._DIFFERING", 1)
        frames = data_of(result_page.page(store, few))["frames"]
    ids = [frame["id"] for frame in frames]
    spread = np.abs(np.subtract(records["bad"]["by_frame"]["paper"]["rmse"], errors))
    others = [k for k in np.argsort(errors) if k != spread.argmax()]
    assert len(ids) == 5
    assert {103 + spread.argmax(), 103 + others[0], 103 + others[-1]} <= {*ids}
    assert [frame["id"] for frame in frames if "differ most" in frame["about"]] == [103 + spread.argmax()]
    asked = data_of(page_of(store, pairs, frame_ids=[110, 104]))["frames"]
    assert [frame["id"] for frame in asked] == [110, 104]


def test_frames_without_a_sound_map_are_not_offered(store, maps, tmp_path):
    (tmp_path / "maps").mkdir()
    for number, values in list(zip(store.frame_id[2:], maps["good"], strict=True))[:-1]:
        np.save(tmp_path / "maps" / f"{number}.npy", values)
    (tmp_path / "maps" / "104.npy").write_bytes(b"damaged")
    record = rsgt.evaluate(store, tmp_path / "maps", match="number")
    page = page_of(store, [(record, tmp_path / "maps")])
    assert {frame["id"] for frame in data_of(page)["frames"]} == {103, 105, 106, 107, 108, 109}
    assert "frame 104: " in page
    with pytest.raises(rsgt.InputError, match="104 asked for, which not every record has judged"):
        page_of(store, [(record, tmp_path / "maps")], frame_ids=[104])


def test_a_checkpoints_record_goes_with_what_save_wrote(store, maps, records, tmp_path):
    record = {key: value for key, value in records["good"].items() if key != "prediction"}
    record |= {"model": "generation", "seed": 3, "config": {"width": 8}}
    predictions = [{"prediction": one} for one in maps["good"]]
    rsgt.write_prediction(
        tmp_path / "m.zarr", predictions, store.frame_id[2:], SHAPE, {"store": store.identity}
    )
    page = page_of(store, [(record, tmp_path / "m.zarr")])
    assert len(data_of(page)["frames"]) == 8
    assert "generation" in page


def test_results_without_a_protocol_in_common_stand_side_by_side(store, folder, records):
    aligned = rsgt.evaluate(store, folder / "good.npy", align="scale")
    page = page_of(store, [(records["good"], folder / "good.npy"), (aligned, folder / "good.npy")])
    assert "have no protocol in common" in page
    assert table_of(page, "Depth errors, paper+scale")
    data = data_of(page)
    *_, plain, scaled = unpacked(data, data["frames"][-1])
    assert not np.array_equal(plain, scaled)


def test_the_page_keeps_small_by_showing_frames_smaller(html, store, pairs, monkeypatch):
    images = len(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    monkeypatch.setattr(result_page, "MAX_BYTES", len(html.encode()) - images // 4)
    small = page_of(store, pairs)
    data = data_of(small)
    assert len(small.encode()) <= result_page.MAX_BYTES
    assert data["shrink"] > 1
    assert f"1/{data['shrink']} of their size" in small
    k = data["frames"][0]["id"] - 101
    assert np.array_equal(
        unpacked(data, data["frames"][0])[0],
        store.read("region", k, k + 1)[0][:: data["shrink"], :: data["shrink"]],
    )


def test_what_does_not_belong_together_is_refused_in_one_line(store, maps, records, folder, tmp_path):
    record, good, bad = records["good"], folder / "good.npy", folder / "bad.npy"
    np.savez(tmp_path / "few.npz", maps=maps["good"][:3], frame=store.frame_id[2:5])
    (tmp_path / "cut").mkdir()
    for number, values in zip(store.frame_id[2:], maps["good"], strict=True):
        np.save(tmp_path / "cut" / f"{number}.npy", values)
    cut = rsgt.evaluate(store, tmp_path / "cut", match="number")
    (tmp_path / "cut" / "103.npy").write_bytes(b"")
    apart = copy.deepcopy(record)
    apart["by_frame"]["frame_id"] = [101, 102, *apart["by_frame"]["frame_id"][2:]]
    for given, message in [
        ([(record | {"store": "0" * 64}, good)], "is of store 000000000000, got .*; give the store"),
        ([(record, bad)], "has rmse .* by these maps, .* by record bad; give the maps"),
        ([(record, tmp_path / "few.npz")], "has no map of frame 106, .*5 of 8 are missing"),
        ([(cut, tmp_path / "cut")], "103"),
        ([(record, tmp_path / "none.npy")], "no such file"),
        ([(record | {"form": 1}, good)], "expected 2; run `rsn evaluate` again"),
        ([(good, good)], "no JSON|no text"),
        ([], "expected 1 to 6"),
        ([(record, good)] * 7, "got 7, expected 1 to 6"),
        ([(record,)], "expected pairs of a record and the maps"),
        ("ab", "expected pairs of a record and the maps"),
        ([(apart, good)], "has no map of frame 101"),
    ]:
        with pytest.raises(rsgt.InputError, match=message) as caught:
            page_of(store, given)
        assert "\n" not in str(caught.value)
    with pytest.raises(rsgt.InputError, match="expected 1 to 60"):
        page_of(store, [(record, good)], frame_ids=[])


def test_results_of_other_frames_are_refused(store, folder, records):
    train = store.read("depth", 0, 2) * 1.1
    np.save(folder / "train.npy", np.maximum(train, 0.5))
    other = rsgt.evaluate(store, folder / "train.npy", split="train")
    with pytest.raises(rsgt.InputError, match="no frame in common; judge them on the same"):
        page_of(store, [(records["good"], folder / "good.npy"), (other, folder / "train.npy")])


ODD = [None, float("nan"), -1, "12", "", [], {}, True, [[1]], {"a": {"b": 1}}, 1e308]


def places(value, path=()):
    """Where a record's parts stand, of a list the first."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key)
            yield from places(part, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)


def test_odd_records_are_shown_or_refused_in_one_line(store, folder, records):
    """Any part of a record as anything else: no page shows what is no number, or is not escaped."""
    plain = json.loads(json.dumps(records["bad"]))
    outcomes = {True: 0, False: 0}
    some = [place for place in places(plain) if place[-1] not in ("rmse_log10", "sq_rel", "delta2", "delta3")]
    tried = [(place, value) for place in some for value in ODD]
    for place, value in tried[:: often(29, 1)]:
        odd = copy.deepcopy(plain)
        part = odd
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = value
        said = shown = ""
        try:
            shown = page_of(store, [(odd, folder / "bad.npy")], frame_ids=[105])
        except rsgt.InputError as error:
            said = str(error)
        assert "\n" not in said
        assert not re.search(r"<td class=n>[+-]?(nan|inf)", shown)
        outcomes[said == ""] += 1
    assert min(outcomes.values()) > 10


def test_the_command_writes_the_page_without_torch(store, pairs, tmp_path):
    out = tmp_path / "page.html"
    script = "import sys; sys.modules['torch'] = None\nfrom rsn.cli import main\nmain(sys.argv[1:])"
    results = [text for pair in pairs for text in ("--result", *map(str, pair))]
    arguments = ["report", "--store", str(store.path), *results, "--out", str(out), "--frames", "104,107"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: {out.stat().st_size / 1e6:.1f} MB\n"
    assert [frame["id"] for frame in data_of(out.read_text())["frames"]] == [104, 107]
    for over in pairs[1]:
        before = over.read_bytes()
        done = CliRunner().invoke(main, [*arguments[:-4], "--out", str(over)])
        assert done.exit_code == 2
        assert "would be written over --result" in done.stderr
        assert over.read_bytes() == before


@pytest.fixture(scope="module")
def page(tmp_path_factory, html):
    with in_chromium(html, tmp_path_factory.mktemp("page")) as opened:
        yield opened


def read(page):
    names = ("label", "truth", 0, 1, "region", "pixel")
    return [page.evaluate(f"document.getElementById('r-{name}').textContent") for name in names]


def expected(store, maps, frame_id, y, x):
    k = frame_id - 101
    category, depth, region = (
        store.read(name, k, k + 1)[0][y, x] for name in ("semantic", "depth", "region")
    )
    truth, told = round(1000 * float(depth)), []
    for name in ("good", "bad"):
        mm = max(1, round(1000 * float(maps[name][k - 2][y, x])))
        says = f"{mm / 1000:.3f} m" if maps[name][k - 2][y, x] else "nothing, taken as 0.001 m"
        error = f"error {'−' if mm < truth else '+'}{abs(mm - truth) / 1000:.3f} m"
        told.append(f"{says}\n{error if truth else 'does not count'}")
    area = np.count_nonzero(store.read("region", k, k + 1)[0] == region)
    return [
        store.class_names[category - 1], f"{truth / 1000:.3f} m" if truth else "none", *told,
        f"{region}, {area:,} px" if region else "none", f"row {y}, column {x}",
    ]  # fmt: skip


def shown_frame(page):
    return int(page.evaluate("document.getElementById('title').textContent").split()[1])


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.getElementById('stage').getBoundingClientRect().width") > 0.4 * width
    panels = page.evaluate(
        "[...document.querySelectorAll('.panel')].map(p => p.getBoundingClientRect())"
        ".map(b => [b.left, b.right])"
    )
    assert len(panels) == 6
    assert all(0 <= left < right <= width for left, right in panels)


@pytest.mark.parametrize("picture", ["#stage", ".panel >> nth=4"])
def test_the_pointer_reads_out_truth_predictions_and_errors(page, store, maps, picture):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator(picture).scroll_into_view_if_needed()
    box = page.locator(picture).bounding_box()
    for y, x in ((0, 0), (2, 5), (21, 30), (47, 63)):
        page.mouse.move(box["x"] + (x + 0.5) * box["width"] / 64, box["y"] + (y + 0.5) * box["width"] / 64)
        assert read(page) == expected(store, maps, shown_frame(page), y, x)


def test_the_keyboard_reaches_and_moves_everything(page, store, maps):
    page.focus("#stage")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert read(page) == expected(store, maps, shown_frame(page), 12, 1)
    assert read(page)[2].replace("\n", ", ") in page.evaluate("document.getElementById('spoken').textContent")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
        assert page.evaluate(
            "[document.activeElement, document.activeElement.nextElementSibling].some("
            "e => e && getComputedStyle(e).outlineStyle !== 'none')"
        )
    assert reached == ["divide", "left", "right", "frame"]

    page.keyboard.press("ArrowRight")
    second = data_of(page.content())["frames"][1]["id"]
    page.locator("#title", has_text=f"Frame {second}").wait_for()
    assert read(page) == expected(store, maps, second, 12, 1)

    page.focus("#divide")
    page.keyboard.press("ArrowLeft")
    assert (
        page.evaluate("getComputedStyle(document.getElementById('right')).clipPath")
        == "inset(0px 0px 0px 45%)"
    )
    assert page.evaluate("document.getElementById('line').style.left") == "45%"
    said = page.evaluate("document.getElementById('divide').getAttribute('aria-valuetext')")
    assert said == "45 % Photo, 55 % Error: good"
    page.focus("#lefts input:checked")
    page.keyboard.press("ArrowRight")
    said = page.evaluate("document.getElementById('divide').getAttribute('aria-valuetext')")
    assert said == "45 % Truth, 55 % Error: good"


def picture(page, script):
    png = page.evaluate(f"{script}.toDataURL()").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("side", ["left", "right"])
def test_views_paint_what_python_paints(page, side):
    data = data_of(page.content())
    frame = next(one for one in data["frames"] if one["id"] == shown_frame(page))
    _, _, bits, truth, *predictions = unpacked(data, frame)
    low, high = frame["depth"]
    names = ["Truth"] + [f"{kind}: {name}" for name in ("good", "bad") for kind in ("Prediction", "Error")]
    for name in names:
        page.locator(f"#{side}s label", has_text=name).first.click()
        painted = picture(page, f"document.getElementById('{side}')")
        assert (painted[..., 3] == 255).all()
        k = int(name.endswith("bad"))
        if name.startswith("Error"):
            known = (bits >> 2 * k & 1).astype(bool)
            share = 0.5 + (predictions[k] - truth) / (2 * frame["error"])
            colours = colormaps["RdBu_r"](np.arange(256), bytes=True)
        else:
            known = truth > 0 if name == "Truth" else ~(bits >> 2 * k & 2).astype(bool)
            share = ((truth if name == "Truth" else predictions[k]) - low) / (high - low)
            colours = colormaps["viridis"](np.arange(256), bytes=True)
        place = np.floor(255 * share + 0.5).clip(0, 255).astype(int)
        assert np.array_equal(painted[known][:, :3], colours[place[known]][:, :3])
        assert (painted[~known][:, :3] == (0xB9, 0xBC, 0xC0)).all()
        key = page.evaluate(f"document.getElementById('key-{side}').textContent")
        ends = (f"−{frame['error'] / 1000:.3f} m too near", f"+{frame['error'] / 1000:.3f} m too far")
        ends = ends if name.startswith("Error") else (f"{low / 1000:.3f} m", f"{high / 1000:.3f} m")
        assert all(end in key for end in ends)


def test_errors_are_red_where_too_far_and_blue_where_too_near(store, pairs):
    (result,) = open_results(store, pairs[:1])
    depth = store.read("depth", 5, 6)[0]
    judged = result.judged(store, 5, "paper", depth)
    painted = result_page.result_frames.paint_error(judged, depth, 0.01).astype(int)
    far = judged.counted & (judged.metres > depth + 0.005)
    assert far.any()
    assert (painted[far][:, 0] > painted[far][:, 2]).all()


def test_everything_that_acts_has_a_name(page):
    named = acting_parts(page)
    assert {role for role, _ in named} >= {"slider", "radio", "button", "link", "application", "image"}
    assert all(name for _, name in named), named
    assert ("slider", "Divide") in named
    assert ("image", "Error: bad") in named


def test_the_table_of_frames_is_the_records_and_sorts(page, records):
    page.evaluate("document.getElementById('frames').open = true")
    cells = (
        "[...document.querySelectorAll('#frames tbody tr')]"
        ".map(r => [r.cells[0], r.cells[5]].map(c => c.textContent))"
    )
    shown = {int(number): float(value) for number, value in page.evaluate(cells)}
    found = records["bad"]["by_frame"]
    assert shown == pytest.approx(dict(zip(found["frame_id"], found["paper"]["rmse"], strict=True)), abs=5e-5)
    page.evaluate("document.querySelectorAll('#frames thead button')[5].click()")
    assert [float(value) for _, value in page.evaluate(cells)] == sorted(shown.values())
