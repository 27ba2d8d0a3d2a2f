"""Loading batches against decoding the same chunks without PyTorch: what is lost on the way."""

import multiprocessing
import statistics
import time
from functools import cache

import pytest

import rsgt
from rsn.data.dataset import Frames, loader

pytestmark = pytest.mark.usefixtures("one_thread")

ARRAYS = ("depth", "region", "support")
SIZES = pytest.mark.parametrize("share", [1, 2], ids=["whole", "half"])
opened = cache(rsgt.open)


@pytest.fixture(scope="module")
def path(mat, tmp_path_factory):
    return rsgt.build(mat, tmp_path_factory.mktemp("store") / "store.zarr", shard_frames=16).path


@pytest.fixture
def batches(path):
    """Frames of the store, four at a time."""
    count = len(opened(path))
    return [list(range(first, min(first + 4, count))) for first in range(0, count, 4)]


def size_of(path, share):
    height, width = opened(path).shape
    return height // share, width // share


def pixels(path):
    return len(opened(path)) * opened(path).shape[0] * opened(path).shape[1]


def decode(path, frames):
    """Read the chunks of some frames and drop them; returns how many bytes they held."""
    store = opened(path)
    return sum(store.read(name, i, i + 1).nbytes for i in frames for name in ("rgb", *ARRAYS))


def load(batches):
    return sum(len(batch["frame"]) for batch in batches)


@pytest.mark.benchmark(group="all frames, one process")
def test_one_process_decodes(benchmark, path, batches):
    total = benchmark.pedantic(
        lambda: sum(decode(path, batch) for batch in batches), rounds=5, warmup_rounds=1
    )
    assert total == pixels(path) * 15


@pytest.mark.benchmark(group="all frames, one process")
@SIZES
def test_one_process_loads(benchmark, path, batches, share):
    feed = loader(Frames(rsgt.open(path), ARRAYS, size_of(path, share)), batches, workers=0)
    assert benchmark.pedantic(load, (feed,), rounds=5, warmup_rounds=1) == len(opened(path))


@pytest.mark.benchmark(group="share of the bare decode rate, batch against batch")
@SIZES
def test_share_of_the_bare_decode_rate(benchmark, path, batches, share):
    """Decode and load each batch one right after the other: both see the same load of the machine."""
    frames = Frames(rsgt.open(path), ARRAYS, size_of(path, share))
    feed = iter(loader(frames, batches * 5, workers=0))
    bare, loaded = [], []

    def alternate():
        for batch in batches * 5:
            begun = time.perf_counter()
            decode(path, batch)
            between = time.perf_counter()
            next(feed)
            bare.append(between - begun)
            loaded.append(time.perf_counter() - between)

    benchmark.pedantic(alternate, rounds=1)
    benchmark.extra_info["share"] = statistics.median(bare) / statistics.median(loaded)
    print(f"\nloading at {benchmark.extra_info['share']:.0%} of the bare decode rate")


@pytest.mark.benchmark(group="all frames, two processes")
def test_two_processes_decode(benchmark, path, batches):
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        work = [(path, batch) for batch in batches]
        total = benchmark.pedantic(
            lambda: sum(pool.starmap(decode, work, chunksize=1)), rounds=5, warmup_rounds=1
        )
    assert total == pixels(path) * 15


@pytest.mark.benchmark(group="all frames, two processes")
@SIZES
def test_two_processes_load(benchmark, path, batches, share):
    feed = loader(Frames(rsgt.open(path), ARRAYS, size_of(path, share)), batches, workers=2)
    assert benchmark.pedantic(load, (feed,), rounds=5, warmup_rounds=1) == len(opened(path))


@pytest.mark.benchmark(group="all frames, one process")
def test_the_cache_loads(benchmark, path, batches):
    feed = loader(Frames(rsgt.open(path), ARRAYS, size_of(path, 2), cache=True), batches, workers=0)
    assert benchmark.pedantic(load, (feed,), rounds=5, warmup_rounds=1) == len(opened(path))
