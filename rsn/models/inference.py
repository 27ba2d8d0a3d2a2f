"""A network in use: a batch predicted, with the mirrored one or without, and brought to another size."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsgt.regions.algorithm import RegionSupport, region_support
from rsn.data.resize import joint_bilateral_upsample, resize_bilinear, resize_nearest
from rsn.models.contract import Batch, BatchPrediction, Model
from rsn.models.region_means import match_means, region_mean_map
from rsn.models.region_planes import enlarge_along_planes, match_planes

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
        Average metres with the prediction for the mirrored batch.
    along : Guide, optional
        True region support: depth is enlarged along its borders and gets its means (``match_means``), or its
        planes (``match_planes``).

    Returns
    -------
    BatchPrediction
        On the CPU: float32 metres and int32 labels, all (B, 1, y, x).
    """
    if network.training:
        raise RuntimeError("a network predicts in evaluation mode only")
    found = model.predict(network, batch)
    other = None
    if flip:
        mirrored = {name: value.flip(-1) if value.ndim == 4 else value for name, value in batch.items()}
        other = model.predict(network, mirrored)

    def metres(name: Literal["initial", "support"]) -> Tensor | None:
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
    return BatchPrediction(
        along.enlarged(depth) if along else resize_bilinear(depth, shape),
        metres("initial"),
        metres("support"),
        None if found.region is None else resize_nearest(found.region[:, None].int().cpu(), shape),
    )


def _averaged(metres: Tensor, mirrored: Tensor | None) -> Tensor:
    return metres if mirrored is None else (metres + mirrored.flip(-1)) / 2


def support_of(metres: Array) -> RegionSupport:
    """Regions of a predicted map (y, x) by Algorithm 1, with the whole frame as one category.

    It is how a network without a segmentation of its own yields one: of its support, or of its depth.
    """
    return region_support(metres, np.zeros(metres.shape, np.uint16), unit_known=True)


def photo_maps(
    found: BatchPrediction, index: int, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Bring one photo's part of what ``infer`` gave to the photo's size: depth, support, dense regions.

    Regions that a model does not predict are made of its support, or of its depth (``support_of``).

    Parameters
    ----------
    found : BatchPrediction
        Of photos of one size, (B, 1, h, w).
    index : int
        Place of the photo in the batch.
    shape : (int, int)
        Height and width of the photo.

    Returns
    -------
    depth, support, region
        (y, x): float32 metres twice; int32 labels from 1, without those that a smaller photo has no pixel of.
    """
    depth, _, base, region = (None if maps is None else maps[index : index + 1] for maps in found)
    assert depth is not None
    base = depth if base is None else base
    if region is None:
        region = torch.from_numpy(support_of(base[0, 0].numpy()).region)[None, None]
    # An average with the mirrored photo varies within the regions of the photo itself.
    support = region_mean_map(base, region[:, 0])
    region = resize_nearest(region, shape)[0, 0]
    there = torch.bincount(region.flatten()) > 0
    there[0] = False
    dense = there.cumsum(0).int() * there
    return (
        resize_bilinear(depth, shape)[0, 0].numpy(),
        resize_nearest(support, shape)[0, 0].numpy(),
        dense[region].int().numpy(),
    )
