"""A network as an ONNX graph of any height and width, checked against PyTorch at several sizes."""

import logging
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.schema import InputError

CHECKED = ((1, 96, 128), (2, 61, 83))
"""Batch, height and width of the images that the written graph is tried with."""


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
        Where the packages of the extra ``onnx`` are missing.
    RuntimeError
        Where the graph computes something else than the network.
    """
    try:
        runtime, _ = import_module("onnxruntime"), import_module("onnxscript")
    except ImportError as error:
        raise InputError("export needs the packages of an extra: pip install 'rsgt[onnx]'") from error
    example = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 255
    free = torch.export.Dim.DYNAMIC
    aside = path.with_name(path.name + ".tmp")
    # The exporter warns of its own use of deprecated parts of PyTorch, and of packages it can do without.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            aside,
            input_names=["rgb"],
            output_names=list(outputs),
            dynamic_shapes=({0: free, 2: free, 3: free},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    session = runtime.InferenceSession(str(aside), providers=["CPUExecutionProvider"])
    worst = max(_difference(network, session, shape) for shape in CHECKED)
    if worst > 1e-3:
        aside.unlink()
        raise RuntimeError(f"the exported graph differs from the network by {worst:.2g} of its largest value")
    aside.replace(path)
    return worst


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
    return max(float((torch.from_numpy(got) - value).abs().max() / value.abs().max()) for value, got in pairs)
