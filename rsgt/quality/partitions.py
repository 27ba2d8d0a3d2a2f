"""How well one partition of a frame explains its depth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsgt.quality.metrics import adjusted_rand

Array = npt.NDArray[Any]

EDGE_RATIO = 1.1

MEASURES = (
    "regions", "rmse", "rmse_log", "abs_rel", "delta1", "explained_variation", "spread_median", "spread_p95",
    "edge_recall", "cross_share", "coverage", "agreement",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a frame's partitions are measured against; made by ``target``.

    Attributes
    ----------
    valid : bool array (y, x)
        Where there is depth.
    depth : float64 array (pixel,)
        Depth of the valid pixels in metres.
    right, down : bool arrays (y, x - 1), (y - 1, x)
        Depth edges: pairs of a pixel and its right or lower neighbour, both valid, whose depths have a
        ratio above ``EDGE_RATIO``. Source: the occluding contours of Bochkovskii et al., "Depth Pro",
        2024, which take ratios from 1.05 to 1.25.
    reference : int array (pixel,)
        The partition that ``agreement`` is with, at the valid pixels.
    """

    valid: Array
    depth: Array
    right: Array
    down: Array
    reference: Array


def target(depth: Array, reference: Array) -> Target:
    """Prepare a frame of (y, x) depth in metres, 0 = none, and a (y, x) partition to compare with."""

    def jumps(a: Array, b: Array) -> Array:
        return (np.minimum(a, b) > 0) & (np.maximum(a, b) > EDGE_RATIO * np.minimum(a, b))

    valid = depth > 0
    return Target(
        valid=valid,
        depth=depth[valid].astype(np.float64),
        right=jumps(depth[:, :-1], depth[:, 1:]),
        down=jumps(depth[:-1], depth[1:]),
        reference=reference[valid],
    )


def _pixels(right: Array, down: Array) -> Array:
    """Mark the left or upper pixel of each marked pair, (y, x) bool."""
    marked = np.zeros((right.shape[0], down.shape[1]), bool)
    marked[:, :-1] |= right
    marked[:-1] |= down
    return marked


def edge_recall(region: Array, goal: Target) -> float:
    """Share of the depth edges' pixels that a border of the regions comes near; NaN where there is no edge.

    Near is within 0.0025 of the image's diagonal along either axis (2 pixels of 640x480), as usual for
    superpixels. Source: Stutz, Hermans and Leibe, "Superpixels: an evaluation", 2018.
    """
    wanted = _pixels(goal.right, goal.down)
    if not wanted.any():
        return float("nan")
    border = _pixels(region[:, :-1] != region[:, 1:], region[:-1] != region[1:])
    reach = 2 * round(0.0025 * float(np.hypot(*region.shape))) + 1
    near = ndimage.maximum_filter(border, size=reach, mode="constant")
    return float(near[wanted].mean())


def cross_share(region: Array, goal: Target, present: Array) -> float:
    """Share of the regions ``present`` (their labels) that hold both sides of a depth edge."""
    across = region[:, :-1][goal.right & (region[:, :-1] == region[:, 1:])]
    along = region[:-1][goal.down & (region[:-1] == region[1:])]
    crossing = np.zeros(region.max() + 1, bool)
    crossing[across] = crossing[along] = True
    return float(crossing[present].mean())


def weighted_quantile(values: Array, weights: Array, share: float) -> float:
    """Return the smallest value such that those up to it hold at least ``share`` of the weight."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


def measure(region: Array, goal: Target, support: Array | None = None) -> dict[str, float]:
    """Measure one partition of one frame.

    Parameters
    ----------
    region
        (y, x) integer, region labels; 0 = no region, whose pixels count with depth 0, as in the paper.
    goal
        The frame.
    support
        (y, x) metres, what the regions stand for the depth by, such as that of their planes; None = their
        mean depths.

    Returns
    -------
    One value for each of ``MEASURES``; NaN where there is none:

    regions, coverage
        Regions with valid depth; share of the valid pixels that have a region.
    rmse, abs_rel, delta1
        Error of the support against the depth (m, 1, 1); δ1 counts ratios below 1.25.
    rmse_log
        Root mean square error of the natural logarithm of depth, over the pixels that have a region.
    explained_variation
        1 - squared error / squared deviation from the frame's mean depth. Source: Moore et al.,
        "Superpixel lattices", 2008.
    spread_median, spread_p95
        Root mean square of depth about the support in the region that a pixel lies in, over pixels (m): the
        standard deviation of depth, where the support is its mean.
    edge_recall, cross_share
        As the functions of these names say.
    agreement
        Adjusted Rand index with the reference over the valid pixels.
    """
    found = explained(region, goal, support) | borders(region, goal)
    return {name: found[name] for name in MEASURES}


def explained(region: Array, goal: Target, support: Array | None = None) -> dict[str, float]:
    """Give those of ``MEASURES`` that depend on what the regions stand for the depth by, and their number."""
    found = dict.fromkeys((*MEASURES[:8], "coverage"), float("nan"))
    label, d = region[goal.valid], goal.depth
    if not d.size:
        return found
    area = np.bincount(label)
    if support is None:
        mean = np.bincount(label, d) / np.maximum(area, 1)
        mean[0] = 0
        estimate = mean[label]
    else:
        estimate = np.where(label > 0, support[goal.valid].astype(np.float64), 0)
    error = d - estimate
    squares = np.bincount(label, error * error)
    deviation = d.size * d.var()
    found["rmse"] = float(np.sqrt(squares.sum() / d.size))
    found["abs_rel"] = float(np.mean(np.abs(error) / d))
    found["delta1"] = float(np.mean((d < 1.25 * estimate) & (estimate < 1.25 * d)))
    found["explained_variation"] = 1 - float(squares.sum() / deviation) if deviation else float("nan")
    found["coverage"] = float(area[1:].sum() / d.size)
    present = np.flatnonzero(area[1:]) + 1
    found["regions"] = present.size
    if present.size:
        spread = np.sqrt(squares[present] / area[present])
        logarithm = np.log(estimate[label > 0] / d[label > 0])
        found["rmse_log"] = float(np.sqrt(np.mean(logarithm**2)))
        found["spread_median"] = weighted_quantile(spread, area[present], 0.5)
        found["spread_p95"] = weighted_quantile(spread, area[present], 0.95)
    return found


def borders(region: Array, goal: Target) -> dict[str, float]:
    """Give those of ``MEASURES`` that depend on where the regions lie alone."""
    found = dict.fromkeys(("edge_recall", "cross_share", "agreement"), float("nan"))
    label = region[goal.valid]
    if not label.size:
        return found
    found["agreement"] = adjusted_rand(label, goal.reference)
    found["edge_recall"] = edge_recall(region, goal)
    present = np.flatnonzero(np.bincount(label)[1:]) + 1
    if present.size:
        found["cross_share"] = cross_share(region, goal, present)
    return found
