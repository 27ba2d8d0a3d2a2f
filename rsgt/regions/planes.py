"""Planes of regions: least squares out of moments, and the depth and normal that a plane has.

The inverse depth of a plane in space is linear in pixel coordinates for any pinhole camera, so that a plane
is found without one: 1/z = a x + b y + c. A residual of inverse depth times z² is one of depth, to first
order, which is why every pixel weighs z⁴: residuals count metres.

A region's ``Moments`` are weight, centre and central second moments of (x, y, 1/z): those of two regions give
those of both without a difference of large numbers, and far and narrow regions keep their digits.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.regions.compilation import jit
from rsgt.regions.grouping import Runs

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

MOMENTS = 11
"""Pixels, weight, centre (x, y, 1/z), and central moments xx, xy, yy, xz, yz, zz, with z for 1/z."""

_SINGULAR = 1e-10
"""Share of two variances' product below which their determinant says that the pixels are on one line."""
ROUNDING = 1e-10
"""Share of the squared deviation from the mean below which a plane is taken to leave none."""
_LEAST = 1e-30
"""Depth, relative to the frame's largest, below which pixels weigh no less: no weight is 0."""
ROUGH = 0.02
"""RMSE about its plane, relative to a region's depth, up to which that of inverse depth does for metres."""
_FURTHEST = 0.25
"""Inverse depth, relative to that of the frame's largest, from which on a plane is far beyond all depth."""


@_jit
def depth_scale(largest: float) -> float:
    """Power of two that brings a frame's largest depth to between 0.5 and 1, so that no power overflows."""
    return math.ldexp(1.0, -math.frexp(largest)[1])


@_jit
def _sums(depth: Array, runs: Runs, region: Array, n: int, scale: float) -> tuple[Array, Array]:
    """Sum up each region's weighted powers of (x, y, 1/z) about its first pixel, and say where that is."""
    starts, ends, row = runs.starts, runs.ends, runs.row
    sums, first = np.zeros((n, MOMENTS)), np.zeros((n, 3))
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            r = region[i]
            if sums[r, 0] == 0:
                first[r, 0], first[r, 1] = starts[i], y
                first[r, 2] = 1 / (scale * np.float64(depth[y, starts[i]]))
            x0, v, q0 = first[r, 0], y - first[r, 1], first[r, 2]
            s = su = suu = sq = suq = sqq = 0.0
            for x in range(starts[i], ends[i]):
                z = scale * np.float64(depth[y, x])
                weight = max(z, _LEAST) ** 2
                weight *= weight
                u, q = x - x0, 1 / z - q0
                s += weight
                su += weight * u
                suu += weight * u * u
                sq += weight * q
                suq += weight * u * q
                sqq += weight * q * q
            m = sums[r]
            m[0] += ends[i] - starts[i]
            m[1] += s
            m[2] += su
            m[3] += s * v
            m[4] += sq
            m[5] += suu
            m[6] += su * v
            m[7] += s * v * v
            m[8] += suq
            m[9] += sq * v
            m[10] += sqq
    return sums, first


@_jit
def region_moments(depth: Array, runs: Runs, region: Array, n: int, scale: float) -> Array:
    """Moments of the regions of a frame.

    Parameters
    ----------
    depth
        (y, x) float, metres; > 0 and finite wherever there is a run.
    runs
        Stretches of one row that lie in one region each: columns ``starts``, ``ends`` and ``row`` of
        ``grouping.Runs`` or ``kernels.Cut``.
    region
        (run,) integer, region of each run from 0 to ``n - 1``.
    n
        Number of regions.
    scale
        Depth is multiplied with it: ``depth_scale``.

    Returns
    -------
    (region, MOMENTS) float64; of a region without a run 0 pixels, and else NaN.
    """
    sums: Array
    sums, first = _sums(depth, runs, region, n, scale)
    for r in range(n):
        m = sums[r]
        s, u, v, q = m[1], m[2] / m[1], m[3] / m[1], m[4] / m[1]
        m[5] = max(m[5] - s * u * u, 0.0)
        m[6] -= s * u * v
        m[7] = max(m[7] - s * v * v, 0.0)
        m[8] -= s * u * q
        m[9] -= s * v * q
        m[10] = max(m[10] - s * q * q, 0.0)
        m[2], m[3], m[4] = u + first[r, 0], v + first[r, 1], q + first[r, 2]
    return sums


