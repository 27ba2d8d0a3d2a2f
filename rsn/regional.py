"""Means over the regions of a batch, differentiable and without a loop over regions.

Regions of different images are kept apart. On a CUDA device, sums over regions are added up in an order
that changes from run to run, and with it the last bits, unless ``torch.use_deterministic_algorithms(True)``
is set: every operation here has a deterministic form there.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class RegionalMeans(NamedTuple):
    """Means (B, C, L) of labels 0 to L - 1 (float64 where the device has it) and pixels (B, L) of each."""

    mean: Tensor
    pixels: Tensor


def count_pixels(region: Tensor) -> Tensor:
    """Count the pixels of each label: region (B, H, W), integers >= 0 -> (B, L), L the largest label + 1.

    Labels should be small (dense from 1 in each image, as in the store): memory grows with the largest.
    """
    images = region.shape[0]
    labels = int(region.max()) + 1
    offset = labels * torch.arange(images, device=region.device).view(-1, 1, 1)
    counts = torch.bincount((region.long() + offset).flatten(), minlength=images * labels)
    return counts.view(images, labels)


def regional_means(values: Tensor, region: Tensor) -> RegionalMeans:
    """Average values (B, C, H, W) over each label of region (B, H, W); a label without pixels gets 0."""
    pixels = count_pixels(region)
    # Added up in float32, the mean of a wall of 100,000 pixels is good to five digits only.
    dtype = torch.float32 if values.device.type == "mps" else torch.float64
    sums = values.new_zeros((*values.shape[:2], pixels.shape[1]), dtype=dtype)
    sums = sums.scatter_add(2, _index(region, values.shape[1]), values.flatten(2).to(dtype))
    return RegionalMeans(sums / pixels.clamp_min(1).unsqueeze(1), pixels)


def spread(per_label: Tensor, region: Tensor) -> Tensor:
    """Give every pixel the value of its label: (B, C, L) and region (B, H, W) -> (B, C, H, W)."""
    channels = per_label.shape[1]
    return per_label.gather(2, _index(region, channels)).view(-1, channels, *region.shape[1:])


def regional_mean_map(values: Tensor, region: Tensor) -> Tensor:
    """Replace each pixel of values (B, C, H, W) by its region's mean; where region is 0, it keeps its own."""
    mean = regional_means(values, region).mean.to(values.dtype)
    return torch.where(region.unsqueeze(1) > 0, spread(mean, region), values)


def _index(region: Tensor, channels: int) -> Tensor:
    return region.long().flatten(1).unsqueeze(1).expand(-1, channels, -1)
