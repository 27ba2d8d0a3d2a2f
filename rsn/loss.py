"""Losses: squared error, the region loss, iterations, robust losses and the discriminative loss.

Depth is (B, 1, H, W) in metres, regions are (B, H, W) integers. A pixel never counts where the target is
not finite and > 0, where ``valid`` is false, or where the region is 0; where nothing counts, a loss is 0.
Gradients are finite everywhere, also at a prediction of 0. Everything stays on the device and is
deterministic on a CPU; ``rsn.regional`` says what CUDA needs for that. Source: the paper, section 3.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.regional import count_pixels, regional_mean_map, regional_means, spread

LOG_EPSILON_M = 1e-6
REGULARISATION_WEIGHT = 0.001


def l2_loss(prediction: Tensor, target: Tensor, valid: Tensor | None = None, *, log: bool = False) -> Tensor:
    """Mean squared error over the valid pixels of the batch, in m² (``log``: on log(depth + 1e-6))."""
    valid = _valid(prediction, target, valid)
    return _mean(_error(prediction, target, valid, log=log).square(), valid)


def region_loss(
    prediction: Tensor,
    target: Tensor,
    region: Tensor,
    *,
    log: bool = False,
    variance_weight: float = 0.0,
) -> Tensor:
    """Mean squared error of each region, averaged over an image's regions, then over the images (L_r).

    Small regions weigh as much as large ones.

    Parameters
    ----------
    prediction, target
        Depth (B, 1, H, W) in metres; a target that is not > 0 does not count.
    region
        Labels (B, H, W), dense from 1 in each image; 0 does not count. An image without any region is
        left out of the average.
    log
        Squared error of log(depth + 1e-6) in place of depth.
    variance_weight
        Weight of the optional term: each region's variance of its squared error, divided by its mean.

    Returns
    -------
    Tensor
        Scalar, float32.

    Raises
    ------
    InputError
        Where the shapes do not belong together.
    """
    valid = _valid(prediction, target, None)
    _check_region(prediction, region)
    region = torch.where(valid.squeeze(1), region, 0)
    squared = _error(prediction, target, valid, log=log).square()
    weight = _region_weight(count_pixels(region))
    # A pixel's weight depends on counts alone: the mean of means needs no sum by region, hence no
    # scattered float addition, whose order would be open on a GPU.
    loss = (spread(weight.unsqueeze(1), region) * squared).sum()
    if variance_weight:
        loss = loss + variance_weight * _relative_variance(squared, region)
    return loss


def iterative_loss(
    outputs: Sequence[Tensor], loss: Callable[[Tensor], Tensor], weights: Sequence[float] = (0.2, 0.3, 0.5)
) -> Tensor:
    """Weighted sum of one loss over the refinement's iterations (L_i).

    Parameters
    ----------
    outputs
        One depth (B, 1, H, W) in metres for each iteration.
    loss
        Loss of one of them.
    weights
        One for each output.

    Raises
    ------
    InputError
        Where weights and outputs differ in number.
    """
    if len(outputs) != len(weights):
        raise InputError(f"loss weights: got {len(weights)}, expected {len(outputs)}, one an iteration")
    losses = [loss(output) for output in outputs]
    return torch.stack([weight * value for weight, value in zip(weights, losses, strict=True)]).sum()


def l1_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    *,
    log_weight: float = 1.0,
    metre_weight: float = 0.1,
) -> Tensor:
    """Mean absolute error of log(depth + 1e-6), plus a part in metres, over the batch's valid pixels.

    The logarithm alone lets far pixels, which hold most of the squared error in metres, weigh little.
    """
    valid = _valid(prediction, target, valid)
    relative = _mean(_error(prediction, target, valid, log=True).abs(), valid)
    metric = _mean(_error(prediction, target, valid, log=False).abs(), valid)
    return log_weight * relative + metre_weight * metric


def rmse_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    *,
    log_weight: float = 0.0,
    metre_weight: float = 1.0,
) -> Tensor:
    """Root mean squared error of each image, in metres and in log(depth + 1e-6), averaged over the images.

    It is what an evaluation reports: an image of far things does not outweigh the others, as it does in the
    squared error of a batch. Images without a valid pixel are left out.
    """
    valid = _valid(prediction, target, valid)
    pixels = valid.sum(dim=(1, 2, 3))

    def part(*, log: bool) -> Tensor:
        squared = _error(prediction, target, valid, log=log).square().sum(dim=(1, 2, 3))
        # The root's slope at 0 is infinite: a perfect image counts as 0.1 mm off.
        roots = (squared / pixels.clamp_min(1) + 1e-8).sqrt()
        return _mean(torch.where(pixels > 0, roots, 0), pixels > 0)

    return log_weight * part(log=True) + metre_weight * part(log=False)


def berhu_loss(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Reverse Huber loss in metres (Laina et al., 2016), mean over the batch's valid pixels.

    |e| up to c = a fifth of the batch's largest |e|, and (e² + c²) / 2c beyond; c takes no gradient.
    """
    valid = _valid(prediction, target, valid)
    error = _error(prediction, target, valid, log=False).abs()
    threshold = (0.2 * error.detach().max()).clamp_min(torch.finfo(error.dtype).tiny)
    far = (error.square() + threshold.square()) / (2 * threshold)
    return _mean(torch.where(error <= threshold, error, far), valid)


