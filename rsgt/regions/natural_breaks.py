"""Natural breaks: the grouping of a segment's depths with the least squared error, exact on histograms.

The error of one segment's best ``k`` groups never gains more from a further group than it did from the one
before (the cost of a group of neighbouring bins is a concave Monge cost, for which the shortest path of ``k``
links is convex in ``k``: Aggarwal, Schieber and Tokuyama, 1994). So handing out a frame's groups one by one,
each to the segment that gains most, gives the best hand-out of all.
"""

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.regions.compilation import jit
from rsgt.regions.grouping import Groups, Runs, depth_steps, extents

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

BINS = 256
"""Bins over one segment's range of depth."""


@_jit
def _running_sums(offset: Array, count: Array) -> tuple[Array, Array]:
    """Sum up pixels, pixels*bin and pixels*bin² before each occupied bin and after the last: ``(row, sums)``.

    Segment s has ``sums[row[s]:row[s + 1]]``, one row more than occupied bins. Bins count from the middle,
    so that products of two sums are exact in float64 up to 700,000 pixels of one segment.
    """
    row = np.zeros(offset.size, np.int64)
    sums = np.zeros((count.size + offset.size - 1, 3), np.int64)
    n = 0
    for s in range(offset.size - 1):
        n += 1
        for k in range(offset[s + 1] - offset[s]):
            c = count[offset[s] + k]
            if c > 0:
                sums[n, 0] = sums[n - 1, 0] + c
                sums[n, 1] = sums[n - 1, 1] + c * (k - BINS // 2)
                sums[n, 2] = sums[n - 1, 2] + c * (k - BINS // 2) ** 2
                n += 1
        row[s + 1] = n
    return row, sums[:n]


@_jit
def _cost(sums: Array, i: int, j: int) -> float:
    """Squared error of the occupied bins i..j-1 about their mean, in bins²."""
    n = float(sums[j, 0] - sums[i, 0])
    first = float(sums[j, 1] - sums[i, 1])
    second = float(sums[j, 2] - sums[i, 2])
    return (n * second - first * first) / n


@_jit
def _next_layer(sums: Array, before: Array, k: int, after: Array, begin: Array) -> None:
    """Least error ``after[j]`` of the first j bins in k groups, out of that in k - 1 groups, ``before``.

    ``begin[j]`` is where the last group starts. It need not fall as j grows, so each half of the range
    of j is searched on its own side of the middle's answer only.
    """
    after[:k] = np.inf
    pending = np.empty((32, 4), np.int64)
    pending[0] = k, after.size - 1, k - 1, after.size - 2
    n = 1
    while n > 0:
        n -= 1
        low, high, first, last = pending[n]
        j = (low + high) // 2
        best, at = np.inf, first
        for i in range(first, min(last, j - 1) + 1):
            error = before[i] + _cost(sums, i, j)
            if error < best:
                best, at = error, i
        after[j], begin[j] = best, at
        if low < j:
            pending[n] = low, j - 1, first, at
            n += 1
        if j < high:
            pending[n] = j + 1, high, at, last
            n += 1


@_jit
def _hand_out(row: Array, sums: Array, width: Array, spare: int) -> tuple[Array, Array, Array]:
    """Give ``spare`` groups beyond each segment's first to whom they help most.

    Returns ``(latest, below, begin)``. ``begin[latest[s]]`` is what ``_next_layer`` said of the groups
    that segment s ends with, ``begin[below[latest[s]]]`` of one group less, and so on; -1 = a single one.
    """
    n_segments = width.size
    held = np.ones(n_segments, np.int64)
    latest = np.full(n_segments, -1, np.int64)
    coming = np.full(n_segments, -1, np.int64)
    below = np.full(spare + n_segments, -1, np.int64)
    begin = np.empty((spare + n_segments, BINS + 1), np.int16)
    now, ahead = np.zeros(len(sums)), np.empty(len(sums))
    # What a segment gains is at most its error: layers are computed only where that leads the heap.
    heap: list[Any] = [(0.0, False, np.int64(0))]
    heap.clear()
    for s in range(n_segments):
        for j in range(row[s] + 1, row[s + 1]):
            now[j] = _cost(sums, row[s], j)
        if row[s + 1] - row[s] > 2:  # more than one occupied bin
            heap.append((-now[row[s + 1] - 1] * width[s] ** 2, False, np.int64(s)))
    heapq.heapify(heap)
    n = 0
    while spare > 0 and len(heap) > 0:
        _, computed, s = heapq.heappop(heap)
        mine, end = slice(row[s], row[s + 1]), row[s + 1] - 1
        if computed:
            now[mine] = ahead[mine]
            latest[s] = coming[s]
            held[s] += 1
            spare -= 1
            if held[s] < end - row[s]:
                heapq.heappush(heap, (-now[end] * width[s] ** 2, False, s))
        else:
            _next_layer(sums[mine], now[mine], held[s] + 1, ahead[mine], begin[n])
            coming[s], below[n] = n, latest[s]
            n += 1
            heapq.heappush(heap, (-(now[end] - ahead[end]) * width[s] ** 2, True, s))
    return latest, below, begin


@_jit
def natural_groups(offset: Array, count: Array, width: Array, groups: int) -> Array:
    """Group the depth histograms of a frame's segments with the least squared error in all.

    Parameters
    ----------
    offset
        (segment + 1,) int64; the bins of segment s are ``offset[s]:offset[s + 1]``.
    count
        (bin,) int64, pixels in each bin; every segment has some.
    width
        (segment,) float64, width of the segment's bins in metres.
    groups
        How many groups to hand out in all. Every segment gets one, and none more than it has occupied bins.

    Returns
    -------
    The group of each bin, (bin,) int32, ascending with depth and distinct over the frame. A bin without
    pixels goes with the one below it.
    """
    row, sums = _running_sums(offset, count)
    spare = max(0, min(groups - width.size, len(sums) - 2 * width.size))
    latest, below, begin = _hand_out(row, sums, width, spare)
    group = np.empty(count.size, np.int32)
    first = np.empty(BINS, np.bool_)  # whether an occupied bin begins a group
    n = -1
    for s in range(width.size):
        first[:] = False
        first[0] = True
        j, layer = row[s + 1] - row[s] - 1, latest[s]
        while layer >= 0:
            j = begin[layer, j]
            first[j] = True
            layer = below[layer]
        j = 0
        for k in range(offset[s], offset[s + 1]):
            if count[k] > 0:
                n += first[j]
                j += 1
            group[k] = n
    return group


@_jit
def by_breaks(depth: Array, runs: Runs, segment: Array, groups: int, step: Array) -> Groups:
    """Group each segment's pixels by natural breaks, ``groups`` in all; ``step`` (y, x) is written."""
    low, high, population = extents(runs, segment, segment.max() + 1)
    width = (high - low) / BINS
    offset = np.zeros(low.size + 1, np.int64)
    for s in range(low.size):
        offset[s + 1] = offset[s] + (BINS if width[s] > 0 else 1)
    count = depth_steps(depth, runs, segment, offset, low, width, False, step)
    for s in range(low.size):
        if width[s] == 0:
            count[offset[s]] = population[s]
    return Groups(offset, step, natural_groups(offset, count, width, groups))
