"""The Numba loops of the pipeline: pure, typed, without the interpreter lock.

Regions are found on *runs* (stretches of one row that hold one key): an indoor frame has some
ten thousand of them against 300,000 pixels, so everything after the first look at a pixel is cheap.
Each function has a slow, obvious twin in ``tests/reference.py``.
"""

import heapq
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.regions import grouping, natural_breaks
from rsgt.regions.compilation import jit
from rsgt.regions.grouping import Groups, Runs

Array = npt.NDArray[Any]

_jit = jit(error_model="numpy")

TILE = 32
"""Side of the square that a transposing loop moves at once: both sides of it stay in the first cache."""


@_jit
def transpose_rgb(source: Array, out: Array) -> None:
    """Copy colour (frame, channel, x, y) to (frame, y, x, channel)."""
    frames, channels, width, height = source.shape
    for f in range(frames):
        for x0 in range(0, width, TILE):
            for y0 in range(0, height, TILE):
                for c in range(channels):  # outside the pixels: the other way takes 1.7 times as long
                    for y in range(y0, min(y0 + TILE, height)):
                        for x in range(x0, min(x0 + TILE, width)):
                            out[f, y, x, c] = source[f, c, x, y]


@_jit
def find_root(parent: Array, i: int) -> int:
    """Root of an entry of a union-find forest, whose paths it shortens."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@_jit
def connect(starts: Array, ends: Array, row: Array, key: Array, n_runs: int) -> Array:
    """Component of each run: runs of equal key that touch, diagonally too. 0.. in raster order."""
    parent = np.arange(n_runs)
    for y in range(1, row.size - 1):
        above = row[y - 1]
        for i in range(row[y], row[y + 1]):
            while above < row[y] and ends[above] < starts[i]:
                above += 1
            j = above
            while j < row[y] and starts[j] <= ends[i]:
                if key[i] == key[j]:
                    a, b = find_root(parent, i), find_root(parent, j)
                    if a < b:
                        parent[b] = a
                    elif b < a:
                        parent[a] = b
                j += 1
    component = np.empty(n_runs, np.int32)
    n = 0
    for i in range(n_runs):  # a root is the first run of its component
        if parent[i] == i:
            component[i] = n
            n += 1
        else:
            component[i] = component[find_root(parent, i)]
    return component


@_jit
def segment_runs(depth: Array, key: Array, skip_zero: bool) -> Runs:
    """Runs of valid pixels of one key, with depth's extremes and sum over each run and the whole frame."""
    height, width = depth.shape
    starts = np.empty(height * width, np.int32)
    ends = np.empty(height * width, np.int32)
    row = np.zeros(height + 1, np.int64)
    value = np.empty(height * width, key.dtype)
    low, high = np.empty(height * width), np.empty(height * width)
    total = np.empty(height * width)
    n = 0
    frame_low, frame_high = np.inf, -np.inf
    for y in range(height):
        x = 0
        while x < width:
            d = np.float64(depth[y, x])
            if not (d > 0 and d < np.inf):
                x += 1
                continue
            k = key[y, x]
            first = x
            lo, hi, s = d, d, 0.0
            while d > 0 and d < np.inf:
                lo = min(lo, d)
                hi = max(hi, d)
                s += d
                x += 1
                if x == width or key[y, x] != k:
                    break
                d = np.float64(depth[y, x])
            frame_low, frame_high = min(frame_low, lo), max(frame_high, hi)
            if k == 0 and skip_zero:
                continue
            starts[n], ends[n], value[n], low[n], high[n], total[n] = first, x, k, lo, hi, s
            n += 1
        row[y + 1] = n
    return Runs(starts[:n], ends[:n], row, value[:n], low[:n], high[:n], total[:n], frame_low, frame_high)