@_jit
def join_moments(a: Array, b: Array, both: Array) -> None:
    """Write the moments of two regions together."""
    s = a[1] + b[1]
    share = b[1] / s
    f = a[1] * share
    u, v, q = b[2] - a[2], b[3] - a[3], b[4] - a[4]
    both[0], both[1] = a[0] + b[0], s
    # A step from one centre: pixels on one row or column stay on it to the last digit.
    both[2], both[3], both[4] = a[2] + share * u, a[3] + share * v, a[4] + share * q
    both[5] = a[5] + b[5] + f * u * u
    both[6] = a[6] + b[6] + f * u * v
    both[7] = a[7] + b[7] + f * v * v
    both[8] = a[8] + b[8] + f * u * q
    both[9] = a[9] + b[9] + f * v * q
    both[10] = a[10] + b[10] + f * q * q


@_jit
def slopes(m: Array) -> tuple[float, float]:
    """Slopes of the least-squares plane's inverse depth along x and y, out of moments.

    Pixels on one line leave the slope across it open: it is 0 then.
    """
    xx, xy, yy = m[5], m[6], m[7]
    determinant = xx * yy - xy * xy
    if determinant > _SINGULAR * xx * yy:
        return (m[8] * yy - m[9] * xy) / determinant, (m[9] * xx - m[8] * xy) / determinant
    if xx + yy > 0:
        return m[8] / (xx + yy), m[9] / (xx + yy)
    return 0.0, 0.0


@_jit
def squared_error(m: Array) -> float:
    """Sum of the squared residuals of depth about the least-squares plane, in the moments' unit."""
    a, b = slopes(m)
    left: float = m[10] - a * m[8] - b * m[9]
    return left if left > ROUNDING * m[10] else 0.0


@_jit
def _metre_step(depth: Array, runs: Runs, region: Array, moments: Array, scale: float, planes: Array) -> None:
    """Move each plane by one Gauss-Newton step towards the least squared error of depth.

    Weights z⁴ let residuals of inverse depth count metres only near the plane: what lies far behind it counts
    too much, and what lies far before it too little. A change of inverse depth by d changes the plane's depth
    Z by -d Z²; where the plane goes behind the camera, or far beyond all depth, it says nothing.
    """
    starts, ends, row, n = runs.starts, runs.ends, runs.row, len(moments)
    sums, rough = np.zeros((n, 9)), np.empty(n, np.bool_)
    for r in range(n):
        rough[r] = squared_error(moments[r]) * moments[r, 4] ** 2 > ROUGH**2 * moments[r, 0]
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            r = region[i]
            if not rough[r]:
                continue
            m, a, c = moments[r], planes[r, 0], planes[r, 1] * y + planes[r, 2]
            x0, v = m[2], y - m[3]
            s = su = suu = st = sut = 0.0
            for x in range(starts[i], ends[i]):
                inverse = a * x + c
                if inverse < _FURTHEST:
                    continue
                weight = max(1 / inverse, _LEAST) ** 2
                weight *= weight
                u, step = x - x0, inverse * (1 - inverse * (scale * np.float64(depth[y, x])))
                s += weight
                su += weight * u
                suu += weight * u * u
                st += weight * step
                sut += weight * u * step
            m = sums[r]
            m[0] += s
            m[1] += su
            m[2] += s * v
            m[3] += st
            m[4] += suu
            m[5] += su * v
            m[6] += s * v * v
            m[7] += sut
            m[8] += st * v
    m = np.zeros(MOMENTS)
    for r in range(n):
        s = sums[r, 0]
        if s > 0:
            u, v, step = sums[r, 1] / s, sums[r, 2] / s, sums[r, 3] / s
            m[5], m[6] = max(sums[r, 4] - s * u * u, 0.0), sums[r, 5] - s * u * v
            m[7] = max(sums[r, 6] - s * v * v, 0.0)
            m[8], m[9] = sums[r, 7] - s * u * step, sums[r, 8] - s * v * step
            a, b = slopes(m)
            planes[r, 0] += a
            planes[r, 1] += b
            planes[r, 2] += step - a * (u + moments[r, 2]) - b * (v + moments[r, 3])


