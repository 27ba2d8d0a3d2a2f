"""What a run looks like: its curves, its page in a browser, the pictures of what it predicted."""

import random
import re
import shutil
from html import unescape

import numpy as np
import pytest
import torch
from PIL import Image

from rsn.experiment import fit_config
from rsn.training import run_page, showing
from tests.chromium import in_chromium
from tests.rooms import write_rooms
from tests.rsn.test_experiment import quick

ABOUT = {"model": "generation", "stores": "<rooms>", "epochs": 40, "trained by": {"torch": "9.9"}}


def rows(count, **more):
    return [
        {"epoch": k, "loss": 2 / k, "lr": 1e-3, "rmse": 1 / k, "abs_rel": 0.2, "delta1": 0.6, "seconds": 2.0}
        | more
        for k in range(1, count + 1)
    ]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    store = write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=12, test=2)
    assert fit_config(quick(model="generation", epochs=2, validation=0.4), store, folder, stream=None)
    return folder


def test_a_run_shows_its_course(out):
    with Image.open(out / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 800
        assert np.asarray(image.convert("L")).std() > 5
    html = (out / "run.html").read_text()
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S)))
    log = (out / "log.csv").read_text().splitlines()
    best = min(float(line.split(",")[3]) for line in log[1:])
    for words in (
        "RMSE on held-out frames (m)", "learning rate", f"{best:.3f} m", "2 of 2", "rmse (m)",
        "Epoch 2, RMSE on all held-out frames", 'model = "generation"', "Colour, and true depth",
    ):  # fmt: skip
        assert words in text
    assert len(re.findall("<svg", html)) == 3
    assert len(re.findall('<img src="data:image/jpeg', html)) == 3
    assert sorted(file.name for file in (out / "samples").iterdir()) == [
        "00001.png",
        "00002.png",
        "truth.png",
    ]


def test_the_page_needs_nothing_else_and_lets_nothing_act(out):
    html = (out / "run.html").read_text()
    assert "<script" not in html
    assert "{{" not in html
    assert "unsafe" not in html
    assert "http" not in re.sub("http-equiv", "", html)
    assert not re.search(r"<[^>]*\s(?:on\w+|style)=", html)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.slow
def test_the_page_in_a_browser(out, tmp_path, width):
    html = (out / "run.html").read_text()
    with in_chromium(html, tmp_path, ready="svg") as page:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(shown) == 3
        assert min(shown) > 100
        assert page.locator("h1").inner_text() == "run"
        assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"


@pytest.mark.parametrize("count", [1, 2, 40, 300])
def test_runs_of_any_length(tmp_path, count):
    run_page.write_pictures(tmp_path, rows(count), ABOUT, "a = 1")
    html = (tmp_path / "run.html").read_text()
    assert f"{count} of 40" in html
    assert "&lt;rooms&gt;" in html
    assert "nan" not in html.partition("</style>")[2].lower()


def test_nothing_held_out_and_rows_of_several_stores(tmp_path):
    bare = [{key: row[key] for key in ("epoch", "loss", "lr", "seconds")} for row in rows(3)]
    run_page.write_pictures(tmp_path, bare, ABOUT, "")
    html = (tmp_path / "run.html").read_text()
    assert "Nothing is held out" in html
    assert "RMSE" not in html.partition("</style>")[2]
    run_page.write_pictures(tmp_path, rows(3, **{"rmse a<b": 0.5, "share a<b": 0.7}), ABOUT, "")
    assert "rmse a&lt;b" in (tmp_path / "run.html").read_text()


def test_a_rate_of_zero_and_numbers_that_are_none(tmp_path):
    run_page.write_pictures(tmp_path, rows(2, lr=0.0, loss=float("nan")), ABOUT, "")
    run_page.write_pictures(tmp_path, rows(1, lr=0.0, rmse=float("inf")), ABOUT, "")


def test_epochs_are_shown_evenly_and_few(tmp_path):
    truth = np.linspace(1, 3, 12 * 16, dtype=np.float32).reshape(12, 16)
    run_page.write_truth(tmp_path, [np.zeros((12, 16, 3), np.uint8)], [truth])
    for epoch in range(1, 61):
        run_page.write_sample(tmp_path, epoch, [truth * epoch / 60], [truth])
    html = run_page.page(tmp_path, rows(60), ABOUT, "")
    shown = [int(found) for found in re.findall(r"<figcaption>Epoch (\d+)", html)]
    assert (len(shown), shown[0], shown[-1]) == (run_page.MOST_EPOCHS, 1, 60)


def test_depth_is_painted_by_the_range_of_its_truth():
    truth = np.array([[1.0, 2.0], [3.0, 0.0]])
    same, far = run_page._depth(truth, truth), run_page._depth(np.full((2, 2), 9.0), truth)
    assert (same[1, 1] == 185).all()
    assert (far == same[1, 0]).all()
    assert len(np.unique(same.reshape(-1, 3), axis=0)) == 4
    assert run_page._depth(np.ones((2, 2)), np.zeros((2, 2))).shape == (2, 2, 3)


def test_pictures_of_frames_of_different_sizes_stand_beside_each_other():
    one = np.zeros((10, 20, 3), np.uint8)
    assert run_page._beside([one, one[:5]]).shape == (14, 48, 3)


def test_drawing_takes_no_random_number(out, tmp_path):
    shutil.copytree(out / "samples", tmp_path / "samples")
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    run_page.write_pictures(tmp_path, rows(3), ABOUT, "")
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert before == after


def test_a_run_is_drawn_at_times_only(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(run_page, "write_pictures", lambda *_: drawn.append(1))
    now = iter([0.0, 10.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(showing.time, "monotonic", lambda: next(now))
    shown = showing.Showing(tmp_path, [], {})
    for expected in (0, 1, 1):
        shown.draw_at_times(rows(1), "")
        assert len(drawn) == expected
    shown.draw([], "")
    assert len(drawn) == 1
