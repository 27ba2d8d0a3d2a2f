"""The public API: names, predictors of photos in every form, runs by name, frames for PyTorch."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

import rsn
from rsgt import DataWarning
from rsn.config import all_keys
from tests.rooms import write_rooms
from tests.rsn.checkpoints import write_checkpoint

ROOT = Path(__file__).parents[2]
TINY = {
    "size": (24, 32), "width": 8, "epochs": 1, "workers": 0, "batch_size": 2, "validation": 0.2,
    "device": "cpu", "precision": "32",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=6, test=2)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    assert rsn.fit(store, out, model="generation", stream=None, **TINY).complete
    return out


@pytest.fixture(scope="module")
def predictor(run):
    return rsn.load(run, device="cpu")


def colour(seed, shape=(30, 40)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (shape[0] // 5, shape[1] // 5, 3), np.uint8)
    return coarse.repeat(5, axis=0).repeat(5, axis=1)


def test_the_package_is_light_and_lists_its_names():
    code = "import sys, rsn; print('torch' in sys.modules, set(rsn.__all__) <= set(dir(rsn)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


@pytest.mark.parametrize("name", rsn.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert (getattr(rsn, name).__doc__ or "").strip()


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = rsn.train


def test_a_photo_in_every_form_is_one_photo(predictor, tmp_path):
    rgb = colour(0)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    whole = predictor.predict(rgb)
    assert (whole.depth.shape, whole.depth.dtype) == ((30, 40), np.float32)
    assert (whole.support.shape, whole.support.dtype) == ((30, 40), np.float32)
    assert (whole.region.shape, whole.region.dtype) == ((30, 40), np.int32)
    assert whole.region.min() == 1
    with Image.open(tmp_path / "a.png") as image:
        for photo in (tmp_path / "a.png", str(tmp_path / "a.png"), image, Image.fromarray(rgb)):
            found = predictor.predict(photo)
            for name in ("depth", "support", "region"):
                assert np.array_equal(getattr(found, name), getattr(whole, name))
    with pytest.raises(FrozenInstanceError):
        whole.depth = whole.support
    assert repr(whole).startswith("<rsn.Prediction 30x40: ")


def test_several_photos_come_back_in_order_as_one_by_one(predictor):
    photos = [colour(1), colour(2, (40, 30)), colour(3), colour(4), colour(5)]
    alone = [predictor.predict(photo) for photo in photos]
    exact = predictor.predict(photos, batch_size=1)
    together = predictor.predict(tuple(photos), batch_size=3)
    assert [found.depth.shape for found in together] == [photo.shape[:2] for photo in photos]
    for one, same, near in zip(alone, exact, together, strict=True):
        assert np.array_equal(one.depth, same.depth)
        assert np.array_equal(one.region, same.region)
        # Convolutions round differently for another number of photos.
        assert np.allclose(one.depth, near.depth, rtol=1e-4, atol=1e-4)
        assert np.allclose(one.support, near.support, rtol=1e-3, atol=1e-3)
    assert predictor.predict([]) == []


def test_the_mirrored_photo_is_averaged_in(run, predictor):
    rgb = colour(6)
    both = rsn.load(run, device="cpu", flip=True).predict(rgb)
    one, other = predictor.predict(rgb).depth, predictor.predict(rgb[:, ::-1]).depth[:, ::-1]
    assert np.allclose(both.depth, (one + other) / 2, atol=1e-4)


def test_the_camera_comes_along(predictor):
    found = predictor.predict(colour(7), focal=(50.0, 60.0), centre=(1.0, 2.0))
    assert (found.camera.focal, found.camera.centre, found.camera.source) == ((50, 60), (1, 2), "option")
    assert predictor.predict(colour(7)).camera.source == "assumed"


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)]
)
def test_an_array_that_is_no_photo_is_refused(predictor, wrong):
    with pytest.raises(rsn.InputError, match="expected colour .height, width, 3. of type uint8"):
        predictor.predict(wrong)


def test_what_needs_a_store_predicts_its_frames_and_no_photo(store, tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": "refinement"})
    guided = rsn.load(path, device="cpu")
    with pytest.raises(rsn.InputError, match="guided by true region support of a store"):
        guided.predict(colour(8))
    (found,) = guided.predict_frames(store, [1], full_size=["depth"])
    assert (found.frame, found.depth.shape, found.truth["depth"].shape) == (1, (48, 64), (48, 64))
    assert "refinement guided by true region support" in repr(guided)


def test_a_predictor_says_what_it_is(predictor, run):
    for text in ("generation", "478,878 parameters", "24x32", "epoch 1", str(run / "best.ckpt"), "cpu"):
        assert text in repr(predictor)


def test_a_folder_means_its_best_checkpoint_else_the_last_with_a_warning(store, run, tmp_path):
    assert rsn.load(run, device="cpu").checkpoint == run / "best.ckpt"
    whole = tmp_path / "whole"
    result = rsn.fit(store, whole, model="generation", stream=None, **TINY | {"validation": 0.0})
    assert result.checkpoint == whole / "last.ckpt"
    with pytest.warns(DataWarning, match=r"has no best\.ckpt, so its last\.ckpt is used"):
        assert rsn.load(whole, device="cpu").checkpoint == whole / "last.ckpt"
    with pytest.raises(rsn.InputError, match="no such checkpoint: a folder without"):
        rsn.load(tmp_path, device="cpu")


def test_a_recipe_by_name_takes_settings_over_it(store):
    plan = rsn.describe(store, recipe="cpu/clustering", **TINY | {"generation": ""})
    assert plan["config"]["network"]["model"] == "clustering"
    assert plan["config"]["network"]["width"] == 8
    assert plan["config"]["optimizer"]["optimizer"] == "adamw"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "unknown key: 'epoch'; did you mean 'epochs'"),
        ({"recipe": "cpu/generatoin"}, "cannot read the recipe .*cpu/generation"),
        ({"width": 3}, "width: got 3"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_name(store, tmp_path, changes, message):
    with pytest.raises(rsn.InputError, match=message):
        rsn.fit(store, tmp_path / "run", stream=None, **changes)
    assert not (tmp_path / "run").exists()


def test_no_setting_is_also_an_argument():
    assert not {item.name for _, item, _ in all_keys()} & {"store", "out", "recipe", "resume", "stream"}


def test_protocols_come_by_name_or_whole(store, run):
    options = {"device": "cpu", "stream": None}
    named = rsn.evaluate(run, store, "paper", align="scale", **options)
    (protocol,) = named["protocols"].values()
    whole = rsn.evaluate(run, store, rsn.Protocol(**protocol), **options)
    assert whole["metrics"] == named["metrics"]
    assert protocol["name"] == "paper+scale"


@pytest.mark.parametrize("workers", [0, 1])
def test_frames_are_a_dataset_of_pytorch(store, workers):
    frames = rsn.Frames(store, ("depth", "support", "region", "semantic"), (24, 32))
    item = frames[-1]
    assert {name: tuple(value.shape) for name, value in item.items()} == {
        "frame": (), "rgb": (3, 24, 32), "depth": (1, 24, 32), "support": (1, 24, 32),
        "region": (1, 24, 32), "semantic": (1, 24, 32),
    }  # fmt: skip
    batches = list(DataLoader(frames, batch_size=3, num_workers=workers))
    assert [len(batch["rgb"]) for batch in batches] == [3, 3, 2]
    assert (batches[-1]["rgb"][-1] == item["rgb"]).all()
    assert len(list(frames)) == len(frames) == 8
    assert rsn.Frames(store)[0]["depth"].shape == (1, 48, 64)
