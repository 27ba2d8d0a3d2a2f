"""Training and evaluation on a store by URL: the same weights and figures as on the folder."""

import json
import subprocess
import sys

import pytest
import torch

import rsgt
import rsn
from rsn.data.dataset import EpochBatches, Frames, loader
from tests.conftest import smooth_frames, write_nyu

pytestmark = pytest.mark.slow


@pytest.fixture
def stores(bucket, tmp_path):
    """One store in a folder and by URL."""
    write_nyu(tmp_path / "a.mat", smooth_frames(12, shape=(32, 40)))
    made = {"shard_frames": 4, "min_size": 4, "workers": 1}
    return [
        rsgt.build(tmp_path / "a.mat", out, **made)
        for out in (tmp_path / "s.zarr", f"{bucket}/{tmp_path.name}/s.zarr")
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches(stores, workers):
    found = [
        [*loader(Frames(store, size=(24, 32)), EpochBatches(range(12), 4, shard_frames=4), workers=workers)]
        for store in stores
    ]
    for mine, theirs in zip(*found, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_same_weights_and_figures(stores, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "rsn", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    few = ["--size", "32x32", "--width", "8", "--epochs", "1", "--batch-size", "2", "--device", "cpu",
           "--precision", "32", "--validation", "0.25", "--workers", "0"]  # fmt: skip
    figures, weights = [], []
    for k, store in enumerate(stores):
        out = tmp_path / f"run{k}"
        run("fit", "--store", store.path, "--out", out, *few, "--json")
        weights.append(rsn.load(out, device="cpu").network.state_dict())
        told = json.loads(
            run("evaluate", "--store", store.path, "--checkpoint", out, "--device", "cpu", "--json")
        )
        figures.append(told["metrics"])
    assert figures[0] == figures[1]
    mine, theirs = weights
    assert mine
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
