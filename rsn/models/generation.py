"""Generation module: colour to region support, or to depth (paper, section 2)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from rsn.models.contract import Batch, BatchPrediction, Model, Network
from rsn.models.encoders import EncoderName, build_encoder
from rsn.models.layers import (
    Convolution,
    DepthOutput,
    Norm,
    Stage,
    check_width,
    halved_channels,
    initialise,
    normalisation,
    resize_like,
)
from rsn.models.losses import DepthLoss, category_loss
from rsn.models.pyramid import Pyramid


class Doubling(nn.Module):
    """Transposed 3x3 convolution with stride 2, normalisation, ReLU, cut to the size of another map."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)
        self.norm = normalisation(norm, outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Map (B, inputs, ceil(h / 2), ceil(w / 2)) to (B, outputs, h, w), the size of ``like``."""
        # At an odd size, the last row and column are the ones that no output padding would have given.
        doubled = self.conv(x)[:, :, : like.shape[2], : like.shape[3]]
        output: Tensor = self.relu(self.norm(doubled))
        return output


class SmoothDoubling(nn.Module):
    """3x3 convolution, normalisation, ReLU, enlarged bilinearly to the size of another map.

    A transposed 3x3 convolution of stride 2 covers its output unevenly, which a narrow network cannot
    smooth away again: its depth shows a checkerboard.
    """

    def __init__(self, inputs: int, outputs: int, *, norm: Norm) -> None:
        super().__init__()
        self.conv = Convolution(inputs, outputs, norm=norm)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Map (B, inputs, ceil(h / 2), ceil(w / 2)) to (B, outputs, h, w), the size of ``like``."""
        return resize_like(self.conv(x), like)


class DepthFeatures(nn.Module):
    """Encoder, skip branch, pyramid and regression layers 1 to 3: what every dense output starts from.

    With ``encoder="resnet34"`` the features (``channels`` = 4 x ``width``) have the input's size. With
    ``"efficientnet_lite0"`` (or ``2``) they have half its size and half the channels, and regression layer
    2 is a ``SmoothDoubling`` (``rsn.models.encoders.EfficientNetLite`` says why).
    """

    def __init__(self, *, width: int, encoder: str, norm: Norm, checkpointing: bool) -> None:
        super().__init__()
        check_width(width)
        self.encoder = build_encoder(encoder, width=width, norm=norm, checkpointing=checkpointing)
        base = self.encoder.base
        self.skip = Stage(
            Convolution(self.encoder.shallow_channels, 2 * base, norm=norm),
            Convolution(2 * base, 2 * base, norm=norm),
            checkpointing=checkpointing,
        )
        self.pyramid = Pyramid(self.encoder.deep_channels, stride=2, norm=norm)
        self.regression1 = Convolution(self.pyramid.channels, 8 * base, norm=norm)
        doubling = Doubling if encoder == "resnet34" else SmoothDoubling
        self.regression2 = doubling(8 * base, 4 * base, norm=norm)
        self.regression3 = Convolution(4 * base, 2 * base, norm=norm)
        self.channels = 4 * base

    def forward(self, rgb: Tensor) -> Tensor:
        """Map ImageNet-normalised colour (B, 3, H, W) to features (B, channels, h, w)."""
        return self.dense(*self.pooled(rgb))

    def pooled(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Map colour to the skip branch's map, and the pyramid's (B, 2 x channels, h / 2, w / 2)."""
        shallow, deep = self.encoder(rgb)
        return shallow, self.regression1(self.pyramid(deep))

    def dense(self, shallow: Tensor, pooled: Tensor) -> Tensor:
        """Map what ``pooled`` gives to the features."""
        regressed = self.regression3(self.regression2(pooled, shallow))
        return torch.cat((regressed, self.skip(shallow)), dim=1)


class GenerationOutput(NamedTuple):
    """Metres (B, 1, H, W), >= 0, and a logit of each category, (B, categories, h, w), without unit.

    ``category`` is None of a network without categories.
    """

    depth: Tensor
    category: Tensor | None


class GenerationNetwork(nn.Module):
    """Region support (or depth) from one colour image.

    Parameters
    ----------
    width
        Base channel count; every channel count is a multiple of it. 64 is the paper's.
    encoder
        ``"resnet34"``, the paper's, or ``"efficientnet_lite0"`` or ``2``, whose output is computed at half
        the input's size and upsampled bilinearly.
    norm
        ``"batch"``, the paper's, or ``"group"``, which does not depend on the batch.
    checkpointing
        Recompute in the backward pass instead of keeping: less memory, more time, the same numbers.
    categories
        Number of categories to predict beside depth, from the map that the pyramid makes: in training, a
        second teacher for the same features. The paper's module has none (0).

    Raises
    ------
    InputError
        Where a value is none of these, or ``width`` is no multiple of 4.

    Notes
    -----
    30,444,718 parameters by default. Any input size works. Source: the paper, section 2.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        encoder: EncoderName = "resnet34",
        norm: Norm = "batch",
        checkpointing: bool = False,
        categories: int = 0,
    ) -> None:
        super().__init__()
        shared: dict[str, Any] = {
            "width": width, "encoder": encoder, "norm": norm, "checkpointing": checkpointing,
        }  # fmt: skip
        self.arguments: dict[str, Any] = shared | {"categories": categories}
        self.features = DepthFeatures(**shared)
        layers = halved_channels(self.features.channels)
        self.regression = Stage(
            *(Convolution(inputs, outputs, norm=norm) for inputs, outputs in pairwise(layers)),
            checkpointing=checkpointing,
        )
        self.output = DepthOutput(layers[-1])
        self.last_channels = layers[-1]
        self.category = nn.Conv2d(2 * self.features.channels, categories, 1) if categories else None
        initialise(self)

    def forward(self, rgb: Tensor) -> GenerationOutput:
        """Map ImageNet-normalised colour (B, 3, H, W) to metres, and to categories where it has some."""
        last, category = self.dense(rgb)
        return GenerationOutput(resize_like(self.output(last), rgb), category)

    def dense(self, rgb: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map colour to what the last layer makes metres of, (B, ``last_channels``, h, w), and categories."""
        shallow, pooled = self.features.pooled(rgb)
        category = None if self.category is None else self.category(pooled)
        return self.regression(self.features.dense(shallow, pooled)), category


@dataclass(frozen=True, kw_only=True)
class Generation(Model):
    """The generation module alone: it learns region support, or depth."""

    name: ClassVar[str] = "generation"
    parts: ClassVar[tuple[str, ...]] = ("generation",)

    encoder: EncoderName
    target: Literal["depth", "support"]
    category_weight: float
    classes: int
    depth_loss: DepthLoss

    def build(self) -> GenerationNetwork:
        """Build the network; it predicts categories where their loss has a weight."""
        return GenerationNetwork(
            width=self.width,
            encoder=self.encoder,
            norm=self.norm,
            checkpointing=self.checkpointing,
            categories=self.classes if self.category_weight else 0,
        )

    @property
    def target_array(self) -> str:
        """Its target."""
        return self.target

    @property
    def predicts_support(self) -> bool:
        """Whether it learns support."""
        return self.target == "support"

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """In training depth, regions and the target, and categories where they are learnt."""
        if not training:
            return ()
        names = {"depth", "region", self.target}
        return tuple(sorted(names | {"semantic"} if self.category_weight else names))

    def loss(self, output: GenerationOutput, batch: Batch, epoch: int) -> Tensor:
        """Loss of the depth against the target, plus the categories' where they are learnt."""
        loss = self.depth_loss(output.depth, batch[self.target], batch["region"].squeeze(1), epoch)
        if output.category is None:
            return loss
        return loss + self.category_weight * category_loss(output.category, batch["semantic"])

    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Depth alone, which is region support where that is the target."""
        return BatchPrediction(self.forward(network, batch).depth)

    def counts(self, batch: Batch) -> Tensor:
        """Pixels with a target."""
        return self.depth_loss.counts(batch[self.target], batch["region"])

    def turns_to_log(self, epoch: int) -> bool:
        """As its loss does."""
        return self.depth_loss.turns_to_log(epoch)
