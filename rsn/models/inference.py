"""A network in use: a batch predicted, with the mirrored one or without, and brought to another size."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsn.data.resize import joint_bilateral_upsample, resize_bilinear, resize_nearest
from rsn.models.contract import Batch, BatchPrediction, Model
from rsn.models.merged_regions import regions_of
from rsn.models.region_means import match_means, region_mean_map
from rsn.models.region_planes import blend_planes, enlarge_along_planes, match_planes

Array = npt.NDArray[Any]


class Guide(NamedTuple):
    """True region support (B, 1, h, w) at a network's size and (B, 1, y, x) at the result's; 0 = no region.

    ``region``, labels (B, 1, y, x), is there where regions are planes: their support says by itself which
    pixels are one region only where it is constant.
    """

    small: Tensor
    large: Tensor
    region: Tensor | None = None

    def enlarged(self, depth: Tensor) -> Tensor:
        """Bring depth to the result's size along the support's borders, and restore what the support says."""
        if self.region is None:
            return match_means(joint_bilateral_upsample(depth, self.small, self.large), self.large)
        enlarged = enlarge_along_planes(depth, self.small, self.large)
        return match_planes(enlarged, self.large, self.region[:, 0])


LEAST_SIDE = 8
"""Pixels of a photo's shorter side as the network sees it, however long the photo is."""


def working_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Give the height and width at which a network sees a photo.

    Parameters
    ----------
    shape, size : (int, int)
        Height and width of the photo, and those that the network was trained at. The photo keeps its own
        shape; its longer side becomes as long as the longer of ``size``.
    """
    scale = max(size) / max(shape)
    return max(LEAST_SIDE, round(shape[0] * scale)), max(LEAST_SIDE, round(shape[1] * scale))


@torch.no_grad()
def infer(
    model: Model,
    network: nn.Module,
    batch: Batch,
    shape: tuple[int, int],
    *,
    flip: bool = False,
    along: Guide | None = None,
) -> BatchPrediction:
    """Predict a batch and bring the result to another size: metres bilinearly, labels by nearest neighbour.

    Parameters
    ----------
    model, network
        The model, and its network in evaluation mode.
    batch : mapping of Tensor
        Colour and guidance at the size that the network is to work at, on its device.
    shape : (int, int)
        Height and width of the result.
    flip : bool
        Average metres with the prediction for the mirrored batch, and say how far the two agree.
    along : Guide, optional
        True region support: depth is enlarged along its borders and gets its means (``match_means``), or its
        planes (``match_planes``).

    Returns
    -------
    BatchPrediction
        On the CPU: float32 metres and int32 labels, all (B, 1, y, x). ``confidence`` is the
        ``agreement`` of the two depths, without ``flip`` None.
    """
    if network.training:
        raise RuntimeError("a network predicts in evaluation mode only")
    found = model.predict(network, batch)
    other = None
    if flip:
        mirrored = {name: value.flip(-1) if value.ndim == 4 else value for name, value in batch.items()}
        other = model.predict(network, mirrored)

    def enlarged(name: Literal["initial", "support"]) -> Tensor | None:
        values = getattr(found, name)
        return (
            None
            if values is None
            else resize_bilinear(_averaged(values, other and getattr(other, name)), shape)
        )

    depth = _averaged(found.depth, other and other.depth)
    if not all(values.isfinite().all() for values in (depth, found.support) if values is not None):
        raise InputError(
            "the network predicts depth that is not finite: its weights are of a run that diverged; "
            "give another checkpoint"
        )
    region = None if found.region is None else found.region[:, None].int().cpu()
    if region is None and model.plane_share:
        base = depth if found.support is None else _averaged(found.support, other and other.support)
        region = regions_of(base, batch["rgb"] / 255)
    region = None if region is None else resize_nearest(region, shape)
    large = along.enlarged(depth) if along else resize_bilinear(depth, shape)
    if region is not None and model.plane_share:
        large = blend_planes(large, region[:, 0], model.plane_share)
    return BatchPrediction(
        large,
        enlarged("initial"),
        enlarged("support"),
        region,
        None if other is None else _share(agreement(found.depth, other.depth.flip(-1)), shape),
        None if found.reliability is None else _share(found.reliability, shape),
    )


def _share(share: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bring numbers from 0 to 1 to another size; rounding leaves none beyond."""
    return resize_bilinear(share, shape).clamp(0, 1)


WINDOW = 20
"""Disagreement is averaged over this part of the longer side; docs/log.md says what that is worth."""


def agreement(one: Tensor, other: Tensor) -> Tensor:
    """Say how sure two predictions of the same depth are together: 1 / (1 + s / 1 m), s the spread.

    The spread is the geometric mean of the depth and of how far the two are apart, averaged over a window of
    a twentieth of the longer side: errors grow with the depth, too.

    Parameters
    ----------
    one, other : Tensor
        Metres (B, 1, h, w), 0 where there is no depth.

    Returns
    -------
    Tensor
        float32 of that shape, no unit: 1 where the two agree, 0 where either is none.
    """
    one, other = one.float(), other.float()
    half = round(max(one.shape[-2:]) / WINDOW / 2)
    apart = F.avg_pool2d((one - other).abs(), 2 * half + 1, 1, half, count_include_pad=False)
    spread = (apart * (one + other) / 2).sqrt()
    return torch.where((one > 0) & (other > 0), 1 / (1 + spread), 0)


def _averaged(metres: Tensor, mirrored: Tensor | None) -> Tensor:
    return metres if mirrored is None else (metres + mirrored.flip(-1)) / 2


class PhotoMaps(NamedTuple):
    """One photo's maps (y, x), at its own size; what each is, ``rsn.photos.prediction.Prediction`` says."""

    depth: npt.NDArray[np.float32]
    support: npt.NDArray[np.float32]
    region: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32] | None
    reliability: npt.NDArray[np.float32] | None


def photo_maps(found: BatchPrediction, rgb: Tensor, index: int, shape: tuple[int, int]) -> PhotoMaps:
    """Bring one photo's part of what ``infer`` gave to the photo's size.

    Regions that a model does not predict are made of its support, or of its depth (``regions_of``).

    Parameters
    ----------
    found : BatchPrediction
        Of photos of one size, (B, 1, h, w).
    rgb : Tensor
        Their colour, (B, 3, h, w), 0 to 255.
    index : int
        Place of the photo in the batch.
    shape : (int, int)
        Height and width of the photo.

    Returns
    -------
    PhotoMaps
        Float32 metres twice; int32 labels from 1, without those that a smaller photo has no pixel of; and
        float32 from 0 to 1 twice, where ``found`` has them.
    """
    depth, _, base, region, *sure = (None if maps is None else maps[index : index + 1] for maps in found)
    assert depth is not None
    base = depth if base is None else base
    if region is None:
        region = regions_of(base, rgb[index : index + 1] / 255)
    # An average with the mirrored photo varies within the regions of the photo itself.
    support = region_mean_map(base, region[:, 0])
    region = resize_nearest(region, shape)[0, 0]
    there = torch.bincount(region.flatten()) > 0
    there[0] = False
    dense = there.cumsum(0).int() * there
    return PhotoMaps(
        resize_bilinear(depth, shape)[0, 0].numpy(),
        resize_nearest(support, shape)[0, 0].numpy(),
        dense[region].int().numpy(),
        *(None if share is None else _share(share, shape)[0, 0].numpy() for share in sure),
    )
