"""The state that a run goes on from: read, and compared with the run before anything of it is used."""

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsgt.inputs import InputError
from rsn.data.mixture import Mixture
from rsn.models.weight_files import REMEDY
from rsn.training import checkpoint
from rsn.training.loop import Progress
from rsn.training.optimizer import lr_factor
from rsn.training.start import FILES, SAMPLES

Settings = Mapping[str, Mapping[str, Any]]
"""Section to key to value, as checkpoints hold them."""

MOVABLE = {"workers", "cache", "device", "devices", "checkpointing", "compile", "planes"}
"""Settings of where and how it runs, and of its use alone: a resumed run may change them."""


def read_earlier(out: Path, mixture: Mixture, *, resume: bool) -> checkpoint.Contents | None:
    """Read the checkpoint of a folder to go on from; None where there is none yet.

    Raises
    ------
    InputError
        Where there is one and ``resume`` was not asked for, or it is damaged, or of other stores, or of these
        in another order.
    """
    last = out / "last.ckpt"
    if not last.exists():
        left = [name for name in (*FILES, SAMPLES) if (out / name).exists() or (out / name).is_symlink()]
        if left:
            raise InputError(
                f"{out}: contains {', '.join(left)} but no last.ckpt to resume from; restore it, or give "
                "another --out"
            )
        return None
    if not resume:
        raise InputError(f"{out}: already contains a run; give --resume to continue it, or another --out")
    contents = checkpoint.load(last)
    if contents["store"] != mixture.identity:
        raise InputError(f"{out}: its run was trained on {_other_stores(contents['store'], mixture)}")
    if contents["training"] is None:
        raise InputError(f"{last}: cannot be resumed: it lacks the optimizer's state; give another --out")
    return contents


def _other_stores(then: str, mixture: Mixture) -> str:
    """Say what a run was trained on instead of the stores given, and what to do."""
    before, given = then.split("+"), mixture.identity.split("+")
    paths = [str(store.path) for store in mixture.stores]
    if len(before) == len(given) == 1:
        return f"another store than {paths[0]}; give that one to resume it"
    if sorted(before) == sorted(given):
        order = " ".join(f"--store {paths[given.index(one)]}" for one in before)
        return f"the same stores in another order; give {order}"
    count = "one store" if len(before) == 1 else f"{len(before)} stores"
    missing = sum(one not in given for one in before)
    return f"{count}, {missing} of which not among {', '.join(paths)}; give those alone, in their order"


def check_settings(
    out: Path, contents: checkpoint.Contents, *, now: Settings, then: Settings, epochs: int
) -> None:
    """Compare the settings of a run that is to go on with those that it had.

    Raises
    ------
    InputError
        Where one differs that may not, or the run is further than ``epochs``.
    """
    for section, keys in now.items():
        for key in {**then[section], **keys}:  # an empty list is in neither
            value, before = keys.get(key, []), then[section].get(key, [])
            if key not in MOVABLE | {"epochs"} and value != before:
                raise InputError(
                    f"{key}: got {value!r}, but the run in {out} has {before!r}; "
                    f"omit --{key.replace('_', '-')}, or give another --out"
                )
    begun = contents["epoch"] + (contents["step"] > 0)
    if epochs < begun:
        raise InputError(
            f"epochs: got {epochs}, but the run to resume is already in epoch {begun}; give at least that, "
            "or another --out"
        )


def more_epochs(contents: checkpoint.Contents, *, now: Settings) -> str | None:
    """Say what becomes of a run that goes on to another number of epochs than it had; None where it has not.

    At a constant rate nothing does: it is the run that was begun with that number, bit for bit on a CPU. What
    is a share of the run, the course of the rate and ``frozen_norm``, goes by the new number from here on.
    """
    before, epochs = contents["config"].get("run", {}).get("epochs"), now["run"]["epochs"]
    if before in (None, epochs):
        return None
    schedule, frozen_norm = now["optimizer"]["schedule"], now["optimizer"]["frozen_norm"]
    changed = []
    if schedule != "constant":
        old, new = (lr_factor(schedule, min(1.0, contents["epoch"] / whole)) for whole in (before, epochs))
        changed.append(
            f"the learning rate ({schedule}) goes on at {new:.2g} of its peak instead of {old:.2g}"
        )
    if frozen_norm:
        old, new = (whole - round(frozen_norm * whole) + 1 for whole in (before, epochs))
        changed.append(f"batch statistics are kept from epoch {new} on instead of {old}")
    what = ", and ".join(changed) or "at its constant rate this is one run of that many"
    return f"epochs: {before} before, {epochs} now; {what}"


