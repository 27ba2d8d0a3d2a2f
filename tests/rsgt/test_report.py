"""The HTML page about a store: it holds what the store holds, needs nothing else, and works in a browser."""

import base64
import hashlib
import io
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from rsgt import builder
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.page import browser, colours, comparison_file, comparison_section, report
from rsgt.quality.statistics import statistics
from rsgt.sources import facts, open_source
from rsgt.store.reader import open_store
from tests.chromium import acting_parts, in_chromium
from tests.conftest import known_camera, smooth_frames, write_nyu

NASTY = "</script><b>&'\""
ROW = {"name": "region support", "parameter": "bins=10", "regions": 100.0, "rmse": 0.2, "abs_rel": None}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Ten frames of 24x32 pixels, one without depth, with a category's name that is HTML."""
    folder = tmp_path_factory.mktemp("page")
    arrays = smooth_frames(10)
    arrays["depths"][3] = 0
    arrays["depths"][:, :4, :6] = 0
    names = [NASTY if name == "door" else name for name in facts.nyu_facts()["names894"]]
    assert names.index(NASTY) + 1 in arrays["labels"]
    source = open_source(write_nyu(folder / "small.mat", arrays, names=names))
    plan = builder.plan_build(source, builder.Parameters(min_size=4))
    builder.build_plan(source, folder / "s.zarr", plan, workers=1)
    return open_store(folder / "s.zarr")


@pytest.fixture(scope="module")
def html(opened):
    comparison = {"frames": 10, "rows": [ROW, {**ROW, "name": NASTY, "regions": 50, "rmse": 0.4}]}
    return report.page(opened, comparison=comparison, frame_ids=[2, 9, 4])


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def unpacked(text, shape):
    """Independent twin of the page's own ``unpack``, in the order of the layout's description."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(3, 3, *shape)
    values = planes[:, 0] + 256 * planes[:, 1].astype(np.int64) + 65536 * planes[:, 2].astype(np.int64)
    signed = np.where(values[2] % 2, -(values[2] + 1) // 2, values[2] // 2)
    return values[0], values[1], signed.cumsum(axis=0).cumsum(axis=1)


def test_the_page_needs_nothing_else(html):
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["'`]?([^"'`\s>)]*)""", html)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "default-src 'none'" in html
    assert "{{" not in html


def test_the_policy_names_the_pages_own_script_and_style(html):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (own,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.S)
        sealed = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sealed}'" in policy
    assert not re.search(r"<[^>]*\s(?:on\w+|style)=", html.partition("<script>")[0])


def test_frames_carry_the_stores_own_values(opened, html):
    data = data_of(html)
    assert [frame["id"] for frame in data["frames"]] == [2, 9, 4]
    for frame in data["frames"]:
        k = frame["id"] - 1
        region, category, depth_mm = unpacked(frame["maps"], opened.shape)
        depth = opened.read("depth", k, k + 1)[0]
        assert np.array_equal(region, opened.read("region", k, k + 1)[0])
        assert np.array_equal(category, opened.read("semantic", k, k + 1)[0])
        assert np.array_equal(depth_mm, np.rint(depth * 1000.0))
        table = opened.region_table(k)
        assert frame["area"] == table["area"].tolist()
        assert np.allclose(frame["mean"], 1000 * table["depth_mean"], atol=0.51)
        assert frame["colour"] == colours.region_colours(region)[1:].tolist()


def test_planes_are_drawn_as_planes(nyu_file, tmp_path):
    with known_camera():
        opened = builder.build(nyu_file[0], tmp_path / "s.zarr", surface="plane", min_size=4)
    html = report.page(opened, frame_ids=[2])
    assert "Each is a plane, whose depth stands for its pixels" in html
    (frame,) = data_of(html)["frames"]
    region, support = opened.frame(2).region, opened.frame(2).support
    a, b, c = np.array([[0, 0, np.inf], *frame["plane"]])[region].transpose(2, 0, 1)
    y, x = np.indices(region.shape)
    np.testing.assert_allclose(1 / (a * x + b * y + c), 1000 * support, rtol=1e-6)
    table = opened.frame(2).regions
    normals = np.stack([table[f"normal_{axis}"] for axis in "xyz"], axis=1)
    painted = colours.paint_normals(normals).tolist()
    assert frame["facing"] == [bytes(colour).hex() for colour in painted]
    assert data_of(html)["facing"]["faces us"] == "#8080ff"
    assert "Slant of a plane" in html


