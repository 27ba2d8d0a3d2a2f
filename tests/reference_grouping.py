"""Slow, obvious twins of the splits by steps of equal ratio and by natural breaks."""

import math

import numpy as np

from tests import reference


def squared_error(count):
    """Squared error about the mean of bins 0, 1, … that hold ``count`` pixels."""
    position = np.arange(len(count))
    n, first, second = sum(count), int(count @ position), int(count @ position**2)
    return (n * second - first * first) / n if n else 0.0


def best_breaks(count, most):
    """For k = 1..most: (least squared error, bins where groups begin) of the bins ``count`` in k groups."""
    occupied = np.flatnonzero(count)
    m = len(occupied)
    cost = np.full((m + 1, m + 1), np.inf)
    for i in range(m):
        for j in range(i + 1, m + 1):
            kept = np.zeros_like(count)
            kept[occupied[i:j]] = count[occupied[i:j]]
            cost[i, j] = squared_error(kept)
    error, breaks = cost[0].copy(), [[] for _ in range(m + 1)]
    answers = [(error[m], breaks[m])]
    for _ in range(2, min(most, m) + 1):
        through = [[error[i] + cost[i, j] for i in range(m)] for j in range(m + 1)]
        begin = [int(np.argmin(row)) for row in through]
        error = np.array([row[i] for row, i in zip(through, begin, strict=True)])
        breaks = [[*breaks[i], int(occupied[i])] for i in begin]
        answers.append((error[m], breaks[m]))
    return answers


def natural_breaks(counts, widths, groups):
    """For each segment the bins where its groups begin; groups are handed out one by one."""
    answers = [best_breaks(count, groups) for count in counts]
    held = [1] * len(counts)
    for _ in range(groups - len(counts)):
        gains = [
            (answer[k - 1][0] - answer[k][0]) * width**2 if k < len(answer) else -1
            for answer, k, width in zip(answers, held, widths, strict=True)
        ]
        if max(gains) < 0:
            break
        held[int(np.argmax(gains))] += 1
    return [answer[k - 1][1] for answer, k in zip(answers, held, strict=True)]


def natural_groups(depth, segment, groups, bins=256):
    """Group number of each pixel within its segment."""
    members = [segment == s for s in range(1, segment.max() + 1)]
    widths, steps = [], []
    for inside in members:
        d = depth[inside]
        widths.append((d.max() - d.min()) / bins)
        steps.append(
            np.minimum((d - d.min()) / widths[-1], bins - 1).astype(int)
            if widths[-1]
            else np.zeros(d.size, int)
        )
    counts = [np.bincount(step, minlength=bins) for step in steps]
    group = np.zeros(depth.shape, int)
    for inside, step, begin in zip(members, steps, natural_breaks(counts, widths, groups), strict=True):
        group[inside] = np.searchsorted(begin, step, side="right")
    return group


def region_support(depth, key, split, bins, groups, min_size):
    """Region and segment of a frame; unlabelled pixels are a category."""
    depth = np.where(depth > 0, depth, 0).astype(float)
    valid = depth > 0
    segment = reference.components(key, valid)
    group = np.zeros(depth.shape, int)
    if not valid.any():
        return segment, segment
    axis = np.vectorize(math.log)(np.where(valid, depth, 1)) if split == "log" else depth
    delta = (axis[valid].max() - axis[valid].min()) / bins
    for s in range(1, segment.max() + 1):
        group[segment == s] = reference.half_open_groups(axis[segment == s], delta)
    if split == "natural":
        equal = len({*zip(segment[valid].tolist(), group[valid].tolist(), strict=True)})
        group = natural_groups(depth, segment, groups or equal)
    region = reference.components(segment * 1000 + group, valid)
    return reference.raster_order(reference.merge_small(region, segment, depth, min_size)), segment
