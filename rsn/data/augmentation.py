"""Random change of training batches: one affine map for the image and all its arrays, and recolouring.

It runs on the training device and follows from (seed, epoch, frame, turn) alone, so that neither the number
of loader processes nor an interruption changes it; ``turn`` is how often an epoch has had the frame before.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

METRIC = ("depth", "support")
"""Arrays in metres: a zoom divides them."""


def augment(
    batch: dict[str, Tensor],
    *,
    seed: int,
    epoch: int,
    size: tuple[int, int],
    flip: bool,
    rotation: float,
    zoom: float,
    jitter: float,
) -> dict[str, Tensor]:
    """Mirror, rotate, crop and recolour a batch: one affine map for the image and all its arrays.

    Labels, depth and support are taken by nearest neighbour; what comes from outside the frame is 0,
    that is invalid. Rotation about the optical axis and mirroring leave depth as it is. A crop
    enlarged by z looks like the same view through a lens z times as long; for one and the same lens
    that is a scene z times as near, so depth and support are divided by z: the network may go on
    believing in one camera.

    Parameters
    ----------
    batch : dict of Tensor
        As ``rsn.data.dataset`` gives it; at ``size`` times ``zoom`` a crop stays sharp.
    seed, epoch : int
        With the frame's position, and its turn where the batch has one, they fix what is drawn.
    size : (int, int)
        Height and width of the result.
    flip, rotation, zoom, jitter
        As in ``rsn.config.DataConfig``; rotation in degrees.

    Returns
    -------
    dict of Tensor
        A new batch; ``rgb`` is float32 of 0-255.
    """
    frames = batch["frame"].tolist()
    turns = batch["turn"].tolist() if "turn" in batch else [0] * len(frames)
    # A frame's first time in an epoch, which often is its only one, goes without its turn.
    keys = [(frame, turn) if turn else (frame,) for frame, turn in zip(frames, turns, strict=True)]
    draws = np.stack([np.random.default_rng((seed, epoch, *key)).random(8) for key in keys])
    zooms = zoom ** draws[:, 2]
    theta = _affine(draws, zooms, size, flip=flip, rotation=rotation).to(batch["rgb"].device)
    grid = F.affine_grid(theta, [len(frames), 1, *size], align_corners=False)

    colour = batch["rgb"].float()
    colour = F.grid_sample(colour, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    result = {"frame": batch["frame"], "rgb": _recoloured(colour, jitter * (2 * draws[:, 5:] - 1))}
    names = [name for name in batch if name not in result and name != "turn"]
    if names:
        # float32 holds every label below 2^24 exactly, so that one call samples all arrays.
        maps = torch.cat([batch[name].float() for name in names], dim=1)
        maps = F.grid_sample(maps, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        scale = torch.from_numpy(1 / zooms).float().to(maps.device)[:, None, None, None]
        for name, sampled in zip(names, maps.unbind(dim=1), strict=True):
            plane = sampled[:, None]
            result[name] = plane * scale if name in METRIC else plane.to(batch[name].dtype)
    return result


def _affine(
    draws: npt.NDArray[np.float64],
    zooms: npt.NDArray[np.float64],
    size: tuple[int, int],
    *,
    flip: bool,
    rotation: float,
) -> Tensor:
    """Make the maps (B, 2, 3) from the result's coordinates to the frame's, both from -1 to 1."""
    mirror = np.where((draws[:, 0] < 0.5) & flip, -1.0, 1.0)
    angle = np.deg2rad(rotation) * (2 * draws[:, 1] - 1)
    aspect = size[1] / size[0]
    cosine, sine = np.cos(angle) / zooms, np.sin(angle) / zooms
    slack = 1 - 1 / zooms
    centre_x, centre_y = slack * (2 * draws[:, 3] - 1), slack * (2 * draws[:, 4] - 1)
    rows = [[mirror * cosine, -sine / aspect, centre_x], [mirror * sine * aspect, cosine, centre_y]]
    return torch.from_numpy(np.moveaxis(np.array(rows), 2, 0)).float()


def _recoloured(colour: Tensor, change: npt.NDArray[np.float64]) -> Tensor:
    """Scale brightness, contrast about the mean, and saturation about grey, each by 1 + change."""
    brightness, contrast, saturation = (
        torch.from_numpy(1 + change).float().to(colour.device)[:, :, None, None, None].unbind(1)
    )
    colour = colour * brightness
    mean = colour.mean(dim=(1, 2, 3), keepdim=True)
    colour = mean + (colour - mean) * contrast
    grey = colour.mean(dim=1, keepdim=True)
    return (grey + (colour - grey) * saturation).clamp(0, 255)
