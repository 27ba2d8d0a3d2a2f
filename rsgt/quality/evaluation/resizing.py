"""Predicted maps brought to the size of the truth."""

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating[Any]]


def bilinear(values: Image, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Bring a map (y, x) to another size, linearly between the centres of its pixels, as OpenCV does.

    Where one of the four around is not finite, or is not above 0, the nearest of them counts alone: what says
    nothing is not mixed into what does.
    """
    places = [_places(old, new) for old, new in zip(values.shape, shape, strict=True)]
    (top, down, y), (left, right, x) = places
    parts = [values[np.ix_(rows, columns)] for rows in (top, down) for columns in (left, right)]
    with np.errstate(invalid="ignore", over="ignore"):
        mixed = (1 - y)[:, None] * ((1 - x) * parts[0] + x * parts[1]) + y[:, None] * (
            (1 - x) * parts[2] + x * parts[3]
        )
    sound = np.all([np.isfinite(part) & (part > 0) for part in parts], axis=0)
    nearest = values[np.ix_(np.where(y < 0.5, top, down), np.where(x < 0.5, left, right))]
    return np.where(sound, mixed, nearest).astype(np.float32)


def _places(old: int, new: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """For each new pixel, the old ones before and after its centre, and how far it lies to the latter."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    before = np.floor(centre).astype(np.intp)
    return before, np.minimum(before + 1, old - 1), centre - before
