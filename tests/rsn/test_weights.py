"""Weights that come with the package: found by name, taken where none are named, paths before names."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rsn
from rsgt.inputs import InputError
from rsn import weights
from rsn.cli import main
from tests.rsn.checkpoints import write_checkpoint


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An installation with two networks; a folder of a run stands in for a published one."""
    folder = tmp_path / "installed"
    for number, name in enumerate(("rooms", "nyu")):
        (folder / name).mkdir(parents=True)
        write_checkpoint(folder / name / "best.ckpt", store=f"store {number}")
        (folder / name / "config.json").write_text("{}")
    monkeypatch.setattr(weights, "FOLDER", folder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_names_and_places(shipped):
    assert weights.names() == ["nyu", "rooms"]
    assert weights.shipped(None) == shipped / "nyu"
    assert weights.shipped("rooms") == shipped / "rooms"
    assert weights.shipped("run/best.ckpt") == "run/best.ckpt"
    assert weights.shipped("other") == "other"
    (shipped / "nyu" / "config.json").unlink()
    assert weights.shipped(None) == shipped / "rooms"


def test_a_path_that_is_there_is_that_path(shipped, tmp_path):
    (tmp_path / "here" / "rooms").mkdir()
    assert weights.shipped("rooms") == "rooms"
    with pytest.raises(InputError, match="rooms: no such checkpoint: a folder without best.ckpt"):
        rsn.load("rooms", device="cpu")


@pytest.mark.parametrize(("given", "store"), [((), 1), (("nyu",), 1), (("rooms",), 0)])
def test_weights_are_loaded_by_name_and_without_one(shipped, given, store):
    assert rsn.load(*given, device="cpu").contents["store"] == f"store {store}"


def test_a_photo_is_predicted_without_a_checkpoint(shipped, tmp_path):
    Image.fromarray(np.full((30, 40, 3), 120, np.uint8)).save("photo.jpg")
    done = CliRunner().invoke(main, ["predict", "photo.jpg", "--device", "cpu"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr == "weights: best.ckpt: generation, trained at 24x32\n"
    assert (tmp_path / "here" / "predicted" / "photo.glb").exists()
    assert (tmp_path / "here" / "predicted" / "predicted.html").exists()


def test_an_installation_without_weights_says_so(shipped, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "here")
    with pytest.raises(InputError, match="none came with this installation; give a checkpoint"):
        rsn.load(device="cpu")
