"""Regions merged two by two, those first whose common one adds the least squared error.

What a region is compared with is a plane of depth (``rsgt.regions.planes``), or its own mean of several maps:
for means it is Ward's criterion (1963). Slow twins are in ``tests/reference_planar.py``.
"""

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.regions import kernels, planes
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")


@_jit
def _growth(a: Array, b: Array, error_a: float, error_b: float, both: Array, flat: bool) -> float:
    """Squared error that a common mean, or plane, adds to those of two regions; ``both`` is overwritten."""
    if flat:
        apart = 0.0
        for c in range(1, a.size):
            difference = a[c] / a[0] - b[c] / b[0]
            apart += difference * difference
        weighed: float = apart * a[0] * b[0] / (a[0] + b[0])
        return weighed
    planes.join_moments(a, b, both)
    added: float = planes.squared_error(both) - (error_a + error_b)
    # A pixel beside a line adds none: what rounding makes of that must not decide.
    return added if added > planes.ROUNDING * both[10] else 0.0


@_jit
def _join(moments: Array, error: Array, a: int, b: int, both: Array, flat: bool) -> None:
    """Add the second region to the first."""
    if flat:
        moments[a] += moments[b]
    else:
        planes.join_moments(moments[a], moments[b], both)
        moments[a] = both
        error[a] = planes.squared_error(both)


@_jit
def merge_regions(moments: Array, pairs: Array, regions: int, most: float, flat: bool) -> Array:
    """Merge regions that touch, those first whose common mean or plane adds the least squared error.

    Of equal ones the pair goes first whose first region, then whose second, comes first.

    Parameters
    ----------
    moments
        A row a region, float64; those of a merged region take the place of its first one's. Of means
        (``flat``) pixels and the sum of each map; else (region, ``planes.MOMENTS``).
    pairs
        (pair, 2) integer, regions that may be merged, each pair once, the smaller first.
    regions
        How few regions to stop at.
    most
        Squared error that a merge may add at most, in the moments' unit; may be infinite.
    flat
        Regions are their means.

    Returns
    -------
    The first region of what each was merged into, (region,) int64.
    """
    n = len(moments)
    parent, version = np.arange(n), np.zeros(n, np.int64)
    error, both = np.zeros(n), np.empty(moments.shape[1])
    for r in range(0 if flat else n):
        error[r] = planes.squared_error(moments[r])
    head, tail, follow, other = kernels.neighbour_lists(pairs, np.ones(n, np.bool_))
    seen = np.full(n, -1, np.int64)
    heap: Any = [(0.0, np.int64(0), np.int64(0), np.int64(0))]
    heap.clear()
    for k in range(len(pairs)):
        a, b = np.int64(pairs[k, 0]), np.int64(pairs[k, 1])
        added = _growth(moments[a], moments[b], error[a], error[b], both, flat)
        if added <= most:
            heap.append((added, a, b, np.int64(0)))
    heapq.heapify(heap)
    left = n
    while left > regions and len(heap) > 0:
        _, a, b, age = heapq.heappop(heap)
        # Versions only grow: their sum is that of then where neither region has changed since.
        if parent[a] != a or parent[b] != b or version[a] + version[b] != age:
            continue
        _join(moments, error, a, b, both, flat)
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
                added = _growth(moments[first], moments[second], error[first], error[second], both, flat)
                if added <= most:
                    heapq.heappush(heap, (added, first, second, version[a] + version[t]))
            link = follow[link]
        tail[a] = last
    for r in range(n):
        parent[r] = kernels.find_root(parent, r)
    return parent


@_jit
def numbered(chosen: Array) -> tuple[Array, int]:
    """Number what each entry stands for, from 0 in order of first appearance; how many there are."""
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
def _neighbours(pixel: Array, n: int) -> Array:
    """Pairs of pixels side by side, or one above the other: numbers (y, x) of ``n`` pixels, -1 = none."""
    height, width = pixel.shape
    pairs = np.empty((2 * n, 2), np.int32)
    touching = 0
    for y in range(height):
        for x in range(width):
            for down, right in ((0, 1), (1, 0)):
                if y + down < height and x + right < width:
                    a, b = pixel[y, x], pixel[y + down, x + right]
                    pairs[touching, 0], pairs[touching, 1] = a, b
                    touching += a >= 0 and b >= 0
    return pairs[:touching]


def merged_regions(maps: npt.ArrayLike, regions: int) -> npt.NDArray[np.int32]:
    """Partition an image into connected regions in which several maps vary little (Ward's criterion).

    From single pixels on, the two touching regions are merged whose merging adds the least squared error of
    the maps about the regions' means, until few enough are left.

    Parameters
    ----------
    maps
        (channel, y, x) float: what is compared, each weighted by its scale. A pixel that is not finite in one
        of them belongs to no region.
    regions
        How many to stop at, at least 1. There are more where nothing that is left touches.

    Returns
    -------
    Labels (y, x), int32, dense from 1 in the order of their first pixels; 0 = no region.

    Raises
    ------
    InputError
        Where the maps have another number of axes, or ``regions`` is below 1.
    """
    values = np.asarray(maps, np.float64)
    if values.ndim != 3 or regions < 1:
        raise InputError(
            f"merged regions: got maps of shape {values.shape} and {regions} regions, expected "
            "(channel, y, x) and at least 1"
        )
    valid = np.isfinite(values).all(axis=0)
    label = np.zeros(valid.shape, np.int32)
    n = np.count_nonzero(valid)
    if n:
        pixel = np.full(valid.shape, -1, np.int32)
        pixel[valid] = np.arange(n)
        moments = np.column_stack([np.ones(n), values[:, valid].T])
        first = merge_regions(moments, _neighbours(pixel, n), regions, np.inf, True)
        label[valid] = numbered(first)[0] + 1
    return label
