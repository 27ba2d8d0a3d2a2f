"""The region support network end to end: generation, then refinement (paper, section 2)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.models.contract import Batch, BatchPrediction, Model, Network
from rsn.models.encoders import EncoderName, ResNet34
from rsn.models.generation import GenerationNetwork
from rsn.models.layers import DepthOutput, Norm, resize_like
from rsn.models.losses import DepthLoss, category_loss
from rsn.models.refinement import RefinementNetwork


class RegionSupportOutput(NamedTuple):
    """Predicted region support (B, 1, H, W) in metres, initial depth and that of each iteration likewise.

    ``initial`` is the support itself where the network has no depth of its own to start from, and
    ``category`` as ``rsn.models.generation.GenerationOutput`` has it.
    """

    support: Tensor
    initial: Tensor
    outputs: list[Tensor]
    category: Tensor | None = None


class RegionSupportNetwork(nn.Module):
    """Depth from one colour image by way of region support.

    The generated support is the guidance of the refinement, and with ``initial="support"``, the paper's, its
    first coarse depth too. With ``"depth"`` that is a depth of its own, which differs from the support by its
    last layer alone. With EfficientNet-Lite both modules work at half the input's size, the results are
    enlarged bilinearly, and the refinement has half the ``width``, as the rest behind that encoder has. The
    parameters are those of ``GenerationNetwork``, ``categories`` too, and of ``RefinementNetwork``. Source:
    the paper, section 2.
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
        categories: int = 0,
        initial: Literal["support", "depth"] = "support",
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "width": width, "iterations": iterations, "residual": residual, "encoder": encoder,
            "norm": norm, "checkpointing": checkpointing, "categories": categories, "initial": initial,
        }  # fmt: skip
        self.generation = GenerationNetwork(
            width=width, encoder=encoder, norm=norm, checkpointing=checkpointing, categories=categories
        )
        self.initial = DepthOutput(self.generation.last_channels) if initial == "depth" else None
        self.refinement = RefinementNetwork(
            width=self.generation.features.encoder.base,
            iterations=iterations,
            residual=residual,
            norm=norm,
            checkpointing=checkpointing,
        )

    def forward(self, rgb: Tensor) -> RegionSupportOutput:
        """Map ImageNet-normalised colour (B, 3, H, W) to region support and depths."""
        last, category = self.generation.dense(rgb)
        support = self.generation.output(last)
        initial = support if self.initial is None else self.initial(last)
        if support.shape[2:] == rgb.shape[2:]:
            small = rgb
        else:
            small = F.avg_pool2d(rgb, 2, ceil_mode=True, count_include_pad=False)
        refined = self.refinement(small, support, initial)
        large = resize_like(support, rgb)
        return RegionSupportOutput(
            large,
            large if self.initial is None else resize_like(initial, rgb),
            [resize_like(depth, rgb) for depth in refined],
            category,
        )


@dataclass(frozen=True, kw_only=True)
class RegionSupport(Model):
    """The whole network, end to end; or, with ``frozen_generation``, a refinement by predicted support."""

    name: ClassVar[str] = "rsn"
    parts: ClassVar[tuple[str, ...]] = ("generation", "refinement")
    onnx_outputs: ClassVar[tuple[str, ...]] = ("depth", "support")

    encoder: EncoderName
    iterations: int
    residual: bool
    initial: Literal["support", "depth"]
    planes: float
    support_weight: float
    category_weight: float
    classes: int
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
            categories=self.classes if self._learns_categories else 0,
            initial=self.initial,
        )

    @property
    def _learns_categories(self) -> bool:
        return self.category_weight > 0 and not self.frozen_generation

    def start(self, network: nn.Module, *, trained_encoder: bool) -> None:
        """Start the refinement's stem and the initial depth from a generation; freeze that where asked."""
        assert isinstance(network, RegionSupportNetwork)
        if trained_encoder and isinstance(network.generation.features.encoder, ResNet34):
            refinement_from_generation(network.refinement, network.generation)
        if network.initial is not None:
            network.initial.load_state_dict(network.generation.output.state_dict())
        if self.frozen_generation:
            network.generation.requires_grad_(False)

    @property
    def predicts_support(self) -> bool:
        """Always, on the way to depth."""
        return True

    @property
    def plane_share(self) -> float:
        """As it is set."""
        return self.planes

    @property
    def guidance_rule(self) -> dict[str, str]:
        """The predicted support is both, or the guidance alone."""
        coarse = "predicted region support" if self.initial == "support" else "predicted depth"
        return {"guidance": "predicted region support", "coarse": coarse}

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """In training depth and regions, and support and categories where they are learnt."""
        if not training:
            return ()
        support = () if self.frozen_generation else ("support",)
        return ("depth", "region", *(("semantic",) if self._learns_categories else ()), *support)

    def loss(self, output: RegionSupportOutput, batch: Batch, epoch: int) -> Tensor:
        """Weighted loss of the iterations (L_i), plus that of each other end that is learnt."""
        region = batch["region"].squeeze(1)
        weights = self.iteration_weights
        total = self.depth_loss.iterative(output.outputs, batch["depth"], region, epoch, weights)
        if not self.frozen_generation:
            support = self.depth_loss(output.support, batch["support"], region, epoch)
            total = total + self.support_weight * support
        if self.initial == "depth":
            total = total + self.depth_loss(output.initial, batch["depth"], region, epoch)
        if output.category is not None:
            total = total + self.category_weight * category_loss(output.category, batch["semantic"])
        return total

    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Depth of the last iteration, initial depth, and support."""
        output: RegionSupportOutput = self.forward(network, batch)
        return BatchPrediction(output.outputs[-1], output.initial, output.support)

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
