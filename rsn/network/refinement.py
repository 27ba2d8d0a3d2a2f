"""Refinement module: colour, guidance and a coarse depth to depth (paper, section 2)."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.network.block import (
    INITIAL_DEPTH_M,
    BasicBlock,
    Convolution,
    DepthOutput,
    Norm,
    SignedOutput,
    Stage,
    check_width,
    initialise,
    narrowing,
)
from rsn.network.pyramid import Pyramid


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
        channels = [self.pyramid.channels, *narrowing(2 * width, 3)]
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
