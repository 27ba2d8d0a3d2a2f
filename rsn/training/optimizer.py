"""The rule of the step: parameter groups, the course of the learning rate, the running average."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

WARM_UP = 0.3
"""Share of a one-cycle run in which the rate rises."""


def build_optimizer(
    weights: Iterable[nn.Parameter],
    encoder: Iterable[nn.Parameter],
    name: str,
    *,
    lr: float,
    encoder_lr_scale: float = 1.0,
    momentum: float = 0.99,
    weight_decay: float = 5e-4,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """Build SGD, Adam or AdamW over the weights that are not frozen (paper, section 4).

    Those of ``encoder`` learn at ``lr`` times ``encoder_lr_scale``. Every group keeps its highest rate as
    ``peak_lr``. ``fused`` takes a step in one pass over the weights.
    """
    slow = {id(weight) for weight in encoder}
    groups: dict[float, list[nn.Parameter]] = {}
    for weight in weights:
        if weight.requires_grad:
            scale = encoder_lr_scale if id(weight) in slow else 1.0
            groups.setdefault(lr * scale, []).append(weight)
    parameters = [{"params": group, "lr": peak, "peak_lr": peak} for peak, group in groups.items()]
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=momentum, weight_decay=weight_decay, fused=fused)
    if name == "adam":
        return torch.optim.Adam(parameters, weight_decay=weight_decay, fused=fused)
    return torch.optim.AdamW(parameters, weight_decay=weight_decay, fused=fused)


def reset_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Reset the moments of Adam and AdamW, for a loss whose gradients have another scale; SGD is left alone.

    They divide each step by the gradients' root mean square over about a thousand steps. After a loss ten
    times as large, their steps would be a tenth of what the learning rate says for most of a short run.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        optimizer.state.clear()


def lr_factor(schedule: str, done: float) -> float:
    """Learning rate over its peak, after the share ``done`` (0 to 1) of the run.

    ``constant``: 1. ``cosine``: from 1 down to 0. ``one-cycle``: from 1/25 up to 1 in the first 30 % of
    the run, then down to 1/250000, both along a cosine (Smith and Topin, 2019).
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _between(1.0, 0.0, done)
    if done < WARM_UP:
        return _between(1 / 25, 1.0, done / WARM_UP)
    return _between(1.0, 1 / 250_000, (done - WARM_UP) / (1 - WARM_UP))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def update_ema(
    average: Mapping[str, Tensor], weights: Mapping[str, Tensor], decay: float, steps: int
) -> None:
    """Update an exponential moving average of a state dict, in place.

    In the first steps the average is shorter than ``decay`` says, so that it forgets the start; counters
    are copied.
    """
    share = 1 - min(decay, (1 + steps) / (10 + steps))
    for name, value in weights.items():
        if value.is_floating_point():
            average[name].lerp_(value, share)
        else:
            average[name].copy_(value)
