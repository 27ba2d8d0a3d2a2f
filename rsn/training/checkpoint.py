"""Checkpoints: atomic, self-describing, and checked whole before anything of them is used.

A checkpoint is one dict of plain values and tensors:

=============  ==========================================================================
format         ``"rsn-checkpoint"``
version        1
rsn            version of the package that wrote it
commit         git commit of the code that trained it (``rsn.training.provenance.commit``)
network        ``{"name", "arguments"}``: what rebuilds the network
weights        its state dict
average        state dict of the running average, or None; where there is one, it is what counts
config         the run's settings, section -> key -> value
store          identity of the store that it learnt from; of several, theirs joined by ``+``
epoch, step    whole epochs done, and steps done in the one begun
training       what only a resumed run needs (optimizer, random states, log), or None
classes        number of the store's categories; absent in old files
versions       commit and versions of each program that trained it, in turn; absent in old files
run            random name of the run, which its files share; absent in old files
stores         what it took of each of several stores: a dict of numbers and text; absent for one store
labels         "40" where labels of several stores were brought to NYU's 40 classes; else absent
=============  ==========================================================================

The bytes are checked against the file's seal (``rsn.models.weight_files``), the entries against this table,
and the weights for being finite, all in ``load``; ``rsn.experiment`` checks the settings,
``rsn.models.weights.rebuild`` the weights against the network, and ``rsn.training.resume`` the entry
``training``.
"""

import random
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

import rsgt
from rsgt.inputs import InputError
from rsn.models.weight_files import REMEDY, UnreadableError, read_torch, write_torch

FORMAT, VERSION = "rsn-checkpoint", 1
MOST_CATEGORIES = 2**16
"""As many as the store's type of labels can tell apart."""
KINDS: dict[str, tuple[type, ...]] = {
    "network": (dict,), "weights": (dict,), "average": (dict, NoneType), "config": (dict,), "store": (str,),
    "commit": (str,), "epoch": (int,), "step": (int,), "training": (dict, NoneType),
}  # fmt: skip
OPTIONAL: dict[str, tuple[type, ...]] = {
    "classes": (int,), "versions": (list,), "run": (str,),
    "stores": (list,), "labels": (str,),
}  # fmt: skip


class Contents(dict[str, Any]):
    """The entries of the module's table, and the file that they came from, for messages."""

    path: Path | None = None


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a checkpoint so that ``path`` holds the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
        Its folder exists.
    contents : mapping
        The entries of the module's table.

    Raises
    ------
    OSError
        Where the disk is full or fails; nothing is left of the attempt.
    """
    header = {"format": FORMAT, "version": VERSION, "rsn": rsgt.__version__}
    optional = {key: contents[key] for key in OPTIONAL if key in contents}
    write_torch(path, {**header, **{key: contents[key] for key in KINDS}, **optional})


def load(path: Path) -> Contents:
    """Read a checkpoint onto the CPU.

    Raises
    ------
    InputError
        Where there is no file, it is no checkpoint of this format and version, a byte or an entry of it is
        damaged, or a weight is not finite.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; give the .ckpt file that rsn fit wrote")
    try:
        read = read_torch(path)
    except UnreadableError as error:
        raise InputError(
            f"{path}: expected a checkpoint of rsn fit, cannot read this file ({error}); give another, or "
            "train anew"
        ) from error
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise InputError(
            f"{path}: a PyTorch file, but no checkpoint of rsn fit; give the .ckpt that it wrote"
        )
    if type(read.get("version")) is not int or read["version"] != VERSION:
        raise InputError(
            f"{path}: got checkpoint version {read.get('version')}, expected {VERSION}; "
            f"it was written by rsn {read.get('rsn')}: use that version"
        )
    wrong = complaint(read)
    if wrong:
        raise InputError(f"{path}: this checkpoint's {wrong}; {REMEDY}")
    contents = Contents(read)
    contents.path = path
    return contents


def complaint(contents: Mapping[str, Any]) -> str | None:
    """Say which entry of what a file held is not what the module's table says, if any."""
    for key, kinds in ({"rsn": (str,)} | KINDS | OPTIONAL).items():
        if key in OPTIONAL and key not in contents:
            continue
        # type() and not isinstance(): True is no epoch.
        if key not in contents or type(contents[key]) not in (*kinds, *_LIKE_DICT * (dict in kinds)):
            got = type(contents[key]).__name__ if key in contents else "nothing"
            expected = " or ".join(kind.__name__ for kind in kinds)
            return f"entry {key!r} is wrong: got {got}, expected {expected}"
    network = contents["network"]
    for key in ("network", "config", "versions", "stores"):
        named = key != "network" or (
            type(network.get("name")) is str and type(network.get("arguments")) is dict
        )
        if not named or not is_plain(contents.get(key, [])):
            return f"entry {key!r} is wrong: expected numbers and text by name"
    categories = network["arguments"].get("categories", 0)
    if type(categories) is not int or not 0 <= categories <= MOST_CATEGORIES:
        return f"network is wrong: got {categories!r} categories"
    if min(contents["epoch"], contents["step"]) < 0:
        return f"epoch or step is wrong: got {contents['epoch']} and {contents['step']}, expected 0 or more"
    for part in ("weights", "average"):
        for name, value in (contents[part] or {}).items():
            found = _unusable(name, value)
            if found:
                return f"{part} are wrong: {name} {found}"
    return None


_LIKE_DICT = (OrderedDict,)
"""PyTorch's state dicts."""


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, text, lists and tables by name alone."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    return type(value) in (int, float, bool, str, NoneType)


def _unusable(name: Any, value: Any) -> str | None:
    """Say why an entry of a state dict could be no network's, if so."""
    if type(name) is not str or type(value) is not Tensor:
        return f"is a {type(value).__name__}, expected tensors by name"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return "is no plain tensor"
    # One number in the file may claim to be a tensor of any size.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "has more elements than the file holds"
    if not value.isfinite().all():
        return f"has {int((~value.isfinite()).sum())} values of {value.numel()} that are not finite"
    if name.endswith("running_var") and (value < 0).any():
        return "holds a negative variance"
    return None


def random_states() -> dict[str, Any]:
    """States of the random numbers of Python, NumPy and PyTorch (CPU, and every CUDA device)."""
    kind, words, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(words).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Set what ``random_states`` returned; CUDA devices only where as many are present."""
    random.setstate(states["python"])
    kind, words, *rest = states["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
