"""Means over the regions of a batch, differentiable and without a loop over regions.

Regions of different images are kept apart. On a CUDA device, sums over regions are added up in an order
that changes from run to run, and with it the last bits, unless ``torch.use_deterministic_algorithms(True)``
is set: every operation here has a deterministic form there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class RegionMeans(NamedTuple):
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


def region_means(values: Tensor, region: Tensor) -> RegionMeans:
    """Average values (B, C, H, W) over each label of region (B, H, W); a label without pixels gets 0."""
    pixels = count_pixels(region)
    # Added up in float32, the mean of a wall of 100,000 pixels is good to five digits only.
    dtype = torch.float32 if values.device.type == "mps" else torch.float64
    sums = values.new_zeros((*values.shape[:2], pixels.shape[1]), dtype=dtype)
    sums = sums.scatter_add(2, _index(region, values.shape[1]), values.flatten(2).to(dtype))
    return RegionMeans(sums / pixels.clamp_min(1).unsqueeze(1), pixels)


def scatter_to_pixels(per_label: Tensor, region: Tensor) -> Tensor:
    """Give every pixel the value of its label: (B, C, L) and region (B, H, W) -> (B, C, H, W)."""
    channels = per_label.shape[1]
    return per_label.gather(2, _index(region, channels)).view(-1, channels, *region.shape[1:])


def region_mean_map(values: Tensor, region: Tensor) -> Tensor:
    """Replace each pixel of values (B, C, H, W) by its region's mean; where region is 0, it keeps its own."""
    mean = region_means(values, region).mean.to(values.dtype)
    return torch.where(region.unsqueeze(1) > 0, scatter_to_pixels(mean, region), values)


def match_means(metres: Tensor, support: Tensor) -> Tensor:
    """Scale depth, region by region, so that its mean over a region is what region support says it is.

    True support is the mean of the true depth, so that this takes error away and adds none (exactly so for
    the shift that it is nearly, a projection on all depths with these means). Pixels of one value are one
    region. Source: ours; the paper has no such step.

    Parameters
    ----------
    metres : Tensor
        Predicted depth, (B, 1, H, W), metres.
    support : Tensor
        True region support of that size, metres; 0 = no region: depth stays as it is.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU.
    """
    metres, support = metres.float().cpu(), support.float().cpu()
    region = torch.stack([frame.unique(return_inverse=True)[1] + 1 for frame in support[:, 0]])
    means = region_mean_map(metres, torch.where(support[:, 0] > 0, region, 0))
    return torch.where((support > 0) & (means > 0), metres * (support / means), metres)


def means_over_regions(
    maps: Sequence[Tensor], region: Tensor, *, variance_weight: float = 0.0
) -> list[Tensor]:
    """Average each map over a region's pixels, over an image's regions, over the images that have one.

    The pixels' weights follow from the regions alone, and are found once for all maps.

    Parameters
    ----------
    maps : sequence of Tensor
        (B, 1, H, W), at least 0 where ``variance_weight`` is not 0.
    region : Tensor
        Integer labels (B, H, W); 0 does not count.
    variance_weight : float
        Weight of each map's ``relative_variance``, which is added.

    Returns
    -------
    list of Tensor
        A scalar for each map.
    """
    weight = pixel_weight(region)
    means = [(weight * values).sum() for values in maps]
    if variance_weight:
        parts = zip(means, maps, strict=True)
        means = [mean + variance_weight * relative_variance(values, region) for mean, values in parts]
    return means


def pixel_weight(region: Tensor) -> Tensor:
    """Weight of each pixel, (B, 1, H, W), such that a weighted sum is the mean of means of means.

    The mean over a region's pixels, over an image's regions, over the images that have one; region (B, H, W)
    has integer labels, of which 0 gets no weight. It depends on counts alone: the mean of means needs no sum
    by region, hence no scattered float addition, whose order would be open on a GPU.
    """
    return scatter_to_pixels(region_weight(count_pixels(region)).unsqueeze(1), region)


def region_weight(pixels: Tensor) -> Tensor:
    """Weight (B, L) of a pixel of each label, from the ``pixels`` (B, L) of each; see ``pixel_weight``."""
    present = pixels > 0
    present[:, 0] = False
    regions = present.sum(dim=1, keepdim=True).clamp_min(1)
    return present / (pixels.clamp_min(1) * regions * count_images(present)).float()


def count_images(present: Tensor) -> Tensor:
    """Count the images (at least 1) that have a region: present (B, L) -> scalar."""
    return present.any(dim=1).sum().clamp_min(1)


def relative_variance(values: Tensor, region: Tensor) -> Tensor:
    """Per region var(values) / mean(values), averaged like ``pixel_weight``; 0 for a region of zeros.

    ``values`` are (B, 1, H, W), at least 0.
    """
    mean, pixels = region_means(values, region)
    # Around the region's own mean: the difference of two large means would cancel.
    away = (values - scatter_to_pixels(mean.to(values.dtype), region)).square()
    variance = region_means(away, region).mean
    ratio = variance / mean.clamp_min(1e-12)
    per_region = region_weight(pixels) * pixels
    return (per_region.unsqueeze(1) * ratio).sum().float()


def _index(region: Tensor, channels: int) -> Tensor:
    return region.long().flatten(1).unsqueeze(1).expand(-1, channels, -1)
