"""What a photo shows: what ``Predictor.predict`` returns, and what is looked at before it is written."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.store.photo_files import MILLIMETRES
from rsn.photos.camera import Camera

Metres = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

FARTHEST_M = 100_000.0
"""Beyond it there is no depth to speak of, only numbers."""
MOST_LABELS = np.iinfo(np.uint16).max


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a photo shows, at the photo's own size.

    Attributes
    ----------
    depth : float32 array
        (y, x), metres, 0 where the network gives none.
    support : float32 array
        (y, x), metres: each region has one, the mean over the region of what the network says.
    region : int32 array
        (y, x), labels from 1, dense.
    confidence : float32 array or None
        (y, x), 0 to 1: how far the depths predicted for the photo and for the mirrored one agree
        (``rsn.models.inference.agreement``); None where the mirrored one was not predicted
        (``rsn.load(flip=True)`` does).
    reliability : float32 array or None
        (y, x), 0 to 1: the clustering network's own weight of variance against target refinement; None of
        other networks.
    camera : Camera
        Focal lengths and centre in pixels of the photo, and where they come from.
    notes : tuple of str
        What was done to the photo, or ignored in it, that its owner should know.
    """

    depth: Metres
    support: Metres
    region: Labels
    camera: Camera
    confidence: Metres | None = None
    reliability: Metres | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        height, width = self.depth.shape
        seen = self.depth[self.depth > 0]
        span = f"{seen.min():.2f} to {seen.max():.2f} m" if seen.size else "no depth"
        return f"<rsn.Prediction {height}x{width}: {span}, {int(self.region.max())} regions>"


def check_depth(depth: Metres) -> list[str]:
    """Look at a predicted depth (y, x) before it is written, and say what its reader should know.

    Raises
    ------
    InputError
        Where it is not finite, negative, beyond 100 km, or 0 (no depth) in more than half of its pixels.
    """
    if not np.isfinite(depth).all():
        raise InputError("the predicted depth is not finite; use another checkpoint")
    if depth.min() < 0 or depth.max() > FARTHEST_M:
        raise InputError(
            f"the predicted depth ranges from {depth.min():g} to {depth.max():g} m, expected 0 to "
            f"{FARTHEST_M:g} m; use another checkpoint"
        )
    without = int((depth == 0).sum())
    if 2 * without > depth.size:
        raise InputError(f"{without} of {depth.size} pixels have no depth; use another checkpoint")
    notes = [f"{without} of {depth.size} pixels have no depth (0)"] if without else []
    most = np.iinfo(np.uint16).max
    beyond = int((depth > (most + 0.5) / MILLIMETRES).sum())
    if beyond:
        notes.append(f"{beyond} pixels are beyond {most / MILLIMETRES} m, where depth.png is clipped")
    below = int(((depth > 0) & (depth <= 0.5 / MILLIMETRES)).sum())
    if below:
        notes.append(f"{below} pixels are closer than 0.5 mm, stored as 0 in depth.png")
    return notes
