"""What a refinement is guided by (paper, section 2, guidance variants)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsgt.inputs import InputError


def superpixels(rgb: npt.NDArray[np.uint8], count: int) -> Tensor:
    """Partition colour (y, x, 3) into about so many SLIC superpixels: (1, y, x), int32, from 1."""
    try:
        from skimage.segmentation import slic  # an extra, and slow to import
    except ImportError as error:
        raise InputError(
            "superpixel guidance needs scikit-image: pip install 'region-support[compare]'"
        ) from error
    labels = slic(rgb, n_segments=count, start_label=1)
    return torch.from_numpy(labels.astype(np.int32))[None]


def guidance_channels(
    batch: Mapping[str, Tensor], guidance: str, *, count: int, coarse: str = "zeros"
) -> tuple[Tensor, Tensor]:
    """Make the guidance and the initial coarse depth of a refinement.

    Parameters
    ----------
    batch : mapping of Tensor
        With ``support`` for ``ground-truth``, ``semantic`` or ``superpixel`` for these, and ``depth``
        where ``coarse`` is ``mean``.
    guidance : str
        ``ground-truth``: the support, twice. ``semantic`` and ``superpixel``: the label over the number
        of labels. ``none``: zeros, twice.
    count : int
        Number of labels that the channel is divided by: classes of the label set, or superpixels.
    coarse : str
        For semantic and superpixel guidance: ``zeros``, or ``mean``: the true mean depth of each
        category or superpixel, which grants ground truth to the experiment.

    Returns
    -------
    guidance, coarse : Tensor
        (B, 1, H, W), float32.
    """
    if guidance == "ground-truth":
        return batch["support"], batch["support"]
    if guidance == "none":
        zeros = torch.zeros_like(batch["rgb"][:, :1], dtype=torch.float32)
        return zeros, zeros
    labels = batch[guidance]
    channel = labels / count
    if coarse == "zeros":
        return channel, torch.zeros_like(channel)
    return channel, _segment_mean(batch["depth"], labels)


def _segment_mean(depth: Tensor, labels: Tensor) -> Tensor:
    """Mean valid depth of each pixel's segment, per image; 0 where a segment has none, or for label 0."""
    images = torch.arange(len(labels), device=labels.device)[:, None, None, None]
    flat = (labels + images * (int(labels.max()) + 1)).flatten().long()
    valid = (depth > 0) & (labels > 0)
    exact = torch.float32 if depth.device.type == "mps" else torch.float64  # MPS has no float64
    total = torch.bincount(flat, weights=(depth * valid).flatten().to(exact))
    count = torch.bincount(flat, weights=valid.flatten().to(exact))
    return (total / count.clamp(min=1))[flat].view_as(depth).to(depth.dtype) * (labels > 0)
