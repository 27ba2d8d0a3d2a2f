"""What a GPU makes of the networks: speed and memory, whether data keeps it busy, a training that learns.

``make gpu`` runs all of it in at most twenty minutes and writes one JSON record: ``python -m
benchmarks.bench_gpu OUT.json [--device cpu] [--tiny] [--minutes 18]``. What there was no time for is named in
the record; the exit code is 1 where the training did not learn or a test failed. Frames are rendered rooms,
or, without the extra ``synth``, rooms of three planes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import chain, repeat
from pathlib import Path

import torch

import rsgt
import rsn
from rsn.config import flat, from_plain, read_recipe, with_overrides
from rsn.data.dataset import EpochBatches, Frames, loader
from rsn.experiment import fit_config
from rsn.experiment.assembly import new_network
from rsn.models.catalogue import make_model
from rsn.training import checkpoint
from rsn.training.device import make_fabric
from rsn.training.optimizer import build_optimizer
from rsn.training.provenance import commit, versions

NETWORKS = ("paper/generation", "paper/refinement", "paper/rsn")
WAYS = (("32", False), ("bf16-mixed", False), ("bf16-mixed", True))
"""Precision, and whether the network is compiled."""

CLASSES = 40
NO_TIME, TINY = "not measured: out of time", "not measured: tiny"


class Clock:
    """Time that is left of so many minutes."""

    def __init__(self, minutes):
        self.end = time.monotonic() + 60 * minutes

    def left(self):
        return self.end - time.monotonic()


def rooms(folder, *, tiny):
    """A store of rooms, and where they are from."""
    frames, shape = (8, (48, 64)) if tiny else (48, (480, 640))
    try:
        rsgt.write_rooms(folder / "rooms.mat", frames=frames, seed=0, shape=shape)
    except rsgt.InputError:
        from tests.rooms import write_rooms

        path = write_rooms(folder / "rooms.zarr", train=frames - frames // 4, test=frames // 4, shape=shape)
        return path, "rooms of three planes"
    path = rsgt.build(folder / "rooms.mat", folder / "rooms.zarr", shard_frames=4).path
    (folder / "rooms.mat").unlink()
    return path, "rendered rooms"


def configured(recipe, *, tiny, **changes):
    """Settings of a recipe, without what has to be downloaded; with ``tiny`` as small as it goes."""
    small = {"width": 8, "size": (24, 32), "batch_size": 2} if tiny else {}
    return from_plain(with_overrides(read_recipe(recipe), {"imagenet": "", **small, **changes}))


def batch_of(store, config, model, fabric):
    """One batch of a store's frames on the device."""
    frames = list(range(config.data.batch_size))
    arrays = model.arrays(training=True)
    (batch,) = loader(Frames(rsgt.open(store), arrays, config.data.size), [frames], workers=0)
    return {name: value for name, value in fabric.to_device(batch).items() if not name.startswith("full_")}


def set_up(config, fabric, *, compiled, backend):
    """Model, network and optimizer, as a run has them."""
    torch.manual_seed(0)
    model = make_model(flat(config), classes=CLASSES)
    network = new_network(config, model).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(network.parameters(), [], "sgd", lr=1e-6)
    wrapped = torch.compile(network, backend=backend) if compiled else network
    return model, *fabric.setup(wrapped, optimizer)


def trainer(fabric, model, network, optimizer):
    """One step of training on a batch."""

    def step(batch):
        loss = model.loss(model.forward(network, batch), batch, 0)
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def predictor(fabric, model, network):
    """One prediction of a batch."""

    @torch.no_grad()
    def step(batch):
        with fabric.autocast():
            return model.predict(network, batch).depth

    return step


def timed(step, batches, fabric, *, seconds, least=3):
    """Images a second of a step on batch after batch, over so many seconds once it runs evenly."""
    wait = torch.cuda.synchronize if fabric.device.type == "cuda" else (lambda: None)
    feed = iter(batches)
    for _ in range(least):
        step(next(feed))
    wait()
    begun, images, steps = time.perf_counter(), 0, 0
    for batch in feed:
        step(batch)
        images, steps = images + len(batch["rgb"]), steps + 1
        if steps % 4 == 0:
            wait()
        if steps >= least and time.perf_counter() - begun >= seconds:
            break
    wait()
    return images / (time.perf_counter() - begun)


def measured(config, store, device, *, training, precision, compiled, backend, seconds):
    """Images a second and the most memory of one network in one way."""
    fabric = make_fabric(device, 1, precision)
    cuda = fabric.device.type == "cuda"
    model, network, optimizer = set_up(config, fabric, compiled=compiled, backend=backend)
    batch = batch_of(store, config, model, fabric)
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    network.train(training)
    step = trainer(fabric, model, network, optimizer) if training else predictor(fabric, model, network)
    begun = time.perf_counter()
    step(batch)
    first = time.perf_counter() - begun
    rate = timed(step, repeat(batch), fabric, seconds=seconds)
    return {
        "images_per_second": round(rate, 2),
        "first_step_s": round(first, 2),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6) if cuda else None,
    }


