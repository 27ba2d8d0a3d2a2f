"""Slow, obvious twins of the kernels: masks over whole frames, written straight from the paper."""

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), int)


def components(key, valid):
    """8-connected pieces of equal key among the valid pixels, 1.. in raster order of first appearance."""
    pieces = np.zeros(key.shape, int)
    n = 0
    for value in np.unique(key[valid]):
        found, m = ndimage.label((key == value) & valid, EIGHT)
        pieces[found > 0] = found[found > 0] + n
        n += m
    return raster_order(pieces)


def raster_order(label):
    out = np.zeros(label.shape, np.int32)
    for n, value in enumerate(dict.fromkeys(label[label > 0].tolist()), 1):
        out[label == value] = n
    return out


def half_open_groups(d, delta):
    """Group number of each depth of one segment."""
    low, high = d.min(), d.max()
    if high - low < 2 * delta or delta == 0:
        return np.zeros(d.size, int)
    step = ((d - low) / delta).astype(int)
    average = d.size / ((high - low) / delta)
    bounds, start, end = [], 0, 1
    while low + end * delta < high:
        further = low + (end + 1) * delta < high
        if ((step >= start) & (step < end)).sum() > average and further:
            bounds.append(end)
            start = end
        if not further:
            break
        end += 1
    return np.searchsorted(bounds, step, side="right")


def default_region_support(depth, key, skip_zero, bins, min_size):
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(float)
    valid = depth > 0
    region = np.zeros(depth.shape, np.int32)
    if not valid.any():
        return region, np.zeros(depth.shape, np.float32), region
    delta = (depth[valid].max() - depth[valid].min()) / bins
    used = valid & (key > 0) if skip_zero else valid
    segment = components(key, used)
    group = np.zeros(depth.shape, int)
    for s in range(1, segment.max() + 1):
        group[segment == s] = half_open_groups(depth[segment == s], delta)
    region = components(segment * (bins + 2) + group, used)
    region = raster_order(merge_small(region, segment, depth, min_size))
    support = np.zeros(depth.shape, np.float32)
    for r in range(1, region.max() + 1):
        support[region == r] = depth[region == r].mean()
    return region, support, segment


def merge_small(region, segment, depth, min_size):
    region = region.copy()
    owner = {r: segment[region == r][0] for r in range(1, region.max() + 1)}
    while True:
        best = None
        for r in np.unique(region[region > 0]).tolist():
            inside = region == r
            around = np.unique(region[ndimage.binary_dilation(inside, EIGHT) & ~inside & (region > 0)])
            if inside.sum() < min_size and around.size:
                rank = (inside.sum(), depth[inside].sum(), r)
                if best is None or rank < best[0]:
                    best = rank, around.tolist()
        if best is None:
            return region
        (area, total, r), around = best

        def distance(t, r=r, mean=total / area):
            t_mean = depth[region == t].sum() / (region == t).sum()
            return owner[t] != owner[r], abs(t_mean - mean), t_mean, t

        region[region == r] = min(around, key=distance)


def published_region_support(depth, semantic, bins):
    depth = np.asarray(depth, np.float64)
    delta = (depth.max() - depth.min()) / bins
    instance = np.zeros(depth.shape, np.int32)
    for k, category in enumerate(sorted(set(semantic[semantic > 0].tolist()), reverse=True), 1):
        instance[semantic == category] = k
    support = np.zeros(depth.shape)
    for k in range(1, instance.max() + 1):
        mask = instance == k
        d = depth[mask]
        low, high = d.min(), d.max()
        if high - low < 2 * delta:
            support[mask] = d.mean()
            continue
        start, end = low, low + delta
        while end < high:
            group = mask & (depth > start) & (depth < end)
            accepted = group.sum() > d.size / ((high - low) / delta)
            if accepted:
                support[group] = depth[group].mean()
            if not end + delta < high:
                group = mask & (depth > start) & (depth < high)
                if group.any():
                    support[group] = depth[group].mean()
                break
            if accepted:
                start = end
            end = end + delta
    region = np.zeros(depth.shape, np.int32)
    for label, value in enumerate(sorted(set(support[support != 0].tolist()), reverse=True), 1):
        region[support == value] = label
    return region, support, instance


def region_statistics(region, depth, semantic):
    rows = []
    for r in range(1, region.max() + 1):
        d, s = depth[region == r].astype(float), semantic[region == r]
        values, counts = np.unique(s, return_counts=True)
        rows.append((values[counts.argmax()], d.size, d.mean(), d.var(), d.min(), d.max()))
    return [np.array(column) for column in zip(*rows, strict=True)]
