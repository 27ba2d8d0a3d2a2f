"""One training run put together: what ``rsn.training.loop.train`` asks for, as methods."""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rsgt.files import write_csv, write_text
from rsgt.inputs import InputError
from rsn.data.dataset import EpochBatches
from rsn.data.mixture import Mixture, Portion, line_of, told
from rsn.models.contract import Model
from rsn.models.frames import FramePrediction
from rsn.models.weight_files import REMEDY
from rsn.training import checkpoint, progress
from rsn.training.device import keep_freed_memory
from rsn.training.interrupt import explain_shortages, stop_signals
from rsn.training.judging import judge
from rsn.training.loop import Batch, Progress, Row, train
from rsn.training.optimizer import lr_factor, reset_optimizer_state, update_ema
from rsn.training.provenance import commit, versions
from rsn.training.resume import check_training, more_epochs
from rsn.training.showing import Showing

LESS_MEMORY = (
    "give fewer --workers, a smaller --batch-size, more --accumulate or --checkpointing; the state of the "
    "last save is kept: go on with --resume"
)


class Run:
    """One training run put together: the plain functions that ``rsn.training.loop.train`` asks for.

    Parameters
    ----------
    fabric, model, network, optimizer
        Where it runs; the model, its network and the network's optimizer, before Fabric sets them up.
    mixture, portions
        The stores, and what the run takes from each of them.
    batches, batch_loader
        The order of the frames, and what loads them in that order.
    augment : callable
        (batch, epoch=) -> the batch as the model sees it.
    predict : callable
        (network, store, frames, full_size=, classes=) -> predictions of these frames, with the arrays
        that ``full_size`` names beside them (``rsn.models.frames.predict_frames``).
    out : Path
        The run's folder.
    settings, recipe
        The settings as checkpoints hold them, and as a recipe's text.
    epochs, accumulate, clip, frozen_norm, schedule, ema, compiled
        As ``epochs``, ..., ``ema`` and ``compile`` in ``rsn.config``.
    writer, stream : optional
        TensorBoard's writer, given the folder; and where progress goes.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: Model,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        mixture: Mixture,
        portions: list[Portion],
        *,
        batches: EpochBatches,
        batch_loader: DataLoader[Any],
        augment: Callable[..., Batch],
        predict: Callable[..., Iterator[FramePrediction]],
        out: Path,
        settings: Mapping[str, Any],
        recipe: str,
        epochs: int,
        accumulate: int,
        clip: float,
        frozen_norm: float,
        schedule: str,
        ema: float,
        compiled: bool,
        writer: Any = None,
        stream: TextIO | None = None,
    ) -> None:
        self.fabric, self.model, self.network, self.out = fabric, model, network, out
        self.mixture, self.portions, self.batches, self.loader = mixture, portions, batches, batch_loader
        self.augment, self.predict = augment, predict
        self.settings, self.recipe = settings, recipe
        self.epochs, self.accumulate, self.clip, self.ema = epochs, accumulate, clip, ema
        self.frozen_norm_epochs = round(frozen_norm * epochs)
        self.lr_factor = partial(lr_factor, schedule)
        self.stream = stream
        self.writer = writer(str(out)) if writer is not None and fabric.is_global_zero else None
        self.commit = commit()
        self.versions: list[dict[str, str]] = [{"commit": self.commit} | versions()]
        self.progress = Progress()
        self.name = os.urandom(8).hex()
        self.restored: checkpoint.Contents | None = None
        self._without_truth: set[int] = set()
        about = {
            "model": model.name,
            "epochs": epochs,
            "parameters": f"{sum(weight.numel() for weight in network.parameters()):,}",
            "device": str(fabric.device),
            "trained by": self.versions[-1],
        }
        self.showing = Showing(out, portions, about)
        self.average = copy.deepcopy(network).eval() if ema else None
        trained: Any = torch.compile(network) if compiled else network
        self.wrapped, self.optimizer = fabric.setup(trained, optimizer)
        if self.average is not None:
            self.average = fabric.to_device(self.average)

    def train(self) -> bool:
        """Run, or go on, to the end or to a signal."""
        steps = self.batches.steps
        zero = self.fabric.is_global_zero
        done = self.progress.epoch * steps + self.progress.step
        self.ticker = progress.Ticker(steps * self.epochs, done, stream=self.stream if zero else None)
        if zero:
            self._reconcile()
            if self.restored is not None and (text := more_epochs(self.restored, now=self.settings)):
                self.ticker.line(text)
            for part in told(self.portions):
                self.ticker.line(line_of(part))
        if self.fabric.device.type == "cpu":
            keep_freed_memory()
        with stop_signals() as self.stop_asked, explain_shortages(LESS_MEMORY):
            complete = train(
                self.fabric,
                self.wrapped,
                self.optimizer,
                self.progress,
                epochs=self.epochs,
                steps=steps,
                accumulate=self.accumulate,
                clip=self.clip,
                frozen_norm_epochs=self.frozen_norm_epochs,
                batches=self._batches,
                loss_of=self._loss,
                lr_factor=self.lr_factor,
                update_ema=self._update_ema,
                judge=self._judge,
                save=self._save,
                report=self._report,
                stop_asked=self.stop_asked,
                counts=self._counts,
            )
        if zero:
            self.showing.draw(self.progress.rows, self.recipe)
        return complete

    def _batches(self, epoch: int, first_step: int) -> Iterable[Batch]:
        if first_step == 0 and self.model.turns_to_log(epoch):
            reset_optimizer_state(self.optimizer.optimizer)
        self.batches.epoch, self.batches.first_step = epoch, first_step
        return self.loader

    def _loss(self, batch: Batch, epoch: int) -> Tensor:
        changed = self.augment(self.fabric.to_device(dict(batch)), epoch=epoch)
        return self.model.loss(self.model.forward(self.wrapped, changed), changed, epoch)

    def _update_ema(self, steps: int) -> None:
        if self.average is not None:
            update_ema(self.average.state_dict(), self.network.state_dict(), self.ema, steps)

    def _counts(self, batch: Batch) -> bool:
        """Whether a batch has a pixel to learn from; frames without one are named, once a run."""
        has = self.model.counts(batch).flatten(1).any(1)
        if not has.all():
            new = {int(frame) for frame in batch["frame"][~has]} - self._without_truth
            self._without_truth |= new
            self._name_frames("to learn from", sorted(new))
        return bool(has.any())

    def _name_frames(self, what: str, frames: list[int]) -> None:
        if frames and self.fabric.is_global_zero:
            numbers = ", ".join(map(self.mixture.frame_name, frames))
            self.ticker.line(f"{len(frames)} without a valid pixel {what}, left out: frame {numbers}")

    def _judge(self) -> Row | None:
        """Errors on the held-out frames, each at its store's size; one process measures.

        The state is saved before, and the epoch judged when the run goes on, should this come to no end. None
        after Ctrl-C.
        """
        several = len(self.portions) > 1
        shares = {f"share {part.name}": part.share for part in self.portions if several}
        judged = [part for part in self.portions if part.validate]
        if not (judged and self.fabric.is_global_zero):
            return shares
        checkpoint.save(self.out / "last.ckpt", self.contents())
        network = self.network if self.average is None else self.average
        predict = partial(self.predict, network)
        found = judge(predict, judged, self.model.target_array, self.stop_asked, self.showing.take)
        if found is None:
            return None
        row, skipped = found
        self._name_frames("to judge by", skipped)
        self.showing.keep(self.progress.epoch + 1)
        return row | shares

    def _save(self, done: Progress) -> None:
        if self.fabric.is_global_zero:
            contents = self.contents()
            checkpoint.save(self.out / "last.ckpt", contents)
            if done.step == 0:
                self._derive(contents)
                self._tell(done.rows[-1])
                self.showing.draw_at_times(self.progress.rows, self.recipe)
        self.fabric.barrier()

    def _derive(self, contents: checkpoint.Contents) -> None:
        """Write what follows from ``last.ckpt``: ``log.csv``, and ``best.ckpt`` if that is the best epoch.

        ``last.ckpt`` is written first, and again only after these: what a kill left out is made from it.
        """
        rows = self.progress.rows
        if self.progress.step == 0 and rows and progress.best_epoch(rows) == len(rows):
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
            write_text(self.out / "config.toml", self.recipe)
            return
        path, best = self.out / "best.ckpt", progress.best_epoch(self.progress.rows)
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
        write_text(self.out / "config.toml", self.recipe)
        self._derive(contents)

    def _tell(self, row: Row) -> None:
        self.ticker.line(progress.format_row(row))
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, int(row["epoch"]))
            self.writer.flush()

    def _report(self, done: Progress, loss: float) -> None:
        text = f"epoch {done.epoch + 1}/{self.epochs}  loss {loss:.4g}"
        self.ticker.step(text)

    def contents(self) -> checkpoint.Contents:
        """Gather what a checkpoint holds."""
        return checkpoint.Contents(
            {
                "network": {"name": self.model.name, "arguments": self.network.arguments},
                "weights": self.network.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "config": self.settings,
                "store": self.mixture.identity,
                "commit": self.commit,
                "epoch": self.progress.epoch,
                "step": self.progress.step,
                "classes": self.mixture.classes,
                "versions": self.versions,
                "run": self.name,
                "training": {
                    "optimizer": self.optimizer.state_dict(),
                    "precision": self.fabric.strategy.precision.state_dict(),
                    "random": checkpoint.random_states(),
                    "progress": asdict(self.progress),
                },
                **({"stores": told(self.portions)} if len(self.portions) > 1 else {}),
                **({"labels": self.mixture.labels} if self.mixture.labels else {}),
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
                f"{contents.path}: its training state cannot be restored ({error!r}); {REMEDY}"
            ) from error
        self.progress = Progress(**training["progress"])
        before = contents.get("versions", [])
        self.versions = before if before[-1:] == self.versions else before + self.versions
        self.name = contents.get("run", self.name)
        self.restored = contents
