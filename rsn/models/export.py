"""A network as an ONNX graph of any height and width, checked against PyTorch at several sizes."""

import logging
import math
import os
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.models.contract import Model

MOST_DIFFERENCE = 1e-3
CHECKED = ((1, 96, 128), (2, 61, 83))
"""Batch, height and width of the images that the written graph is tried with."""


class FromColour(nn.Module):
    """A network that takes colour of 0-255, and gives depth, or depth and support, alone."""

    def __init__(self, model: Model, network: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map colour (B, 3, H, W), float32 of 0-255, to metres (B, 1, H, W)."""
        found = self.model.predict(self.network, {"rgb": rgb})
        return found.depth if found.support is None else (found.depth, found.support)


def export_onnx(network: nn.Module, path: Path, *, outputs: Sequence[str] = ("depth",)) -> float:
    """Write a network as ONNX and compare what it computes with PyTorch.

    Parameters
    ----------
    network : Module
        In evaluation mode; maps colour (B, 3, H, W), float32 of 0-255, to as many maps as ``outputs``
        names, (B, 1, H, W) in metres.
    path : Path
        File to write; it appears only once the check has passed.
    outputs : sequence of str
        Names of the graph's outputs; its input is ``rgb``. Batch, height and width are free.

    Returns
    -------
    float
        Largest difference found, relative to the largest value.

    Raises
    ------
    InputError
        Where the packages of the extra ``onnx`` are missing, or the file cannot be written there.
    OSError
        Where the disk is full.
    RuntimeError
        Where the graph computes something else than the network.
    """
    try:
        runtime, _ = import_module("onnxruntime"), import_module("onnxscript")
    except ImportError as error:
        raise InputError(
            "export needs the packages of an extra: pip install 'region-support[onnx]'"
        ) from error
    check_file(path)
    with TemporaryDirectory(prefix=".rsn-export-", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            _write(network, aside, outputs)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        session = runtime.InferenceSession(str(aside), providers=["CPUExecutionProvider"])
        worst = max(_difference(network, session, shape) for shape in CHECKED)
        if worst > MOST_DIFFERENCE:
            raise RuntimeError(
                f"the exported graph differs from the network by {worst:.2g} of its largest value"
            )
        aside.replace(path)
    return worst


def check_file(path: Path) -> None:
    """Refuse a place where no file can be written, before the work."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent} to write to; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written to; give another")


def _write(network: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    example = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 255
    free = torch.export.Dim.DYNAMIC
    # The exporter warns of its own use of deprecated parts of PyTorch, and of packages it can do without.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["rgb"],
            output_names=list(outputs),
            dynamic_shapes=({0: free, 2: free, 3: free},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.no_grad()
def _difference(network: nn.Module, session: Any, shape: tuple[int, int, int]) -> float:
    batch, height, width = shape
    rgb = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255
    expected: Tensor | tuple[Tensor, ...] = network(rgb)
    pairs = zip(
        (expected,) if isinstance(expected, Tensor) else expected,
        session.run(None, {"rgb": rgb.numpy()}),
        strict=True,
    )
    differences = [
        float((torch.from_numpy(got) - value).abs().max() / value.abs().max()) for value, got in pairs
    ]
    # A comparison with NaN is never true, be it for more or for less.
    return math.inf if any(math.isnan(value) for value in differences) else max(differences)
