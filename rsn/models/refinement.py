"""Refinement module: colour, guidance and a coarse depth to depth (paper, section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.models.contract import Batch, BatchPrediction, Model, Network
from rsn.models.layers import (
    INITIAL_DEPTH_M,
    BasicBlock,
    Convolution,
    DepthOutput,
    Norm,
    SignedOutput,
    Stage,
    check_width,
    halved_channels,
    initialise,
)
from rsn.models.losses import DepthLoss
from rsn.models.pyramid import Pyramid


class RefinementNetwork(nn.Module):
    """Refined depth from colour, a guidance map and a coarse depth, applied several times over.

    Parameters
    ----------
    width
        Base channel count; every channel count is a multiple of it. 64 is the paper's.
    iterations
        How often the module is applied, with the same weights; 3 is the paper's.
    residual
        Add the last layer's output to the coarse depth (2.5 m where that is 0): an untrained module then
        gives the coarse depth back. The paper's module puts depth out directly.
    norm
        ``"batch"``, the paper's, or ``"group"``, which does not depend on the batch.
    checkpointing
        Recompute in the backward pass instead of keeping: less memory, more time, the same numbers.

    Raises
    ------
    InputError
        Where a value is none of these, or ``width`` is no multiple of 4.

    Notes
    -----
    994,860 parameters by default. Any input size works. Source: the paper, section 2.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        iterations: int = 3,
        residual: bool = False,
        norm: Norm = "batch",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_width(width)
        if iterations < 1:
            raise InputError(f"iterations: got {iterations}, expected 1 or more, such as 3 (the paper's)")
        self.arguments: dict[str, Any] = {
            "width": width, "iterations": iterations, "residual": residual, "norm": norm,
            "checkpointing": checkpointing,
        }  # fmt: skip
        self.iterations, self.residual = iterations, residual
        self.stem = Convolution(5, width, kernel=7, norm=norm)
        self.features = Stage(
            *(BasicBlock(width, width, norm=norm) for _ in range(3)),
            Convolution(width, 2 * width, norm=norm),
            Convolution(2 * width, 2 * width, norm=norm),
            checkpointing=checkpointing,
        )
        self.pyramid = Pyramid(2 * width, stride=1, norm=norm)
        channels = [self.pyramid.channels, *halved_channels(2 * width, 3)]
        self.regression = Stage(
            *(Convolution(inputs, outputs, norm=norm) for inputs, outputs in pairwise(channels)),
            checkpointing=checkpointing,
        )
        self.output = SignedOutput(channels[-1]) if residual else DepthOutput(channels[-1])
        initialise(self)

    def forward(self, rgb: Tensor, guidance: Tensor, coarse: Tensor) -> list[Tensor]:
        """Refine a coarse depth ``iterations`` times; each output is the next coarse depth.

        Parameters
        ----------
        rgb
            ImageNet-normalised colour (B, 3, H, W).
        guidance
            Region support in metres, or another guidance (B, 1, H, W); zeros for none.
        coarse
            Initial depth in metres (B, 1, H, W); 0 where there is none.

        Returns
        -------
        list of Tensor
            Depth in metres (B, 1, H, W), >= 0, of each iteration in turn.
        """
        outputs = []
        for _ in range(self.iterations):
            found = self._found(torch.cat((rgb, guidance, coarse), dim=1))
            coarse = torch.relu(_start(coarse) + found) if self.residual else found
            outputs.append(coarse)
        return outputs

    def _found(self, x: Tensor) -> Tensor:
        found: Tensor = self.output(self.regression(self.pyramid(self.features(self.stem(x)))))
        return found


def _start(coarse: Tensor) -> Tensor:
    """Give the depth that a correction is added to: the coarse one where it is known."""
    return torch.where(coarse > 0, coarse, INITIAL_DEPTH_M)


