"""Frames to measure on: real ones beside the checkout where they are, else rendered rooms."""

import subprocess
import sys
from pathlib import Path

import pytest

import rsgt

REAL = Path(__file__).parents[2] / "shared" / "nyu"
FRAMES = 24


@pytest.fixture(scope="session")
def mat(tmp_path_factory, request):
    """Path of a labelled file: 24 frames for measuring, 2 small ones where timing is off."""
    path = tmp_path_factory.mktemp("bench") / "frames.mat"
    option = request.config.getoption
    timing = option("benchmark_enable") or not option("benchmark_disable")
    if timing and (REAL / "make_mat.py").exists():
        command = [sys.executable, REAL / "make_mat.py", path, "--frames", f"1-{FRAMES}"]
        subprocess.run(command, check=True, capture_output=True)
    else:
        rsgt.write_rooms(
            path, frames=FRAMES if timing else 2, seed=0, shape=(480, 640) if timing else (96, 128)
        )
    return path


@pytest.fixture(scope="session")
def frames(mat):
    """(depth_m, semantic, rgb) of every frame."""
    source = rsgt.open_source(mat)
    everything = range(len(source.frame_ids))
    return [*zip(source.depth(everything), source.semantic(everything), source.rgb(everything), strict=True)]


@pytest.fixture
def one_thread():
    """PyTorch on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def over(function, frames):
    """Run over all frames and return the results, so that one round is one pass over the set."""
    return [function(*frame) for frame in frames]
