"""The region support network end to end: generation, then refinement (paper, section 2)."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from rsn.network.block import Norm
from rsn.network.encoder import EncoderName
from rsn.network.generation import GenerationNetwork
from rsn.network.refinement import RefinementNetwork


class RegionSupportOutput(NamedTuple):
    """Predicted region support (B, 1, H, W) in metres, and the depth of each iteration likewise."""

    support: Tensor
    outputs: list[Tensor]


class RegionSupportNetwork(nn.Module):
    """Depth from one colour image by way of region support.

    The generated support is both guidance and first coarse depth of the refinement. The parameters are
    those of ``GenerationNetwork`` and ``RefinementNetwork``. Source: the paper, section 2.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        iterations: int = 3,
        encoder: EncoderName = "resnet34",
        norm: Norm = "batch",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "width": width, "iterations": iterations, "encoder": encoder, "norm": norm,
            "checkpointing": checkpointing,
        }  # fmt: skip
        self.generation = GenerationNetwork(
            width=width, encoder=encoder, norm=norm, checkpointing=checkpointing
        )
        self.refinement = RefinementNetwork(
            width=width, iterations=iterations, norm=norm, checkpointing=checkpointing
        )

    def forward(self, rgb: Tensor) -> RegionSupportOutput:
        """Map ImageNet-normalised colour (B, 3, H, W) to region support and depths."""
        support = self.generation(rgb)
        return RegionSupportOutput(support, self.refinement(rgb, support, support))
