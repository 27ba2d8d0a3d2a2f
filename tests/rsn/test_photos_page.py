"""The page about photos: it holds what was predicted, needs nothing else, and works in a browser."""

import base64
import hashlib
import io
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from rsgt.page.document import MAX_BYTES, MAX_COUNT
from rsn.photos import scene
from rsn.photos.camera import Camera
from rsn.photos.page import Page
from rsn.photos.prediction import Prediction
from tests.chromium import acting_parts, in_chromium

NASTY = "</script><b>&'\""


def prediction(shape, *, sure=True, seed=0):
    """A wall with a box before it, regions of both, and noise."""
    rng = np.random.default_rng(seed)
    depth = np.full(shape, 4, np.float32) + rng.normal(0, 0.01, shape).astype(np.float32)
    region = np.ones(shape, np.int32)
    box = (slice(shape[0] // 3, 2 * shape[0] // 3), slice(shape[1] // 3, 2 * shape[1] // 3))
    depth[box] -= 2
    region[box] = 2
    support = np.where(region == 1, 4, 2).astype(np.float32)
    focal = 1.2 * max(shape)
    camera = Camera((focal, focal), ((shape[1] - 1) / 2, (shape[0] - 1) / 2), "exif")
    confidence = rng.uniform(0.8, 1, shape).astype(np.float32) if sure else None
    return Prediction(depth=depth, support=support, region=region, camera=camera, confidence=confidence)


def result_of(found, name="a"):
    return {
        "photo": name, "nearest_m": float(found.depth.min()), "median_m": float(np.median(found.depth)),
        "farthest_m": float(found.depth.max()), "regions": 2, "focal": found.camera.focal,
        "focal_source": found.camera.source, "notes": [],
        "confidence": None if found.confidence is None else float(found.confidence.mean()),
    }  # fmt: skip


def colour(shape, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize(shape[::-1], Image.Resampling.BICUBIC))


def page_of(tmp_path, photos, failed=()):
    page = Page(f"{NASTY}: generation, trained at 24x32; research use", len(photos) + len(failed))
    for name, found in photos.items():
        page.add(name, colour(found.depth.shape), found, result_of(found, name))
    for name in failed:
        page.failed({"photo": name, "error": f"cannot be read {NASTY}"})
    page.write(tmp_path / "p.html")
    return (tmp_path / "p.html").read_text(encoding="utf-8")


PHOTOS = {
    "wide": prediction((48, 80)),
    NASTY: prediction((90, 60), sure=False),
    "large": prediction((900, 1350)),
}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("p"), PHOTOS, [f"bad {NASTY}.png"])


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def test_the_page_needs_nothing_else_and_lets_nothing_else_act(html):
    body = html.partition("<script>")[0]
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["'`]?([^"'`\s>)]*)""", body)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "{{" not in body
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (own,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.S)
        sealed = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sealed}'" in policy
    assert not re.search(r"<[^>]*\s(?:on\w+|style)=", body)


def test_names_are_text_everywhere(html):
    assert html.count("</script>") == 2
    assert "<b>&'" not in html
    assert "&lt;/script&gt;" in html
    assert data_of(html)["frames"][1]["title"] == NASTY
    assert "<h2 id=h-failed>Not predicted</h2>" in html


def test_it_says_where_the_focal_length_is_from_and_what_predicted(html):
    assert "by the photo&#x27;s EXIF" in html
    assert "trained at 24x32; research use" in html
    assert "The first" not in html


@pytest.mark.parametrize("place", range(3))
def test_the_page_holds_what_was_predicted(html, place):
    frame, found = data_of(html)["frames"][place], [*PHOTOS.values()][place]
    step = frame["step"]
    assert step == (3 if max(found.depth.shape) > 640 else 1)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(frame["maps"])), np.uint8)
    planes = planes.reshape(3, 3, *frame["shape"])
    values = planes[:, 0] + 256 * planes[:, 1].astype(np.int64) + 65536 * planes[:, 2].astype(np.int64)
    signed = np.where(values[2] % 2, -(values[2] + 1) // 2, values[2] // 2)
    depth = signed.cumsum(axis=0).cumsum(axis=1)
    assert np.array_equal(depth, np.rint(1000.0 * found.depth[::step, ::step].astype(float)))
    assert np.array_equal(values[0], found.region[::step, ::step])
    if found.confidence is None:
        assert frame["doubt"] == 0
    else:
        assert np.array_equal(values[1], np.rint(1000 * found.confidence[::step, ::step]))
        assert frame["doubt"] == pytest.approx(198, abs=3)
    assert frame["mean"] == [4000, 2000]
    assert frame["area"] == np.bincount(found.region.ravel())[1:].tolist()
    assert frame["focal"] == pytest.approx([side / step for side in found.camera.focal])
    with Image.open(io.BytesIO(base64.b64decode(frame["jpeg"]))) as image:
        assert image.size == tuple(frame["shape"][::-1])


def test_many_photos_are_shown_small_and_very_many_in_part(tmp_path):
    one = prediction((600, 800))
    photos = {f"{number}": one for number in range(MAX_COUNT + 5)}
    html = page_of(tmp_path, photos)
    assert len(html.encode()) < MAX_BYTES
    assert len(data_of(html)["frames"]) == MAX_COUNT
    assert f"The first {MAX_COUNT} of {MAX_COUNT + 5} are on this page" in html
    assert html.count("<li>") == MAX_COUNT


@pytest.fixture
def opened(html, tmp_path):
    with in_chromium(html, tmp_path) as page:
        yield page


def read(page, name):
    return page.locator(f"#r-{name}").inner_text()


def seen(page):
    """The scene's canvas as the browser shows it."""
    page.wait_for_timeout(300)
    return np.asarray(Image.open(io.BytesIO(page.locator("#cloud").screenshot())).convert("RGB")).astype(int)


def choose(page, group, text):
    page.locator(f"#{group} label", has_text=text).first.click()


def test_what_is_pointed_at_is_read_out(opened):
    box = opened.locator("#stage").bounding_box()
    opened.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    found = PHOTOS["wide"]
    row, column = (int(text) for text in re.findall(r"\d+", read(opened, "pixel")))
    assert read(opened, "depth") == f"{found.depth[row, column]:.3f} m"
    assert read(opened, "confidence") == f"{found.confidence[row, column]:.3f}"
    assert read(opened, "support") == "2.000 m"
    assert read(opened, "region").startswith("2, ")
    choose(opened, "strip", NASTY)
    # By locators: the page's policy lets no function be polled for.
    opened.locator("#r-confidence", has_text="not predicted").wait_for()
    assert opened.locator("#title").inner_text() == NASTY
    sizes = opened.evaluate("[...document.querySelectorAll('.panel canvas')].map(c => [c.height, c.width])")
    assert sizes == [[90, 60]] * 5


def test_the_scene_is_drawn_and_can_be_turned(opened):
    opened.locator("#cloud").scroll_into_view_if_needed()
    for name, found in PHOTOS.items():
        choose(opened, "strip", name)
        opened.locator(f"#cloud[data-photo={json.dumps(name)}]").wait_for()
        step = 3 if name == "large" else 1
        camera = found.camera._replace(
            focal=tuple(side / step for side in found.camera.focal),
            centre=tuple(side / step for side in found.camera.centre),
        )
        depth = np.rint(1000 * found.depth[::step, ::step].astype(float)) / 1000
        expected = scene.solid(scene.grid_of(depth, camera, most=10**6)).sum()
        assert opened.locator("#cloud").get_attribute("data-points") == str(expected)
    front = seen(opened)
    assert len(np.unique(front.reshape(-1, 3), axis=0)) > 100
    for button in ("aside", "above"):
        opened.locator(f"#{button}").click()
        turned = seen(opened)
        assert np.abs(turned - front).mean() > 5
    opened.locator("#home").click()
    assert np.abs(seen(opened) - front).mean() < 1
    opened.locator("#cloud").focus()
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("+")
    assert np.abs(seen(opened) - front).mean() > 1
    opened.locator("#home").click()
    box = opened.locator("#cloud").bounding_box()
    opened.mouse.move(box["x"] + 100, box["y"] + 100)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 200, box["y"] + 120)
    opened.mouse.up()
    assert np.abs(seen(opened) - front).mean() > 1


def test_what_acts_has_a_name(opened):
    for role, name in acting_parts(opened):
        assert name.strip(), role


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    opened.wait_for_timeout(200)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_a_photo_of_one_pixel(tmp_path):
    found = prediction((1, 1))
    with in_chromium(page_of(tmp_path, {"dot": found}), tmp_path) as page:
        assert read(page, "depth").endswith(" m")
        assert page.locator("#cloud").get_attribute("data-points") == "1"
