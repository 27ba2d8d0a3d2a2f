"""Pyramid pooling: one map seen at several scales (paper, section 2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.models.layers import Convolution, Norm, resize_like

SCALES = (4, 8, 10, 20, 40, 80, 160)
"""The pooled maps are 1/4, 1/8, …, 1/160 of the input."""


class Pyramid(nn.Module):
    """The map itself beside seven pooled scales of it, each through a convolution and upsampled.

    Parameters
    ----------
    channels
        Channels of the map; each pooled scale gets a seventh of them (rounded down).
    stride
        How many input pixels one pixel of the map spans: 2 for a map of half the input's size.

    Notes
    -----
    A scale 1/s is the average over windows of s x s input pixels. Where s does not divide the size,
    the last window is cut off by the border and averages what is there, so that the pooled map has
    ceil(size / s) pixels: it scales with the input and never falls below 1x1.
    Source: the paper, section 2.
    """

    def __init__(self, channels: int, *, stride: int, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.windows = tuple(scale // stride for scale in SCALES)
        pooled = channels // len(SCALES)
        self.convolutions = nn.ModuleList(Convolution(channels, pooled, norm=norm) for _ in SCALES)
        self.channels = channels + len(SCALES) * pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, ``self.channels``, h, w).

        Raises
        ------
        InputError
            Where batch normalisation would have a single value a channel to learn from.
        """
        parts = [x]
        for window, convolution in zip(self.windows, self.convolutions, strict=True):
            pooled = F.avg_pool2d(x, window, ceil_mode=True, count_include_pad=False)
            self._check_statistics(pooled)
            parts.append(resize_like(convolution(pooled), x))
        return torch.cat(parts, dim=1)

    def _check_statistics(self, pooled: Tensor) -> None:
        batch, _, height, width = pooled.shape
        if self.training and self.norm == "batch" and batch * height * width == 1:
            raise InputError(
                "batch normalisation: got a batch of one frame whose coarsest scale is one pixel, expected "
                "more values to learn from: use a larger batch, a larger size, or norm 'group'"
            )
