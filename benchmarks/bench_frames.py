"""From a thousand to a million small frames: time per frame, and peak memory, of what is done with a store.

``python -m benchmarks.bench_frames FOLDER [1000,10000,100000]`` builds stores of so many simulated frames of
24x32 below FOLDER, every step in a process of its own, and prints tables. Stores are removed unless --keep is
given; one of a million frames takes some gigabytes. One thread works, so that times are of a core.
"""

import argparse
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np

import rsgt
from rsgt import builder

SHAPE = (24, 32)
A_SCENE = 100
PATTERNS = 64
STEPS = ("build", "finish", "open", "stats", "verify", "fit")


class Repeated(Sequence):
    """One entry a frame, made as it is asked for: a source of a million frames holds no list of them."""

    def __init__(self, count, entry):
        self.count, self.entry = count, entry

    def __len__(self):
        return self.count

    def __getitem__(self, k):
        return self.entry(range(self.count)[k])


def _name(k):
    return f"frame {k:07d}"


def _scene(k):
    return f"scene {k // A_SCENE:05d}"


def _camera(k):
    return {"fx": 30.0, "fy": 30.0, "cx": 15.5, "cy": 11.5}


class Simulated(rsgt.Source):
    """Slanted walls behind boxes, with a sensor's noise; after ``PATTERNS`` frames they come again."""

    label_sets = ("boxes",)
    shape = SHAPE
    frame_ids = names = scenes = cameras = ()  # plain attributes, set below

    def __init__(self, count):
        self.path = Path(f"simulated-{count}")
        self.frame_ids = range(1, count + 1)
        self.names, self.scenes = Repeated(count, _name), Repeated(count, _scene)
        self.cameras = Repeated(count, _camera)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "patterns"}

    @cached_property
    def patterns(self):
        """Colour, depth and labels of each."""
        rng = np.random.default_rng(0)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[1]
        depth, labels = np.empty((PATTERNS, *SHAPE), np.float32), np.ones((PATTERNS, *SHAPE), np.uint16)
        for k in range(PATTERNS):
            depth[k] = 2 + 3 * rng.random() + rng.normal(0, 2) * x + rng.normal(0, 1) * y
            for box in range(5):
                top, left = rng.integers(0, SHAPE[0] - 6), rng.integers(0, SHAPE[1] - 8)
                inside = np.s_[top : top + rng.integers(3, 9), left : left + rng.integers(3, 12)]
                depth[k][inside] = 1 + 2 * rng.random() + x[inside]
                labels[k][inside] = 2 + box
        depth = (np.abs(depth) + 0.3 + rng.normal(0, 0.01, depth.shape)).astype(np.float32)
        colour = np.stack([40 * labels, 255 / (1 + depth), 255 * np.broadcast_to(x, depth.shape)], axis=-1)
        return (colour + rng.normal(0, 3, colour.shape)).clip(0, 255).astype(np.uint8), depth, labels

    def rgb(self, frames, out=None):
        return np.take(self.patterns[0], self._of(frames), axis=0, out=self.room(out, frames, np.uint8, 3))

    def depth(self, frames, kind=None, out=None):
        found = np.take(self.patterns[1], self._of(frames), axis=0, out=self.room(out, frames, np.float32))
        found += (np.asarray(frames, np.float32)[:, None, None] % 97) / 100
        return found

    def semantic(self, frames, labels=None, out=None):
        return np.take(self.patterns[2], self._of(frames), axis=0, out=self.room(out, frames, np.uint16))

    def _of(self, frames):
        return np.asarray(frames) % PATTERNS

    def class_names(self, labels=None):
        return ["wall", "box", "chest", "crate", "case", "bin"]

    def identity(self):
        return {
            "kind": "simulated",
            "name": self.path.name,
            "frames": len(self.frame_ids),
            "fingerprint": "none",
        }


OPTIONS = {"min_size": 4, "shard_frames": 32}


class _Stopped(Exception):
    """All shards are built."""


def build(out, count):
    """Build all shards, and stop before the store is finished."""
    from rsgt.store import writer

    def stop(*_):
        raise _Stopped

    writer.finish = stop
    try:
        rsgt.build(Simulated(count), out, workers=1, **OPTIONS)
        raise SystemExit("it was finished")
    except _Stopped:
        pass
    # Not within the clause: what was raised holds the whole build's plan.
    return task_bytes(out, count)


