"""Checkpoints: atomic, self-describing, and read without running code from them.

A checkpoint is one dict of plain values and tensors:

=============  ==========================================================================
format         ``"rsn-checkpoint"``
version        1
rsn            version of the package that wrote it
commit         git commit of the code that trained it (``rsn.provenance.commit``)
network        ``{"name", "arguments"}``: what rebuilds the network
weights        its state dict
average        state dict of the running average, or None; where there is one, it is what counts
config         the run's settings, section -> key -> value
store          identity of the store that it learnt from
epoch, step    whole epochs done, and steps done in the one begun
training       what only a resumed run needs (optimizer, random states, log), or None
=============  ==========================================================================
"""

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rsgt
from rsgt.schema import InputError

FORMAT, VERSION = "rsn-checkpoint", 1
KEYS = ("network", "weights", "average", "config", "store", "commit", "epoch", "step", "training")

Contents = dict[str, Any]


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a checkpoint so that ``path`` holds the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
        Its folder exists.
    contents : mapping
        The entries ``KEYS`` of the module's table.
    """
    aside = path.with_name(path.name + ".tmp")
    with aside.open("wb") as file:
        header = {"format": FORMAT, "version": VERSION, "rsn": rsgt.__version__}
        torch.save({**header, **{key: contents[key] for key in KEYS}}, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def load(path: Path) -> Contents:
    """Read a checkpoint onto the CPU.

    Raises
    ------
    InputError
        Where there is no file, or it is no checkpoint of this format and version.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; give the .ckpt file that rsn fit wrote")
    try:
        contents: Contents = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises half a dozen types for a file that it did not write; the message names the first line.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected a checkpoint of rsn fit, cannot read this file ({reason})"
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise InputError(
            f"{path}: a PyTorch file, but no checkpoint of rsn fit; give the .ckpt that it wrote"
        )
    if contents["version"] != VERSION:
        raise InputError(
            f"{path}: got checkpoint version {contents['version']}, expected {VERSION}; "
            f"it was written by rsn {contents['rsn']}: use that version"
        )
    return contents


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