@_jit
def fit_planes(depth: Array, runs: Runs, region: Array, moments: Array, scale: float) -> tuple[Array, ...]:
    """Plane of each region of a frame: one of least squared error, or its mean depth where that is no worse.

    Parameters
    ----------
    depth, runs, region, scale
        As for ``region_moments``.
    moments
        Those of the regions.

    Returns
    -------
    planes : (region, 3) float64
        a, b and c of 1/z = a x + b y + c, with x and y in pixels from the first one's centre, z in metres.
    residual : (region, 2) float64
        Root mean square (m) and variance (m²) of the plane's depth less the pixel's, over the region.
    support : (y, x) float32
        Depth of each pixel's plane in metres; 0 = no region.
    """
    starts, ends, row, n = runs.starts, runs.ends, runs.row, len(moments)
    planes, about, error = np.empty((n, 3)), np.empty(n), np.zeros((n, 4))
    for r in range(n):
        m = moments[r]
        a, b = slopes(m)
        planes[r, 0], planes[r, 1], planes[r, 2] = a, b, m[4] - a * m[2] - b * m[3]
        about[r] = 1 / (scale * m[4])
    _metre_step(depth, runs, region, moments, scale, planes)
    planes *= scale
    support = np.zeros(depth.shape, np.float32)
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            r = region[i]
            a, c, centre = planes[r, 0], planes[r, 1] * y + planes[r, 2], about[r]
            total = squares = off_total = off_squares = 0.0
            for x in range(starts[i], ends[i]):
                z, inverse = np.float64(depth[y, x]), a * x + c
                plane = 1 / inverse if inverse > 0 else np.inf
                off = plane - z
                total += z - centre
                squares += (z - centre) * (z - centre)
                off_total += off
                off_squares += off * off
                support[y, x] = plane
            error[r, 0] += total
            error[r, 1] += squares
            error[r, 2] += off_total
            error[r, 3] += off_squares
    residual = np.empty((n, 2))
    for r in range(n):
        area = moments[r, 0]
        mean, square = error[r, 0] / area, error[r, 1] / area
        off, off_square = error[r, 2] / area, error[r, 3] / area
        variance = max(square - mean * mean, 0.0)
        if off_square < variance:
            residual[r, 0], residual[r, 1] = math.sqrt(off_square), max(off_square - off * off, 0.0)
        else:
            planes[r, 0], planes[r, 1], planes[r, 2] = 0.0, 0.0, 1 / (about[r] + mean)
            residual[r, 0], residual[r, 1] = math.sqrt(variance), variance
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            r = region[i]
            if planes[r, 0] == 0 and planes[r, 1] == 0:
                support[y, starts[i] : ends[i]] = 1 / planes[r, 2]
    return planes, residual, support


def plane_depth(region: Array, planes: Array) -> Array:
    """Depth of each pixel's plane.

    Parameters
    ----------
    region
        (y, x) integer, labels from 1; 0 = no region.
    planes
        (region, 3) float64, as ``fit_planes`` returns them.

    Returns
    -------
    (y, x) float32, metres; 0 = no region.
    """
    y, x = np.ogrid[: region.shape[0], : region.shape[1]]
    coefficients: Array = np.concatenate([[[0, 0, np.inf]], planes])[region]
    a, b, c = np.moveaxis(coefficients, 2, 0)
    with np.errstate(divide="ignore", over="ignore"):
        found: Array = (1 / (a * x + (b * y + c))).astype(np.float32)
    return found


def plane_normals(planes: Array, camera: Mapping[str, float]) -> tuple[Array, Array]:
    """Where planes lie in the camera's axes: x right, y down, z forward.

    Parameters
    ----------
    planes
        (region, 3) float64, as ``fit_planes`` returns them.
    camera
        fx, fy, cx and cy in pixels, the first pixel's centre at (0, 0); empty = unknown.

    Returns
    -------
    Unit normals, (region, 3) float64, that point away from the camera, and the planes' distances from it in
    metres, (region,) float64: normal · point = distance. NaN where the camera is unknown.
    """
    if not (camera.get("fx") and camera.get("fy")):
        return np.full(planes.shape, np.nan), np.full(len(planes), np.nan)
    a, b, c = (planes[:, k] for k in range(3))
    square = np.stack([a * camera["fx"], b * camera["fy"], a * camera["cx"] + b * camera["cy"] + c], axis=1)
    length = np.sqrt((square * square).sum(axis=1))
    return square / length[:, None], 1 / length
