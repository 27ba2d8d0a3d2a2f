"""How segments are split by depth: the walk over equal steps of Algorithm 1, and natural breaks.

Natural breaks are the grouping of depths with the least squared error, exact on histograms. The error of
one segment's best ``k`` groups never gains more from a further group than it did from the one before (the
cost of a group of neighbouring bins is a concave Monge cost, for which the shortest path of ``k`` links is
convex in ``k``: Aggarwal, Schieber and Tokuyama, 1994). So handing out a frame's groups one by one, each
to the segment that gains most, gives the best hand-out of all.

Counts and bin numbers are integers: nothing here depends on the order in which pixels were met.
``rsgt.regions.kernels`` compiles this into its own functions. Slow, obvious twins are in
``tests/reference_grouping.py``.
"""

import heapq
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

BINS = 256
"""Bins over one segment's range of depth."""


class Runs(NamedTuple):
    """Stretches of one row whose pixels are valid and hold one key, row after row: (run,) arrays.

    ``row[y]:row[y + 1]`` are those of row y. Each has its first column, the column behind its last, its key,
    and the extremes and sum of its depths; the frame has extremes, too.
    """

    starts: Array
    ends: Array
    row: Array
    key: Array
    low: Array
    high: Array
    total: Array
    frame_low: float
    frame_high: float


class Groups(NamedTuple):
    """Depth groups of the segments: a pixel of step k in segment s is of group ``group[offset[s] + k]``."""

    offset: Array
    step: Array
    group: Array


@_jit
def _extents(runs: Runs, segment: Array, n_segments: int) -> tuple[Array, Array, Array]:
    """Smallest depth, largest depth and number of pixels of each segment."""
    starts, ends = runs.starts, runs.ends
    low = np.full(n_segments, np.inf)
    high = np.full(n_segments, -np.inf)
    population = np.zeros(n_segments, np.int64)
    for i in range(starts.size):
        s = segment[i]
        low[s] = min(low[s], runs.low[i])
        high[s] = max(high[s], runs.high[i])
        population[s] += ends[i] - starts[i]
    return low, high, population


@_jit
def _step_of(d: float, low: float, width: float) -> int:
    return int((d - low) / width)


@_jit
def _log_bounds(offset: Array, low: Array, width: Array) -> Array:
    """Depth from which on a pixel is of each step of its segment's log depth, exactly; 0 of the first."""
    bound = np.zeros(offset[-1])
    for s in range(low.size):
        for k in range(1, offset[s + 1] - offset[s]):
            d = np.exp(low[s] + k * width[s])
            while _step_of(np.log(d), low[s], width[s]) >= k:
                d = np.nextafter(d, 0.0)
            while _step_of(np.log(d), low[s], width[s]) < k:
                d = np.nextafter(d, np.inf)
            bound[offset[s] + k] = d
    return bound


@_jit
def _depth_steps(
    depth: Array, runs: Runs, segment: Array, offset: Array, low: Array, width: Array, log: bool,
    step: Array,
) -> Array:  # fmt: skip
    """Write each pixel's step along its segment's depth, or log depth, and count the pixels of each step.

    The steps of segment s begin at ``low[s]`` and are ``width[s]`` wide; ``offset[s]:offset[s + 1]`` are
    their places in the count. Where there is a single step, nothing is written or counted.
    """
    starts, ends, row = runs.starts, runs.ends, runs.row
    count = np.zeros(offset[-1], np.int64)
    bound = _log_bounds(offset, low, width) if log else np.empty(0)
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            s = segment[i]
            base, last = offset[s], offset[s + 1] - offset[s] - 1
            if last == 0:
                continue
            bottom, size = low[s], width[s]
            if log:
                k = 0
                for x in range(starts[i], ends[i]):
                    # Neighbours are mostly of one step: its bounds are nearer at hand than a logarithm.
                    d = np.float64(depth[y, x])
                    while d < bound[base + k]:
                        k -= 1
                    while k < last and d >= bound[base + k + 1]:
                        k += 1
                    step[y, x] = k
                    count[base + k] += 1
            else:
                for x in range(starts[i], ends[i]):
                    k = min(_step_of(np.float64(depth[y, x]), bottom, size), last)
                    step[y, x] = k
                    count[base + k] += 1
    return count


@_jit
def _equal_groups(
    offset: Array, count: Array, low: Array, high: Array, population: Array, delta: float
) -> Array:
    """Gather each segment's depth steps into groups as the paper does, with half-open steps.

    Returns the group of each step; numbers are distinct over the frame.
    """
    group = np.empty(offset[-1], np.int32)
    n = 0
    for s in range(low.size):
        extent = high[s] - low[s]
        average = population[s] / (extent / delta) if extent > 0 else 0.0
        gathered = 0
        for k in range(offset[s + 1] - offset[s]):
            group[offset[s] + k] = n
            gathered += count[offset[s] + k]
            # A step closes its group only where a whole further step fits below the highest depth.
            if gathered > average and low[s] + (k + 2) * delta < high[s]:
                n += 1
                gathered = 0
        n += 1
    return group


@_jit
def by_steps(depth: Array, runs: Runs, segment: Array, bins: int, log: bool, step: Array) -> Groups:
    """Group each segment's pixels by equal steps of depth, or of log depth; ``step`` (y, x) is written."""
    low, high, population = _extents(runs, segment, segment.max() + 1)
    frame_low, frame_high = runs.frame_low, runs.frame_high
    if log:
        frame_low, frame_high = np.log(frame_low), np.log(frame_high)
        for s in range(low.size):
            low[s], high[s] = np.log(low[s]), np.log(high[s])
    delta = (frame_high - frame_low) / bins
    offset = np.zeros(low.size + 1, np.int64)
    for s in range(low.size):
        whole = high[s] - low[s] < 2 * delta or delta == 0
        offset[s + 1] = offset[s] + (1 if whole else _step_of(high[s], low[s], delta) + 1)
    count = _depth_steps(depth, runs, segment, offset, low, np.full(low.size, delta), log, step)
    return Groups(offset, step, _equal_groups(offset, count, low, high, population, delta))


@_jit
def count_steps(runs: Runs, segment: Array, bins: int) -> int:
    """Count the equal steps of the frame's depth that its segments span, one at least each."""
    low, high, _ = _extents(runs, segment, segment.max() + 1)
    delta = (runs.frame_high - runs.frame_low) / bins
    steps: int = low.size
    for s in range(low.size):
        if delta > 0:
            steps += _step_of(high[s], low[s], delta)
    return steps


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
    low, high, population = _extents(runs, segment, segment.max() + 1)
    width = (high - low) / BINS
    offset = np.zeros(low.size + 1, np.int64)
    for s in range(low.size):
        offset[s + 1] = offset[s] + (BINS if width[s] > 0 else 1)
    count = _depth_steps(depth, runs, segment, offset, low, width, False, step)
    for s in range(low.size):
        if width[s] == 0:
            count[offset[s]] = population[s]
    return Groups(offset, step, natural_groups(offset, count, width, groups))
