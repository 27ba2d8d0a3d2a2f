"""The region support network end to end: generation, then refinement (paper, section 2)."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.models.contract import Batch, BatchPrediction, Model, Network
from rsn.models.encoders import EncoderName, ResNet34
from rsn.models.generation import GenerationNetwork
from rsn.models.layers import Norm, resize_like
from rsn.models.losses import DepthLoss
from rsn.models.refinement import RefinementNetwork


class RegionSupportOutput(NamedTuple):
    """Predicted region support (B, 1, H, W) in metres, and the depth of each iteration likewise."""

    support: Tensor
    outputs: list[Tensor]


class RegionSupportNetwork(nn.Module):
    """Depth from one colour image by way of region support.

    The generated support is both guidance and first coarse depth of the refinement. With
    EfficientNet-Lite both modules work at half the input's size, the results are enlarged bilinearly,
    and the refinement has half the ``width``, as the rest behind that encoder has. The parameters are those
    of ``GenerationNetwork`` and ``RefinementNetwork``. Source: the paper, section 2.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        iterations: int = 3,
        residual: bool = False,
        encoder: EncoderName = "resnet34",
        norm: Norm = "batch",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "width": width, "iterations": iterations, "residual": residual, "encoder": encoder,
            "norm": norm, "checkpointing": checkpointing,
        }  # fmt: skip
        self.generation = GenerationNetwork(
            width=width, encoder=encoder, norm=norm, checkpointing=checkpointing
        )
        self.refinement = RefinementNetwork(
            width=self.generation.features.encoder.base,
            iterations=iterations,
            residual=residual,
            norm=norm,
            checkpointing=checkpointing,
        )

    def forward(self, rgb: Tensor) -> RegionSupportOutput:
        """Map ImageNet-normalised colour (B, 3, H, W) to region support and depths."""
        support = self.generation.depth(rgb)
        if support.shape[2:] == rgb.shape[2:]:
            small = rgb
        else:
            small = F.avg_pool2d(rgb, 2, ceil_mode=True, count_include_pad=False)
        refined = self.refinement(small, support, support)
        return RegionSupportOutput(resize_like(support, rgb), [resize_like(depth, rgb) for depth in refined])


@dataclass(frozen=True, kw_only=True)
class RegionSupport(Model):
    """The whole network, end to end; or, with ``frozen_generation``, a refinement by predicted support."""

    name: ClassVar[str] = "rsn"
    parts: ClassVar[tuple[str, ...]] = ("generation", "refinement")
    onnx_outputs: ClassVar[tuple[str, ...]] = ("depth", "support")

    encoder: EncoderName
    iterations: int
    residual: bool
    support_weight: float
    iteration_weights: tuple[float, ...]
    frozen_generation: bool
    depth_loss: DepthLoss

    def build(self) -> RegionSupportNetwork:
        """Build the network."""
        return RegionSupportNetwork(
            width=self.width,
            iterations=self.iterations,
            residual=self.residual,
            encoder=self.encoder,
            norm=self.norm,
            checkpointing=self.checkpointing,
        )

    def start(self, network: nn.Module, *, trained_encoder: bool) -> None:
        """Give the refinement's stem that of a trained generation; freeze the latter where that is asked."""
        assert isinstance(network, RegionSupportNetwork)
        if trained_encoder and isinstance(network.generation.features.encoder, ResNet34):
            refinement_from_generation(network.refinement, network.generation)
        if self.frozen_generation:
            network.generation.requires_grad_(False)

    @property
    def predicts_support(self) -> bool:
        """Always, on the way to depth."""
        return True

    @property
    def guidance_rule(self) -> dict[str, str]:
        """The predicted support is both."""
        return {"guidance": "predicted region support", "coarse": "predicted region support"}

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """In training depth and regions, and support where it is learnt."""
        learnt = ("depth", "region") if self.frozen_generation else ("depth", "region", "support")
        return learnt if training else ()

    def loss(self, output: RegionSupportOutput, batch: Batch, epoch: int) -> Tensor:
        """Weighted loss of the iterations (L_i), plus the support's where it is learnt."""
        region = batch["region"].squeeze(1)
        weights = self.iteration_weights
        total = self.depth_loss.iterative(output.outputs, batch["depth"], region, epoch, weights)
        if self.frozen_generation:
            return total
        return total + self.support_weight * self.depth_loss(output.support, batch["support"], region, epoch)

    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Depth of the last iteration, and support, which is also the depth before refinement."""
        output: RegionSupportOutput = self.forward(network, batch)
        return BatchPrediction(output.outputs[-1], output.support, output.support)

    def counts(self, batch: Batch) -> Tensor:
        """Pixels with depth."""
        return self.depth_loss.counts(batch["depth"], batch["region"])

    def turns_to_log(self, epoch: int) -> bool:
        """As its loss does."""
        return self.depth_loss.turns_to_log(epoch)


def refinement_from_generation(refinement: RefinementNetwork, generation: GenerationNetwork) -> None:
    """Start refinement's first convolution from generation's: paper, section 4.

    The three colour channels are copied; guidance and coarse depth get the mean of the three.

    Raises
    ------
    InputError
        Where generation's stem is not the 7x7 convolution of ResNet-34 at the same width.
    """
    encoder = generation.features.encoder
    target = next(refinement.stem.parameters())
    if not isinstance(encoder, ResNet34) or encoder.conv1.weight.shape[0] != target.shape[0]:
        raise InputError(
            "refinement from generation: got a generation module with another stem, expected encoder "
            f"resnet34 at width {target.shape[0]}: build both at one width"
        )
    with torch.no_grad():
        colour = encoder.conv1.weight
        target[:, :3] = colour
        target[:, 3:] = colour.mean(dim=1, keepdim=True)