def check_training(contents: checkpoint.Contents, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Compare what a checkpoint says of the training with the run that is to go on.

    Parameters
    ----------
    contents : Contents
        The checkpoint.
    optimizer : Optimizer
        The run's own, as it begins.
    steps : int
        Of an epoch.

    Raises
    ------
    InputError
        Where progress or the optimizer's state is not what this run would have written.
    """
    training = contents["training"]
    for key in ("optimizer", "precision", "random", "progress"):
        if not isinstance(training.get(key), dict):
            complaint: str | None = f"entry {key!r} is missing or not a dict"
            break
    else:
        complaint = _progress_complaint(contents, training["progress"], steps) or _optimizer_complaint(
            training["optimizer"], optimizer
        )
    if complaint:
        raise InputError(f"{contents.path}: its training state is invalid: {complaint}; {REMEDY}")


def _progress_complaint(contents: Mapping[str, Any], progress: dict[str, Any], steps: int) -> str | None:
    epoch, step, rows = contents["epoch"], contents["step"], progress.get("rows")
    # Files from before steps without a valid pixel were counted lack that number.
    names = {item.name for item in fields(Progress)}
    plain = checkpoint.is_plain(progress)
    if (
        not plain
        or progress.keys() | {"empty"} != names
        or progress["epoch"] != epoch
        or progress["step"] != step
    ):
        return "its progress disagrees with its epoch and step"
    empty = progress.get("empty", 0)
    if (
        step > steps
        or not _is_number(progress["loss_sum"])
        or type(empty) is not int
        or not 0 <= empty <= step
    ):
        return (
            f"inconsistent progress: step {step} of {steps}, {empty!r} empty, sum of losses "
            f"{progress['loss_sum']!r}"
        )
    if not isinstance(rows, list) or len(rows) != epoch:
        return f"the log does not have one row for each of {epoch} epochs"
    for number, row in enumerate(rows, 1):
        if (
            not isinstance(row, dict)
            or row.get("epoch") != number
            or not row.keys() >= {"loss", "lr", "seconds"}
        ):
            return f"row {number} of the log is malformed"
        if not all(isinstance(key, str) and _is_number(value) for key, value in row.items()):
            return f"row {number} of the log has a value that is not a number"
    return None


def _optimizer_complaint(told: dict[str, Any], optimizer: torch.optim.Optimizer) -> str | None:
    groups, expected = told.get("param_groups"), optimizer.state_dict()["param_groups"]
    if (
        not isinstance(groups, list)
        or len(groups) != len(expected)
        or not isinstance(told.get("state"), dict)
    ):
        return "the optimizer has other parameter groups, or no state"
    for group, own in zip(groups, expected, strict=True):
        # A newer PyTorch may know more keys; the rate has its course.
        plain = isinstance(group, dict) and checkpoint.is_plain(group)
        whole = plain and group.keys() >= {"params", "lr", "peak_lr"}
        if not whole or any(group[key] != own[key] for key in group.keys() & own.keys() - {"lr"}):
            return "a parameter group of the optimizer is malformed or does not match"
        if not _is_number(group["lr"]) or group["lr"] < 0:
            return f"the optimizer has an invalid learning rate: {group['lr']!r}"
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kept = (
        {"momentum_buffer"} if isinstance(optimizer, torch.optim.SGD) else {"step", "exp_avg", "exp_avg_sq"}
    )
    for index, values in told["state"].items():
        known = type(index) is int and 0 <= index < len(weights)
        if not known or not isinstance(values, dict) or values.keys() != kept:
            return f"the optimizer lacks {', '.join(sorted(kept))} for weight {index!r}, or has more"
        for name, value in values.items():
            if not _fits(name, value, weights[index]):
                return f"the optimizer's {name} of weight {index} is invalid"
    return None


def _fits(name: str, value: Any, weight: Tensor) -> bool:
    """Whether a tensor can be what an optimizer keeps of a weight under that name."""
    shape = () if name == "step" else tuple(weight.shape)
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or not value.isfinite().all():
        return False
    return name not in ("step", "exp_avg_sq") or bool((value >= 0).all())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
