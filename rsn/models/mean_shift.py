"""Regions from an embedding by flat-kernel mean shift (paper, section 2, Algorithm 2)."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rsgt.inputs import InputError
from rsgt.regions.compilation import jit

FRUITLESS_SEEDS = 20
NEW_SHARE = 0.8
CONVERGED = 1e-3
"""A mode that moves by less than this part of the bandwidth has arrived."""

LEADER_SAMPLE, LEADERS = 4096, 256

Points = npt.NDArray[np.float32]
Centres = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]


class Groups(NamedTuple):
    """Points (N, C), sorted by group; each group has a leader and the radius around it."""

    points: Points
    leaders: Centres
    radius: Centres
    start: Indices
    """The points of group g are start[g] to start[g + 1]."""


class Rules(NamedTuple):
    """The parameters of ``mean_shift``."""

    bandwidth: float
    max_steps: int
    min_pixels: int
    max_regions: int


def mean_shift(
    embedding: Tensor | npt.NDArray[np.floating[Any]],
    *,
    bandwidth: float = 0.16,
    max_steps: int = 10,
    min_pixels: int = 100,
    max_regions: int = 70,
) -> Labels:
    """Cluster the pixels of one image by their embedding.

    A seed is shifted to the mean of the pixels within ``bandwidth`` of it until it rests, at most
    ``max_steps`` times; the pixels within ``bandwidth`` of the mode are its mask. A mask below
    ``min_pixels`` is dropped. A mask of which more than 80 %, and more than ``min_pixels``, is not
    assigned yet becomes a region; otherwise what is not assigned joins the region that the mask
    overlaps most. It ends when every pixel is assigned, at ``max_regions``, or after 20 seeds in a row
    that brought fewer than ``min_pixels`` pixels. What is left goes to the nearest mode.

    Parameters
    ----------
    embedding
        (C, H, W), finite. A tensor on another device is copied to the CPU.
    bandwidth
        Radius of the kernel, in the unit of the embedding.

    Returns
    -------
    numpy.ndarray
        Labels (H, W), int32, 1 to R in the order in which the regions were found; all 1 where no
        region was.

    Raises
    ------
    InputError
        Where the embedding has another number of axes or is not finite.

    Notes
    -----
    Where the publication draws seeds at random, this visits pixels in steps of the golden ratio, which
    spreads seeds evenly over the image: the result is a function of the input alone. Distances are
    float64. Pixels are grouped beforehand around a few leaders, and a group is passed over where the
    triangle inequality puts all of it outside the kernel, which changes nothing but the time.
    Source: the paper, section 2, Algorithm 2.
    """
    array = embedding.detach().cpu().numpy() if isinstance(embedding, Tensor) else embedding
    if array.ndim != 3 or not np.isfinite(array).all():
        raise InputError(f"mean shift: got an embedding of {array.shape}, expected finite (C, H, W)")
    points = np.ascontiguousarray(array.reshape(array.shape[0], -1).T, dtype=np.float32)
    visits = _golden_order(len(points))
    groups, place = _grouped(points, visits[:LEADER_SAMPLE], reach=2 * bandwidth)
    labels: Labels = _search(groups, place[visits], Rules(bandwidth, max_steps, min_pixels, max_regions))
    return labels[place].reshape(array.shape[1:])


def _golden_order(count: int) -> Indices:
    """Every index below ``count`` once, each far from the ones shortly before it."""
    step = round(count * (np.sqrt(5) - 1) / 2)
    while np.gcd(step, count) != 1:
        step += 1
    order: Indices = np.arange(count, dtype=np.int64) * step % count
    return order


def _grouped(points: Points, sample: Indices, *, reach: float) -> tuple[Groups, Indices]:
    """Sort the points by group; return where each of them went, too."""
    leaders = _find_leaders(points, sample, reach, LEADERS)
    group = _nearest_leader(points, leaders, reach)
    order = np.argsort(group, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    points = points[order]
    start = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=len(leaders)))))
    return Groups(points, leaders, _radii(points, leaders, start), start), place


@jit(fastmath={"reassoc", "contract"})
def _squared_distance(point: Points | Centres, centre: Centres) -> float:
    total = 0.0
    for channel in range(centre.size):
        difference = point[channel] - centre[channel]
        total += difference * difference
    return total


@jit()
def _find_leaders(points: Points, sample: Indices, reach: float, limit: int) -> Centres:
    """Points of the sample that are farther than ``reach`` from every leader before them."""
    leaders = np.empty((limit, points.shape[1]))
    found = 0
    for index in sample:
        near = False
        for leader in range(found):
            if _squared_distance(points[index], leaders[leader]) <= reach * reach:
                near = True
                break
        if not near:
            leaders[found] = points[index]
            found += 1
            if found == limit:
                break
    return leaders[:found].copy()


@jit()
def _nearest_leader(points: Points, leaders: Centres, reach: float) -> npt.NDArray[np.uint16]:
    """Find a leader for each point: the previous point's where within reach, the nearest otherwise."""
    group = np.empty(len(points), np.uint16)
    leader = 0
    for index in range(len(points)):
        if _squared_distance(points[index], leaders[leader]) > reach * reach:
            leader = _nearest(points[index], leaders, len(leaders))
        group[index] = leader
    return group


