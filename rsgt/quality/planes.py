"""How plane the regions of a frame are: what a plane leaves of a region's depth, and how its normals spread.

The plane is one in space, fitted to the inverse depth, which is linear in pixel coordinates for any pinhole
camera, and so needs none (``rsgt.regions.planes``). Its residual is along the axis, in metres: the
counterpart of ``region_rmse``, the residual of a constant, which on a slanting wall is all slant. iBims-1
(Koch et al., 2018) measures flatness by distances square to the plane; those need a camera, and are smaller
by the cosine of the slant.

The spread of normals needs a camera. It is the circular one: with R the length of the mean of a region's unit
normals, arccos R, the angle whose cosine is the mean of the cosines of the angles to the mean normal.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.quality.normals import Intrinsics, normal_map
from rsgt.regions import kernels, planes
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")


class RegionPlanes(NamedTuple):
    """Figures of the regions of a frame, (region,) float64 by label from 1, in m and degrees; NaN = none."""

    plane_rmse: Array
    normal_spread: Array


class PlaneFit(NamedTuple):
    """A plane for each region of a frame, as ``rsgt.regions.planes.fit_planes`` finds it.

    Attributes
    ----------
    planes : (region, 3) float64
        a, b and c of 1/support = a x + b y + c; NaN for a region without depth.
    residual : (region, 2) float64
        Root mean square (m) and variance (m²) of support less depth; NaN for a region without depth.
    support : (y, x) float32
        Depth of each pixel's plane in metres; 0 = no region, or no depth.
    """

    planes: Array
    residual: Array
    support: Array


@_jit
def _runs(depth: Array, region: Array, regions: int) -> tuple[kernels.Cut, Array, float]:
    """Runs that have depth and one region each, the number of each label from 0, and the largest depth."""
    height, width = depth.shape
    size, row = height * width, np.zeros(height + 1, np.int64)
    starts, ends, of = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    total, number = np.empty(size), np.full(regions + 1, -1, np.int32)
    n, present, largest = 0, 0, 0.0
    for y in range(height):
        x = 0
        while x < width:
            r = region[y, x]
            if r <= 0 or not depth[y, x] > 0:
                x += 1
                continue
            if number[r] < 0:
                number[r] = present
                present += 1
            starts[n], of[n], total[n] = x, number[r], 0.0
            while x < width and region[y, x] == r and depth[y, x] > 0:
                z = np.float64(depth[y, x])
                total[n] += z
                largest = max(largest, z)
                x += 1
            ends[n] = x
            n += 1
        row[y + 1] = n
    return kernels.Cut(starts[:n], ends[:n], row, of[:n], of[:n], total[:n]), number[1:], largest


@_jit
def _fitted(depth: Array, region: Array, regions: int) -> tuple[Array, Array, Array]:
    cut, number, largest = _runs(depth, region, regions)
    found, residual = np.full((regions, 3), np.nan), np.full((regions, 2), np.nan)
    if cut.starts.size == 0:
        return found, residual, np.zeros(depth.shape, np.float32)
    scale = planes.depth_scale(largest)
    moments = planes.region_moments(depth, cut, cut.key, number.max() + 1, scale)
    dense, left, support = planes.fit_planes(depth, cut, cut.key, moments, scale)
    for r in range(regions):
        if number[r] >= 0:
            found[r], residual[r] = dense[number[r]], left[number[r]]
    return found, residual, support


def fit(depth: Array, region: Array, regions: int) -> PlaneFit:
    """Put a plane into each region of any partition of a frame: connected or not, with holes or without.

    Parameters
    ----------
    depth
        (y, x) float, metres; 0 = no depth.
    region
        (y, x) integer, labels from 1 to ``regions``; 0 = no region.
    regions
        Number of regions.
    """
    return PlaneFit(*_fitted(depth, region, regions))


@_jit
def normal_spreads(normals: Array, region: Array, regions: int) -> Array:
    """Spread of the normals of each region.

    Parameters
    ----------
    normals
        (y, x, 3) float64, unit normals; NaN where there is none.
    region, regions
        As for ``fit``.

    Returns
    -------
    (region,) float64, degrees from 0 to 90; NaN for a region without normals.
    """
    n, total = np.zeros(regions), np.zeros((regions, 3))
    for y in range(region.shape[0]):
        for x in range(region.shape[1]):
            r = region[y, x] - 1
            if r >= 0 and not np.isnan(normals[y, x, 0]):
                n[r] += 1
                for k in range(3):
                    total[r, k] += normals[y, x, k]
    found = np.empty(regions)
    for r in range(regions):
        length = math.sqrt(total[r, 0] ** 2 + total[r, 1] ** 2 + total[r, 2] ** 2)
        found[r] = math.degrees(math.acos(min(1.0, length / n[r]))) if n[r] > 0 else np.nan
    return found


def region_planes(depth: Array, region: Array, regions: int, camera: Intrinsics | None) -> RegionPlanes:
    """Plane residual (m) and spread of normals (°) of the regions of one frame.

    Parameters
    ----------
    depth, region, regions
        As for ``fit``.
    camera
        Of the frame; None where it is not known: then the spreads are NaN.
    """
    errors = fit(depth, region, regions).residual[:, 0]
    if camera is None:
        return RegionPlanes(errors, np.full(regions, np.nan))
    return RegionPlanes(errors, normal_spreads(normal_map(depth, depth > 0, camera), region, regions))
