"""Surface normals from planar depth and a pinhole camera, and how far predicted ones are off.

The inverse depth of a plane in space is linear in pixel coordinates. The normal of a pixel is that of the
least-squares plane of inverse depth over its neighbours: 5 x 5 pixels with steps of 4 on NYU's frames, and of
the same angle with other cameras, as far as they are within 5 % of the pixel's own depth. A least-squares
plane over a window with such steps is GeoNet's (Qi et al., CVPR 2018); its code takes 9 x 9, chosen by how
well predicted normals agree, which depth alone does not have, and fits points instead of inverse depth.

The reasons: differences of next pixels, which others take on rendered depth, are noise on that of a sensor;
this noise grows with the square of the depth, and so is even in inverse depth; windows without a bound on
depth mix the surfaces at an edge; and the plane is exact where the surface is one.

Truth chooses the neighbours for both maps, so that no prediction escapes by being ragged.

Benchmarks of normals alone judge networks against normals of a data set's own, such as those of Ladický et
al. (ECCV 2014) for NYU. Here both are of depth and made alike: figures compare with those of other depth
maps, not with the tables of such networks.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.quality.judged import Judged
from rsgt.quality.pooling import FrameMeasures, Sums, ratio
from rsgt.quality.quantiles import counts, quantile
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

FOCAL_OF_STEP = 130.0
"""Focal length in pixels for each pixel from a neighbour to the next: 4 pixels of NYU's 519."""
REACH = 2
"""Neighbours on each side."""
NEAR = 0.05
"""How much a neighbour's depth may differ, relative to the pixel's own."""
LEAST = 9
"""Neighbours that a normal needs, itself with them; more than five are never on one line."""
BELOW_DEG = {"normal_11": 11.25, "normal_22": 22.5, "normal_30": 30.0}

_jit = jit(error_model="numpy")


class Intrinsics(NamedTuple):
    """Pinhole camera: focal lengths and principal point in pixels; the first pixel's centre is (0, 0)."""

    fx: float
    fy: float
    cx: float
    cy: float


def known_intrinsics(intrinsics: Mapping[str, float]) -> Intrinsics | None:
    """Return the camera that ``Store.intrinsics`` gives; None where it is not known: there is no guess."""
    if not all(intrinsics.get(name) for name in ("fx", "fy")):
        return None
    return Intrinsics(*(float(intrinsics[name]) for name in Intrinsics._fields))


@_jit
def _step_of(camera: Intrinsics) -> int:
    """Pixels from a neighbour to the next."""
    return max(1, round(math.sqrt(camera.fx * camera.fy) / FOCAL_OF_STEP))


@_jit
def _sum_columns(inverse: Array, y: int, step: int, total: Array, along: Array) -> None:
    """Of a row's pixels: sum of the neighbours straight above and below, itself with them, and its moment."""
    total[:] = 0
    along[:] = 0
    for j in range(-REACH, REACH + 1):
        row = inverse[y + step * j]
        for x in range(row.size):
            total[x] += row[x]
            along[x] += j * row[x]


@_jit
def _mark_whole(depth: Array, y: int, step: int, whole: Array) -> None:
    """Mark a row's pixels that count and whose 5 x 5 neighbours all lie in the frame and near in depth."""
    height, width = depth.shape
    border = step * REACH
    whole[:] = False
    if y < border or y >= height - border or width <= 2 * border:
        return
    here = depth[y]
    whole[border : width - border] = here[border : width - border] > 0
    for j in range(-REACH, REACH + 1):
        row = depth[y + step * j]
        for i in range(-REACH, REACH + 1):
            for x in range(border, width - border):  # innermost, so that many pixels go at once
                whole[x] &= abs(row[x + step * i] - here[x]) <= np.float32(NEAR) * here[x]


