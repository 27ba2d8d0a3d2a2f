"""Losses: squared error, the region loss, iterations, robust losses and the discriminative loss.

Depth is (B, 1, H, W) in metres, regions are (B, H, W) integers. A pixel never counts where the target is
not finite and > 0, where ``valid`` is false, or where the region is 0; where nothing counts, a loss is 0.
Gradients are finite everywhere, also at a prediction of 0. Everything stays on the device and is
deterministic on a CPU; ``rsn.models.region_means`` says what CUDA needs for that.
Source: the paper, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.data.resize import resize_nearest
from rsn.models.gradient_loss import gradient_loss
from rsn.models.region_means import (
    count_images,
    means_over_regions,
    region_means,
    region_weight,
    scatter_to_pixels,
)

LOG_EPSILON_M = 1e-6


@dataclass(frozen=True, kw_only=True)
class DepthLoss:
    """How depth is compared with the truth in an epoch: the settings of a run's loss.

    Attributes
    ----------
    loss : str
        ``region`` (L_r), ``l2``, ``l1`` or ``rmse``: the functions below.
    space : str
        Where region and l2 errors are measured: ``linear``, ``log``, or ``linear-then-log``, which measures
        in metres for the first ``linear_epochs``.
    linear_epochs : int
        See ``space``.
    variance_weight, log_weight, metre_weight : float
        Weights that ``region_loss``, and ``l1_loss`` and ``rmse_loss`` take.
    gradient_weight : float
        Of ``gradient_loss``, which is added to the latter two.
    """

    loss: Literal["region", "l2", "l1", "rmse"] = "region"
    space: Literal["linear", "log", "linear-then-log"] = "linear-then-log"
    linear_epochs: int = 17
    variance_weight: float = 0.0
    log_weight: float = 1.0
    metre_weight: float = 0.0
    gradient_weight: float = 0.0

    def __call__(self, prediction: Tensor, target: Tensor, region: Tensor, epoch: int) -> Tensor:
        """Loss of depth (B, 1, H, W) in metres, with regions (B, H, W), in an epoch from 0."""
        return self._of_each([prediction], target, region, epoch)[0]

    def iterative(
        self, outputs: Sequence[Tensor], target: Tensor, region: Tensor, epoch: int, weights: Sequence[float]
    ) -> Tensor:
        """Weighted loss of the refinement's iterations (L_i), each as above."""
        return iterative_loss(self._of_each(outputs, target, region, epoch), weights)

    def _of_each(
        self, predictions: Sequence[Tensor], target: Tensor, region: Tensor, epoch: int
    ) -> list[Tensor]:
        """Losses of several depths against one truth."""
        log = self.is_log(epoch)
        if self.loss == "region":
            return region_losses(predictions, target, region, log=log, variance_weight=self.variance_weight)
        if self.loss == "l2":
            return [l2_loss(depth, target, log=log) for depth in predictions]
        both = l1_loss if self.loss == "l1" else rmse_loss
        losses = [
            both(depth, target, log_weight=self.log_weight, metre_weight=self.metre_weight)
            for depth in predictions
        ]
        if not self.gradient_weight:
            return losses
        valid = valid_pixels(target)
        return [
            loss + self.gradient_weight * gradient_loss(_error(depth, target, valid, log=True), valid)
            for loss, depth in zip(losses, predictions, strict=True)
        ]

    def is_log(self, epoch: int) -> bool:
        """Whether region and l2 errors are measured in log depth in an epoch."""
        return self.space == "log" or (self.space == "linear-then-log" and epoch >= self.linear_epochs)

    def turns_to_log(self, epoch: int) -> bool:
        """Whether the loss measures in log depth from this epoch on, and in metres before it."""
        spaced = self.loss in ("region", "l2")
        return spaced and epoch > 0 and self.is_log(epoch) and not self.is_log(epoch - 1)

    def counts(self, target: Tensor, region: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) that it learns from: with depth, and for ``region`` with a region."""
        return (target > 0) & (region > 0) if self.loss == "region" else target > 0


def l2_loss(prediction: Tensor, target: Tensor, valid: Tensor | None = None, *, log: bool = False) -> Tensor:
    """Mean squared error over the valid pixels of the batch, in m² (``log``: on log(depth + 1e-6))."""
    valid = valid_pixels(target, valid)
    return mean_over(_error(prediction, target, valid, log=log).square(), valid)


def region_loss(
    prediction: Tensor,
    target: Tensor,
    region: Tensor,
    *,
    log: bool = False,
    variance_weight: float = 0.0,
) -> Tensor:
    """Mean squared error of each region, averaged over an image's regions, then over the images (L_r).

    Small regions weigh as much as large ones. It is ``region_losses`` of one prediction.

    Returns
    -------
    Tensor
        Scalar, float32.
    """
    return region_losses([prediction], target, region, log=log, variance_weight=variance_weight)[0]


def region_losses(
    predictions: Sequence[Tensor],
    target: Tensor,
    region: Tensor,
    *,
    log: bool = False,
    variance_weight: float = 0.0,
) -> list[Tensor]:
    """Region loss (L_r) of several predictions against one truth, whose regions are weighed once.

    Parameters
    ----------
    predictions, target
        Depth (B, 1, H, W) in metres, one or more of the former; a target that is not > 0 does not count.
    region
        Labels (B, H, W), dense from 1 in each image; 0 does not count. An image without any region is
        left out of the average.
    log
        Squared error of log(depth + 1e-6) instead of depth.
    variance_weight
        Weight of the optional term: each region's variance of its squared error, divided by its mean.

    Returns
    -------
    list of Tensor
        A scalar for each prediction, float32.

    Raises
    ------
    InputError
        Where the shapes do not belong together.
    """
    _check_region(target, region)
    valid = valid_pixels(target)
    squared = [_error(prediction, target, valid, log=log).square() for prediction in predictions]
    counted = torch.where(valid.squeeze(1), region, 0)
    return means_over_regions(squared, counted, variance_weight=variance_weight)


def iterative_loss(losses: Sequence[Tensor], weights: Sequence[float] = (0.2, 0.3, 0.5)) -> Tensor:
    """Weighted sum of the losses of the refinement's iterations (L_i).

    Parameters
    ----------
    losses
        A scalar for each iteration.
    weights
        One for each of them.

    Raises
    ------
    InputError
        Where weights and losses differ in number.
    """
    if len(losses) != len(weights):
        raise InputError(f"loss weights: got {len(weights)}, expected {len(losses)}, one an iteration")
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
    valid = valid_pixels(target, valid)
    relative = mean_over(_error(prediction, target, valid, log=True).abs(), valid)
    metric = mean_over(_error(prediction, target, valid, log=False).abs(), valid)
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
    valid = valid_pixels(target, valid)
    pixels = valid.flatten(1).sum(dim=1)

    def part(*, log: bool) -> Tensor:
        squared = _error(prediction, target, valid, log=log).square().sum(dim=(1, 2, 3))
        # The root's slope at 0 is infinite: a perfect image counts as 0.1 mm off.
        roots = (squared / pixels.clamp_min(1) + 1e-8).sqrt()
        return mean_over(torch.where(pixels > 0, roots, 0), pixels > 0)

    return log_weight * part(log=True) + metre_weight * part(log=False)


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
    mean, pixels = region_means(embedding, region)
    weight = region_weight(pixels)
    squared = (embedding - scatter_to_pixels(mean.float(), region)).square().sum(dim=1, keepdim=True)
    # Clamped before the root, whose slope at 0 is infinite.
    away = squared.clamp_min(max(pull_margin**2, 1e-12)).sqrt()
    pull = (scatter_to_pixels(weight.unsqueeze(1), region) * (away - pull_margin).clamp_min(0).square()).sum()

    centre = mean.transpose(1, 2)  # (B, L, C)
    present = weight > 0
    pairs = (present.unsqueeze(1) & present.unsqueeze(2)).float()
    pairs = pairs - torch.diag_embed(present.float())
    pairs = pairs / pairs.sum(dim=(1, 2), keepdim=True).clamp_min(1) / count_images(present)
    gap = torch.cdist(centre, centre, compute_mode="donot_use_mm_for_euclid_dist")
    push = (pairs * (2 * push_margin - gap).clamp_min(0).square()).sum()

    share = present / present.sum(dim=1, keepdim=True).clamp_min(1) / count_images(present)
    regularisation = (share * torch.linalg.vector_norm(centre, dim=2)).sum()
    return pull, push.float(), regularisation.float()


def category_loss(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C, h, w) of the categories 1 to C, mean over the pixels that have one.

    ``category`` is (B, 1, H, W), integers, and is brought to the logits' size by nearest neighbour; 0 does
    not count.
    """
    category = resize_nearest(category, (logits.shape[2], logits.shape[3])).squeeze(1)
    total = F.cross_entropy(logits.float(), category.long() - 1, ignore_index=-1, reduction="sum")
    return total / (category > 0).sum().clamp_min(1)