@_jit
def count_pieces(label: Array) -> int:
    """Count the 8-connected pieces of equal label of a map (y, x) of integers; 0 is no label."""
    height, width = label.shape
    starts = np.empty(height * width, np.int32)
    ends = np.empty(height * width, np.int32)
    key = np.empty(height * width, np.int32)
    row = np.zeros(height + 1, np.int64)
    n = 0
    for y in range(height):
        x = 0
        while x < width:
            first, here = x, label[y, x]
            while x < width and label[y, x] == here:
                x += 1
            if here != 0:
                starts[n], ends[n], key[n] = first, x, here
                n += 1
        row[y + 1] = n
    component = connect(starts[:n], ends[:n], row, key[:n], n)
    return int(component.max()) + 1 if n else 0


class Cut(NamedTuple):
    """Runs of one depth group each: their columns, rows, groups, segments, and sums of depth."""

    starts: Array
    ends: Array
    row: Array
    key: Array
    owner: Array
    total: Array


@_jit
def region_runs(depth: Array, runs: Runs, segment: Array, groups: Groups) -> Cut:
    """Cut each segment's runs where the depth group changes."""
    offset, step, group = groups
    starts, ends, row, run_sum = runs.starts, runs.ends, runs.row, runs.total
    height, width = depth.shape
    new_starts = np.empty(height * width, np.int32)
    new_ends = np.empty(height * width, np.int32)
    new_row = np.zeros(height + 1, np.int64)
    key = np.empty(height * width, np.int32)
    owner = np.empty(height * width, np.int32)
    total = np.empty(height * width)
    n = 0
    for y in range(height):
        for i in range(row[y], row[y + 1]):
            s = segment[i]
            base = offset[s]
            if offset[s + 1] - base == 1:
                new_starts[n], new_ends[n], owner[n] = starts[i], ends[i], s
                key[n], total[n] = group[base], run_sum[i]
                n += 1
                continue
            x = starts[i]
            g = group[base + step[y, x]]
            while x < ends[i]:
                new_starts[n], owner[n], key[n] = x, s, g
                here, run_total = g, 0.0
                while g == here:
                    run_total += np.float64(depth[y, x])
                    x += 1
                    if x == ends[i]:
                        break
                    g = group[base + step[y, x]]
                new_ends[n], total[n] = x, run_total
                n += 1
        new_row[y + 1] = n
    return Cut(new_starts[:n], new_ends[:n], new_row, key[:n], owner[:n], total[:n])


@_jit
def touching_pairs(starts: Array, ends: Array, row: Array, region: Array, small: Array) -> Array:
    """Pairs (a, b) of regions that touch, diagonally too, and of which one is small; they may repeat."""
    # Two rows of m and n runs touch at most 2(m + n) times; each row also has n - 1 pairs side by side.
    pairs = np.empty((5 * starts.size + 1, 2), np.int32)
    met = np.full(4096, -1)  # pairs of late, so that most repetitions are left out
    n = 0
    for y in range(row.size - 1):
        i, stop = row[y], row[y + 1]
        for k in range(i + 1, stop):
            if ends[k - 1] == starts[k]:
                a, b = region[k - 1], region[k]
                pair = np.int64(a) * small.size + b
                place = (31 * a + b) % met.size
                pairs[n, 0], pairs[n, 1] = a, b
                n += a != b and (small[a] or small[b]) and met[place] != pair
                met[place] = pair
        j, j_stop = (row[y - 1], row[y]) if y else (i, i)
        while i < stop and j < j_stop:
            if ends[j] < starts[i]:
                j += 1
                continue
            if starts[j] <= ends[i]:
                a, b = region[j], region[i]
                pair = np.int64(a) * small.size + b
                place = (31 * a + b) % met.size
                pairs[n, 0], pairs[n, 1] = a, b
                n += a != b and (small[a] or small[b]) and met[place] != pair
                met[place] = pair
            # What ends first has met all that it touches, but for a corner where both end in one column.
            if ends[i] == ends[j] and i + 1 < stop and starts[i + 1] == ends[j]:
                a, b = region[j], region[i + 1]
                pair = np.int64(a) * small.size + b
                place = (31 * a + b) % met.size
                pairs[n, 0], pairs[n, 1] = a, b
                n += a != b and (small[a] or small[b]) and met[place] != pair
                met[place] = pair
            if ends[j] <= ends[i]:
                j += 1
            else:
                i += 1
    return pairs[:n]


