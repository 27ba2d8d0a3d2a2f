"""Slow, obvious twin of the merging of planes: every pair fitted anew by NumPy, again and again."""

import numpy as np
from scipy import ndimage

from tests import reference


def plane(depth, inside):
    """Least-squares plane (a, b, c) of 1/depth over a mask, each pixel's residual in metres, and these."""
    y, x = np.nonzero(inside)
    z = depth[inside].astype(float)
    centre = x.mean(), y.mean(), (1 / z).mean()
    columns = np.stack([x - centre[0], y - centre[1], np.ones(x.size)], axis=1) * (z * z)[:, None]
    target = (1 / z - centre[2]) * z * z
    a, b, c = np.linalg.lstsq(columns, target, rcond=1e-9)[0]
    left = columns @ [a, b, c] - target
    return (a, b, c + centre[2] - a * centre[0] - b * centre[1]), left


def above_rounding(depth, inside, error):
    z = depth[inside].astype(float)
    weight = z**4
    spread = weight @ (1 / z - np.average(1 / z, weights=weight)) ** 2
    return error if error > 1e-10 * spread else 0.0


def squared_error(depth, inside):
    left = plane(depth, inside)[1]
    return above_rounding(depth, inside, left @ left)


def merge_planes(depth, seed, owner, regions, tolerance=np.inf):
    """Label of each pixel after merging seeds, labels from 1, of equal owner (a map, too) greedily."""
    label = seed.copy()
    errors = {}

    def error(*labels):
        inside = np.isin(label, labels)
        key = inside.tobytes()
        if key not in errors:
            errors[key] = squared_error(depth, inside)
        return errors[key]

    while True:
        present = np.unique(label[label > 0]).tolist()
        best = None
        for a in present:
            around = ndimage.binary_dilation(label == a, reference.EIGHT) & (label > a)
            for b in np.unique(label[around]).tolist():
                if owner[label == a][0] != owner[label == b][0]:
                    continue
                added = error(a, b) - (error(a) + error(b))
                rank = above_rounding(depth, np.isin(label, (a, b)), added), a, b
                best = rank if best is None else min(best, rank)
        costly = best is not None and best[0] > tolerance**2 * 0.01 * (seed > 0).sum()
        if best is None or costly or len(present) <= regions:
            return reference.raster_order(label)
        label[label == best[2]] = best[1]


def metre_step(depth, inside, inverse, largest):
    """Inverse depth over a mask after a Gauss-Newton step towards the least squared error in metres.

    Depth 1/w changes by -dw/w²: least squares of 1/w - z - dw/w² over the pixels where 1/w is at most four
    times the frame's largest depth, rounded up to a power of two.
    """
    y, x = np.nonzero(inside)
    there = inverse >= 0.25 / 2 ** np.ceil(np.log2(np.nextafter(largest, np.inf)))
    if not there.any():
        return inverse
    far = 1 / inverse[there]
    weight = far**4
    centre = np.average(x[there], weights=weight), np.average(y[there], weights=weight)
    columns = np.stack([x - centre[0], y - centre[1], np.ones(x.size)], axis=1)
    change = np.linalg.lstsq(columns[there] * far[:, None] ** 2, far - depth[inside][there], rcond=1e-9)[0]
    return inverse + columns @ change


def support(depth, region):
    """Depth of each region's plane, or its mean where that leaves no more."""
    found = np.zeros(depth.shape)
    y, x = np.indices(depth.shape)
    for r in np.unique(region[region > 0]):
        inside = region == r
        z = depth[inside].astype(float)
        (a, b, c), left = plane(depth, inside)
        inverse = (a * x + b * y + c)[inside]
        if (left**2).mean() > (0.02 * np.average(z, weights=z**3)) ** 2:
            inverse = metre_step(depth, inside, inverse, depth.max())
        fitted = np.where(inverse > 0, 1 / inverse, np.inf)
        mean = np.full(z.size, z.mean())
        found[inside] = fitted if ((fitted - z) ** 2).sum() < ((mean - z) ** 2).sum() else mean
    return found
