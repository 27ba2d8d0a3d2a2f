"""Regions that are planes: fine regions, merged as long as planes explain them.

Each segment is cut finely by depth. Of the pairs of regions that touch, within one segment or across
segments, the one is merged whose common plane adds the least squared error, until as few are left as were
asked for, or none can be merged below a tolerance.
"""

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.regions import grouping, kernels, planes
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

SEED_BINS = 45
"""Equal steps over a frame's depth whose number of groups the seeds' natural breaks are."""


@_jit
def _growth(a: Array, b: Array, error_a: float, error_b: float, tolerance: float, both: Array) -> float:
    """Squared error that a common plane adds to those of two regions; infinite above the tolerance."""
    planes.join_moments(a, b, both)
    error = planes.squared_error(both)
    if error > tolerance * tolerance * both[0]:
        return np.inf
    return max(error - (error_a + error_b), 0.0)


@_jit
def merge_planes(moments: Array, pairs: Array, regions: int, tolerance: float) -> Array:
    """Merge regions that touch, those first whose common plane adds the least squared error.

    Of equal ones the pair goes first whose first region, then whose second, comes first.

    Parameters
    ----------
    moments
        (region, MOMENTS) float64; overwritten.
    pairs
        (pair, 2) integer, regions that may be merged, each pair once, the smaller first.
    regions
        How few regions to stop at.
    tolerance
        RMSE about its plane that no merged region may exceed, in the moments' unit; may be infinite.

    Returns
    -------
    The first region of what each was merged into, (region,) int64.
    """
    n = len(moments)
    parent, version = np.arange(n), np.zeros(n, np.int64)
    error, both = np.empty(n), np.empty(planes.MOMENTS)
    for r in range(n):
        error[r] = planes.squared_error(moments[r])
    head, tail, follow, other = kernels.neighbour_lists(pairs, np.ones(n, np.bool_))
    seen = np.full(n, -1, np.int64)
    heap: Any = [(0.0, np.int64(0), np.int64(0), np.int64(0))]
    heap.clear()
    for k in range(len(pairs)):
        a, b = np.int64(pairs[k, 0]), np.int64(pairs[k, 1])
        added = _growth(moments[a], moments[b], error[a], error[b], tolerance, both)
        if added < np.inf:
            heap.append((added, a, b, np.int64(0)))
    heapq.heapify(heap)
    left = n
    while left > regions and len(heap) > 0:
        _, a, b, age = heapq.heappop(heap)
        # Versions only grow: their sum is that of then where neither region has changed since.
        if parent[a] != a or parent[b] != b or version[a] + version[b] != age:
            continue
        planes.join_moments(moments[a], moments[b], both)
        moments[a] = both
        error[a] = planes.squared_error(both)
        parent[b] = a
        version[a] += 1
        left -= 1
        follow[tail[a]], tail[a] = head[b], tail[b]
        last, link = np.int64(-1), head[a]
        while link >= 0:  # each neighbour once: what repeats, or has become the region itself, is cut out
            t = kernels.find_root(parent, other[link])
            if t == a or seen[t] == left:
                if last < 0:
                    head[a] = follow[link]
                else:
                    follow[last] = follow[link]
            else:
                seen[t] = left
                last = link
                first, second = min(a, t), max(a, t)
                added = _growth(moments[first], moments[second], error[first], error[second], tolerance, both)
                if added < np.inf:
                    heapq.heappush(heap, (added, first, second, version[a] + version[t]))
            link = follow[link]
        tail[a] = last
    for r in range(n):
        parent[r] = kernels.find_root(parent, r)
    return parent


@_jit
def _seed_pairs(cut: kernels.Cut, seed: Array, owner: Array, across: bool) -> Array:
    """Pairs of seeds that touch and may be merged, each once, the smaller first."""
    touching = kernels.touching_pairs(cut.starts, cut.ends, cut.row, seed, np.ones(owner.size, np.bool_))
    code = np.empty(len(touching), np.int64)
    n = 0
    for k in range(len(touching)):
        a, b = min(touching[k, 0], touching[k, 1]), max(touching[k, 0], touching[k, 1])
        if across or owner[a] == owner[b]:
            code[n] = np.int64(a) * owner.size + b
            n += 1
    code = np.unique(code[:n])
    pairs = np.empty((code.size, 2), np.int64)
    for k in range(code.size):
        pairs[k] = code[k] // owner.size, code[k] % owner.size
    return pairs


@_jit
def _number(chosen: Array) -> tuple[Array, int]:
    """Number what each entry stands for, from 0 in order of first appearance."""
    number = np.full(chosen.max() + 1, -1, np.int32)
    found = np.empty(chosen.size, np.int32)
    n = 0
    for i in range(chosen.size):
        if number[chosen[i]] < 0:
            number[chosen[i]] = n
            n += 1
        found[i] = number[chosen[i]]
    return found, n


@_jit
def planar_regions(
    depth: Array, key: Array, skip_zero: bool, bins: int, min_size: int, regions: int, tolerance: float,
    across: bool,
) -> tuple[Array, Array]:  # fmt: skip
    region = np.zeros(depth.shape, np.int32)
    segment = np.zeros(depth.shape, np.int32)
    runs = kernels.segment_runs(depth, key, skip_zero)
    if runs.starts.size == 0:
        return region, segment
    component = kernels.connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    if regions == 0:
        steps = grouping.by_steps(depth, runs, component, bins, False, region)
        cut = kernels.region_runs(depth, runs, component, steps)
        piece = kernels.connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
        survivor, _ = kernels.merge_small(cut, piece, min_size)
        regions = _number(survivor)[1]
    fine = grouping.by_steps(depth, runs, component, SEED_BINS, False, region).group[-1] + 1
    found = grouping.by_breaks(depth, runs, component, fine, region)
    cut = kernels.region_runs(depth, runs, component, found)
    piece = kernels.connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
    survivor, _ = kernels.merge_small(cut, piece, min_size)
    seed, n = _number(survivor[piece])
    owner = np.empty(n, np.int32)
    for i in range(seed.size - 1, -1, -1):
        owner[seed[i]] = cut.owner[i]
    for y in range(cut.row.size - 1):
        for i in range(cut.row[y], cut.row[y + 1]):
            region[y, cut.starts[i] : cut.ends[i]] = seed[i] + 1
    scale = planes.depth_scale(depth, region)
    moments = planes.region_moments(depth, region, n, scale)
    pairs = _seed_pairs(cut, seed, owner, across)
    chosen, _ = _number(merge_planes(moments, pairs, regions, tolerance * scale))
    for y in range(cut.row.size - 1):
        for i in range(runs.row[y], runs.row[y + 1]):
            segment[y, runs.starts[i] : runs.ends[i]] = component[i] + 1
        for i in range(cut.row[y], cut.row[y + 1]):
            region[y, cut.starts[i] : cut.ends[i]] = chosen[seed[i]] + 1
    return region, segment
