"""The training loop, read from top to bottom (paper, section 4).

Device, precision and processes are Lightning Fabric's; what is trained, on what and how it is judged
come in as plain functions.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rsgt.inputs import InputError

NOTHING = (
    "no frame of epoch {epoch} has a pixel to learn from; build a store with depth, or give a larger --size"
)

Batch = Mapping[str, Tensor]
Row = dict[str, float]


@dataclass
class Progress:
    """How far a run is: whole epochs, steps of the next one, the sum of their losses, and the log's rows.

    ``empty`` of the steps had no pixel to learn from.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    empty: int = 0
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
    lr_factor: Callable[[float], float],
    update_ema: Callable[[int], None],
    judge: Callable[[], Row | None],
    save: Callable[[Progress], None],
    report: Callable[[Progress, float], None],
    stop_asked: Callable[[], bool],
    counts: Callable[[Batch], bool] = lambda _: True,
) -> bool:
    """Train up to ``epochs``, or until a stop is asked for; say whether it is complete.

    Parameters
    ----------
    fabric, network, optimizer, progress
        Set up by Fabric, each group of the optimizer with its highest rate as ``peak_lr``; and the start.
    epochs, steps, accumulate, clip, frozen_norm_epochs
        Passes over the data, steps of the optimizer in a pass, batches whose gradients make a step, the
        largest norm of the gradient (0 = no limit), and last epochs that keep batch norm's statistics.
    batches, loss_of, lr_factor : callable
        (epoch, first step) -> its batches from there on; (batch, epoch) -> their mean loss; share of the
        run that is done -> share of the highest learning rate.
    update_ema, judge : callable
        (steps done in all) -> None, after each step, for running averages; () -> columns of the epoch's
        row, after each epoch, or None where a stop came first: the epoch is then judged when it goes on.
    save, report, stop_asked : callable
        Store the state after each epoch and at a stop; tell (progress, loss) after each step; stop now?
    counts : callable
        Whether a batch has anything to learn from. Where none of a step has, the step changes no weight and
        is left out of the epoch's mean loss.

    Raises
    ------
    InputError
        Where a loss is not finite: names the epoch, the step, the frames and the first layer. Where no batch
        of an epoch has anything to learn from.
    """
    while progress.epoch < epochs:
        begun = time.perf_counter()
        _set_training_mode(network, frozen_norm=progress.epoch >= epochs - frozen_norm_epochs)
        feed = iter(batches(progress.epoch, progress.step))
        while progress.step < steps:
            done = progress.epoch * steps + progress.step
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * lr_factor(done / (epochs * steps))
            between = progress.step > 0 and fabric.world_size == 1
            parts = _load(feed, accumulate, partial(save, progress) if between else None)
            loss = _step(fabric, network, optimizer, parts, loss_of, progress, clip=clip, counts=counts)
            update_ema(done + 1)
            progress.step += 1
            # All processes must stop at the same step.
            stopping = _any_process(fabric, stop_asked())
            report(progress, loss)
            if stopping:
                save(progress)
                return False
        network.eval()
        if progress.empty == steps:
            raise InputError(NOTHING.format(epoch=progress.epoch + 1))
        errors = judge()
        if _any_process(fabric, errors is None) or errors is None:
            return False
        mean, rate_now = progress.loss_sum / (steps - progress.empty), optimizer.param_groups[0]["lr"]
        row = {"epoch": progress.epoch + 1, "loss": mean, "lr": rate_now}
        progress.rows.append(row | errors | {"seconds": time.perf_counter() - begun})
        progress.epoch, progress.step, progress.loss_sum, progress.empty = progress.epoch + 1, 0, 0.0, 0
        save(progress)
    return True


def _step(
    fabric: Fabric,
    network: _FabricModule,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Batch],
    loss_of: Callable[[Batch, int], Tensor],
    progress: Progress,
    *,
    clip: float,
    counts: Callable[[Batch], bool],
) -> float:
    """Make one step of the batches, and return their mean loss over all processes."""
    total = torch.zeros((), device=fabric.device)
    for turn, batch in enumerate(parts, 1):
        with fabric.no_backward_sync(network, enabled=turn < len(parts)):
            loss = loss_of(batch, progress.epoch) / len(parts)
            fabric.backward(loss)
        total += loss.detach()
    known = total.new_tensor(float(sum(map(counts, parts))))
    value, counted = torch.as_tensor(fabric.all_reduce(torch.stack([total, known]))).tolist()
    if not math.isfinite(value):
        raise InputError(_complaint(network, batch, loss_of, progress))
    if counted:
        if clip:
            fabric.clip_gradients(network, optimizer, max_norm=clip, error_if_nonfinite=False)
        optimizer.step()
        progress.loss_sum += value
    else:
        progress.empty += 1
    optimizer.zero_grad()
    return float(value)


def _any_process(fabric: Fabric, here: bool) -> bool:
    """Whether something is so in any process; all of them ask."""
    return bool(fabric.all_reduce(torch.tensor(float(here), device=fabric.device)))


def _load(feed: Iterator[Batch], count: int, save: Callable[[], None] | None) -> list[Batch]:
    """Load the batches of a step. Should that fail, what was learnt up to there is complete, and is saved.

    ``save`` is None before an epoch's first step, and for several processes, which would wait for each other.
    """
    try:
        return list(islice(feed, count))
    except Exception:
        if save is not None:
            save()
        raise


def _set_training_mode(network: nn.Module, *, frozen_norm: bool) -> None:
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
