"""Runs that are killed at any moment, or between any two files, and then end as if they had not been."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rsgt import files
from rsgt.inputs import InputError
from rsn.config import from_plain, to_toml
from rsn.experiment import fit_config
from rsn.training import checkpoint, progress
from tests.conftest import often
from tests.rooms import write_rooms

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "network": {"model": "refinement", "width": 8, "iterations": 1},
    "data": {"size": [16, 16], "workers": 0, "validation": 0.2},
    "optimizer": {"optimizer": "adamw", "lr": 3e-3, "schedule": "one-cycle", "ema": 0.5},
    "loss": {"linear_epochs": 1, "iteration_weights": [1.0]},
    "run": {"epochs": 5, "device": "cpu", "seed": 1},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=12, test=2, shape=(24, 32))


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """The run that nothing happens to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert fit_config(from_plain(SETTINGS), store, out, stream=None)
    return out


def flat(value, path=""):
    """Every plain value and tensor in nested tables, by its path; not the seconds."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            k: v for key, inner in pairs if key != "seconds" for k, v in flat(inner, f"{path}/{key}").items()
        }
    return {path: value}


def without_seconds(table):
    return [line.rpartition(",")[0] for line in table.splitlines()]


def assert_the_same(out, whole):
    for name in ("last.ckpt", "best.ckpt"):
        one, two = (flat(checkpoint.load(folder / name)) for folder in (out, whole))
        assert one.keys() == two.keys()
        assert one.pop("/run") != two.pop("/run")  # each its own name, and all else equal
        for key, value in one.items():
            same = torch.equal(value, two[key]) if torch.is_tensor(value) else value == two[key]
            assert same, f"{name}: {key}"
    for name in ("log.csv", "config.toml"):
        one, two = ((folder / name).read_text() for folder in (out, whole))
        assert without_seconds(one) == without_seconds(two) if name == "log.csv" else one == two, name
    assert sorted(file.name for file in out.iterdir()) == sorted(file.name for file in whole.iterdir())


def test_interrupted_at_random(store, whole, tmp_path, capsys):
    """SIGKILL, SIGINT, or SIGINT twice, from the start of training on; the last run is left to end."""
    draw, counts = random.Random(2), {}
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(from_plain(SETTINGS)), encoding="utf-8")
    for turn in range(often(1, 20)):
        out = tmp_path / f"run{turn}"
        command = [sys.executable, "-m", "rsn", "fit", "--store", store, "--out", out, "--resume"]
        how = ["SIGKILL", "SIGINT", "SIGINT twice"][turn % 3]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*command, "--recipe", recipe], cwd=ROOT, env=environment,
                                   stderr=subprocess.PIPE, text=True)  # fmt: skip
        while not (out / "config.toml").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL if how == "SIGKILL" else signal.SIGINT)
        if how == "SIGINT twice":
            time.sleep(draw.uniform(0, 0.05))
            process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
        ended = "ended before" if process.returncode == 0 else how
        assert process.returncode in {"SIGKILL": (-9, 0)}.get(how, (130, 0)), error
        assert "Traceback" not in error
        assert fit_config(from_plain(SETTINGS), store, out, resume=True, stream=None)
        assert_the_same(out, whole)
        counts[ended] = counts.get(ended, 0) + 1
    with capsys.disabled():
        print(f"\nruns: {sum(counts.values())} interrupted ({counts}), each then the same as the whole one")


class Killed(BaseException):
    """What a kill is to the files: nothing after it happens, not even cleaning up."""


@pytest.mark.parametrize("after", range(often(1, 1), often(36, 36), often(7, 1)))
def test_killed_between_two_files(store, whole, tmp_path, monkeypatch, after):
    """Before the n-th file takes its name; a run writes about twenty."""
    out, left = tmp_path / "run", iter(range(after))
    replace = Path.replace

    def replacing(self, target):
        if next(left, None) is None:
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replacing)
        patch.setattr(files, "remove", lambda path: None)
        try:
            fit_config(from_plain(SETTINGS), store, out, stream=None)
        except Killed:
            assert list(out.rglob("*.tmp"))
    assert fit_config(from_plain(SETTINGS), store, out, resume=True, stream=None)
    assert_the_same(out, whole)


@pytest.mark.parametrize("after", range(1, often(30, 60), often(9, 2)))
def test_a_full_disk_keeps_the_state_and_leaves_nothing_half(store, whole, tmp_path, monkeypatch, after):
    """A write that fails is one error that names the file; the same command then goes on."""
    out, left = tmp_path / "run", iter(range(after))
    sync = os.fsync

    def full(file):
        if next(left, None) is None:
            raise OSError(28, "No space left on device", str(out))
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with contextlib.suppress(OSError, InputError):
            assert fit_config(from_plain(SETTINGS), store, out, stream=None)
        assert not list(out.rglob("*.tmp"))
    assert fit_config(from_plain(SETTINGS), store, out, resume=True, stream=None)
    assert_the_same(out, whole)


def test_a_failure_while_judging_loses_nothing(store, whole, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise InputError("frame 7 cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("rsn.experiment.run_setup.predict_frames", fails)
        with pytest.raises(InputError, match="frame 7"):
            fit_config(from_plain(SETTINGS), store, tmp_path / "run", stream=None)
    kept = checkpoint.load(tmp_path / "run" / "last.ckpt")
    assert (kept["epoch"], kept["step"]) == (0, 2)
    with monkeypatch.context() as patch:
        patch.setattr(progress.Ticker, "step", lambda *_: None)
        assert fit_config(from_plain(SETTINGS), store, tmp_path / "run", resume=True, stream=None)
    assert_the_same(tmp_path / "run", whole)
