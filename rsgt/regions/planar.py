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
    everyone = np.ones(owner.size, np.bool_)
    touching = kernels.touching_pairs(cut.starts, cut.ends, cut.row, seed, everyone)
    head, _, follow, other = kernels.neighbour_lists(touching, everyone)
    pairs = np.empty_like(touching)
    met = np.full(owner.size, -1, np.int64)
    n = 0
    for a in range(owner.size):
        link = head[a]
        while link >= 0:
            b = other[link]
            if a < b and met[b] != a and (across or owner[a] == owner[b]):
                pairs[n, 0], pairs[n, 1] = a, b
                met[b] = a
                n += 1
            link = follow[link]
    return pairs[:n]


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
def _paint(label: Array, runs: kernels.Cut, of_run: Array) -> None:
    """Write the label of each run, which count from 0 there and from 1 here."""
    for y in range(runs.row.size - 1):
        for i in range(runs.row[y], runs.row[y + 1]):
            label[y, runs.starts[i] : runs.ends[i]] = of_run[i] + 1


@_jit
def _regions(
    depth: Array, runs: grouping.Runs, segment: Array, groups: grouping.Groups, min_size: int
) -> tuple[kernels.Cut, Array, Array]:
    """Regions as they are for constants: runs of one each, their regions, and the segment of each region."""
    cut = kernels.region_runs(depth, runs, segment, groups)
    piece = kernels.connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
    survivor, _ = kernels.merge_small(cut, piece, min_size)
    region, n = _number(survivor[piece])
    owner = np.empty(n, np.int32)
    for i in range(piece.size):
        if survivor[piece[i]] == piece[i]:
            owner[region[i]] = cut.owner[i]
    return cut, region, owner


@_jit
def planar_region_support(
    depth: Array, key: Array, skip_zero: bool, bins: int, min_size: int, regions: int, tolerance: float,
    across: bool,kind: int = 3, fbins: int = 20,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    region, segment = np.zeros(depth.shape, np.int32), np.zeros(depth.shape, np.int32)
    runs = kernels.segment_runs(depth, key, skip_zero)
    if runs.starts.size == 0:
        return region, np.zeros(depth.shape, np.float32), segment, np.empty((0, 3)), np.empty(0)
    component = kernels.connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    groups = grouping.by_steps(depth, runs, component, bins, False, region)
    fine = np.int64(1) * groups.group[-1] + 1
    if regions == 0:
        regions = _regions(depth, runs, component, groups, min_size)[2].size
    if kind == 0:
        fine = np.int64(1) * grouping.by_steps(depth, runs, component, fbins, False, region).group[-1] + 1
        found = grouping.by_breaks(depth, runs, component, fine, region)
    elif kind == 1:
        found = grouping.by_steps(depth, runs, component, fbins, False, region)
    else:
        found = grouping.by_breaks(depth, runs, component, fine * fbins // 10, region)
    cut, seed, owner = _regions(depth, runs, component, found, min_size)
    _paint(segment, runs, component)
    _paint(region, cut, seed)
    scale = planes.depth_scale(runs.frame_high)
    moments = planes.region_moments(depth, region, owner.size, scale)
    pairs = _seed_pairs(cut, seed, owner, across)
    of_seed, n = _number(merge_planes(moments, pairs, regions, tolerance * scale))
    _paint(region, cut, of_seed[seed])
    found_planes, rmse, support = planes.fit_planes(depth, region, n, scale)
    return region, support, segment, found_planes, rmse
