"""Frames a second that reach a training loop: a store against shards of WebDataset and of LitData.

``python -m benchmarks.bench_reading FOLDER [FRAMES [PROCESSES [PLACES]]]`` makes the same frames, real ones
where they are at hand, into each kind of shard below FOLDER, where they are not there yet, and prints the
table of ``docs/explanation/performance.md``: from a folder and from an S3 server on loopback, with one and
two loader processes, cold and warm, at the frames' own size and at half of it. All give the same batches:
colour, depth, regions and support, shuffled, brought to the size by the same functions, without loss. A peer
that is not installed is left out, and said to be: ``pip install webdataset litdata``.

Of the peers each in two forms: ``arrays``, every map as NumPy has it, and ``packed``, colour and regions as
PNG, depth and support as deflated ``.npz``. Cold, of a folder: its pages are dropped from memory before.
Cold, of S3: nothing is kept on this machine, but for what LitData has to. Warm: what was read once before
lies in memory; of S3, in the cache that each has. Frames are counted from the first batch on, when all
processes are up. By no loader processes (0), it is the milliseconds of processor time that the process which
spends on a frame: these depend little on what else the machine does. curl's, for WebDataset, are not in.
"""

import functools
import importlib.util
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import rsgt
from benchmarks.conftest import REAL
from rsn.data.dataset import EpochBatches, Frames, collate, loader
from rsn.data.resize import resize_antialiased, resize_nearest
from tests.object_server import object_server, settings

MAPS = ("depth", "support", "region")
BATCH = 8
SHARD = 32
SHUFFLED = 64
"""Frames among which a stream of shards is shuffled."""


def as_item(maps, size):
    """One frame's (y, x[, channel]) arrays as tensors at a size, as ``Frames`` gives them."""
    rgb = torch.from_numpy(maps["rgb"][None]).permute(0, 3, 1, 2)
    item = {"rgb": resize_antialiased(rgb, size)[0]}
    return item | {name: resize_nearest(torch.from_numpy(maps[name][None]), size) for name in MAPS}


def arrays(maps):
    """A frame as files of NumPy's arrays."""

    def npy(values):
        np.save(file := io.BytesIO(), values)
        return file.getvalue()

    return {f"{name}.npy": npy(values) for name, values in maps.items()}


def packed(maps):
    """A frame as small as common formats make it without loss."""

    def png(values):
        Image.fromarray(values).save(file := io.BytesIO(), format="PNG")
        return file.getvalue()

    np.savez_compressed(npz := io.BytesIO(), depth=maps["depth"], support=maps["support"])
    files = {"rgb.png": png(maps["rgb"]), "region.png": png(maps["region"].astype(np.uint16))}
    return files | {"metres.npz": npz.getvalue()}


def unpacked(files):
    """The arrays of a frame's files, of either form."""
    maps = {}
    for name, content in files.items():
        stem, _, kind = name.partition(".")
        if kind == "png":
            maps[stem] = np.array(Image.open(io.BytesIO(content)))
        elif kind == "npy":
            maps[stem] = np.load(io.BytesIO(content))
        elif kind == "npz":
            maps |= np.load(io.BytesIO(content))
    return maps | {"region": maps["region"].astype(np.int32)}


def feed_store(place, size, workers, cache):
    """Batches of a store as ``rsn fit`` reads it."""
    os.environ.pop("RSGT_CACHE", None)
    if cache:
        os.environ["RSGT_CACHE"] = str(cache)
    store = rsgt.open(place)
    batches = EpochBatches(range(len(store)), min(BATCH, len(store)), shard_frames=store.shard_frames)
    return loader(Frames(store, MAPS, size), batches, workers=workers)


