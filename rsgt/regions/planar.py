"""Regions that are planes: fine regions of nearly constant depth, merged as long as a plane explains them.

Segments are cut finely by natural breaks, their pieces by cells of the frame, since surfaces that meet may be
at one depth, and small regions merged; all else is as for constants. Of the pairs of these that touch, the
one is merged whose common plane adds the least squared error of depth, and so on, until as few are left as
were asked for, or the next one adds too much. A slow, obvious twin is in ``tests/reference_planar.py``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.regions import grouping, kernels, merging, natural_breaks, planes
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

BREAKS_A_STEP, LEAST_BREAKS = 1.3, 64
"""Natural breaks before merging: for each equal step of depth that a segment spans; and at least."""
CELLS, LEAST_CELL = 13, 32
"""Cells along a side of the frame, an odd number, for flipped ones are the same; and their least pixels."""
SHARE = 0.01
"""Share of a frame's pixels over which a merge may cost the tolerance."""


@_jit
def _seed_pairs(touching: Array, owner: Array, across: bool) -> Array:
    """Pairs of seeds that may be merged, each once, the smaller first, of pairs that touch."""
    head, _, follow, other = kernels.neighbour_lists(touching, np.ones(owner.size, np.bool_))
    pairs: Array = np.empty_like(touching)
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
def cell_of(size: int) -> Array:
    """Cell of each pixel along a side of the frame: the same, counted from the other end, when flipped."""
    cells = max(1, min(CELLS, size // LEAST_CELL))
    cells -= 1 - cells % 2
    cell = np.empty(size, np.int32)
    for x in range(size):
        cell[x] = min(x, size - 1 - x) * cells // size
        if x > size - 1 - x:
            cell[x] = cells - 1 - cell[x]
    return cell


@_jit
def _fine_runs(depth: Array, runs: grouping.Runs, segment: Array, groups: grouping.Groups) -> kernels.Cut:
    """Cut each segment's runs where the depth group changes or a cell ends; key: group and cell."""
    offset, step, group = groups
    height, width = depth.shape
    row_cell, column_cell = cell_of(height), cell_of(width)
    columns = np.int64(column_cell[-1] + 1)
    cells = columns * (row_cell[-1] + 1)
    cell_end = np.full(width, width, np.int32)
    for x in range(width - 2, -1, -1):
        cell_end[x] = cell_end[x + 1] if column_cell[x] == column_cell[x + 1] else x + 1
    starts, ends = np.empty(depth.size, np.int32), np.empty(depth.size, np.int32)
    row, key = np.zeros(height + 1, np.int64), np.empty(depth.size, np.int64)
    owner, total = np.empty(depth.size, np.int32), np.empty(depth.size)
    n = 0
    for y in range(height):
        for i in range(runs.row[y], runs.row[y + 1]):
            s, x, end = segment[i], runs.starts[i], runs.ends[i]
            base, whole = offset[s], offset[s + 1] - offset[s] == 1
            while x < end:
                begin, stop, run_total = x, min(end, cell_end[x]), 0.0
                here = group[base if whole else base + step[y, x]]
                if whole:
                    while x < stop:
                        run_total += np.float64(depth[y, x])
                        x += 1
                else:
                    while x < stop and group[base + step[y, x]] == here:
                        run_total += np.float64(depth[y, x])
                        x += 1
                starts[n], ends[n], owner[n], total[n] = begin, x, s, run_total
                key[n] = here * cells + row_cell[y] * columns + column_cell[begin]
                n += 1
        row[y + 1] = n
    return kernels.Cut(starts[:n], ends[:n], row, key[:n], owner[:n], total[:n])


@_jit
def _longest_runs(cut: kernels.Cut, region: Array) -> tuple[kernels.Cut, Array]:
    """Put together neighbouring runs of a row that lie in one region; cells and groups cut them no more."""
    starts, ends, row = np.empty_like(cut.starts), np.empty_like(cut.ends), np.zeros_like(cut.row)
    of_run = np.empty_like(region)
    n = 0
    for y in range(row.size - 1):
        for i in range(cut.row[y], cut.row[y + 1]):
            if i > cut.row[y] and region[i] == region[i - 1] and cut.starts[i] == cut.ends[i - 1]:
                ends[n - 1] = cut.ends[i]
            else:
                starts[n], ends[n], of_run[n] = cut.starts[i], cut.ends[i], region[i]
                n += 1
        row[y + 1] = n
    return kernels.Cut(starts[:n], ends[:n], row, cut.key, cut.owner, cut.total), of_run[:n]


@_jit
def _paint(label: Array, starts: Array, ends: Array, row: Array, number: Array) -> None:
    """Write each run's number, from 0, as its pixels' label, from 1."""
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            label[y, starts[i] : ends[i]] = number[i] + 1


@_jit
def _seeds(cut: kernels.Cut, min_size: int) -> tuple[Array, Array, Array]:
    """Regions as they are for constants: that of each run, each one's segment, and pairs that touch."""
    piece = kernels.connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
    area, total, owner = kernels.region_sums(cut, piece)
    everyone = np.ones(area.size, np.bool_)
    pairs = kernels.touching_pairs(cut.starts, cut.ends, cut.row, piece, everyone)
    links = kernels.neighbour_lists(pairs, area < min_size)
    survivor = kernels.join_small(links, area, total, owner, min_size)
    # Pieces come in raster order, and a seed where its first piece does.
    seed, n = merging.numbered(survivor)
    seed_owner = np.empty(n, np.int32)
    for r in range(survivor.size):
        seed_owner[seed[r]] = owner[survivor[r]]
    for k in range(len(pairs)):
        pairs[k, 0], pairs[k, 1] = seed[pairs[k, 0]], seed[pairs[k, 1]]
    return seed[piece], seed_owner, pairs


@_jit
def planar_region_support(
    depth: Array, key: Array, skip_zero: bool, bins: int, min_size: int, regions: int, tolerance: float,
    across: bool,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Region support whose regions are planes, on one frame.

    Parameters
    ----------
    depth, key, skip_zero, min_size
        As for ``kernels.default_region_support``.
    bins
        Depth steps over the frame's range; their groups say how many natural breaks are merged.
    regions
        How many regions to merge down to, 0 = as many as equal steps of depth leave. There are more where
        nothing is left to merge, and fewer where the frame has no more to begin with.
    tolerance
        Metres: a merge adds at most the squared error of so many on ``SHARE`` of the pixels; may be infinite.
    across
        Merge regions of different segments, too.

    Returns
    -------
    region (y, x) int32, support (y, x) float32 and segment (y, x) int32, each 0 where there is none; and, a
    row a region, planes (region, 3) and residual (region, 2), float64, as ``planes.fit_planes`` says.
    """
    region, segment = np.zeros(depth.shape, np.int32), np.zeros(depth.shape, np.int32)
    runs = kernels.segment_runs(depth, key, skip_zero)
    if runs.starts.size == 0:
        return region, np.zeros(depth.shape, np.float32), segment, np.empty((0, 3)), np.empty((0, 2))
    component = kernels.connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    # Until regions are numbered their array holds the depth steps, as for constants.
    if regions == 0:
        cut = kernels.region_runs(
            depth, runs, component, grouping.by_steps(depth, runs, component, bins, False, region)
        )
        piece = kernels.connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
        regions = merging.numbered(kernels.merge_small(cut, piece, min_size)[0])[1]
    steps = grouping.count_steps(runs, component, bins)
    breaks = max(int(BREAKS_A_STEP * steps), LEAST_BREAKS, regions)
    fine = natural_breaks.by_breaks(depth, runs, component, breaks, region)
    cut = _fine_runs(depth, runs, component, fine)
    seed, owner, touching = _seeds(cut, min_size)
    _paint(segment, runs.starts, runs.ends, runs.row, component)
    scale = planes.depth_scale(runs.frame_high)
    moments = planes.region_moments(depth, cut, seed, owner.size, scale)
    most = (tolerance * scale) ** 2 * moments[:, 0].sum() * SHARE
    first = merging.merge_regions(moments, _seed_pairs(touching, owner, across), regions, most, False)
    merged, _ = merging.numbered(first)  # in the order of the first seeds, which is the raster's
    cut, of_run = _longest_runs(cut, merged[seed])
    _paint(region, cut.starts, cut.ends, cut.row, of_run)
    kept = moments[first == np.arange(first.size)]
    found, residual, support = planes.fit_planes(depth, cut, of_run, kept, scale)
    return region, support, segment, found, residual