def discriminative_loss(
    embedding: Tensor, region: Tensor, *, pull_margin: float = 0.16, push_margin: float = 0.34
) -> tuple[Tensor, Tensor, Tensor]:
    """Pull pixels to their region's mean and push the means apart (De Brabandere et al., 2017).

    With mu the mean embedding of a region:

    * pull: mean over regions of the mean over pixels of max(0, |e - mu| - pull_margin)²;
    * push: mean over ordered pairs of regions of max(0, 2 push_margin - |mu_i - mu_j|)², 0 where an
      image has a single region;
    * regularisation: mean over regions of |mu|.

    Each is then averaged over the images that have a region.

    Parameters
    ----------
    embedding
        (B, C, H, W).
    region
        Labels (B, H, W), dense from 1 in each image; 0 does not count.

    Returns
    -------
    tuple of Tensor
        pull, push, regularisation: scalars, float32.

    Notes
    -----
    Source: the paper, section 2, Algorithm 2.
    """
    _check_region(embedding, region)
    embedding = embedding.float()
    mean, pixels = regional_means(embedding, region)
    weight = _region_weight(pixels)
    squared = (embedding - spread(mean.float(), region)).square().sum(dim=1, keepdim=True)
    # Clamped before the root, whose slope at 0 is infinite.
    away = squared.clamp_min(max(pull_margin**2, 1e-12)).sqrt()
    pull = (spread(weight.unsqueeze(1), region) * (away - pull_margin).clamp_min(0).square()).sum()

    centre = mean.transpose(1, 2)  # (B, L, C)
    present = weight > 0
    pairs = (present.unsqueeze(1) & present.unsqueeze(2)).float()
    pairs = pairs - torch.diag_embed(present.float())
    pairs = pairs / pairs.sum(dim=(1, 2), keepdim=True).clamp_min(1) / _images(present)
    gap = torch.cdist(centre, centre, compute_mode="donot_use_mm_for_euclid_dist")
    push = (pairs * (2 * push_margin - gap).clamp_min(0).square()).sum()

    share = present / present.sum(dim=1, keepdim=True).clamp_min(1) / _images(present)
    regularisation = (share * torch.linalg.vector_norm(centre, dim=2)).sum()
    return pull, push.float(), regularisation.float()


