"""Published weights: a folder in the layout of the Hugging Face Hub, checked whole before it is used.

=================  ======================================================================
model.safetensors  the state dict that counts: the running average where the run had one
config.json        all else that rebuilds and explains it, below
README.md          the model card, which the program never reads
=================  ======================================================================

``config.json`` holds ``format`` (``"rsn-weights"``), ``version`` (1), ``name`` and ``terms`` (text), the
entries ``rsn``, ``commit``, ``epoch``, ``step``, ``store``, ``network``, ``config`` of a checkpoint, and of
``classes``, ``versions``, ``stores``, ``labels`` and ``run`` those that it has; ``dtype`` (``"float16"`` or
``"float32"``), ``sha256`` of the bytes of ``model.safetensors``, and ``digest``, the SHA-256 of all the
others as JSON with sorted keys and without spaces. It has none of what only a resumed run needs.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor

import rsgt
from rsgt.files import synchronise, write_text
from rsgt.inputs import InputError, read_text, shortened
from rsn.training import checkpoint

FORMAT, VERSION = "rsn-weights", 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
DTYPES = {"float16": torch.float16, "float32": torch.float32}
ENTRIES = ("commit", "epoch", "step", "store", "network", "config")
REMEDY = "it is damaged or was altered: get the folder again, or publish it again"

Dtype = Literal["float16", "float32"]


def is_published(folder: Path) -> bool:
    """Whether a folder is one of published weights, be it that a file of it is missing."""
    return folder.is_dir() and any((folder / name).exists() for name in (WEIGHTS, CONFIG))


def write(
    folder: Path, contents: Mapping[str, Any], *, name: str, terms: str, dtype: Dtype
) -> dict[str, Any]:
    """Write weights and configuration into a folder that exists; give the configuration.

    Parameters
    ----------
    folder : Path
        Where to write.
    contents : mapping
        Entries of a checkpoint.
    name, terms : str
        A short name for people, and under which terms the weights may be used: one line, or empty.
    dtype : str
        ``float16`` or ``float32``; a tensor with a value beyond float16 stays float32.

    Raises
    ------
    OSError
        Where the disk is full or fails.
    """
    state = contents["weights"] if contents["average"] is None else contents["average"]
    tensors = {key: _small(value, dtype) for key, value in state.items()}
    data = safetensors.torch.save(tensors, {"format": "pt"})
    with (folder / WEIGHTS).open("wb") as file:
        file.write(data)
        synchronise(file)
    optional = {key: contents[key] for key in checkpoint.OPTIONAL if key in contents}
    told = {
        "format": FORMAT, "version": VERSION, "name": name, "terms": terms,
        "rsn": contents.get("rsn", rsgt.__version__), **{key: contents[key] for key in ENTRIES}, **optional,
        "dtype": dtype, "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    told["digest"] = _digest(told)
    write_text(folder / CONFIG, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return told


def _small(tensor: Tensor, dtype: Dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    small = tensor.to(DTYPES[dtype])
    return small if small.isfinite().all() else tensor.float()


def load(folder: Path) -> checkpoint.Contents:
    """Read published weights onto the CPU, as the entries of a checkpoint that cannot be resumed.

    Returns
    -------
    Contents
        Weights in float32, which are the running average too where the settings have one; beside a
        checkpoint's entries ``name``, ``terms`` and ``sha256``.

    Raises
    ------
    InputError
        Where a file is missing, of another format or version, or damaged: a byte or an entry of it is not as
        it was written, or a weight is not finite.
    """
    told = _told(folder / CONFIG)
    weights = _weights(folder / WEIGHTS, told["sha256"])
    averaged = _has_average(told["config"])
    entries = {key: told[key] for key in ("rsn", *ENTRIES)}
    optional = {key: told[key] for key in (*checkpoint.OPTIONAL, "name", "terms", "sha256") if key in told}
    state = {"weights": weights, "average": weights if averaged else None, "training": None}
    read = entries | optional | state
    wrong = checkpoint.complaint(read)
    if wrong:
        raise InputError(f"{folder}: these weights' {wrong}; {REMEDY}")
    contents = checkpoint.Contents(read)
    contents.path = folder
    return contents


def _told(path: Path) -> dict[str, Any]:
    """Read and check what a folder says of its weights."""
    try:
        told = json.loads(read_text(path))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; published weights are {WEIGHTS} and {CONFIG}: get both"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON ({error}); {REMEDY}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        got = shortened(told.get("format")) if isinstance(told, dict) else "no table"
        raise InputError(
            f"{path}: got format {got}, expected {FORMAT!r}: weights of another program; give what "
            "`rsn publish` wrote"
        )
    if type(told.get("version")) is not int or told["version"] != VERSION:
        raise InputError(
            f"{path}: got version {shortened(told.get('version'))}, expected {VERSION}; it was written by "
            f"rsn {shortened(told.get('rsn'))}: use that version"
        )
    lacking = [key for key in ("rsn", *ENTRIES, "sha256", "digest") if key not in told]
    if lacking:
        raise InputError(f"{path}: lacks {', '.join(lacking)}; {REMEDY}")
    if told["digest"] != _digest(told) or type(told["sha256"]) is not str:
        raise InputError(f"{path}: an entry is not as it was written (its digest differs); {REMEDY}")
    return told


def _weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read a file of safetensors whose bytes have that digest; floating point becomes float32."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; published weights are {WEIGHTS} and {CONFIG}: get both"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        pointer = data.startswith(b"version https://git-lfs")
        why = "it is a pointer of Git LFS, `git lfs pull` gets the file" if pointer else REMEDY
        raise InputError(f"{path}: its SHA-256 is not the one that {CONFIG} says; {why}")
    try:
        read = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: is no file of safetensors ({error}); {REMEDY}") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in read.items()}


def _has_average(config: Any) -> bool:
    optimizer = config.get("optimizer") if isinstance(config, dict) else None
    return bool(isinstance(optimizer, dict) and optimizer.get("ema"))


def _digest(told: Mapping[str, Any]) -> str:
    others = {key: value for key, value in told.items() if key != "digest"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
