"""Encoders: ResNet-34 with the paper's strides, and EfficientNet-Lite for small machines."""

from itertools import accumulate, islice, pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.models.layers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BasicBlock,
    Convolution,
    Norm,
    Stage,
    normalisation,
    resize_like,
    run,
)

EncoderName = Literal["resnet34", "efficientnet_lite0", "efficientnet_lite2"]


class Features(NamedTuple):
    """What an encoder hands on; the second map is half the size of the first (rounded up)."""

    shallow: Tensor
    deep: Tensor


class ResNet34(nn.Module):
    """ResNet-34 at the paper's strides, with torchvision's parameter names.

    The stem has stride 1 and no max-pool, and stages 3 and 4 have stride 1: ``shallow`` (stage 1) has
    the input's size and ``deep`` (stage 4) half of it. Weights trained at other strides fit, as strides
    carry none. Source: the paper, section 2.
    """

    def __init__(self, width: int, *, norm: Norm, checkpointing: bool) -> None:
        super().__init__()
        self.shallow_channels, self.deep_channels, self.base = width, 8 * width, width
        self.conv1 = nn.Conv2d(3, width, 7, padding=3, bias=False)
        self.bn1 = normalisation(norm, width)
        self.relu = nn.ReLU(inplace=True)

        def stage(inputs: int, outputs: int, blocks: int, stride: int) -> Stage:
            first = BasicBlock(inputs, outputs, norm=norm, stride=stride)
            rest = (BasicBlock(outputs, outputs, norm=norm) for _ in range(blocks - 1))
            return Stage(first, *rest, checkpointing=checkpointing)

        self.layer1 = stage(width, width, 3, stride=1)
        self.layer2 = stage(width, 2 * width, 4, stride=2)
        self.layer3 = stage(2 * width, 4 * width, 6, stride=1)
        self.layer4 = stage(4 * width, 8 * width, 3, stride=1)

    def stages(self) -> list[nn.Module]:
        """Stem and stages in order, as ``frozen_stages`` counts them."""
        return [nn.ModuleList((self.conv1, self.bn1)), self.layer1, self.layer2, self.layer3, self.layer4]

    def forward(self, rgb: Tensor) -> Features:
        """Map ImageNet-normalised colour (B, 3, H, W) to the two maps."""
        shallow = self.layer1(self.relu(self.bn1(self.conv1(rgb))))
        return Features(shallow, self.layer4(self.layer3(self.layer2(shallow))))


class PaddedConvolution(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch normalisation (eps 1e-3) and ReLU6.

    At stride 2 that padding is one less before the map than after it, for an even size; the same is
    used at odd sizes (where TensorFlow shifts), so that the output's size is rounded up.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, norm: Norm, stride: int = 1, groups: int = 1,
        activation: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        half = kernel // 2
        # Even margins are the convolution's own work: padding apart would copy the map, also by nothing.
        self.padding = (half - 1, half + 1) * 2 if stride == 2 else None
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=0 if self.padding else half, groups=groups, bias=False
        )
        self.norm = normalisation(norm, outputs, eps=1e-3)
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h / stride, w / stride), rounded up."""
        if self.conv.groups > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # A bfloat16 depthwise convolution is slower on a CPU than a float32 one.
            with torch.autocast("cpu", enabled=False):
                return self._mapped(x.float())
        return self._mapped(x)

    def _mapped(self, x: Tensor) -> Tensor:
        padded = F.pad(x, self.padding) if self.padding else x
        output: Tensor = self.activation(self.norm(self.conv(padded)))
        return output


class InvertedBlock(nn.Module):
    """MobileNet's block: expand by 1x1, filter each channel, project by 1x1; no squeeze-and-excitation."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, norm: Norm
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = PaddedConvolution(inputs, inner, 1, norm=norm)
        self.depthwise = PaddedConvolution(inner, inner, kernel, stride=stride, groups=inner, norm=norm)
        self.project = PaddedConvolution(inner, outputs, 1, norm=norm, activation=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h / stride, w / stride), rounded up."""
        output: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + output if self.residual else output


class LiteStage(NamedTuple):
    """Blocks of one kind: the first has the stride, the others have stride 1."""

    expansion: int
    kernel: int
    stride: int
    outputs: int
    repeats: int


# Tan and Le, 2019, "B0", as the Lite variant keeps it: stem, first and last stage are not scaled in depth.
LITE0_STAGES = (
    LiteStage(1, 3, 1, 16, 1),
    LiteStage(6, 3, 2, 24, 2),
    LiteStage(6, 5, 2, 40, 2),
    LiteStage(6, 3, 2, 80, 3),
    LiteStage(6, 5, 1, 112, 3),
    LiteStage(6, 5, 2, 192, 4),
    LiteStage(6, 3, 1, 320, 1),
)


def _scaled(outputs: tuple[int, ...], repeats: tuple[int, ...]) -> tuple[LiteStage, ...]:
    """Lite0's stages with other channels and repeats."""
    return tuple(
        stage._replace(outputs=channels, repeats=blocks)
        for stage, channels, blocks in zip(LITE0_STAGES, outputs, repeats, strict=True)
    )