def test_summary_and_table_are_those_of_stats(opened, html):
    found = statistics(opened)
    assert f"<b>{found.summary()['rmse']:.3f} m</b>" in html
    rows = re.findall(
        r"<tr><th scope=row>(\d+)<td>scene_\d+<td>(\w+)<td class=n>(\d+)(.*?)(?=<tr>|</table>)", html
    )
    assert [int(row[0]) for row in rows] == opened.frame_id.tolist()
    assert [int(row[2]) for row in rows] == found.regions.tolist()
    assert [row[1] for row in rows] == [["train", "test"][part] for part in opened.split]
    errors = [re.findall(r"<td class=n>([^<]*)", row[3])[1] for row in rows]
    assert errors[3] == "&ndash;"
    known = [k for k in range(10) if k != 3]
    assert np.allclose([float(errors[k]) for k in known], found.errors["rmse"][known], atol=5e-5)
    assert opened.identity in html


def test_frames_are_chosen_from_the_smallest_error_to_the_largest(opened, monkeypatch):
    monkeypatch.setattr(report, "DEFAULT_COUNT", 5)
    frames = data_of(report.page(opened))["frames"]
    errors = [frame["rmse"] for frame in frames]
    every = statistics(opened).errors["rmse"]
    assert errors == sorted(errors)
    assert len(errors) == 5
    assert (errors[0], errors[-1]) == pytest.approx((np.nanmin(every), np.nanmax(every)), abs=1e-4)


def test_frames_shrink_to_keep_the_page_small(opened, monkeypatch):
    whole = report.page(opened)
    images = len(re.search(r'id="data">(.*?)</script>', whole, re.S)[1])
    monkeypatch.setattr(report, "MAX_BYTES", len(whole.encode()) - images // 4)
    small = report.page(opened)
    data = data_of(small)
    assert len(small.encode()) <= report.MAX_BYTES
    assert data["shrink"] > 1
    assert f"1/{data['shrink']} of their size" in small
    shape, k = tuple(data["shape"]), data["frames"][0]["id"] - 1
    region, *_ = unpacked(data["frames"][0]["maps"], shape)
    assert np.array_equal(region, opened.read("region", k, k + 1)[0][:: data["shrink"], :: data["shrink"]])
    with Image.open(io.BytesIO(base64.b64decode(data["frames"][0]["jpeg"]))) as image:
        assert image.size == shape[::-1]


def test_maps_pack_large_values():
    maps = np.random.default_rng(0).integers(0, browser.MAX_MM, (3, 5, 7), endpoint=True)
    assert np.array_equal(unpacked(browser.pack_maps(list(maps)), (5, 7)), maps)


def test_names_are_text_everywhere(html):
    assert html.count("</script>") == 2
    assert "<b>&'" not in html
    assert [name for name, _ in data_of(html)["categories"].values() if name == NASTY]


def test_comparison_is_read_from_a_document_or_from_rows(tmp_path):
    path = tmp_path / "c.json"
    for document in ([ROW], {"rows": [ROW], "equal_counts": [{"regions": 100.0, "rows": [ROW]}]}):
        path.write_text(json.dumps(document))
        assert report.read_comparison(path)["rows"] == [ROW]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "no comparison"), ("[1]", "no comparison"), ("[]", "no rows"), ('{"a": 1}', "no comparison"),
     ('[{"name": "x", "regions": 1}]', "rmse"), ('"text"', "no comparison")],
)  # fmt: skip
def test_a_comparison_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=message):
        report.read_comparison(tmp_path / "c.json")


ODD = [
    float("nan"), float("inf"), -1, 1e308, 10**400, 1e-300, "12", "", [], {}, True, [[1]], {"a": {"b": 1}},
]  # fmt: skip


