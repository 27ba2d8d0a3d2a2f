"""Planes of regions and a predicted depth: it is enlarged along true ones, or drawn towards its own.

The former are the counterparts for planes of what ``joint_bilateral_upsample`` and ``match_means`` do with
constants. Source: ours; the paper has no such steps.
"""

import torch
from torch import Tensor

from rsn.data.resize import joint_bilateral_upsample
from rsn.models.region_means import region_means, scatter_to_pixels

_SINGULAR = 1e-10
"""Share of two variances' product below which their determinant says that the pixels are on one line."""


def enlarge_along_planes(metres: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Bring depth to the size of a planar support that is known at both sizes.

    What is enlarged is the depth over the support, which is 1 where a network corrects nothing: the support
    comes out at its own size then, with its slopes and its borders.

    Parameters
    ----------
    metres, small : Tensor
        Depth, and the support at its size: (B, 1, h, w), metres; 0 = no region.
    large : Tensor
        The support at the size of the result: (B, 1, H, W), metres; where it is 0, depth is enlarged itself.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU.
    """
    metres, small, large = (value.float().cpu() for value in (metres, small, large))
    ratio = torch.where(small > 0, metres / small.where(small > 0, 1.0), 1.0)
    found = joint_bilateral_upsample(ratio, small, large) * large
    if (large > 0).all():
        return found
    return torch.where(large > 0, found, joint_bilateral_upsample(metres, small, large))


def match_planes(metres: Tensor, support: Tensor, region: Tensor) -> Tensor:
    """Scale depth, region by region, so that its plane is what planar region support says it is.

    A region's true plane is the least-squares one of the true depth. Depth is therefore divided by its own
    least-squares plane over the region and multiplied by the true one: level and slope become true, and what
    the prediction has beside them, its shape within the region, stays.

    Parameters
    ----------
    metres : Tensor
        Predicted depth, (B, 1, H, W), metres.
    support : Tensor
        True planar support of that size, metres; 0 = no region: depth stays as it is.
    region : Tensor
        Its regions, integer labels (B, H, W) from 1; 0 = none.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU. A region whose predicted plane lies behind the camera stays, too.
    """
    exact, truth = metres.double().cpu(), support.double().cpu()
    region = region.cpu().long()
    counts = (truth > 0) & (exact > 0) & (region[:, None] > 0)
    fitted = _plane_of_inverse(torch.where(counts, exact, 1.0), truth**4 * counts, region)
    behind = region_means((counts & (fitted <= 0)).double(), region).mean > 0
    behind = scatter_to_pixels(behind.double(), region) > 0
    found = torch.where(counts & ~behind, exact * truth * fitted, exact)
    return found.float()


def blend_planes(metres: Tensor, region: Tensor, share: float) -> Tensor:
    """Draw depth towards the plane that it has itself in each region.

    A network's depth runs smoothly over the border between two surfaces and is rippled on each of them; in
    regions that follow colour too, planes end where the photo does, and are flat.

    Parameters
    ----------
    metres : Tensor
        Predicted depth, (B, 1, H, W), metres; 0 = none.
    region : Tensor
        Regions of the prediction, integer labels (B, H, W) from 1; 0 = none: depth stays as it is.
    share : float
        Of the plane in the result, 0 to 1.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU. Where a plane is less than half or more than twice the depth, it
        is a poor fit, and depth stays.
    """
    exact, region = metres.double().cpu(), region.cpu().long()
    counts = (exact > 0) & (region[:, None] > 0)
    known = torch.where(counts, exact, 1.0)
    # An error of inverse depth counts as the metres that it makes: depth to the fourth power.
    inverse = _plane_of_inverse(known, known**4 * counts, region)
    ratio = known * inverse
    fits = counts & (ratio > 0.5) & (ratio < 2.0)
    return torch.where(fits, exact + share * (1 / inverse.where(fits, 1.0) - exact), exact).float()


def _plane_of_inverse(metres: Tensor, weight: Tensor, region: Tensor) -> Tensor:
    """Least-squares plane of inverse depth of each region, at its pixels; all (B, 1, H, W), 1/m."""
    height, width = metres.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    values = torch.cat([x.expand_as(metres), y.expand_as(metres), 1 / metres], dim=1)
    sums = region_means(torch.cat([weight, weight * values], dim=1), region).mean
    least = torch.finfo(torch.float64).tiny
    centre = sums[:, 1:] / sums[:, :1].clamp_min(least)
    u, v, q = (values - scatter_to_pixels(centre, region)).chunk(3, dim=1)
    moments = region_means(weight * torch.cat([u * u, u * v, v * v, u * q, v * q], dim=1), region).mean
    uu, uv, vv, uq, vq = moments.unbind(dim=1)
    determinant = uu * vv - uv * uv
    whole = determinant > _SINGULAR * uu * vv
    by_two = determinant.where(whole, 1.0)
    by_one = (uu + vv).clamp_min(least)
    a = torch.where(whole, (uq * vv - vq * uv) / by_two, uq / by_one)
    b = torch.where(whole, (vq * uu - uq * uv) / by_two, vq / by_one)
    planes = scatter_to_pixels(torch.stack([a, b, centre[:, 2]], dim=1), region)
    along_x, along_y, middle = planes.chunk(3, dim=1)
    fitted: Tensor = middle + along_x * u + along_y * v
    return fitted