def networks(store, device, clock, *, tiny):
    """Every network, training and in use, in each of ``WAYS``; those that are compiled come last."""
    backend, seconds = ("eager", 0.0) if tiny else ("inductor", 3.0)
    found = []
    for precision, compiled in WAYS:
        for recipe in NETWORKS:
            config = configured(recipe, tiny=tiny)
            for training in (True, False):
                about = {
                    "network": recipe.removeprefix("paper/"), "mode": "training" if training else "inference",
                    "precision": precision, "compiled": compiled, "batch": config.data.batch_size,
                    "size": list(config.data.size),
                }  # fmt: skip
                # A network takes a minute or two to compile; loader, training and tests need five.
                if clock.left() < (480 if compiled and not tiny else 300 if not tiny else 0):
                    found.append(about | {"error": NO_TIME})
                    continue
                if tiny and compiled and recipe != NETWORKS[0]:  # tracing takes longer than all the rest
                    found.append(about | {"error": TINY})
                    continue
                try:
                    result = measured(
                        config, store, device, training=training, precision=precision, compiled=compiled,
                        backend=backend, seconds=seconds,
                    )  # fmt: skip
                except torch.OutOfMemoryError as error:
                    result = {"error": str(error).splitlines()[0]}
                found.append(about | result)
                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def loading(store, device, *, tiny, workers):
    """Images a second of the loader, of a batch at hand, and of both together: the share that is busy."""
    fabric = make_fabric(device, 1, "32" if tiny else "bf16-mixed")
    config = configured("paper/generation", tiny=tiny)
    model, network, optimizer = set_up(config, fabric, compiled=False, backend="eager")
    network.train()
    step, seconds = trainer(fabric, model, network, optimizer), 0.0 if tiny else 10.0
    opened = rsgt.open(store)
    frames = Frames(opened, model.arrays(training=True), config.data.size)
    order = EpochBatches(range(len(opened)), config.data.batch_size)
    feed = loader(frames, order, workers=workers, pin=fabric.device.type == "cuda")
    endless = chain.from_iterable(repeat(feed))
    alone = timed(lambda batch: batch, endless, fabric, seconds=seconds)
    there = timed(step, repeat(batch_of(store, config, model, fabric)), fabric, seconds=seconds)
    moved = (fabric.to_device(batch) for batch in chain.from_iterable(repeat(feed)))
    both = timed(step, moved, fabric, seconds=seconds)
    return {
        "workers": workers, "loader_alone": round(alone, 2), "batch_at_hand": round(there, 2),
        "loader_and_network": round(both, 2), "busy": round(min(1.0, both / there), 3),
    }  # fmt: skip


def training(store, device, folder, *, tiny, workers):
    """A run on the rooms: its loss and RMSE by epoch, and whether its loss fell by a fifth at least."""
    config = configured(
        "paper/generation", tiny=tiny, epochs=4 if tiny else 12, validation=0.2, optimizer="adamw", lr=1e-3,
        device=device, workers=workers, schedule="one-cycle", rotation=0.0, clip=1.0,
        **({} if tiny else {"size": (240, 320), "batch_size": 8, "precision": "auto"}),
    )  # fmt: skip
    begun = time.perf_counter()
    fit_config(config, store, folder / "run", stream=None)
    rows = checkpoint.load(folder / "run" / "last.ckpt")["training"]["progress"]["rows"]
    loss, rmse = ([round(row[name], 4) for row in rows] for name in ("loss", "rmse"))
    record = rsn.evaluate(folder / "run", store, device=device, stream=None)
    return {
        "seconds": round(time.perf_counter() - begun, 1), "loss": loss, "validation_rmse_m": rmse,
        "test_rmse_m": round(record["metrics"]["paper"]["image_mean"]["rmse"], 4),
        "learnt": loss[-1] < 0.8 * loss[0],
    }  # fmt: skip


def gpu_tests(clock):
    """The tests that need a GPU: how many passed, failed and were passed over."""
    command = [sys.executable, "-m", "pytest", "tests/rsn", "-m", "gpu", "-p", "no:cacheprovider", "-v"]
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            command, check=False, cwd=root, capture_output=True, text=True, timeout=max(60, clock.left())
        )
    except subprocess.TimeoutExpired:
        return {"error": NO_TIME}
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    counts = {word: int(number) for number, word in found}
    return {"exit_code": done.returncode, **counts, "told": done.stdout.splitlines()[-20:]}


def main(arguments):
    """Measure, write the record, and say whether the training learnt and the tests passed."""
    clock, begun, cuda = Clock(arguments.minutes), time.monotonic(), arguments.device == "cuda"
    workers = 0 if arguments.tiny else min(8, len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, kind = rooms(folder, tiny=arguments.tiny)
        record = {
            "device": torch.cuda.get_device_name() if cuda else arguments.device, "commit": commit(),
            "versions": versions(), "cuda": torch.version.cuda, "tiny": arguments.tiny, "frames": kind,
        }  # fmt: skip
        record["networks"] = networks(store, arguments.device, clock, tiny=arguments.tiny)
        record["loading"] = loading(store, arguments.device, tiny=arguments.tiny, workers=workers)
        record["training"] = training(store, arguments.device, folder, tiny=arguments.tiny, workers=workers)
    record["tests"] = {"error": TINY} if arguments.tiny else gpu_tests(clock)
    record["minutes"] = round((time.monotonic() - begun) / 60, 2)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{arguments.out}: {record['minutes']} minutes; learnt: {record['training']['learnt']}")
    return int(not record["training"]["learnt"] or record["tests"].get("exit_code", 0) not in (0, 5))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="as small as it goes: that it runs, not a figure")
    parser.add_argument("--minutes", type=float, default=18.0)
    sys.exit(main(parser.parse_args()))
