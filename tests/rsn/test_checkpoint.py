"""Checkpoints: whole or not at all, and read without running what is in them."""

import pickle
import random

import numpy as np
import pytest
import torch

from rsgt.inputs import InputError
from rsn.training import checkpoint


def contents(**changes):
    return {
        "network": {"name": "generation", "arguments": {"width": 8}},
        "weights": {"w": torch.arange(3.0)},
        "average": None,
        "config": {"run": {"seed": 3}},
        "store": "abc",
        "commit": "0a1b",
        "epoch": 2,
        "step": 0,
        "training": None,
        **changes,
    }


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, contents())
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.pop("weights")["w"], torch.arange(3.0))
    assert loaded.pop("rsn")
    assert (loaded.pop("format"), loaded.pop("version")) == ("rsn-checkpoint", 1)
    assert loaded == {key: value for key, value in contents().items() if key != "weights"}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, contents(epoch=1))

    def full(_, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, contents(epoch=2))
    assert checkpoint.load(path)["epoch"] == 1


class Malicious:
    def __reduce__(self):
        return (pytest.fail, ("code from a checkpoint was run",))


def truncated(path):
    checkpoint.save(path, contents())
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="folder"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_text("<html>"), id="html"),
        pytest.param(lambda path: path.write_bytes(pickle.dumps(Malicious())), id="pickle"),
        pytest.param(lambda path: torch.save(Malicious(), path), id="code"),
        pytest.param(lambda path: torch.save({"w": torch.ones(1)}, path), id="weights"),
        pytest.param(lambda path: torch.save([1], path), id="list"),
        pytest.param(truncated, id="truncated"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, make):
    path = tmp_path / "bad.ckpt"
    make(path)
    with pytest.raises(InputError, match=r"bad\.ckpt: .*checkpoint") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_another_version_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "new.ckpt"
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    checkpoint.save(path, contents())
    monkeypatch.undo()
    with pytest.raises(InputError, match="got checkpoint version 2, expected 1"):
        checkpoint.load(path)


def test_random_states_survive_the_file(tmp_path):
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item(), np.random.randn()  # noqa: NPY002

    np.random.randn()  # noqa: NPY002 (half of a pair: the other half is part of the state)
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, contents(training={"random": checkpoint.random_states()}))
    expected = [draw(), draw()]
    checkpoint.restore_random_states(checkpoint.load(path)["training"]["random"])
    assert [draw(), draw()] == expected