def task_bytes(out, count):
    """Bytes that go to each worker of a cluster once, and with each task."""
    from rsgt.parallel import call_on_worker

    source = Simulated(count)
    plan = builder.plan_build(source, builder.Parameters(min_size=4), shard_frames=32)
    packed = zlib.compress(pickle.dumps(partial(builder.build_shard, source, out, plan.key)), level=1)
    return {"worker_bytes": len(packed), "task_bytes": len(pickle.dumps((call_on_worker, plan.n_shards)))}


def finish(out, count):
    """Look all shards over, write the small arrays, and put the store in its place."""
    store = rsgt.build(Simulated(count), out, workers=1, **OPTIONS)
    return {"regions": int(store.region_start[-1]), "root_bytes": (out / "zarr.json").stat().st_size}


def open_(out, count):
    """Open it, and say what it is, as ``rsgt info`` does."""
    assert rsgt.open(out).describe()["frames"] == count


def stats(out, count):
    """Figures of the store, their distributions, and its categories."""
    found = rsgt.statistics(out, workers=1)
    found.document()
    found.categories()


def verify(out, count):
    """Read and compute everything again."""
    found = rsgt.verify(out, workers=1)
    assert not found.problems, found.problems[:3]


def fit(out, count):
    """Make the order of an epoch, and load its first batch."""
    from rsn.data.dataset import EpochBatches, loader
    from rsn.data.mixed_frames import MixedFrames
    from rsn.data.mixture import divide, mixed, mixed_order

    both = mixed(out)
    portions = divide(both, (), 0.1, 0)
    frames = MixedFrames(portions, ("depth", "support", "region"), SHAPE, superpixels=100, cache=False)
    order = partial(mixed_order, portions, len(both), seed=0)
    batches = EpochBatches(range(sum(part.drawn for part in portions)), 8, order=order)
    assert len(next(iter(loader(frames, batches, workers=0)))["frame"]) == 8


def run(step, out, count):
    """Run one step in this process: seconds and CPU seconds without imports, and peak memory with them."""
    if step == "fit":
        import rsn.data.mixture  # noqa: F401
    builder.compile_kernels(builder.Parameters(min_size=4))
    started, used = time.perf_counter(), time.process_time()
    more = {name.rstrip("_"): one for name, one in globals().items() if callable(one)}[step](out, count)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - used,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        **(more or {}),
    }


def measure(step, out, count):
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_frames", str(out), str(count), "--step", step]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode:
        raise SystemExit(f"{step} of {count} frames failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def table(title, counts, rows):
    """Print one in Markdown."""
    print(f"\n| {title} |" + "".join(f" {count:,} |" for count in counts))
    print("| --- |" + " --- |" * len(counts))
    for name, cells in rows.items():
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells))


HELD = {
    "regions": ("finish", "regions"),
    "bytes of the root's `zarr.json`": ("finish", "root_bytes"),
    "bytes that a worker of a cluster gets once": ("build", "worker_bytes"),
    "bytes of each task": ("build", "task_bytes"),
}


def main(folder, counts, keep=False):
    """Print a line a step and count as it is known, then the tables; returns the figures."""
    found = {}
    for count in counts:
        out = folder / f"{count}.zarr"
        shutil.rmtree(out, ignore_errors=True)
        found[count] = {}
        for step in STEPS:
            found[count][step] = measure(step, out, count)
            print(count, step, json.dumps(found[count][step]), file=sys.stderr, flush=True)
        if not keep:
            shutil.rmtree(out)
    times = {s: [f"{found[n][s]['cpu_seconds'] * 1e3 / n:.3f}" for n in counts] for s in STEPS}
    table("CPU milliseconds a frame", counts, times)
    memory = {s: [f"{found[n][s]['memory_mb']:.0f}" for n in counts] for s in STEPS}
    table("peak memory, MB", counts, memory)
    held = {title: [f"{found[n][s][key]:,}" for n in counts] for title, (s, key) in HELD.items()}
    table("of the store", counts, held)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("counts", nargs="?", default="1000,10000,100000")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.step:
        print(json.dumps(run(given.step, given.folder, int(given.counts))))
    else:
        main(given.folder, [int(count) for count in given.counts.split(",")], given.keep)
