"""How plane the regions of a frame are: what a plane leaves of a region's depth, and how its normals spread.

The plane is one in space, fitted to the inverse depth, which is linear in pixel coordinates for any pinhole
camera, and so needs none. Its residual is along the axis, in metres: the counterpart of ``region_rmse``, the
residual of a constant, which on a slanting wall is all slant. iBims-1 (Koch et al., 2018) measures flatness
by distances square to the plane; those need a camera, and are smaller by the cosine of the slant.

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


@_jit
def plane_errors(depth: Array, region: Array, regions: int) -> Array:
    """RMSE of each region's depth about its least-squares plane, by the moments that planar regions have.

    The squares are of z² (w - 1/z), with w the plane's inverse depth: to first order the residual of depth.

    Parameters
    ----------
    depth
        (y, x) float32, metres; 0 = no depth.
    region
        (y, x) integer, labels from 1 to ``regions``; 0 = no region.
    regions
        Number of regions.

    Returns
    -------
    (region,) float64, metres; NaN for a region without depth.
    """
    found = np.full(regions, np.nan)
    runs = kernels.segment_runs(depth, region, True)
    if runs.starts.size == 0:
        return found
    scale = planes.depth_scale(runs.frame_high)
    moments = planes.region_moments(depth, runs, runs.key - 1, regions, scale)
    for r in range(regions):
        if moments[r, 0] > 0:
            found[r] = math.sqrt(planes.squared_error(moments[r]) / moments[r, 0]) / scale
    return found


@_jit
def normal_spreads(normals: Array, region: Array, regions: int) -> Array:
    """Spread of the normals of each region.

    Parameters
    ----------
    normals
        (y, x, 3) float64, unit normals; NaN where there is none.
    region, regions
        As for ``plane_errors``.

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
        As for ``plane_errors``.
    camera
        Of the frame; None where it is not known: then the spreads are NaN.
    """
    errors = plane_errors(depth, region, regions)
    if camera is None:
        return RegionPlanes(errors, np.full(regions, np.nan))
    return RegionPlanes(errors, normal_spreads(normal_map(depth, depth > 0, camera), region, regions))