def write_webdataset(form, store, folder):
    """Shards of WebDataset: a file of each map of each frame in tars."""
    for k in range(0, len(store), SHARD):
        with tarfile.open(folder / f"{k // SHARD:05d}.tar", "w") as tar:
            for i in range(k, min(k + SHARD, len(store))):
                for name, content in form(frame_of(store, i)).items():
                    info = tarfile.TarInfo(f"{i:06d}.{name}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def from_files(sample, size):
    return as_item(unpacked({name: value for name, value in sample.items() if name[0] != "_"}), size)


def feed_webdataset(place, size, workers, cache):
    """Batches of WebDataset's shards in a folder or at a URL, which curl then reads."""
    import webdataset

    count = json.loads(read(f"{place}/count.json"))
    urls = [f"{place}/{k:05d}.tar" for k in range(-(-count // SHARD))]
    data = webdataset.WebDataset(
        urls, shardshuffle=100, cache_dir=str(cache) if cache else None, empty_check=False
    )
    data = data.shuffle(SHUFFLED).map(functools.partial(from_files, size=size))
    return DataLoader(data.batched(BATCH, collation_fn=collate), batch_size=None, num_workers=workers)


def litdata_files(form, path, i):
    return {k: np.frombuffer(v, np.uint8)[None] for k, v in form(frame_of(rsgt.open(path), i)).items()}


def litdata_arrays(path, i):
    return frame_of(rsgt.open(path), i)


def write_litdata(form, store, folder):
    """Chunks of LitData: arrays as it keeps them, or a frame's files."""
    import litdata

    function = litdata_arrays if form is arrays else functools.partial(litdata_files, form)
    litdata.optimize(
        functools.partial(function, str(store.path)), list(range(len(store))), str(folder), chunk_size=SHARD,
        num_workers=1,
    )  # fmt: skip


def from_litdata(sample, size):
    if "rgb" in sample:
        return as_item(sample, size)
    return as_item(unpacked({name: value.tobytes() for name, value in sample.items()}), size)


def feed_litdata(place, size, workers, cache):
    """Batches of LitData's chunks in a folder or at a URL."""
    import litdata
    import litdata.streaming.downloader

    # It knows no option for what loopback speaks.
    litdata.streaming.downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    options = {
        "endpoint_url": os.environ.get("AWS_ENDPOINT_URL"),
        "aws_access_key_id": "key", "aws_secret_access_key": "secret",
    }  # fmt: skip
    data = litdata.StreamingDataset(
        str(place), cache_dir=str(cache) if cache else None, shuffle=True, storage_options=options,
        transform=functools.partial(from_litdata, size=size),
    )  # fmt: skip
    return litdata.StreamingDataLoader(data, batch_size=BATCH, num_workers=workers, collate_fn=collate)


@dataclass(frozen=True)
class Kind:
    """A way to keep frames: its name, the library that it needs, how shards are written and read."""

    name: str
    library: str
    write: Callable
    feed: Callable
    needs_cache: bool = False

    @property
    def there(self):
        return importlib.util.find_spec(self.library) is not None

    @property
    def folder(self):
        return self.name.replace(" ", "_").replace(",", "")


def copy_store(store, folder):
    shutil.copytree(store.path, folder, dirs_exist_ok=True)


def peers(form):
    """WebDataset and LitData with frames in a form."""
    partial, name = functools.partial, form.__name__
    return [
        Kind(f"WebDataset, {name}", "webdataset", partial(write_webdataset, form), feed_webdataset),
        Kind(f"LitData, {name}", "litdata", partial(write_litdata, form), feed_litdata, needs_cache=True),
    ]


KINDS = [Kind("rsgt", "rsgt", copy_store, feed_store), *peers(arrays), *peers(packed)]


def frame_of(store, i):
    return {name: store.read(name, i, i + 1)[0] for name in ("rgb", *MAPS)}


def read(url):
    if "://" not in str(url):
        return Path(url).read_bytes()
    with urllib.request.urlopen(url) as response:
        return response.read()


def written(kind, store, root):
    """Make a kind of shards below a folder where they are not there yet; bytes of a frame."""
    folder = root / kind.folder
    if not (folder / "count.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with quiet():
            kind.write(store, folder)
        (folder / "count.json").write_text(str(len(store)))
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / len(store)


@contextmanager
def quiet():
    """What libraries print and warn of while they work."""
    with warnings.catch_warnings(), open(os.devnull, "w") as nothing:  # noqa: PTH123
        warnings.simplefilter("ignore")
        kept, sys.stdout = sys.stdout, nothing
        try:
            yield
        finally:
            sys.stdout = kept


def drop_pages(folder):
    """Drop a folder's files from memory, so that the next reading is of the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(feed):
    """Frames a second from the first batch on."""
    begun, total, first = 0.0, 0, 0
    for batch in feed:
        total += len(batch["rgb"])
        if not begun:
            begun, first = time.perf_counter(), total
    return (total - first) / max(time.perf_counter() - begun, 1e-9)


def processor_ms(feed):
    """Milliseconds of this process's own time a frame, from the start on."""
    begun = time.process_time()
    total = sum(len(batch["rgb"]) for batch in feed)
    return 1000 * (time.process_time() - begun) / total


def measured(kind, folder, where, warm, workers, size):
    """Frames a second of one kind in one setting; of no loader processes, milliseconds of this one."""
    of_folder = where == "folder"
    root = "s3://bucket" if kind.library != "webdataset" else f"{os.environ['AWS_ENDPOINT_URL']}/bucket"
    place = folder if of_folder else f"{root}/{folder.name}"
    with tempfile.TemporaryDirectory() as kept, quiet():
        cache = kept if not of_folder and (warm or kind.needs_cache) else None
        if of_folder and not warm:
            drop_pages(folder)
        if warm:
            rate(kind.feed(place, size, workers, cache))
        feed = kind.feed(place, size, workers, cache)
        return rate(feed) if workers else processor_ms(feed)


def upload(folder):
    """Put a folder's files into the bucket, for all to read: curl does not sign."""
    import boto3

    bucket = boto3.resource("s3").Bucket("bucket")
    for file in folder.rglob("*"):
        if file.is_file():
            key = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            bucket.put_object(Key=key, Body=file.read_bytes(), ACL="public-read")


@contextmanager
def client(endpoint):
    """Be a client of the object store meanwhile."""
    before = dict(os.environ)
    os.environ |= settings(endpoint) | {"LITDATA_DISABLE_VERSION_CHECK": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def table(store, root, sizes, *, places=("folder", "S3"), workers=(0, 1, 2), kinds=None):
    """Measure every kind in every setting; a dict for each kind, figures by the setting."""
    kinds = [kind for kind in kinds or KINDS if kind.there]
    found = {kind.name: {"MB a frame": written(kind, store, root) / 1e6} for kind in kinds}
    with object_server() as endpoint, client(endpoint):
        for kind in kinds if "S3" in places else ():
            upload(root / kind.folder)
        for where, warm, count, size in product(places, (False, True), workers, sizes):
            how = f"{count} processes, frames/s" if count else "processor ms a frame"
            setting = f"{where}, {'warm' if warm else 'cold'}, {size[0]}x{size[1]}, {how}"
            for kind in kinds:  # one right after the other: all see the same load of the machine
                try:
                    figure = measured(kind, root / kind.folder, where, warm, count, size)
                except Exception as error:  # of a peer: it has no figure here, the others have
                    if kind.library == "rsgt":
                        raise
                    print(f"{setting}: {kind.name}: {error!s:.300}", file=sys.stderr)
                    figure = math.nan
                found[kind.name][setting] = figure
                print(f"{setting}: {kind.name}: {figure:.1f}", file=sys.stderr, flush=True)
    return found


def missing():
    return sorted({kind.library for kind in KINDS if not kind.there})


def told(found):
    """The table as Markdown, and what was left out; a dash where a peer failed."""
    names = [*found]
    lines = [f"| | {' | '.join(names)} |", f"|{' --- |' * (len(names) + 1)}"]
    for what in found[names[0]]:
        digits = 0 if "frames/s" in what else 2
        figures = [found[name][what] for name in names]
        cells = ["–" if math.isnan(figure) else f"{figure:.{digits}f}" for figure in figures]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"{library}: not installed, left out" for library in missing())])


def frames_file(path, count):
    """A labelled file of so many frames: real ones where they are at hand, else rendered rooms."""
    if (REAL / "make_mat.py").exists():
        command = [sys.executable, REAL / "make_mat.py", path, "--frames", f"1-{count}"]
        subprocess.run(command, check=True, capture_output=True)
        return path
    return rsgt.write_rooms(path, frames=count, seed=0, shape=(480, 640))


def sizes_of(store):
    height, width = store.shape
    return [(height // share, width // share) for share in (1, 2)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_gives_the_same_frames(kind, mat, tmp_path):
    """What is measured is the same: from a folder and from S3, cold and warm, frame by frame."""
    pytest.importorskip(kind.library, reason=f"is measured where it is: pip install {kind.library}")
    pytest.importorskip("moto", reason="the object store is moto's")
    store = rsgt.build(mat, tmp_path / "store.zarr")
    size = sizes_of(store)[1]
    figures = table(store, tmp_path, [size], workers=(0,), kinds=[kind])[kind.name]
    assert len(figures) == 5
    with quiet():
        batches = [*kind.feed(tmp_path / kind.folder, size, 0, None)]
    for name in ("rgb", *MAPS):
        expected = {as_item(frame_of(store, i), size)[name].numpy().tobytes() for i in range(len(store))}
        assert {one.numpy().tobytes() for batch in batches for one in batch[name]} == expected


def test_table(benchmark, tmp_path):
    """The table itself, where timing is on."""
    if not benchmark.enabled:
        pytest.skip("timing is off")
    store = rsgt.build(frames_file(tmp_path / "a.mat", 128), tmp_path / "store.zarr", shard_frames=SHARD)
    found = benchmark.pedantic(table, (store, tmp_path / "shards", sizes_of(store)), rounds=1)
    print(f"\n{told(found)}")


def main(folder, frames=256, workers="0,1,2", places="folder,S3"):
    """Print the table."""
    frames, workers = int(frames), [int(count) for count in workers.split(",")]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "store.zarr").exists():
        rsgt.build(frames_file(folder / "a.mat", frames), folder / "store.zarr", shard_frames=SHARD)
    store = rsgt.open(folder / "store.zarr")
    print(told(table(store, folder / "shards", sizes_of(store), workers=workers, places=places.split(","))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
