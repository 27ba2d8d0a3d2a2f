"""One training run put together: what ``rsn.trainer.train`` asks for, as methods."""

import copy
import math
import os
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning_fabric import Fabric
from torch import Tensor

from rsgt.files import write_csv, write_text
from rsgt.inputs import InputError
from rsn import checkpoint, model, report
from rsn import config as settings
from rsn.augmentation import augment
from rsn.config import Config
from rsn.dataset import EpochBatches, Frames, Store, guiding_classes, loader
from rsn.evaluation import PAPER, score
from rsn.inference import predictions
from rsn.interrupt import shortages_told, stop_signals
from rsn.metrics import average
from rsn.optimizer import build_optimizer, follow, forget_scale, rate
from rsn.provenance import commit, versions
from rsn.resume import check_training
from rsn.start import sole_writer
from rsn.trainer import Batch, Progress, Row, train

__all__ = ["LESS_MEMORY", "Run", "sole_writer"]

LESS_MEMORY = (
    "give fewer --workers, a smaller --batch-size, more --accumulate or --checkpointing; the state of the "
    "last save is kept: go on with --resume"
)


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
        self.target = model.learnt(config)
        self.commit = commit()
        self.versions: list[dict[str, str]] = [{"commit": self.commit} | versions()]
        self.progress = Progress()
        self.name = os.urandom(8).hex()
        self.restored: checkpoint.Contents | None = None
        self._nothing_in: set[int] = set()
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
        done = self.progress.epoch * steps + self.progress.step
        self.ticker = report.Ticker(steps * run.epochs, done, stream=self.stream if zero else None)
        if zero:
            self._reconcile()
        with stop_signals() as self.stop_asked, shortages_told(LESS_MEMORY):
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
                stop_asked=self.stop_asked,
                counts=self._counts,
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

    def _counts(self, batch: Batch) -> bool:
        """Whether a batch has a pixel to learn from; frames without one are named, once a run."""
        valid = batch[self.target] > 0
        if self.config.loss.loss == "region" or self.config.network.model == "clustering":
            valid = valid & (batch["region"] > 0)
        has = valid.flatten(1).any(1)
        if not has.all():
            new = {int(frame) for frame in batch["frame"][~has]} - self._nothing_in
            self._nothing_in |= new
            self._name("to learn from", sorted(new))
        return bool(has.any())

    def _name(self, what: str, frames: list[int]) -> None:
        if frames and self.fabric.is_global_zero:
            numbers = ", ".join(str(int(self.store.frame_id[frame])) for frame in frames)
            self.ticker.line(f"{len(frames)} without a valid pixel {what}, left out: frame {numbers}")

    def _judge(self) -> Row | None:
        """Errors on the held-out frames, at the store's size; one process measures.

        The state is kept before, and the epoch judged when the run goes on, should this come to no end. None
        after Ctrl-C.
        """
        if not (self.validate and self.fabric.is_global_zero):
            return {}
        checkpoint.save(self.out / "last.ckpt", self.contents())
        network = self.network if self.average is None else self.average
        maps = predictions(self.fabric, self.config, network, self.store, self.validate, whole=[self.target])
        scores, skipped = [], []
        for predicted in maps:
            if self.stop_asked():
                return None
            truth = predicted.truth[self.target]
            if PAPER.valid(truth).any():
                scores.append(score(PAPER, predicted.depth, truth))
            else:
                skipped.append(predicted.frame)
        self._name("to judge by", skipped)
        errors = average(scores)
        row = {name: errors[name] for name in ("rmse", "abs_rel", "delta1")}
        return row | ({"skipped": float(len(skipped))} if skipped else {})

    def _keep(self, progress: Progress) -> None:
        if self.fabric.is_global_zero:
            contents = self.contents()
            checkpoint.save(self.out / "last.ckpt", contents)
            if progress.step == 0:
                self._derive(contents)
                self._tell(progress.rows[-1])
        self.fabric.barrier()

    def _derive(self, contents: checkpoint.Contents) -> None:
        """Write what follows from ``last.ckpt``: ``log.csv``, and ``best.ckpt`` if that is the best epoch.

        ``last.ckpt`` is written first, and again only after these: what a kill left out is made from it.
        """
        rows = self.progress.rows
        if self.progress.step == 0 and rows and report.best_epoch(rows) == len(rows):
            checkpoint.save(self.out / "best.ckpt", checkpoint.Contents(contents, training=None))
        if rows:
            write_csv(self.out / "log.csv", rows)

    def _reconcile(self) -> None:
        """Bring the folder in line with the state that the run begins with or goes on from.

        Raises
        ------
        InputError
            Where the weights of the best epoch have been lost.
        """
        contents = self.contents()
        if self.restored is None:
            checkpoint.save(self.out / "last.ckpt", contents)
            write_text(self.out / "config.toml", settings.to_toml(self.config))
            return
        path, best = self.out / "best.ckpt", report.best_epoch(self.progress.rows)
        kept = checkpoint.load(path) if path.exists() else None
        if kept is not None and kept.get("run") != self.restored.get("run"):
            raise InputError(
                f"{path}: is of another run than last.ckpt beside it; put the right one back, or train anew "
                "with another --out"
            )
        # That of an epoch that is the last one follows from last.ckpt.
        if best and best != len(self.progress.rows) and (kept is None or kept["epoch"] != best):
            got = "none" if kept is None else f"one of epoch {kept['epoch']}"
            raise InputError(
                f"{path}: got {got}, expected the weights of epoch {best}, the best so far; put them "
                "back, or train anew with another --out"
            )
        if any(contents[key] != self.restored.get(key) for key in ("config", "versions")):
            checkpoint.save(self.out / "last.ckpt", contents)
        write_text(self.out / "config.toml", settings.to_toml(self.config))
        self._derive(contents)

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
        return checkpoint.Contents(
            {
                "network": {"name": model.network_name(self.config), "arguments": self.network.arguments},
                "weights": self.network.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "config": settings.to_plain(self.config),
                "store": self.store.identity,
                "commit": self.commit,
                "epoch": self.progress.epoch,
                "step": self.progress.step,
                "classes": self.classes,
                "versions": self.versions,
                "run": self.name,
                "training": {
                    "optimizer": self.optimizer.state_dict(),
                    "precision": self.fabric.strategy.precision.state_dict(),
                    "random": checkpoint.random_states(),
                    "progress": asdict(self.progress),
                },
            }
        )

    def restore(self, contents: checkpoint.Contents) -> None:
        """Continue from a checkpoint of this very run.

        Raises
        ------
        InputError
            Where its entry ``training`` is not what this run would have written.
        """
        check_training(contents, self.optimizer.optimizer, self.batches.steps)
        training = contents["training"]
        self.network.load_state_dict(contents["weights"])
        if self.average is not None:
            self.average.load_state_dict(contents["average"])
        try:
            self.optimizer.load_state_dict(training["optimizer"])
            self.fabric.strategy.precision.load_state_dict(training["precision"])
            checkpoint.restore_random_states(training["random"])
        # Half a dozen libraries read their own states here, each with errors of its own.
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise InputError(
                f"{contents.path}: its state of training does not fit ({error!r}); {checkpoint.REMEDY}"
            ) from error
        self.progress = Progress(**training["progress"])
        before = contents.get("versions", [])
        self.versions = before if before[-1:] == self.versions else before + self.versions
        self.name = contents.get("run", self.name)
        self.restored = contents
