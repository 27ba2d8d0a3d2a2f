"""Slow, obvious twins of the measures' kernels, in NumPy alone."""

import math

import numpy as np


def points(depth, camera):
    """Points in space (y, x, 3) of a depth map."""
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
    depth = depth.astype(np.float64)
    return np.stack([(x - camera.cx) / camera.fx * depth, (y - camera.cy) / camera.fy * depth, depth], -1)


def plane_depth(shape, camera, normal, distance):
    """Depth (y, x) of the plane of points P with normal · P = distance."""
    rays = points(np.ones(shape), camera)
    return distance / (rays @ np.asarray(normal, float))


def normals(depth, chosen_by, valid, camera):
    """Unit normals (y, x, 3) by one least-squares plane of inverse depth a pixel; NaN where there is none."""
    height, width = depth.shape
    step = max(1, round(math.sqrt(camera.fx * camera.fy) / 130))
    found = np.full((height, width, 3), np.nan)
    for y, x in np.argwhere(valid):
        rows, values = [], []
        for dy in range(-2 * step, 2 * step + 1, step):
            for dx in range(-2 * step, 2 * step + 1, step):
                j, i = y + dy, x + dx
                if 0 <= j < height and 0 <= i < width and valid[j, i]:
                    here = chosen_by[y, x]
                    if abs(chosen_by[j, i] - here) <= np.float32(0.05) * here:
                        rows.append((i - camera.cx, j - camera.cy, 1))
                        values.append(1 / float(depth[j, i]))
        if len(rows) >= 9:
            (a, b, c), *_ = np.linalg.lstsq(np.array(rows, float), np.array(values))
            normal = np.array([a * camera.fx, b * camera.fy, c])
            found[y, x] = normal / np.linalg.norm(normal)
    return found


def angles(prediction, target, valid, camera):
    """Degrees (pixel,) between the normals of two maps, by the neighbours of the target."""
    p, q = (normals(depth, target, valid, camera) for depth in (prediction, target))
    known = ~np.isnan(q[..., 0])
    across = np.linalg.norm(np.cross(p[known], q[known]), axis=-1)
    return np.degrees(np.arctan2(across, (p[known] * q[known]).sum(axis=-1)))


def boundary_measures(prediction, target, valid, thresholds):
    """Precision, recall and F1 of boundaries, each weighted over the thresholds; NaN without any."""
    scores, any_true = [], False
    for t in thresholds:
        shares = []
        for axis in (1, 0):
            first, second = (slice(None, -1), slice(1, None))
            at = [(slice(None),) * axis + (part,) for part in (first, second)]
            both_valid = valid[at[0]] & valid[at[1]]
            for near, far in ((1, 0), (0, 1)):
                p, q = (
                    both_valid & (d[at[far]].astype(float) > t * d[at[near]].astype(float))
                    for d in (prediction, target)
                )
                any_true |= q.any()
                hits = np.count_nonzero(p & q)
                shares.append((hits / max(np.count_nonzero(p), 1), hits / max(np.count_nonzero(q), 1)))
        precision, recall = np.mean(shares, axis=0)
        total = precision + recall
        scores.append((precision, recall, 2 * precision * recall / total if total else 0))
    return np.average(scores, axis=0, weights=thresholds) if any_true else np.full(3, math.nan)


def sums_by_label(p, q, valid, label, labels):
    """Sums of errors (label, 4)."""
    found = np.zeros((labels, 4))
    for k in range(labels):
        here = valid & (label == k)
        a, b = p[here].astype(float), q[here].astype(float)
        ratio = np.maximum(a / b, b / a)
        found[k] = a.size, ((a - b) ** 2).sum(), (np.abs(a - b) / b).sum(), np.count_nonzero(ratio < 1.25)
    return found


def aligned_errors(p, q, valid, region, least):
    """RMSE of each large region after a factor, and after a factor (not below 0) and a shift."""
    scale, both = [], []
    for r in range(1, region.max(initial=0) + 1):
        here = valid & (region == r)
        if np.count_nonzero(here) < least:
            continue
        a, b = p[here].astype(float), q[here].astype(float)
        (s,), *_ = np.linalg.lstsq(a[:, None], b)
        scale.append(np.sqrt(np.mean((s * a - b) ** 2)))
        (s, t), *_ = np.linalg.lstsq(np.stack([a, np.ones_like(a)], 1), b)
        if s <= 0 or np.ptp(a) == 0:
            s, t = 0, b.mean()
        both.append(np.sqrt(np.mean((s * a + t - b) ** 2)))
    return np.array(scale), np.array(both)
