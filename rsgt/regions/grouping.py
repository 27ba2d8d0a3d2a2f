"""How segments are split by depth: the walk over equal steps of Algorithm 1; ``natural_breaks`` is another.

Counts and bin numbers are integers: nothing here depends on the order in which pixels were met.
``rsgt.regions.kernels`` compiles this into its own functions. Slow, obvious twins are in
``tests/reference_grouping.py``.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")


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
def extents(runs: Runs, segment: Array, n_segments: int) -> tuple[Array, Array, Array]:
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
def depth_steps(
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
    low, high, population = extents(runs, segment, segment.max() + 1)
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
    count = depth_steps(depth, runs, segment, offset, low, np.full(low.size, delta), log, step)
    return Groups(offset, step, _equal_groups(offset, count, low, high, population, delta))


@_jit
def count_steps(runs: Runs, segment: Array, bins: int) -> int:
    """Count the equal steps of the frame's depth that its segments span, one at least each."""
    low, high, _ = extents(runs, segment, segment.max() + 1)
    delta = (runs.frame_high - runs.frame_low) / bins
    steps: int = low.size
    for s in range(low.size):
        if delta > 0:
            steps += _step_of(high[s], low[s], delta)
    return steps
