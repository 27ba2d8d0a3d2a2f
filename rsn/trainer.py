"""The training loop, read from top to bottom (paper, section 4).

Device, precision and processes are Lightning Fabric's; what is trained, on what and how it is judged
come in as plain functions.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rsgt.schema import InputError

Batch = Mapping[str, Tensor]
Row = dict[str, float]


@dataclass
class Progress:
    """How far a run is: whole epochs, steps of the next one, the sum of their losses, and the log's rows."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    rows: list[Row] = field(default_factory=list)


def train(
    fabric: Fabric,
    network: _FabricModule,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    epochs: int,
    steps: int,
    accumulate: int,
    clip: float,
    frozen_norm_epochs: int,
    batches: Callable[[int, int], Iterable[Batch]],
    loss_of: Callable[[Batch, int], Tensor],
    rate: Callable[[float], float],
    follow: Callable[[int], None],
    judge: Callable[[], Row],
    keep: Callable[[Progress], None],
    report: Callable[[Progress, float], None],
    stop_asked: Callable[[], bool],
) -> bool:
    """Train up to ``epochs``, or until a stop is asked for; say whether it is complete.

    Parameters
    ----------
    fabric, network, optimizer, progress
        Set up by Fabric, each group of the optimizer with its highest rate as ``peak_lr``; and the start.
    epochs, steps, accumulate, clip, frozen_norm_epochs
        Passes over the data, steps of the optimizer in a pass, batches whose gradients make a step, the
        largest norm of the gradient (0 = no limit), and last epochs that keep batch norm's statistics.
    batches, loss_of, rate : callable
        (epoch, first step) -> its batches from there on; (batch, epoch) -> their mean loss; share of the
        run that is done -> share of the highest learning rate.
    follow, judge : callable
        (steps done in all) -> None, after each step, for running averages; () -> columns of the epoch's
        row, after each epoch.
    keep, report, stop_asked : callable
        Store the state after each epoch and at a stop; tell (progress, loss) after each step; stop now?

    Raises
    ------
    InputError
        Where a loss is not finite: names the epoch, the step, the frames and the first layer.
    """
    while progress.epoch < epochs:
        begun = time.perf_counter()
        _training_mode(network, frozen_norm=progress.epoch >= epochs - frozen_norm_epochs)
        feed = iter(batches(progress.epoch, progress.step))
        while progress.step < steps:
            done = progress.epoch * steps + progress.step
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate(done / (epochs * steps))
            total = torch.zeros((), device=fabric.device)
            for turn, batch in enumerate(islice(feed, accumulate), 1):
                with fabric.no_backward_sync(network, enabled=turn < accumulate):
                    loss = loss_of(batch, progress.epoch) / accumulate
                    fabric.backward(loss)
                total += loss.detach()
            # All processes must stop at the same step: they agree on it as they do on the loss.
            shared = fabric.all_reduce(torch.stack([total, total.new_tensor(float(stop_asked()))]))
            value, stopping = torch.as_tensor(shared).tolist()
            if not math.isfinite(value):
                raise InputError(_complaint(network, batch, loss_of, progress))
            if clip:
                fabric.clip_gradients(network, optimizer, max_norm=clip, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            follow(done + 1)
            progress.step += 1
            progress.loss_sum += value
            report(progress, value)
            if stopping:
                keep(progress)
                return False
        network.eval()
        row = {"epoch": progress.epoch + 1, "loss": progress.loss_sum / steps}
        row["lr"] = optimizer.param_groups[0]["lr"]
        progress.rows.append(row | judge() | {"seconds": time.perf_counter() - begun})
        progress.epoch, progress.step, progress.loss_sum = progress.epoch + 1, 0, 0.0
        keep(progress)
    return True


def _training_mode(network: nn.Module, *, frozen_norm: bool) -> None:
    """Switch to training mode, but for frozen parts, and batch normalisation where it is to stay as it is."""
    network.train()
    for module in network.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()
        if frozen_norm and isinstance(module, _BatchNorm):
            module.eval()


def _complaint(
    network: nn.Module, batch: Batch, loss_of: Callable[[Batch, int], Tensor], progress: Progress
) -> str:
    """Say where a loss that is not finite came from, by running the batch once more."""
    layers: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def look(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                layers.append(name)

        return look

    hooks = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    with torch.no_grad():
        loss_of(batch, progress.epoch)
    for hook in hooks:
        hook.remove()
    where = f"layer {layers[0].removeprefix('_forward_module.')}" if layers else "the loss, after the layers"
    return (
        f"the loss is not finite at epoch {progress.epoch + 1}, step {progress.step + 1}, with frames "
        f"{batch['frame'].tolist()}: it starts in {where}; try a lower --lr, --clip 1 or --precision 32"
    )
