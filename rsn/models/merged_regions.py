"""Regions of what a network predicts: depth, colour and an embedding, merged from single pixels on."""

import torch
from torch import Tensor
from torch.nn import functional as F

from rsgt.regions.merging import merged_regions
from rsn.data.resize import resize_nearest

REGIONS = 70
"""Regions of a frame: as many as Algorithm 2 finds at most."""
COLOUR_M = 1.0
"""A step from black to white counts as one of so many metres of depth does."""
EMBEDDING_M = 1.0
"""So does a step of 1 of an embedding, whose regions the discriminative loss keeps 0.68 apart."""
LONGEST_SIDE = 192
"""Pixels of the longer side at which regions are looked for; a network's depth has hardly more detail."""


@torch.no_grad()
def regions_of(metres: Tensor, rgb: Tensor, embedding: Tensor | None = None) -> Tensor:
    """Partition frames into ``REGIONS`` connected regions each, of little variance of all that is given.

    It is how a network without a segmentation of its own yields one: of its support, or of its depth. Source:
    ours (``rsgt.regions.merging``); the paper does not say how regions come of a predicted support.

    Parameters
    ----------
    metres, rgb, embedding : Tensor
        Depth (B, 1, y, x), 0 = none, colour (B, 3, y, x) from 0 to 1, and (B, C, y, x) of that size.

    Returns
    -------
    Tensor
        Labels (B, 1, y, x), int32 from 1, on the CPU; 0 where there is no depth.
    """
    height, width = metres.shape[-2:]
    share = min(1.0, LONGEST_SIDE / max(height, width))
    small = max(1, round(height * share)), max(1, round(width * share))
    metres = metres.float().cpu()
    parts = [metres, COLOUR_M * rgb.float().cpu()]
    if embedding is not None:
        parts.append(EMBEDDING_M * embedding.float().cpu())
    maps = F.adaptive_avg_pool2d(torch.cat(parts, dim=1), small)
    maps[:, :1][resize_nearest(metres, small) <= 0] = torch.nan
    labels = [torch.from_numpy(merged_regions(each.numpy(), REGIONS)) for each in maps]
    found = resize_nearest(torch.stack(labels)[:, None], (height, width))
    return torch.where(metres > 0, found, 0)