@dataclass(frozen=True, kw_only=True)
class Refinement(Model):
    """The refinement module, guided by what a store knows of a frame, or by nothing."""

    name: ClassVar[str] = "refinement"
    parts: ClassVar[tuple[str, ...]] = ("refinement",)

    iterations: int
    residual: bool
    guidance: Literal["ground-truth", "semantic", "superpixel", "none"]
    coarse: Literal["zeros", "mean"]
    superpixels: int
    classes: int
    iteration_weights: tuple[float, ...]
    depth_loss: DepthLoss

    def build(self) -> RefinementNetwork:
        """Build the network."""
        return RefinementNetwork(
            width=self.width,
            iterations=self.iterations,
            residual=self.residual,
            norm=self.norm,
            checkpointing=self.checkpointing,
        )

    @property
    def upsampling_guide(self) -> str | None:
        """True region support, where that is the guidance: where depth jumps, and its means or planes."""
        return "support" if self.guidance == "ground-truth" else None

    @property
    def guidance_rule(self) -> dict[str, str]:
        """Guidance and first coarse depth in words."""
        if self.guidance == "ground-truth":
            return {"guidance": "true region support", "coarse": "true region support"}
        if self.guidance == "none" or self.coarse == "zeros":
            return {"guidance": self.guidance, "coarse": "zeros"}
        return {"guidance": self.guidance, "coarse": f"true mean depth of each {self.guidance} segment"}

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """What makes the guidance and the coarse depth; in training depth and regions too."""
        guiding: dict[str, set[str]] = {"none": set(), "ground-truth": {"support"}}
        names = guiding.get(self.guidance, {self.guidance} | ({"depth"} if self.coarse == "mean" else set()))
        return tuple(sorted(names | {"depth", "region"} if training else names))

    def guides(self, batch: Batch) -> tuple[Tensor, ...]:
        """Guidance and first coarse depth, in use as in training."""
        count = self.superpixels if self.guidance == "superpixel" else self.classes
        return guidance_channels(batch, self.guidance, count=count, coarse=self.coarse)

    def loss(self, output: list[Tensor], batch: Batch, epoch: int) -> Tensor:
        """Weighted loss of the iterations (L_i)."""
        region = batch["region"].squeeze(1)
        return self.depth_loss.iterative(output, batch["depth"], region, epoch, self.iteration_weights)

    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Depth of the last iteration."""
        return BatchPrediction(self.forward(network, batch)[-1])

    def counts(self, batch: Batch) -> Tensor:
        """Pixels with depth."""
        return self.depth_loss.counts(batch["depth"], batch["region"])

    def turns_to_log(self, epoch: int) -> bool:
        """As its loss does."""
        return self.depth_loss.turns_to_log(epoch)


def guidance_channels(
    batch: Mapping[str, Tensor], guidance: str, *, count: int, coarse: str = "zeros"
) -> tuple[Tensor, Tensor]:
    """Make the guidance and the initial coarse depth of a refinement.

    Parameters
    ----------
    batch : mapping of Tensor
        With ``support`` for ``ground-truth``, ``semantic`` or ``superpixel`` for these, and ``depth``
        where ``coarse`` is ``mean``.
    guidance : str
        ``ground-truth``: the support, twice. ``semantic`` and ``superpixel``: the label over the number
        of labels. ``none``: zeros, twice.
    count : int
        Number of labels that the channel is divided by: classes of the label set, or superpixels.
    coarse : str
        For semantic and superpixel guidance: ``zeros``, or ``mean``: the true mean depth of each
        category or superpixel, which grants ground truth to the experiment.

    Returns
    -------
    guidance, coarse : Tensor
        (B, 1, H, W), float32.
    """
    if guidance == "ground-truth":
        return batch["support"], batch["support"]
    if guidance == "none":
        zeros = torch.zeros_like(batch["rgb"][:, :1], dtype=torch.float32)
        return zeros, zeros
    labels = batch[guidance]
    channel = labels / count
    if coarse == "zeros":
        return channel, torch.zeros_like(channel)
    return channel, _segment_mean(batch["depth"], labels)


def _segment_mean(depth: Tensor, labels: Tensor) -> Tensor:
    """Mean valid depth of each pixel's segment, per image; 0 where a segment has none, or for label 0."""
    images = torch.arange(len(labels), device=labels.device)[:, None, None, None]
    flat = (labels + images * (int(labels.max()) + 1)).flatten().long()
    valid = (depth > 0) & (labels > 0)
    exact = torch.float32 if depth.device.type == "mps" else torch.float64  # MPS has no float64
    total = torch.bincount(flat, weights=(depth * valid).flatten().to(exact))
    count = torch.bincount(flat, weights=valid.flatten().to(exact))
    return (total / count.clamp(min=1))[flat].view_as(depth).to(depth.dtype) * (labels > 0)