def category_loss(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C, H, W) of the categories 1 to C, mean over the pixels that have one.

    ``category`` is (B, H, W), integers; 0 does not count.
    """
    total = F.cross_entropy(logits.float(), category.long() - 1, ignore_index=-1, reduction="sum")
    return total / (category > 0).sum().clamp_min(1)


class ClusteringEnds(Protocol):
    """What ``clustering_loss`` reads from the output of ``rsn.network.ClusteringNetwork``."""

    @property
    def embedding(self) -> Tensor: ...  # noqa: D102
    @property
    def region(self) -> Tensor: ...  # noqa: D102
    @property
    def initial(self) -> Tensor: ...  # noqa: D102
    @property
    def offset(self) -> Tensor: ...  # noqa: D102
    @property
    def corrected(self) -> Tensor: ...  # noqa: D102
    @property
    def refined(self) -> Tensor: ...  # noqa: D102


def clustering_loss(output: ClusteringEnds, target: Tensor) -> Tensor:
    """Train every end of the clustering variant together: one sum of these parts, each with weight 1.

    * embedding: pull + push + 0.001 regularisation over the regions;
    * initial depth and refined (blended) depth: ``l1_loss`` against depth;
    * variance refinement: the mean |offset - (depth - regional mean of depth)|, in metres;
    * target refinement: ``l1_loss`` of the corrected depth against the regional mean of depth.

    The regions are those that the network used (``output.region``), which must be the true ones; their
    means are over pixels of valid depth only. The blend gets its reliability from the refined depth's part
    alone.

    Parameters
    ----------
    output
        What ``ClusteringNetwork`` returned.
    target
        Depth (B, 1, H, W) in metres; not > 0 does not count.

    Notes
    -----
    The paper gives the parts, and weights for none of them: these are ours. Source: the paper, section 2,
    Algorithm 2.
    """
    pull, push, regularisation = discriminative_loss(output.embedding, output.region)
    embedding = pull + push + REGULARISATION_WEIGHT * regularisation
    valid = _valid(output.initial, target, None)
    used = torch.where(valid.squeeze(1), output.region, 0)
    mean = regional_mean_map(torch.where(valid, target, 0), used)
    regional = valid & (used > 0).unsqueeze(1)
    offset = torch.where(regional, output.offset.float() - (target - mean), 0).abs()
    return (
        embedding
        + l1_loss(output.initial, target)
        + l1_loss(output.refined, target)
        + _mean(offset, regional)
        + l1_loss(output.corrected, mean, regional)
    )


def _valid(prediction: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """Where a pixel counts: (B, 1, H, W) bool."""
    if prediction.shape != target.shape:
        raise InputError(
            f"loss: got a prediction of {tuple(prediction.shape)} for a target of {tuple(target.shape)}, "
            "expected one shape (B, 1, H, W)"
        )
    known = (target > 0) & torch.isfinite(target)
    return known if valid is None else known & valid


def _check_region(image: Tensor, region: Tensor) -> None:
    if region.shape != (image.shape[0], *image.shape[2:]):
        raise InputError(
            f"loss: got regions of {tuple(region.shape)} for maps of {tuple(image.shape)}, expected (B, H, W)"
        )


def _error(prediction: Tensor, target: Tensor, valid: Tensor, *, log: bool) -> Tensor:
    """Prediction minus target in float32, 0 with zero gradient where not valid."""
    prediction = torch.where(valid, prediction.float(), 1)
    target = torch.where(valid, target.float(), 1)
    if log:
        # Below 0, which only a foreign network predicts, the logarithm would be undefined.
        return (prediction.clamp_min(0) + LOG_EPSILON_M).log() - (target + LOG_EPSILON_M).log()
    return prediction - target


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid pixels of values that are 0 elsewhere."""
    return values.sum() / valid.sum().clamp_min(1)


def _images(present: Tensor) -> Tensor:
    """Count the images (at least 1) that have a region: present (B, L) -> scalar."""
    return present.any(dim=1).sum().clamp_min(1)


def _region_weight(pixels: Tensor) -> Tensor:
    """Weight (B, L) of one pixel of each label, such that a weighted sum is the mean of means of means."""
    present = pixels > 0
    present[:, 0] = False
    regions = present.sum(dim=1, keepdim=True).clamp_min(1)
    return present / (pixels.clamp_min(1) * regions * _images(present)).float()


def _relative_variance(squared: Tensor, region: Tensor) -> Tensor:
    """Per region var(squared) / mean(squared), averaged like the region loss; 0 for a perfect region."""
    mean, pixels = regional_means(squared, region)
    # Around the region's own mean: the difference of two large means would cancel.
    away = (squared - spread(mean.to(squared.dtype), region)).square()
    variance = regional_means(away, region).mean
    ratio = variance / mean.clamp_min(1e-12)
    per_region = _region_weight(pixels) * pixels
    return (per_region.unsqueeze(1) * ratio).sum().float()
