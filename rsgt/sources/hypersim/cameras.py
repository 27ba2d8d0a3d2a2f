"""Hypersim's cameras: how radial depth becomes planar, and which of them are pinhole cameras."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rsgt.sources.cameras import pinhole
from rsgt.sources.hypersim.tables import Matrix

STANDARD_HALF_WIDTH = float(np.tan(np.pi / 6))
"""Half the image plane's width at distance 1: the standard camera sees 60 degrees, f = 886.81 at 1024."""

TILT = 1e-4
"""Share of its distance that the image plane may run towards the camera and still be called upright."""


def standard_matrix(shape: tuple[int, int]) -> Matrix:
    """The standard camera's matrix, for an image of that shape: pixels are square."""
    height, width = shape
    across = STANDARD_HALF_WIDTH
    return ((across, 0.0, 0.0), (0.0, across * height / width, 0.0), (0.0, 0.0, -1.0))


@lru_cache(maxsize=16)
def planar_factor(matrix: Matrix, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """What the distance from the camera's centre is multiplied with to be depth along its axis, (y, x).

    A pixel's ray is ``matrix @ (u, v, 1)`` with u to the right and v upwards from -1 to 1 over the image;
    the camera looks along -z.
    """
    height, width = shape
    u = 2 * (np.arange(width) + 0.5) / width - 1
    v = 1 - 2 * (np.arange(height)[:, None] + 0.5) / height
    x, y, z = (a * u + b * v + c for a, b, c in matrix)
    factor = (-z / np.sqrt(x * x + y * y + z * z)).astype(np.float32)
    factor.flags.writeable = False
    return factor


def camera_of(matrix: Matrix | None, shape: tuple[int, int]) -> Mapping[str, float]:
    """Pinhole camera of a scene's matrix (None = the standard one) at a shape; {} of a tilted image plane."""
    height, width = shape
    (xu, xv, x1), (yu, yv, y1), (zu, zv, z1) = matrix or standard_matrix(shape)
    if max(abs(zu), abs(zv)) > -TILT * z1 or max(abs(xv), abs(yu)) > TILT * min(abs(xu), abs(yv)):
        return {}
    return pinhole(
        -z1 * width / (2 * xu),
        -z1 * height / (2 * yv),
        (1 - x1 / xu) * width / 2 - 0.5,
        (1 + y1 / yv) * height / 2 - 0.5,
    )