def odd_comparisons():
    """Every place of a comparison with every odd value, in turn."""
    whole = {"frames": 10, "rows": [ROW], "equal_counts": [{"regions": 100.0, "rows": [ROW]}]}
    for value in [*ODD, None]:
        for key in ("rows", "equal_counts", "frames"):
            yield {**whole, key: value}
        for key in [*comparison_file.COMPARED, "name", "parameter"]:
            row = {**ROW, key: value}
            yield {**whole, "rows": [ROW, row]}
            yield {**whole, "equal_counts": [{"regions": 100.0, "rows": [row]}]}
        yield {**whole, "equal_counts": [{"regions": value, "rows": [ROW]}]}
        yield {**whole, "equal_counts": [{"regions": 1, "rows": value}]}
        yield {**whole, "equal_counts": [value]}
        yield {**whole, "rows": [value]}
    for key in ROW:
        yield {**whole, "rows": [{k: v for k, v in ROW.items() if k != key}]}
    yield {**whole, "rows": [{**ROW, "regions": None, "rmse": None}]}
    yield {**whole, "rows": [{**ROW, "name": NASTY, "parameter": NASTY + chr(0xD800)}]}


def test_odd_comparisons_are_shown_or_refused_in_one_line(tmp_path):
    path, outcomes = tmp_path / "c.json", {True: 0, False: 0}
    for document in odd_comparisons():
        path.write_text(json.dumps(document))
        said, section = "", ""
        try:
            section = comparison_section.section(report.read_comparison(path))
        except InputError as error:
            said = str(error)
        assert "<b>&'" not in section
        assert "nan" not in section
        assert said.count("\n") == 0
        assert len(said) < 400
        outcomes[said == ""] += 1
    assert min(outcomes.values()) > 20
    for text in ("[" * 100_000, "\ufeff[]", "[" + "9" * 5000 + "]", "\x00"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError):
            report.read_comparison(path)
    path.write_bytes(b"\xff\xfe[")
    for odd in (path, tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError):
            report.read_comparison(odd)


def test_the_comparison_shows_each_row_and_what_is_missing(html):
    section = re.search(r"<section aria-labelledby=h-comparison>.*?</section>", html, re.S)[0]
    assert re.search(r"region support bins=10<td class=n>100<td class=n>0.200<td class=n>&ndash;", section)
    assert section.count("<circle") == 2


def test_mistakes(opened):
    with pytest.raises(InputError, match="11 asked for.*10 frames from 1 to 10"):
        report.page(opened, frame_ids=[1, 11])
    with pytest.raises(InputError, match="expected 1 to"):
        report.page(opened, frame_ids=range(1, 62))


def test_the_command_writes_the_page(opened, tmp_path, capsys):
    out = tmp_path / "r.html"
    main(["report", str(opened.path), "--out", str(out), "--frames", "1-2"], standalone_mode=False)
    assert capsys.readouterr().out == f"{out}: {out.stat().st_size / 1e6:.1f} MB\n"
    assert [frame["id"] for frame in data_of(out.read_text())["frames"]] == [1, 2]


@pytest.fixture(scope="module")
def page(tmp_path_factory, html):
    """The page in a headless Chromium; afterwards nothing may have been logged or fetched."""
    with in_chromium(html, tmp_path_factory.mktemp("page")) as opened:
        yield opened


def read(page):
    names = ("label", "depth", "support", "error", "region", "pixel")
    return [page.evaluate(f"document.getElementById('r-{name}').textContent") for name in names]


def expected(opened, frame_id, y, x):
    k = frame_id - 1
    maps = {name: opened.read(name, k, k + 1)[0] for name in ("semantic", "depth", "support", "region")}
    category, depth, support, region = (maps[n][y, x] for n in ("semantic", "depth", "support", "region"))
    label = opened.class_names[category - 1] if category else "unlabelled"
    pixel = f"row {y}, column {x}"
    if not region:
        return [label, "none", "none", "–", "none", pixel]
    mm, mean = round(1000 * float(depth)), round(1000 * float(support))
    area = np.count_nonzero(maps["region"] == region)
    return [label, f"{mm / 1000:.3f} m", f"{mean / 1000:.3f} m", f"{abs(mm - mean) / 1000:.3f} m",
            f"{region}, {area} px", pixel]  # fmt: skip


def focus(page, selector):
    page.focus(selector)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.getElementById('stage').getBoundingClientRect().width") > 0.4 * width


