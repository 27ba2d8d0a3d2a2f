"""Where a network runs: the device, the number of processes, the arithmetic."""

import ctypes
import os
from contextlib import suppress
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from rsgt.inputs import InputError


def make_fabric(device: str = "auto", devices: int = 1, precision: str = "32") -> Fabric:
    """Choose where to run.

    Raises
    ------
    InputError
        Where the device is not available, or there are fewer of it.
    """
    present = _present()
    if device in present and not present[device]:
        raise InputError(f"device: got {device!r}, but PyTorch finds none here; use --device cpu or auto")
    device = _device(device)
    if devices > present.get(device, devices):
        raise InputError(f"devices: got {devices}, but there are {present[device]} of {device}; give fewer")
    if precision == "16-mixed" and device == "cpu":
        raise InputError("precision: '16-mixed' needs a GPU; use --precision bf16-mixed or 32 on a CPU")
    arithmetic: Any = "32-true" if precision == "32" else precision
    strategy = "ddp" if devices > 1 else "auto"
    plugins: Any = [] if _launched(devices) else [LightningEnvironment()]
    for name in [name for name in os.environ if name.startswith("LT_")]:
        del os.environ[name]  # settings of Lightning's own command line, which is not this one
    try:
        return Fabric(
            accelerator=device, devices=devices, strategy=strategy, precision=arithmetic, plugins=plugins
        )
    except RuntimeError as error:
        raise InputError(
            f"devices: got {devices}, which does not fit the job that SLURM started ({error}); give srun as "
            "many tasks, with --ntasks-per-node"
        ) from error


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""


def keep_freed_memory() -> None:
    """Let the C library keep what a step of training frees, for the next step needs as much again.

    glibc decides by what was freed before: a training whose checkpoint was saved once more at its start gave
    its memory back and asked for it again in each step, 1.6 million page faults an epoch instead of 0.1, for
    7 % of its time. The peak is the same. Where the user has settings of malloc, or it is another library's,
    nothing is done.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_MMAP_THRESHOLD, 2**25)


def _launched(devices: int) -> bool:
    """Whether torchrun or srun has started a process for each device.

    Else this process starts the others itself, whatever a cluster's variables say of the job around it.
    """
    if devices == 1:
        return False
    step = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    return TorchElasticEnvironment.detect() or (step.isdigit() and int(step) == devices)


def _present() -> dict[str, int]:
    """Count the accelerators of each kind, the preferred kind first."""
    return {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}


def _device(name: str) -> str:
    """Say what ``auto`` stands for here; any other name stands for itself."""
    return next((kind for kind, count in _present().items() if count), "cpu") if name == "auto" else name


def resolve_precision(precision: str, device: str) -> str:
    """Say which arithmetic ``auto`` stands for on this machine; any other stands for itself.

    It is ``bf16-mixed`` where the device computes in bfloat16 and ``32`` where it would emulate it, which a
    processor does ten times slower.
    """
    if precision != "auto":
        return precision
    kind, native = _device(device), False
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # a newer PyTorch's
        has = torch.cpu.get_capabilities()
        native = any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bf16-mixed" if native else "32"