LITE_STAGES: dict[str, tuple[LiteStage, ...]] = {
    "efficientnet_lite0": LITE0_STAGES,
    # 1.1 times the channels (rounded to eights), 1.2 times the blocks (rounded up).
    "efficientnet_lite2": _scaled((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}


class LiteBackbone(nn.Module):
    """EfficientNet-Lite without its classifier: five maps, of 1/2 to 1/32 of the input's size.

    ``name`` is a key of ``LITE_STAGES``; ``channels`` are those of the five maps.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, name: str, *, norm: Norm, checkpointing: bool) -> None:
        super().__init__()
        self.name, self.checkpointing = name, checkpointing
        self.table = LITE_STAGES[name]
        # A map is the last of its size where the next stage halves it, or where nothing follows.
        last = [after.stride == 2 for _, after in pairwise(self.table)] + [True]
        self.channels = [stage.outputs for stage, taken in zip(self.table, last, strict=True) if taken]
        ends = accumulate(stage.repeats for stage in self.table)
        self.taps = {end - 1 for end, taken in zip(ends, last, strict=True) if taken}
        self.stem = PaddedConvolution(3, 32, 3, stride=2, norm=norm)
        self.blocks = nn.ModuleList()
        inputs = 32
        for expansion, kernel, stride, outputs, repeats in self.table:
            shape = {"expansion": expansion, "kernel": kernel}
            self.blocks.append(InvertedBlock(inputs, outputs, **shape, stride=stride, norm=norm))
            for _ in range(repeats - 1):
                self.blocks.append(InvertedBlock(outputs, outputs, **shape, stride=1, norm=norm))
            inputs = outputs
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("scale", (255 * std / 128).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", ((255 * mean - 127) / 128).view(1, 3, 1, 1), persistent=False)

    def stages(self) -> list[nn.Module]:
        """Stem and stages in order, as ``frozen_stages`` counts them."""
        blocks = iter(self.blocks)
        return [self.stem, *(nn.ModuleList(islice(blocks, repeats)) for *_, repeats in self.table)]

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Map ImageNet-normalised colour (B, 3, H, W) to five maps, largest first.

        The published weights expect (x - 127) / 128 of an 8-bit x; the conversion is made here.
        """
        x = self.stem(rgb * self.scale + self.offset)
        maps = []
        for index, block in enumerate(self.blocks):
            x = run(block, x, checkpointing=self.checkpointing)
            if index in self.taps:
                maps.append(x)
        return maps


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite at its own strides, made into the two maps that the paper's layers sit on.

    The paper takes a stride-1 stem and one map of half the input's size. Here the stem has stride 2 (it is
    most of what makes this encoder cheap), so that everything behind the encoder runs one octave lower, and
    has half its channels, so that the encoder stays what the time goes to. ``shallow`` is the map of half
    the input's size. ``deep``, of a quarter of it, is made from the four coarser maps from the coarsest up:
    at each size the upsampled result so far, beside the encoder's map, goes through a 3x3 convolution.
    """

    def __init__(self, name: str, width: int, *, norm: Norm, checkpointing: bool) -> None:
        super().__init__()
        self.backbone = LiteBackbone(name, norm=norm, checkpointing=checkpointing)
        shallow, *maps, coarsest = self.backbone.channels
        self.shallow_channels, self.deep_channels, self.base = shallow, 2 * width, width // 2
        self.coarsest = Convolution(coarsest, 8 * width, kernel=1, norm=norm)
        inputs = (8 * width, 8 * width, 4 * width)
        outputs = (8 * width, 4 * width, 2 * width)
        self.merged = nn.ModuleList(
            Convolution(above + beside, after, norm=norm)
            for above, beside, after in zip(inputs, reversed(maps), outputs, strict=True)
        )

    def stages(self) -> list[nn.Module]:
        """Stem and stages in order, as ``frozen_stages`` counts them."""
        return self.backbone.stages()

    def forward(self, rgb: Tensor) -> Features:
        """Map ImageNet-normalised colour (B, 3, H, W) to the two maps."""
        shallow, *maps, coarsest = self.backbone(rgb)
        deep = self.coarsest(coarsest)
        for merged, beside in zip(self.merged, reversed(maps), strict=True):
            deep = merged(torch.cat((resize_like(deep, beside), beside), dim=1))
        return Features(shallow, deep)


def build_encoder(name: str, *, width: int, norm: Norm, checkpointing: bool) -> ResNet34 | EfficientNetLite:
    """Build the encoder of that name: one of ``EncoderName``."""
    if name == "resnet34":
        return ResNet34(width, norm=norm, checkpointing=checkpointing)
    if name in LITE_STAGES:
        return EfficientNetLite(name, width, norm=norm, checkpointing=checkpointing)
    raise InputError(f"encoder: got {name!r}, expected one of {', '.join(get_args(EncoderName))}")
