"""Loading batches against decoding the same chunks without PyTorch: what is lost on the way."""

import multiprocessing
import statistics
import time
from functools import cache

import pytest
import torch

from rsgt.store import open_store
from rsn.dataset import Frames, loader
from tests.rooms import write_rooms

ARRAYS = ("depth", "region", "support")
COUNT, BATCH = 32, 4
BATCHES = [list(range(first, first + BATCH)) for first in range(0, COUNT, BATCH)]
opened = cache(open_store)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("rooms") / "store.zarr"
    return write_rooms(path, train=COUNT, test=0, shape=(480, 640), shard_frames=16)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def decode(path, frames):
    """Read the chunks of some frames and drop them; returns how many bytes they held."""
    store = opened(path)
    return sum(store.read(name, i, i + 1).nbytes for i in frames for name in ("rgb", *ARRAYS))


def load(batches):
    return sum(len(batch["frame"]) for batch in batches)


@pytest.mark.benchmark(group="32 frames of 480x640, one process")
def test_one_process_decodes(benchmark, path):
    total = benchmark.pedantic(
        lambda: sum(decode(path, batch) for batch in BATCHES), rounds=5, warmup_rounds=1
    )
    assert total == COUNT * 480 * 640 * 15


@pytest.mark.benchmark(group="32 frames of 480x640, one process")
@pytest.mark.parametrize("size", [(480, 640), (240, 320)], ids=["whole", "half"])
def test_one_process_loads(benchmark, path, size):
    batches = loader(Frames(open_store(path), ARRAYS, size), BATCHES, workers=0)
    assert benchmark.pedantic(load, (batches,), rounds=5, warmup_rounds=1) == COUNT


@pytest.mark.benchmark(group="share of the bare decode rate, batch against batch")
@pytest.mark.parametrize("size", [(480, 640), (240, 320)], ids=["whole", "half"])
def test_share_of_the_bare_decode_rate(benchmark, path, size):
    """Decode and load each batch one right after the other: both see the same load of the machine."""
    batches = iter(loader(Frames(open_store(path), ARRAYS, size), BATCHES * 5, workers=0))
    bare, loaded = [], []

    def alternate():
        for frames in BATCHES * 5:
            begun = time.perf_counter()
            decode(path, frames)
            between = time.perf_counter()
            next(batches)
            bare.append(between - begun)
            loaded.append(time.perf_counter() - between)

    benchmark.pedantic(alternate, rounds=1)
    benchmark.extra_info["share"] = statistics.median(bare) / statistics.median(loaded)


@pytest.mark.benchmark(group="32 frames of 480x640, two processes")
def test_two_processes_decode(benchmark, path):
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        work = [(path, batch) for batch in BATCHES]
        total = benchmark.pedantic(
            lambda: sum(pool.starmap(decode, work, chunksize=1)), rounds=5, warmup_rounds=1
        )
    assert total == COUNT * 480 * 640 * 15


@pytest.mark.benchmark(group="32 frames of 480x640, two processes")
@pytest.mark.parametrize("size", [(480, 640), (240, 320)], ids=["whole", "half"])
def test_two_processes_load(benchmark, path, size):
    batches = loader(Frames(open_store(path), ARRAYS, size), BATCHES, workers=2)
    assert benchmark.pedantic(load, (batches,), rounds=5, warmup_rounds=1) == COUNT


@pytest.mark.benchmark(group="32 frames of 480x640, one process")
def test_the_cache_loads(benchmark, path):
    batches = loader(Frames(open_store(path), ARRAYS, (240, 320), cache=True), BATCHES, workers=0)
    assert benchmark.pedantic(load, (batches,), rounds=5, warmup_rounds=1) == COUNT
