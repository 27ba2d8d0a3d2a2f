"""Gradient matching: how log depth changes from pixel to pixel, at several scales."""

import torch
from torch import Tensor

SCALES = (1, 2, 4, 8)
"""Pixels from one that is compared to the next; MiDaS takes as many scales."""


def gradient_loss(error: Tensor, valid: Tensor) -> Tensor:
    """Mean slope of the error of log depth along rows and columns, over the valid pairs of each scale.

    An offset of log depth, that is a factor of depth, costs nothing: it is the shape of surfaces that counts.

    Parameters
    ----------
    error : Tensor
        Log depth less its truth, (B, 1, H, W), finite.
    valid : Tensor
        (B, 1, H, W) bool, where it counts.

    Returns
    -------
    Tensor
        Scalar, float32: the mean over ``SCALES``; a scale without a valid pair counts 0. Source: Li and
        Snavely, "MegaDepth" (CVPR 2018); Ranftl et al., "MiDaS" (TPAMI 2022).
    """
    total = error.new_zeros(())
    for step in SCALES:
        part, there = error[..., ::step, ::step], valid[..., ::step, ::step]
        for axis in (-1, -2):
            last = there.shape[axis] - 1
            pairs = there.narrow(axis, 1, last) & there.narrow(axis, 0, last)
            slopes = torch.where(pairs, part.diff(dim=axis).abs(), 0)
            total = total + slopes.sum() / pairs.sum().clamp_min(1)
    return total / len(SCALES)