def valid_pixels(target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Where a pixel counts: (B, 1, H, W) bool."""
    known = (target > 0) & torch.isfinite(target)
    return known if valid is None else known & valid


def _check_region(image: Tensor, region: Tensor) -> None:
    if region.shape != (image.shape[0], *image.shape[2:]):
        raise InputError(
            f"loss: got regions of {tuple(region.shape)} for maps of {tuple(image.shape)}, expected (B, H, W)"
        )


def _error(prediction: Tensor, target: Tensor, valid: Tensor, *, log: bool) -> Tensor:
    """Prediction minus target in float32, 0 with zero gradient where not valid."""
    if prediction.shape != target.shape:
        raise InputError(
            f"loss: got a prediction of {tuple(prediction.shape)} for a target of {tuple(target.shape)}, "
            "expected one shape (B, 1, H, W)"
        )
    prediction = torch.where(valid, prediction.float(), 1)
    target = torch.where(valid, target.float(), 1)
    if log:
        # Below 0, which only a foreign network predicts, the logarithm would be undefined.
        return (prediction.clamp_min(0) + LOG_EPSILON_M).log() - (target + LOG_EPSILON_M).log()
    return prediction - target


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid pixels of values that are 0 elsewhere."""
    return values.sum() / valid.sum().clamp_min(1)
