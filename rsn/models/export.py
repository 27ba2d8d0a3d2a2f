"""A network as an ONNX graph of any height and width, checked against PyTorch at several sizes.

What it gives at any size is what ``rsn.predictor`` predicts: ``rsn.models.onnx_graph`` says how.
"""

import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.data.resize import resize_antialiased, resize_bilinear
from rsn.models import onnx_graph
from rsn.models.contract import Model
from rsn.models.inference import working_size

MOST_DIFFERENCE = 1e-3
CHECKED = ((1, 1, 1), (2, 37, 64), (1, 480, 640), (1, 83, 61))
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


def export_model(
    model: Model, network: nn.Module, path: Path, *, size: tuple[int, int], metadata: Mapping[str, str]
) -> float:
    """Write a model's network, which this leaves on the CPU, as ``export_onnx`` does.

    Raises
    ------
    InputError
        Where the model cannot be a graph, too.
    """
    if not model.onnx_outputs:
        raise InputError(
            f"export: the {model.name} model searches for its regions, which ONNX cannot express"
        )
    from_colour = FromColour(model, network).eval().cpu()
    told = {"model": model.name, **metadata}
    return export_onnx(from_colour, path, size=size, outputs=model.onnx_outputs, metadata=told)


def export_onnx(
    network: nn.Module,
    path: Path,
    *,
    size: tuple[int, int],
    outputs: Sequence[str] = ("depth",),
    metadata: Mapping[str, str] | None = None,
) -> float:
    """Write a network as ONNX and compare what it computes with PyTorch.

    Parameters
    ----------
    network : Module
        In evaluation mode; maps colour (B, 3, H, W), float32 of 0-255, to as many maps as ``outputs``
        names, (B, 1, H, W) in metres.
    path : Path
        File to write; it appears only once the check has passed.
    size : (int, int)
        Height and width that the network was trained at: the graph brings colour there, its longer side to
        the longer of these, and what it finds back to the size of its input.
    outputs : sequence of str
        Names of the graph's outputs; its input is ``rgb``, whole numbers of 0-255 as float32. Its axes
        ``batch``, ``height`` and ``width`` are free.
    metadata : mapping, optional
        What the file says of itself, beside the size.

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
        facts = {"height": str(size[0]), "width": str(size[1]), "units": "metres", **(metadata or {})}
        try:
            _write(network, aside, size, outputs, facts)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        session = runtime.InferenceSession(str(aside), providers=["CPUExecutionProvider"])
        worst = max(_difference(network, session, shape, size) for shape in CHECKED)
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


def _write(
    network: nn.Module, path: Path, size: tuple[int, int], outputs: Sequence[str], metadata: Mapping[str, str]
) -> None:
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
    onnx = import_module("onnx")
    onnx.save(onnx_graph.around(onnx.load(path), size=size, outputs=outputs, metadata=metadata), path)


@torch.no_grad()
def _difference(
    network: nn.Module, session: Any, shape: tuple[int, int, int], size: tuple[int, int]
) -> float:
    batch, height, width = shape
    rgb = torch.randint(
        0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    seen = resize_antialiased(rgb, working_size((height, width), size))
    expected: Tensor | tuple[Tensor, ...] = network(seen.float())
    got = session.run(None, {"rgb": rgb.float().numpy()})
    values = [
        resize_bilinear(value, (height, width))
        for value in ((expected,) if isinstance(expected, Tensor) else expected)
    ]
    differences = [
        float((torch.from_numpy(found) - value).abs().max() / value.abs().max())
        for value, found in zip(values, got, strict=True)
    ]
    # A comparison with NaN is never true, be it for more or for less.
    return math.inf if any(math.isnan(value) for value in differences) else max(differences)
