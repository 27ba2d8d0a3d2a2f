"""One training run put together: what ``rsn.trainer.train`` asks for, as methods."""

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from torch import Tensor

from rsgt.schema import InputError
from rsn import checkpoint, model, report
from rsn import config as settings
from rsn.augmentation import augment
from rsn.config import Config
from rsn.dataset import EpochBatches, Frames, Store, guiding_classes, loader
from rsn.evaluation import PAPER, score
from rsn.inference import predictions
from rsn.interrupt import stop_signals
from rsn.metrics import average
from rsn.optimizer import build_optimizer, follow, forget_scale, rate
from rsn.provenance import commit
from rsn.trainer import Batch, Progress, Row, train

MOVABLE = {"workers", "cache", "device", "devices", "checkpointing", "compile"}
"""Settings of where and how it runs: a resumed run may change them."""


def earlier(config: Config, store: Store, out: Path, *, resume: bool) -> checkpoint.Contents | None:
    """Read the checkpoint of a folder to go on from; None where there is none yet.

    Raises
    ------
    InputError
        Where there is one and ``resume`` was not asked for, or it is of another run.
    """
    last = out / "last.ckpt"
    if not last.exists():
        return None
    if not resume:
        raise InputError(f"{out}: holds a run already; give --resume to go on with it, or another --out")
    contents = checkpoint.load(last)
    if contents["store"] != store.identity:
        raise InputError(
            f"{out}: its run learnt from another store than {store.path}; give that one to --resume"
        )
    if contents["training"] is None:
        raise InputError(f"{last}: was made for use, not for going on; it lacks the optimizer's state")
    now, then = settings.to_plain(config), settings.to_plain(settings.from_plain(contents["config"]))
    for section, item, _ in settings.all_keys():
        key = item.name
        if key not in MOVABLE and now[section][key] != then[section][key]:
            raise InputError(
                f"{key}: got {now[section][key]!r}, but the run to resume has {then[section][key]!r}; "
                "leave the flag away, or give another --out"
            )
    return contents


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Keep other processes from training into a folder; the lock ends with the process that holds it.

    Raises
    ------
    InputError
        Where another process trains there.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(
            f"{out}: another process trains into it; wait for its end, or give another --out"
        ) from error


