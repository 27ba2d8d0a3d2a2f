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
    """An installation with two networks."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for number, name in enumerate(("rooms", "nyu")):
        trained = write_checkpoint(tmp_path / "a.ckpt", store=f"store {number}")
        rsn.publish(trained, folder / name, terms="research use" if name == "nyu" else "")
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
    assert done.stderr == "weights: nyu: generation, trained at 24x32; research use\n"
    assert (tmp_path / "here" / "predicted" / "photo.glb").exists()
    assert (tmp_path / "here" / "predicted" / "predicted.html").exists()


def test_every_damaged_file_of_shipped_weights_is_one_line(shipped):
    whole = (shipped / "nyu" / "model.safetensors").read_bytes()
    for name, damage in (
        ("model.safetensors", whole[:-1]),
        ("model.safetensors", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]),
        ("model.safetensors", None),
        ("config.json", b"{}"),
    ):
        path = shipped / "nyu" / name
        before = path.read_bytes()
        path.unlink() if damage is None else path.write_bytes(damage)
        done = CliRunner().invoke(main, ["predict", "photo.jpg", "--device", "cpu"])
        assert done.exit_code == 2, done.output
        assert done.stderr.startswith(f"error: {shipped / 'nyu'}")
        assert len(done.stderr.splitlines()) == 1
        path.write_bytes(before)


def test_an_installation_without_weights_says_so(shipped, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "here")
    with pytest.raises(InputError, match="none came with this installation; give a checkpoint"):
        rsn.load(device="cpu")