@_jit
def _plane_near(inverse: Array, depth: Array, y: int, x: int, step: int) -> tuple[float, float, float]:
    """Slopes (a pixel) and height of the least-squares plane of inverse depth over a pixel's neighbours.

    NaN where they are too few.
    """
    height, width = depth.shape
    n = u = v = uu = uv = vv = 0
    total = along_u = along_v = 0.0
    here = depth[y, x]
    bound = np.float32(NEAR) * here
    left, right = max(-REACH, -(x // step)), min(REACH, (width - 1 - x) // step)
    for j in range(max(-REACH, -(y // step)), min(REACH, (height - 1 - y) // step) + 1):
        row = y + step * j
        for i in range(left, right + 1):
            column = x + step * i
            if abs(depth[row, column] - here) <= bound:
                n, u, v = n + 1, u + i, v + j
                uu, uv, vv = uu + i * i, uv + i * j, vv + j * j
                total += inverse[row, column]
                along_u += i * inverse[row, column]
                along_v += j * inverse[row, column]
    if n < LEAST:
        return np.nan, np.nan, np.nan
    cuu, cuv, cvv = np.float64(n * uu - u * u), np.float64(n * uv - u * v), np.float64(n * vv - v * v)
    cu, cv = n * along_u - u * total, n * along_v - v * total
    determinant = cuu * cvv - cuv * cuv
    slope_u, slope_v = (cvv * cu - cuv * cv) / determinant, (cuu * cv - cuv * cu) / determinant
    return slope_u / step, slope_v / step, (total - slope_u * u - slope_v * v) / n


@_jit
def _fit_row(inverse: Array, depth: Array, y: int, step: int, whole: Array, planes: Array) -> None:
    """Fill ``planes`` (x, 3) with those of a row's pixels; NaN where depth is 0 or neighbours are too few."""
    width = depth.shape[1]
    total, along = np.empty(width), np.empty(width)
    if whole.any():
        _sum_columns(inverse, y, step, total, along)
    planes[:] = np.nan
    for x in range(width):
        if whole[x]:  # most pixels: the moments of the neighbours' places are known, 50, 0 and 50
            sum_u = sum_v = centre = 0.0
            for i in range(-REACH, REACH + 1):
                centre += total[x + step * i]
                sum_u += i * total[x + step * i]
                sum_v += along[x + step * i]
            planes[x, 0] = sum_u / (50 * step)
            planes[x, 1] = sum_v / (50 * step)
            planes[x, 2] = centre / 25
        elif depth[y, x] > 0:
            planes[x, 0], planes[x, 1], planes[x, 2] = _plane_near(inverse, depth, y, x, step)


@_jit
def _normal(planes: Array, y: int, x: int, camera: Intrinsics) -> tuple[float, float, float]:
    """Normal, of no certain length, away from the camera, of a row's plane of inverse depth at a pixel."""
    along_u, along_v, centre = planes[x, 0], planes[x, 1], planes[x, 2]
    nz = centre - along_u * (x - camera.cx) - along_v * (y - camera.cy)
    return along_u * camera.fx, along_v * camera.fy, nz


@_jit
def _inverse(depth: Array, valid: Array) -> Array:
    """Inverse of a depth map (y, x); 0 where it does not count."""
    found = np.zeros(depth.shape)
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            if valid[y, x]:
                found[y, x] = 1 / np.float64(depth[y, x])
    return found


@_jit
def _known(depth: Array, valid: Array) -> Array:
    """Depth map (y, x) that is 0, and so near no pixel that counts, where it does not count."""
    return np.where(valid, depth, np.float32(0))


@_jit
def normal_map(depth: Array, valid: Array, camera: Intrinsics) -> Array:
    """Surface normals of a depth map.

    Parameters
    ----------
    depth
        (y, x) float32, metres.
    valid
        (y, x) bool: pixels that count, where depth is finite and > 0.
    camera
        The pinhole camera of the map.

    Returns
    -------
    (y, x, 3) float64: unit normals in the camera's axes (x right, y down, z forward) that point away from
    it; NaN where a pixel does not count or has fewer than ``LEAST`` neighbours.
    """
    known, inverse = _known(depth, valid), _inverse(depth, valid)
    height, width = depth.shape
    step = _step_of(camera)
    found, whole, planes = np.empty((height, width, 3)), np.empty(width, np.bool_), np.empty((width, 3))
    for y in range(height):
        _mark_whole(known, y, step, whole)
        _fit_row(inverse, known, y, step, whole, planes)
        for x in range(width):
            nx, ny, nz = _normal(planes, y, x, camera)
            length = math.sqrt(nx * nx + ny * ny + nz * nz)
            found[y, x, 0], found[y, x, 1], found[y, x, 2] = nx / length, ny / length, nz / length
    return found


@_jit
def normal_angles(prediction: Array, target: Array, valid: Array, camera: Intrinsics) -> Array:
    """Angles between the normals of two depth maps, at the pixels where the target has one.

    Both planes go through the same neighbours, those near in the target. Parameters are as in
    ``normal_map``.

    Returns
    -------
    (pixel,) float32: degrees from 0 to 180, in the order of rows.
    """
    known, a, b = _known(target, valid), _inverse(prediction, valid), _inverse(target, valid)
    height, width = target.shape
    step = _step_of(camera)
    whole, p, q = np.empty(width, np.bool_), np.empty((width, 3)), np.empty((width, 3))
    found, count = np.empty(target.size, np.float32), 0
    for y in range(height):
        _mark_whole(known, y, step, whole)
        _fit_row(a, known, y, step, whole, p)
        _fit_row(b, known, y, step, whole, q)
        for x in range(width):
            if not np.isnan(q[x, 0]):
                px, py, pz = _normal(p, y, x, camera)
                qx, qy, qz = _normal(q, y, x, camera)
                across = math.sqrt(
                    (py * qz - pz * qy) ** 2 + (pz * qx - px * qz) ** 2 + (px * qy - py * qx) ** 2
                )  # beside the cosine, which alone says nothing of small angles
                found[count] = math.degrees(math.atan2(across, px * qx + py * qy + pz * qz))
                count += 1
    return found[:count]


def normal_measures(maps: Judged, camera: Intrinsics | None) -> FrameMeasures | None:
    """Angles between predicted and true surface normals: mean, median, and shares below ``BELOW_DEG``.

    Parameters
    ----------
    maps
        Of ``judged``; only valid pixels are neighbours.
    camera
        Of the maps; None where it is not known.

    Returns
    -------
    FrameMeasures, of NaN where no pixel has a normal; None without a camera.
    """
    if camera is None:
        return None
    angles = normal_angles(*maps, camera)
    sums = {
        "pixels": np.array(float(angles.size)),
        "angle": np.array(angles.sum(dtype=np.float64)),
        "below": np.array([np.count_nonzero(angles < bound) for bound in BELOW_DEG.values()], np.float64),
        "counts": counts(angles),
    }
    values = _figures(sums, float(np.median(angles)) if angles.size else float("nan"))
    return FrameMeasures(values, sums, _pooled)


def _figures(sums: Sums, median: float) -> dict[str, float]:
    shares = {name: ratio(part, sums["pixels"]) for name, part in zip(BELOW_DEG, sums["below"], strict=True)}
    return {"normal_mean": ratio(sums["angle"], sums["pixels"]), "normal_median": median, **shares}


def _pooled(sums: Sums) -> dict[str, float]:
    """Angles of all pixels of many images; the median is at most 0.4 % off."""
    return _figures(sums, quantile(sums["counts"], 0.5))