class Run:
    """One training run put together: the plain functions that ``rsn.trainer.train`` asks for."""

    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        store: Store,
        learn: list[int],
        validate: list[int],
        *,
        out: Path,
        writer: Any = None,
        stream: TextIO | None = None,
    ) -> None:
        self.fabric, self.config, self.store, self.out = fabric, config, store, out
        self.stream = stream
        self.writer = writer(str(out)) if writer is not None and fabric.is_global_zero else None
        self.validate = validate
        self.classes = guiding_classes(store)[1]
        self.commit = commit()
        self.progress = Progress()
        self._prepare_data(learn)
        self._prepare_network()

    def _prepare_data(self, learn: list[int]) -> None:
        data, fabric = self.config.data, self.fabric
        enlarged = (math.ceil(side * data.zoom) for side in data.size)
        stored = zip(data.size, enlarged, self.store.shape, strict=True)
        # A crop of a frame that is zoom times too large need not be enlarged, as far as the store has it.
        size = tuple(max(side, min(large, whole)) for side, large, whole in stored)
        frames = Frames(
            self.store,
            model.arrays(self.config, training=True),
            (size[0], size[1]),
            superpixels=data.superpixels,
            cache=data.cache,
        )
        self.batches = EpochBatches(
            learn,
            data.batch_size,
            shard_frames=self.store.shard_frames,
            seed=self.config.run.seed,
            process=fabric.global_rank,
            processes=fabric.world_size,
            accumulate=self.config.optimizer.accumulate,
        )
        pin = fabric.device.type == "cuda"
        self.loader = loader(frames, self.batches, workers=0 if data.cache else data.workers, pin=pin)

    def _prepare_network(self) -> None:
        options, run = self.config.optimizer, self.config.run
        self.fabric.seed_everything(run.seed, verbose=False)
        self.network = model.build(self.config, classes=self.classes)
        if run.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval() if options.ema else None
        optimizer = build_optimizer(
            self.network.parameters(),
            [
                weight
                for encoder in model.encoders(self.network)
                for stage in encoder.stages()
                for weight in stage.parameters()
            ],
            options.optimizer,
            lr=options.lr,
            encoder_lr_scale=options.encoder_lr_scale,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            # A fused step would scale float16 gradients back by itself, and leave nothing to clip before.
            fused=run.precision != "16-mixed",
        )
        compiled: Any = torch.compile(self.network) if run.compile else self.network
        self.wrapped, self.optimizer = self.fabric.setup(compiled, optimizer)
        if self.average is not None:
            self.average = self.fabric.to_device(self.average)

    def train(self) -> bool:
        """Run, or go on, to the end or to a signal."""
        options, run = self.config.optimizer, self.config.run
        steps = self.batches.steps
        zero = self.fabric.is_global_zero
        if zero:
            (self.out / "config.toml").write_text(settings.to_toml(self.config), encoding="utf-8")
        done = self.progress.epoch * steps + self.progress.step
        self.ticker = report.Ticker(steps * run.epochs, done, stream=self.stream if zero else None)
        with stop_signals() as stop_asked:
            return train(
                self.fabric,
                self.wrapped,
                self.optimizer,
                self.progress,
                epochs=run.epochs,
                steps=steps,
                accumulate=options.accumulate,
                clip=options.clip,
                frozen_norm_epochs=round(options.frozen_norm * run.epochs),
                batches=self._batches,
                loss_of=self._loss,
                rate=partial(rate, options.schedule),
                follow=self._follow,
                judge=self._judge,
                keep=self._keep,
                report=self._report,
                stop_asked=stop_asked,
            )

    def _batches(self, epoch: int, first_step: int) -> Iterable[Batch]:
        if first_step == 0 and model.turns_to_log(self.config, epoch):
            forget_scale(self.optimizer.optimizer)
        self.batches.epoch, self.batches.first_step = epoch, first_step
        return self.loader

    def _loss(self, batch: Batch, epoch: int) -> Tensor:
        data = self.config.data
        changed = augment(
            self.fabric.to_device(dict(batch)),
            seed=self.config.run.seed,
            epoch=epoch,
            size=data.size,
            flip=data.flip,
            rotation=data.rotation,
            zoom=data.zoom,
            jitter=data.jitter,
        )
        output = model.outputs(self.config, self.wrapped, changed, classes=self.classes)
        return model.loss(self.config, output, changed, epoch)

    def _follow(self, steps: int) -> None:
        if self.average is not None:
            follow(self.average.state_dict(), self.network.state_dict(), self.config.optimizer.ema, steps)

    def _judge(self) -> Row:
        """Errors on the held-out frames, at the store's size; one process measures."""
        if not (self.validate and self.fabric.is_global_zero):
            return {}
        target = self.config.loss.target if self.config.network.model == "generation" else "depth"
        network = self.network if self.average is None else self.average
        maps = predictions(self.fabric, self.config, network, self.store, self.validate, whole=[target])
        errors = average([score(PAPER, predicted.depth, predicted.truth[target]) for predicted in maps])
        return {name: errors[name] for name in ("rmse", "abs_rel", "delta1")}

    def _keep(self, progress: Progress) -> None:
        if self.fabric.is_global_zero:
            contents = self.contents()
            checkpoint.save(self.out / "last.ckpt", contents)
            if progress.step == 0:
                rows = progress.rows
                if "rmse" in rows[-1] and rows[-1]["rmse"] == min(row["rmse"] for row in rows):
                    checkpoint.save(self.out / "best.ckpt", contents | {"training": None})
                report.write_csv(self.out / "log.csv", rows)
                self._tell(rows[-1])
        self.fabric.barrier()

    def _tell(self, row: Row) -> None:
        self.ticker.line(report.format_row(row))
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, int(row["epoch"]))
            self.writer.flush()

    def _report(self, progress: Progress, loss: float) -> None:
        text = f"epoch {progress.epoch + 1}/{self.config.run.epochs}  loss {loss:.4g}"
        self.ticker.step(text)

    def contents(self) -> checkpoint.Contents:
        """Gather what a checkpoint holds."""
        return {
            "network": {"name": model.network_name(self.config), "arguments": self.network.arguments},
            "weights": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "config": settings.to_plain(self.config),
            "store": self.store.identity,
            "commit": self.commit,
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "training": {
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "random": checkpoint.random_states(),
                "progress": asdict(self.progress),
            },
        }

    def restore(self, contents: checkpoint.Contents) -> None:
        """Continue from a checkpoint of this very run."""
        training = contents["training"]
        self.network.load_state_dict(contents["weights"])
        if self.average is not None:
            self.average.load_state_dict(contents["average"])
        self.optimizer.load_state_dict(training["optimizer"])
        self.fabric.strategy.precision.load_state_dict(training["precision"])
        checkpoint.restore_random_states(training["random"])
        self.progress = Progress(**training["progress"])