@jit()
def _nearest(point: Points, centres: Centres, count: int) -> int:
    nearest, smallest = 0, np.inf
    for centre in range(count):
        distance = _squared_distance(point, centres[centre])
        if distance < smallest:
            nearest, smallest = centre, distance
    return nearest


@jit()
def _radii(points: Points, leaders: Centres, start: Indices) -> Centres:
    """Distance of each leader's farthest point."""
    radius = np.zeros(len(leaders))
    for group in range(len(leaders)):
        for index in range(start[group], start[group + 1]):
            radius[group] = max(radius[group], _squared_distance(points[index], leaders[group]))
    return np.sqrt(radius)


@jit()
def _within(groups: Groups, mode: Centres, bandwidth: float, members: Indices) -> Indices:
    """Write the indices of the points within the bandwidth of the mode into ``members``; return that part."""
    count = 0
    for group in range(len(groups.leaders)):
        # The margin covers the rounding of both distances.
        reach = (groups.radius[group] + bandwidth) * (1 + 1e-9)
        if _squared_distance(groups.leaders[group], mode) > reach * reach:
            continue
        for index in range(groups.start[group], groups.start[group + 1]):
            if _squared_distance(groups.points[index], mode) <= bandwidth * bandwidth:
                members[count] = index
                count += 1
    return members[:count]


@jit()
def _shift(groups: Groups, seed: int, rules: Rules, members: Indices) -> Centres:
    """Shift a point to its mode."""
    mode: Centres = groups.points[seed].astype(np.float64)
    for _ in range(rules.max_steps):
        mask = _within(groups, mode, rules.bandwidth, members)
        if len(mask) == 0:
            break
        mean = np.zeros_like(mode)
        for member in mask:
            for channel in range(mode.size):
                mean[channel] += groups.points[member, channel]
        mean /= len(mask)
        moved = _squared_distance(mean, mode)
        mode = mean
        if moved <= (CONVERGED * rules.bandwidth) ** 2:
            break
    return mode


@jit()
def _search(groups: Groups, seeds: Indices, rules: Rules) -> Labels:
    """Try the seeds in order; label every point."""
    labels = np.zeros(len(groups.points), np.int32)
    modes = np.empty((rules.max_regions, groups.points.shape[1]))
    members = np.empty(len(groups.points), np.int64)
    regions, fruitless = 0, 0
    for seed in seeds:
        if labels[seed]:
            continue
        if regions == rules.max_regions or fruitless == FRUITLESS_SEEDS:
            break
        mode = _shift(groups, seed, rules, members)
        mask = _within(groups, mode, rules.bandwidth, members)
        label, gain = _label_of(labels, mask, regions, rules.min_pixels)
        if label > regions:
            modes[regions] = mode
            regions = label
        if label:
            for member in mask:
                if labels[member] == 0:
                    labels[member] = label
        fruitless = fruitless + 1 if gain < rules.min_pixels else 0
    for index in range(len(labels)):
        if labels[index] == 0:
            labels[index] = 1 + _nearest(groups.points[index], modes, regions)
    return labels


@jit()
def _label_of(labels: Labels, mask: Indices, regions: int, min_pixels: int) -> tuple[int, int]:
    """Which label the unassigned points of a mask get (0 = none), and how many there are."""
    overlap = np.zeros(regions + 1, np.int64)
    for member in mask:
        overlap[labels[member]] += 1
    new = int(overlap[0])
    if len(mask) >= min_pixels and new > NEW_SHARE * len(mask) and new > min_pixels:
        return regions + 1, new
    overlap[0] = 0
    label = int(np.argmax(overlap))
    if len(mask) < min_pixels or overlap[label] == 0:
        return 0, 0
    return label, new
