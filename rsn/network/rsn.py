"""The region support network end to end: generation, then refinement (paper, section 2)."""

from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from rsn.network.block import Norm, resized
from rsn.network.encoder import EncoderName
from rsn.network.generation import GenerationNetwork
from rsn.network.refinement import RefinementNetwork


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
        return RegionSupportOutput(resized(support, rgb), [resized(depth, rgb) for depth in refined])
