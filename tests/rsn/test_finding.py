"""Photos by files, folders and patterns; many at once."""

import gc
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from rsn.cli import main
from rsn.photos.finding import find_photos
from tests.rsn.checkpoints import write_checkpoint


def photos_in(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 12, 3), 90, np.uint8)).save(path)
    return folder


@pytest.fixture
def folder(tmp_path):
    photos_in(tmp_path / "p", "b.JPG", "a.png", "deep/c.png", "deep/er/d.jpg", ".hidden.png")
    (tmp_path / "p" / "notes.txt").write_text("no photo")
    return tmp_path / "p"


def named(folder, *places):
    photos, barren = find_photos([folder / place for place in places])
    return [str(path.relative_to(folder)) for path in photos], [path.name for path in barren]


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["."], ["a.png", "b.JPG"]),
        (["deep", "a.png"], ["deep/c.png", "a.png"]),
        (["*"], ["a.png", "b.JPG"]),
        (["*.png"], ["a.png"]),
        (["?.[jJ]*"], ["b.JPG"]),
        (["**/*.png"], ["a.png", "deep/c.png"]),
        (["deep/**/*"], ["deep/c.png", "deep/er/d.jpg"]),
        (["absent.png", "notes.txt"], ["absent.png", "notes.txt"]),
    ],
)
def test_places_become_photos(folder, places, found):
    assert named(folder, *places) == (found, [])


def test_places_without_a_photo_are_named(folder):
    (folder / "empty").mkdir()
    assert named(folder, "empty", "*.gif", "a.png") == (["a.png"], ["empty", "*.gif"])


def test_a_file_whose_name_is_a_pattern_is_that_file(folder):
    photos_in(folder, "x[1].png", "x1.png")
    assert named(folder, "x[1].png")[0] == ["x[1].png"]


def test_what_predictions_wrote_is_no_photo_of_a_folder(folder):
    for end in (".depth.npy", ".depth.png", ".picture.png", ".labels.png"):
        (folder / f"a{end}").write_bytes(b"")
    assert named(folder, ".", "*")[0] == ["a.png", "b.JPG"] * 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("c") / "a.ckpt")


def test_fifty_photos_with_three_bad_ones(checkpoint, tmp_path):
    names = [f"{number:02}.png" for number in range(50)]
    folder = photos_in(tmp_path / "p", *names)
    for number, damage in ((7, b""), (20, b"no image"), (44, (folder / "44.png").read_bytes()[:40])):
        (folder / f"{number:02}.png").write_bytes(damage)
    arguments = ["predict", folder, "--checkpoint", checkpoint, "--out", tmp_path / "o", "--device", "cpu"]
    arguments += ["--points", "0", "--no-flip"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert done.exit_code == 1
    told = [*map(json.loads, done.stdout.splitlines())]
    assert [Path(one["photo"]).name for one in told] == names
    assert [Path(one["photo"]).name for one in told if "error" in one] == ["07.png", "20.png", "44.png"]
    assert len(list((tmp_path / "o").glob("*.depth.npy"))) == 47
    text = (tmp_path / "o" / "predicted.html").read_text()
    assert "<h1>47 photos</h1>" in text
    assert text.count("<dt>") - text.count("<dt>Depth") > 3
    again = CliRunner().invoke(main, [*map(str, arguments), "--no-page"])
    assert again.exit_code == 1
    assert len(again.stderr.splitlines()) == 3
    assert again.stdout.splitlines()[-1] == "47 of 50 photos predicted"


def test_lines_come_as_photos_are_done(checkpoint, tmp_path, monkeypatch):
    """Each is printed before the next is read."""
    from rsn.photos import files

    folder = photos_in(tmp_path / "p", "a.png", "b.png")
    order = []
    opened = files.open_photo
    monkeypatch.setattr(files, "open_photo", lambda path: order.append(path.name) or opened(path))
    monkeypatch.setattr("click.echo", lambda text="", **_: order.append(text[:12]))
    arguments = ["predict", folder, "--checkpoint", checkpoint, "--out", tmp_path / "o", "--json"]
    CliRunner().invoke(main, [*map(str, arguments), "--points", "0", "--no-page", "--device", "cpu"])
    assert order == ["a.png", '{"photo": "/', "b.png", '{"photo": "/']


def test_memory_does_not_grow_with_the_number_of_photos(checkpoint, tmp_path):
    """What Python holds after 4 photos and after 40, with no page, which keeps small pictures of each."""
    from rsn.experiment import load

    folder = photos_in(tmp_path / "p", *(f"{number:02}.png" for number in range(40)))
    found = load(checkpoint, device="cpu").predict_files([folder], tmp_path / "o", points=0, page=False)
    held = {}
    tracemalloc.start()
    for number, _ in enumerate(found):
        if number in (4, 39):
            gc.collect()
            held[number] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held[39] < held[4] + 300_000