@_jit
def neighbour_lists(pairs: Array, small: Array) -> tuple[Array, Array, Array, Array]:
    """Linked lists of the small regions' neighbours: ``(head, tail, follow, other)``, -1 = end."""
    head = np.full(small.size, -1, np.int64)
    tail = np.full(small.size, -1, np.int64)
    follow = np.full(2 * len(pairs), -1, np.int64)
    other = np.empty(2 * len(pairs), np.int32)
    for n in range(2 * len(pairs)):
        a, b = pairs[n // 2, n % 2], pairs[n // 2, 1 - n % 2]
        other[n] = b
        if small[a]:
            if head[a] < 0:
                head[a] = n
            else:
                follow[tail[a]] = n
            tail[a] = n
    return head, tail, follow, other


@_jit
def join_small(
    links: tuple[Array, Array, Array, Array], area: Array, total: Array, owner: Array, min_size: int
) -> Array:
    """Merge regions below ``min_size``, smallest first; returns each region's survivor.

    The order is (area, sum of depth, first pixel) and a neighbour's rank (another segment, difference
    of mean depth, mean depth, first pixel): nothing but a true tie depends on where the frame begins.
    """
    head, tail, follow, other = links
    parent = np.arange(area.size)
    heap: Any = [(np.int64(0), 0.0, np.int64(-1))]
    heap.clear()
    for r in range(area.size):
        if area[r] < min_size:
            heap.append((np.int64(area[r]), total[r], np.int64(r)))
    heapq.heapify(heap)
    while len(heap) > 0:
        size, _, r = heapq.heappop(heap)
        if parent[r] != r or area[r] != size:
            continue  # it was merged or has grown since
        best: Any = -1
        best_rank = (True, np.inf, np.inf, 0)
        mean = total[r] / area[r]
        link = head[r]
        while link >= 0:
            t = find_root(parent, other[link])
            if t != r:
                t_mean = total[t] / area[t]
                rank = (owner[t] != owner[r], abs(t_mean - mean), t_mean, t)
                if best < 0 or rank < best_rank:
                    best, best_rank = t, rank
            link = follow[link]
        if best < 0:
            continue
        parent[r] = best
        area[best] += area[r]
        total[best] += total[r]
        if area[best] < min_size:
            follow[tail[best]] = head[r]
            tail[best] = tail[r]
            heapq.heappush(heap, (np.int64(area[best]), total[best], best))
    for r in range(area.size):
        parent[r] = find_root(parent, r)
    return parent


@_jit
def region_sums(runs: Cut, region: Array) -> tuple[Array, Array, Array]:
    """Area, sum of depth, and segment of each region, of which ``region`` says that of each run."""
    starts, ends, run_owner, run_total = runs.starts, runs.ends, runs.owner, runs.total
    n = region.max() + 1 if region.size else 0
    area = np.zeros(n, np.int64)
    total = np.zeros(n)
    owner = np.empty(n, np.int32)
    for i in range(region.size):
        r = region[i]
        area[r] += ends[i] - starts[i]
        total[r] += run_total[i]
        owner[r] = run_owner[i]
    return area, total, owner


@_jit
def merge_small(runs: Cut, region: Array, min_size: int) -> tuple[Array, Array]:
    """Survivor of each region after the small ones are merged, and every region's mean depth."""
    area, total, owner = region_sums(runs, region)
    if min_size > 1:
        small = area < min_size
        pairs = touching_pairs(runs.starts, runs.ends, runs.row, region, small)
        survivor = join_small(neighbour_lists(pairs, small), area, total, owner, min_size)
    else:
        survivor = np.arange(area.size)
    return survivor, total / area


@_jit
def _label(
    depth: Array, runs: Runs, component: Array, groups: Groups, min_size: int,
    maps: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    """Make regions of depth groups, merge the small ones, and write region, support and segment."""
    region, support, segment = maps
    starts, ends, row = runs.starts, runs.ends, runs.row
    cut = region_runs(depth, runs, component, groups)
    piece = connect(cut.starts, cut.ends, cut.row, cut.key, cut.starts.size)
    survivor, mean = merge_small(cut, piece, min_size)
    label = np.zeros(survivor.size, np.int32)
    n = 0
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            segment[y, starts[i] : ends[i]] = component[i] + 1
        for i in range(cut.row[y], cut.row[y + 1]):
            r = survivor[piece[i]]
            if label[r] == 0:
                n += 1
                label[r] = n
            region[y, cut.starts[i] : cut.ends[i]] = label[r]
            support[y, cut.starts[i] : cut.ends[i]] = mean[r]


@_jit
def default_region_support(
    depth: Array, key: Array, skip_zero: bool, bins: int, min_size: int, log: bool = False
) -> tuple[Array, Array, Array]:
    """Algorithm 1, default variant, on one frame.

    Parameters
    ----------
    depth
        (y, x) float32 or float64, metres; not finite or <= 0 is invalid.
    key
        (y, x) unsigned integer, equal where category (and instance) are equal; 0 = unlabelled.
    skip_zero
        Leave unlabelled pixels out instead of treating them as a category.
    bins, min_size
        Depth steps over the frame's range; smallest region that is kept.
    log
        Take steps of equal ratio: equal steps of the logarithm of depth.

    Returns
    -------
    region (y, x) int32, support (y, x) float32 and segment (y, x) int32, each 0 where there is none.
    """
    region = np.zeros(depth.shape, np.int32)
    maps = region, np.zeros(depth.shape, np.float32), np.zeros(depth.shape, np.int32)
    runs = segment_runs(depth, key, skip_zero)
    if runs.starts.size == 0:
        return maps
    component = connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    # Until regions are numbered their array holds the depth steps: another would cost as much as its pages.
    found = grouping.by_steps(depth, runs, component, bins, log, region)
    _label(depth, runs, component, found, min_size, maps)
    return maps


@_jit
def natural_region_support(
    depth: Array, key: Array, skip_zero: bool, bins: int, min_size: int, groups: int
) -> tuple[Array, Array, Array]:
    """Algorithm 1, default variant, with natural breaks instead of equal steps.

    ``groups`` is how many the frame gets in all, 0 = as many as ``bins`` equal steps would make of it;
    parameters and result are those of ``default_region_support`` otherwise.
    """
    region = np.zeros(depth.shape, np.int32)
    maps = region, np.zeros(depth.shape, np.float32), np.zeros(depth.shape, np.int32)
    runs = segment_runs(depth, key, skip_zero)
    if runs.starts.size == 0:
        return maps
    component = connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    if groups == 0:
        groups = grouping.by_steps(depth, runs, component, bins, False, region).group[-1] + 1
    found = natural_breaks.by_breaks(depth, runs, component, groups, region)
    _label(depth, runs, component, found, min_size, maps)
    return maps


@_jit
def _published_groups(values: Array, delta: float, group: Array, means: Array, n_groups: int) -> int:
    """Walk over one instance's depths; writes each value's group (-1 = none) and the groups' means.

    The bounds are sums of ``delta`` as the published code forms them, and the comparisons strict.
    """
    n = values.size
    low, high = values.min(), values.max()
    if high - low < 2 * delta:
        means[n_groups] = values.sum() / n
        group[:] = n_groups
        return n_groups + 1
    group[:] = -1
    average = n / ((high - low) / delta)
    start, end = low, low + delta
    while end < high:
        last = not end + delta < high
        stop = high if last else end
        population = 0
        total = 0.0
        for i in range(n):
            if start < values[i] < stop:
                population += 1
                total += values[i]
        if last or population > average:
            if population > 0:
                for i in range(n):
                    if start < values[i] < stop:
                        group[i] = n_groups
                means[n_groups] = total / population
                n_groups += 1
            if last:
                break
            start = end
        end = end + delta
    return n_groups


@_jit
def published_region_support(depth: Array, semantic: Array, bins: int) -> tuple[Array, Array, Array]:
    """Algorithm 1, published variant, on one frame.

    Parameters
    ----------
    depth
        (y, x) float64, metres, finite; every value counts as depth, 0 too.
    semantic
        (y, x) uint16; 0 = unlabelled.
    bins
        Depth steps over the frame's range.

    Returns
    -------
    region (y, x) int32, support (y, x) float64 and instance (y, x) int32, each 0 where there is none.
    """
    flat_depth, flat_semantic = depth.ravel(), semantic.ravel()
    delta = (flat_depth.max() - flat_depth.min()) / bins
    population = np.zeros(np.int64(flat_semantic.max()) + 1, np.int64)
    for i in range(flat_semantic.size):
        population[flat_semantic[i]] += 1
    # Pixels sorted by category, so that each instance is one stretch.
    begin = np.zeros(population.size + 1, np.int64)
    for c in range(population.size):
        begin[c + 1] = begin[c] + population[c]
    order = np.empty(flat_semantic.size, np.int64)
    fill = begin[:-1].copy()
    for i in range(flat_semantic.size):
        c = flat_semantic[i]
        order[fill[c]] = i
        fill[c] += 1
    values = flat_depth[order]
    group = np.full(flat_depth.size, -1, np.int64)
    means = np.empty((bins + 2) * population.size)
    instance = np.zeros(flat_depth.size, np.int32)
    n_groups, n_instances = 0, 0
    for c in range(population.size - 1, 0, -1):
        if population[c] == 0:
            continue
        n_instances += 1
        stretch = slice(begin[c], begin[c + 1])
        n_groups = _published_groups(values[stretch], delta, group[stretch], means, n_groups)
        instance[order[stretch]] = n_instances

    distinct = np.unique(means[:n_groups])[::-1]
    label = np.empty(n_groups, np.int32)
    for g in range(n_groups):
        label[g] = 0 if means[g] == 0 else distinct.size - np.searchsorted(distinct[::-1], means[g])
    region = np.zeros(flat_depth.size, np.int32)
    support = np.zeros(flat_depth.size)
    for i in range(order.size):
        if group[i] >= 0:
            region[order[i]] = label[group[i]]
            support[order[i]] = means[group[i]]
    shape = depth.shape
    return region.reshape(shape), support.reshape(shape), instance.reshape(shape)


@_jit
def _most_frequent(codes: Array, counts: Array, category: Array) -> None:
    """Set each region's category to its most frequent one, the smallest where several tie.

    ``codes`` (region << 16 | category) and ``counts`` have an entry for each run of pixels.
    """
    best = np.zeros(category.size, np.int64)
    order = np.argsort(codes)
    i = 0
    while i < order.size:
        code, count = codes[order[i]], np.int64(0)
        while i < order.size and codes[order[i]] == code:
            count += counts[order[i]]
            i += 1
        r = code >> 16
        if count > best[r]:
            best[r] = count
            category[r] = code & 0xFFFF


@_jit
def region_statistics(region: Array, depth: Array, semantic: Array, n: int) -> tuple[Array, ...]:
    """Category, area and depth's mean, variance, minimum and maximum of the regions 1..n of one frame.

    The category is the most frequent one of the region's pixels, the smallest id where several tie.

    Returns
    -------
    semantic uint16, area int32, mean float64, variance float64, minimum float32, maximum float32,
    each of length n.
    """
    area = np.zeros(n, np.int32)
    mean = np.zeros(n)
    variance = np.zeros(n)
    low = np.full(n, np.inf, np.float32)
    high = np.zeros(n, np.float32)
    category = np.zeros(n, np.uint16)
    mixed = np.zeros(n, np.bool_)
    flat_region, flat_depth, flat_semantic = region.ravel(), depth.ravel(), semantic.ravel()
    i = 0
    while i < flat_region.size:  # along stretches of one region, so that the sums stay in registers
        label, first = flat_region[i], i
        total, lo, hi = 0.0, np.float32(np.inf), np.float32(0)
        here, pure = flat_semantic[i], True
        while i < flat_region.size and flat_region[i] == label:
            d = flat_depth[i]
            total += d
            lo, hi = min(lo, d), max(hi, d)
            pure &= flat_semantic[i] == here
            i += 1
        r = label - 1
        if r >= 0:
            if area[r] == 0:
                category[r] = here
            mixed[r] |= not pure or category[r] != here
            area[r] += i - first
            mean[r] += total
            low[r] = min(low[r], lo)
            high[r] = max(high[r], hi)
    mean /= area
    # Runs of one category, for pixels are a hundred times as many and take longer to sort than all else here.
    codes = np.empty(flat_region.size if mixed.any() else 0, np.int64)
    counts = np.empty(codes.size, np.int64)
    i = m = 0
    while i < flat_region.size:
        label, first, total = flat_region[i], i, 0.0
        r = label - 1
        centre = mean[r] if r >= 0 else 0.0
        collect = r >= 0 and mixed[r]
        while i < flat_region.size and flat_region[i] == label:
            total += (flat_depth[i] - centre) ** 2
            i += 1
            if collect and (
                i == flat_region.size or flat_region[i] != label or flat_semantic[i] != flat_semantic[first]
            ):
                codes[m] = (np.int64(r) << 16) | np.int64(flat_semantic[first])
                counts[m] = i - first
                m += 1
                first = i
        if r >= 0:
            variance[r] += total
    variance /= area
    _most_frequent(codes[:m], counts[:m], category)
    return category, area, mean, variance, low, high


@_jit
def map_errors(estimate: Array, depth: Array) -> Array:
    """Sums over the valid pixels (depth > 0) of one frame's errors of ``estimate`` against ``depth``.

    Parameters
    ----------
    estimate, depth
        (y, x) float32, metres; an estimate of 0 counts as an error like any other.

    Returns
    -------
    (7,) float64: valid pixels, squared error, absolute relative error, squared relative error, and the
    number of pixels whose ratio is below 1.25, 1.25² and 1.25³.
    """
    n = squares = absolute = relative = below1 = below2 = below3 = 0.0
    flat_estimate, flat_depth = estimate.ravel(), depth.ravel()
    for i in range(flat_depth.size):
        q = np.float64(flat_depth[i])
        if q > 0 and q < np.inf:
            p = np.float64(flat_estimate[i])
            square = (p - q) * (p - q)
            n += 1
            squares += square
            absolute += abs(p - q) / q
            relative += square / q
            low, high = min(p, q), max(p, q)
            below1 += high < 1.25 * low
            below2 += high < 1.25**2 * low
            below3 += high < 1.25**3 * low
    return np.array([n, squares, absolute, relative, below1, below2, below3])


@_jit
def region_errors(estimate: Array, reference: Array, region: Array, depth: Array) -> tuple[Array, Array]:
    """Error of ``estimate`` against ``reference`` in each region of one frame that has a valid pixel.

    Parameters
    ----------
    estimate, reference
        (y, x) float, metres.
    region
        (y, x) integer, labels from 1; 0 = no region.
    depth
        (y, x) float, metres; where it is not > 0, pixels count in no region.

    Returns
    -------
    Root mean square (m) and variance (m²) of the error, float64, one a region in the order of labels.
    """
    n = region.max() + 1 if region.size else 0
    count, total, squares = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    flat_estimate, flat_reference = estimate.ravel(), reference.ravel()
    flat_region, flat_depth = region.ravel(), depth.ravel()
    for i in range(flat_region.size):
        r = flat_region[i]
        if r > 0 and flat_depth[i] > 0:
            error = np.float64(flat_estimate[i]) - np.float64(flat_reference[i])
            count[r] += 1
            total[r] += error
            squares[r] += error * error
    present = np.flatnonzero(count)
    mean_square = squares[present] / count[present]
    # Rounding may leave a variance of nothing a hair below it.
    variance = np.maximum(mean_square - (total[present] / count[present]) ** 2, 0)
    return np.sqrt(mean_square), variance
