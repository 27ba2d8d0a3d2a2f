"""Fixtures: files in NYU's layout made from known arrays, and the real frames where they are at hand."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import settings

from rsgt.builder import Parameters, compile_kernels
from rsgt.sources import facts, nyu
from rsgt.sources.cameras import nyu_camera
from tests.object_server import be_client, object_server

# No test depends on how fast the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REAL = Path(__file__).parents[2] / "shared" / "nyu"

# What nobody foresaw must fail a test with its traceback, not end as the one line that a user sees.
os.environ.setdefault("RSGT_DEBUG", "1")
TORTURE = bool(os.environ.get("RSGT_TORTURE"))


def often(few, many):
    """How many faults of a kind to try: ``few`` in `make test`, ``many`` in `make torture`."""
    return many if TORTURE else few


def pytest_sessionstart(session):
    """Compile the kernels once, before several pytest workers would do it side by side."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        for parameters in (
            Parameters(),
            Parameters(instances=True),
            Parameters(grouping="natural"),
            Parameters(variant="published"),
        ):
            compile_kernels(parameters)


def pytest_collection_modifyitems(items):
    """Begin with the slow ones, so that no worker waits for another at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish(session):
    """See that tests of one group go to one worker: several would make what is made once for all of them."""
    if session.config.getoption("loadgroup", False):
        lost = [
            i.nodeid for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid
        ]
        assert not lost, f"pytest-xdist does not group with this pytest: {lost[0]}"


def smooth_frames(n, shape=(24, 32), seed=0, raw_holes=True):
    """Known arrays in the store's axes: slanted planes per category, with 64ths of a metre as noise."""
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[:height, :width]
    rgb = rng.integers(0, 256, (n, height, width, 3), np.uint8)
    semantic = rng.integers(0, 5, (n, 4, 4)).repeat(-(-height // 4), 1).repeat(-(-width // 4), 2)
    semantic = semantic[:, :height, :width].astype(np.uint16) * 7
    depth = 1 + semantic / 8 + (x + 2 * y) / 32 + rng.integers(0, 8, (n, height, width)) / 64
    depth = depth.astype(np.float32)
    raw = depth.copy()
    if raw_holes:
        raw[:, :2] = 0
    instance = (semantic > 0).astype(np.uint8) * (1 + (x > width // 2)).astype(np.uint8)
    return {"images": rgb, "depths": depth, "rawDepths": raw, "labels": semantic, "instances": instance}


def write_nyu(path, arrays, *, layout="frame", scenes=None, names=None, skip=(), options=None):
    """Write (frame, y, x[, channel]) arrays as a labelled NYU file: MATLAB's axes, names by reference."""
    n = len(arrays["images"])
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            if name in skip:
                continue
            stack = values.transpose(0, *range(values.ndim - 1, 0, -1))
            if layout == "frame":
                how = {"chunks": (1, *stack.shape[1:]), "compression": "gzip"}
            elif layout == "block":
                how = {
                    "chunks": (min(n, 3), *[max(1, s // 3 + 1) for s in stack.shape[1:]]),
                    "compression": "gzip",
                }
            else:
                how = {}
            file.create_dataset(name, data=stack, **{**how, **(options or {})})
        strings = {
            "names": names or facts.nyu_facts()["names894"],
            "scenes": scenes or [f"scene_{i // 2:04d}" for i in range(n)],
        }
        for name, texts in strings.items():
            if name in skip:
                continue
            references = file.create_dataset(name, (1, len(texts)), h5py.ref_dtype)
            for i, text in enumerate(texts):
                item = file.create_dataset(
                    f"#refs#/{name}{i}", data=np.array([[ord(c)] for c in text], np.uint16)
                )
                references[0, i] = item.ref
    return path


@contextmanager
def known_camera():
    """Take files of NYU's layout for NYU's: their frames, of any size, have its camera."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nyu.NyuFile, "intrinsics", property(lambda self: nyu_camera(self.shape)))
        yield


@pytest.fixture
def nyu_file(tmp_path):
    """Ten small frames in NYU's layout, and the arrays that they hold."""
    arrays = smooth_frames(10)
    return write_nyu(tmp_path / "small.mat", arrays), arrays


@pytest.fixture(scope="session")
def real_folder():
    if not (REAL / "make_mat.py").exists():
        pytest.skip("the real frames (shared/nyu beside the checkout) are not here")
    return REAL


@pytest.fixture(scope="session")
def real_mat(real_folder, tmp_path_factory):
    """The first 24 real frames in the official layout."""
    path = tmp_path_factory.mktemp("real") / "real24.mat"
    subprocess.run(
        [sys.executable, real_folder / "make_mat.py", path, "--frames", "1-24"],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture(scope="session")
def endpoint():
    """An object store on this machine, with a bucket ``bucket``."""
    with object_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """URL of the bucket, of which this process and those that it starts are clients."""
    be_client(endpoint, monkeypatch)
    return "s3://bucket"