def test_the_pointer_reads_out_the_stores_values(page, opened):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("document.getElementById('stage').scrollIntoView()")
    frame_id = int(page.evaluate("document.getElementById('title').textContent").split()[1])
    left, top, width = page.evaluate(
        "(b => [b.left, b.top, b.width])(document.getElementById('stage').getBoundingClientRect())"
    )
    for y, x in ((0, 0), (2, 5), (10, 20), (23, 31)):
        page.mouse.move(left + (x + 0.5) * width / 32, top + (y + 0.5) * width / 32)
        assert read(page) == expected(opened, frame_id, y, x)


def test_the_keyboard_reaches_and_moves_everything(page, opened):
    focus(page, "#stage")
    for _ in range(40):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Shift+ArrowDown")
    frame_id = int(page.evaluate("document.getElementById('title').textContent").split()[1])
    assert read(page) == expected(opened, frame_id, 12, 1)
    assert read(page)[0] in page.evaluate("document.getElementById('spoken').textContent")

    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert reached == ["blend", "layer", "frame"]

    focus(page, "#strip input:checked")
    page.keyboard.press("ArrowRight")
    page.locator("#title", has_text="Frame 9").wait_for()
    assert read(page) == expected(opened, 9, 12, 1)

    focus(page, "#blend")
    before = float(page.evaluate("document.getElementById('layer').style.opacity"))
    page.keyboard.press("ArrowRight")
    assert float(page.evaluate("document.getElementById('layer').style.opacity")) == pytest.approx(
        before + 0.05
    )


@pytest.mark.parametrize("layer", ["Regions", "Labels", "Depth", "Support", "Error"])
def test_overlays_paint_what_python_paints(page, opened, layer):
    page.evaluate("document.querySelectorAll('#strip input')[0].click()")
    page.locator("#title", has_text="Frame 2").wait_for()
    page.evaluate(
        f"document.querySelectorAll('#layers input')[Object.keys(layers).indexOf({layer!r})].click()"
    )
    png = page.evaluate("document.getElementById('layer').toDataURL()").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        painted = np.asarray(image.convert("RGBA"))
    assert (painted[..., 3] == 255).all()
    frame = {name: opened.read(name, 1, 2)[0] for name in ("semantic", "depth", "support", "region")}
    if layer == "Regions":
        assert np.array_equal(painted[..., :3], colours.paint_regions(frame["region"]))
    elif layer == "Labels":
        every = [opened.read("semantic", k, k + 1)[0] for k in (1, 8, 3)]
        assert np.array_equal(
            painted[..., :3], colours.paint_categories(frame["semantic"], colours.category_colours(every))
        )
    else:
        values = {"Error": np.abs(frame["support"] - frame["depth"])}.get(layer, frame.get(layer.lower()))
        light = painted[..., :3].sum(axis=2, dtype=int)
        shown = (frame["region"] > 0) & (values < np.percentile(values[frame["region"] > 0], 98))
        order = np.argsort(values[shown], kind="stable")
        # Lightness of both scales only rises.
        assert np.corrcoef(np.arange(order.size), light[shown][order])[0, 1] > 0.8
        assert (painted[frame["region"] == 0][:, :3] == (0xB9, 0xBC, 0xC0)).all()


def test_the_table_sorts_by_each_column(page):
    page.evaluate("document.getElementById('frames').open = true")
    column = "[...document.querySelectorAll('#frames tbody tr')].map(r => r.cells[5].textContent)"
    rmse = "document.querySelectorAll('#frames thead button')[5]"
    for direction in (1, -1):
        page.evaluate(f"{rmse}.click()")
        values = [float(v) for v in page.evaluate(column) if v != "–"]
        assert len(values) == 9
        assert values == sorted(values, reverse=direction < 0)
    assert page.evaluate(f"{rmse}.parentElement.getAttribute('aria-sort')") == "descending"


def test_everything_that_acts_has_a_name(page):
    named = acting_parts(page)
    assert {role for role, _ in named} >= {"slider", "radio", "button", "link", "application", "image"}
    assert all(name for _, name in named), named
    assert ("radio", "Frame 9") in [(role, name[:7]) for role, name in named]
