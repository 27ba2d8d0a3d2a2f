"""The pieces that every network here is made of: convolution, residual block, stage, depth output."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from rsgt.inputs import InputError

Norm = Literal["batch", "group"]

GROUP_CHANNELS = 8
INITIAL_DEPTH_M = 2.5
"""Near the median depth of indoor frames: where an untrained network starts."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalisation(norm: Norm, channels: int, eps: float = 1e-5) -> nn.Module:
    """Build the normalisation of a convolution: two parameters a channel for either kind.

    Group normalisation takes groups of 8 channels, and one group where 8 does not divide the channels.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels, eps=eps)
    if norm == "group":
        groups = channels // GROUP_CHANNELS if channels % GROUP_CHANNELS == 0 else 1
        return nn.GroupNorm(groups, channels, eps=eps)
    raise InputError(f"norm: got {norm!r}, expected 'batch' or 'group'")


def check_width(width: int) -> None:
    """Refuse a base channel count that the last layers (width / 4) could not divide."""
    if width < 4 or width % 4:
        raise InputError(f"width: got {width}, expected a multiple of 4, such as 64 (the paper's) or 16")


def halved_channels(channels: int, layers: int = 4) -> list[int]:
    """Channels of the last layers, from ``channels`` on: each has half of those before.

    Never fewer than 8: two or three rectified channels, as networks of a small width would end in, may all
    be dark at once, and a dark pixel has depth 0.
    """
    return [channels, *(max(channels >> halvings, 8) for halvings in range(1, layers + 1))]


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Bring a map to the height and width of another bilinearly; a map of that size is left alone."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


class Convolution(nn.Sequential):
    """Convolution without bias, normalisation, ReLU; the input's size is kept where ``stride`` is 1."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            normalisation(norm, outputs),
            nn.ReLU(inplace=True),
        )


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions, with torchvision's parameter names."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = normalisation(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = normalisation(norm, outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), normalisation(norm, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h / stride, w / stride), rounded up."""
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        output: Tensor = self.relu(branch + self.downsample(x))
        return output


class Stage(nn.Sequential):
    """Modules one after another; with ``checkpointing``, training keeps only what goes into each.

    The backward pass then computes each module's inside once more: less memory for about a third more
    time, and the same gradients and batch-norm statistics.
    """

    def __init__(self, *modules: nn.Module, checkpointing: bool) -> None:
        super().__init__(*modules)
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor through the modules in order."""
        for module in self:
            x = run(module, x, checkpointing=self.checkpointing)
        return x


def run(module: nn.Module, x: Tensor, *, checkpointing: bool) -> Tensor:
    """Map ``x`` through a module; with ``checkpointing``, training keeps only ``x``.

    ``torch.compile`` cannot trace the contexts, and decides for itself what to keep: it sees a plain call.
    """
    if not (checkpointing and module.training) or torch.compiler.is_compiling():
        output: Tensor = module(x)
    else:
        output = checkpoint(
            module, x, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: _contexts(module)
        )
    return output


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Let a module run as it is at first, and with ``_statistics_kept`` when it is computed again."""
    return nullcontext(), _statistics_kept(module)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Let batch normalisation see its batch a second time without counting it a second time."""
    norms = [child for child in module.modules() if isinstance(child, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, batches) in zip(norms, kept, strict=True):
        norm.momentum, norm.num_batches_tracked = 0.0, None if batches is None else batches.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


class DepthOutput(nn.Module):
    """Last layer of the paper: 3x3 convolution to one channel, no bias, no normalisation, ReLU.

    A ReLU whose input is negative everywhere never learns again. The input here is itself the output
    of a ReLU, so that positive weights make a positive depth: they start uniform between 0 and twice
    the value that puts the mean of the output at 2.5 m for normalised input. Computed in float32 also
    under automatic mixed precision, since 8 bits of bfloat16 are steps of 16 mm at 2.5 m.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 1, 3, padding=1, bias=False)
        mean_of_rectified_normal = 1 / math.sqrt(2 * math.pi)
        mean_weight = INITIAL_DEPTH_M / (9 * inputs * mean_of_rectified_normal)
        nn.init.uniform_(self.conv.weight, 0, 2 * mean_weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map non-negative features (B, inputs, h, w) to depth (B, 1, h, w) in metres, >= 0."""
        with torch.autocast(x.device.type, enabled=False):
            depth: Tensor = torch.relu(self.conv(x.float()))
        return depth


class SignedOutput(nn.Module):
    """3x3 convolution to one channel of either sign, with bias; it starts as 0. In float32 always."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 1, 3, padding=1)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, 1, h, w)."""
        with torch.autocast(x.device.type, enabled=False):
            output: Tensor = self.conv(x.float())
        return output


def initialise(network: nn.Module) -> None:
    """Draw the weights of all convolutions (He et al., 2015) but the outputs', which set their own."""
    outputs = {module.conv for module in network.modules() if isinstance(module, DepthOutput | SignedOutput)}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module not in outputs:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
