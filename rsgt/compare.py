"""How well partitions explain the depth: the paper's Figure 2 in numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsgt.guidance import Frame, Partition, partitions
from rsgt.schema import InputError
from rsgt.store import Store

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]

DEFAULT_SAMPLE = 100
COUNTS = (50, 100, 400)
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


def rand_index(a: Array, b: Array) -> float:
    """Return the adjusted Rand index of two labellings (pixel,) of small integers from 0; 1 = the same.

    Source: Hubert and Arabie, "Comparing partitions", 1985.
    """

    def pairs(labels: Array) -> float:
        count = np.bincount(labels).astype(np.float64)
        return float((count * (count - 1)).sum() / 2)

    of_a, of_b = pairs(a), pairs(b)
    both = pairs(a.astype(np.int64) * (int(b.max()) + 1) + b)
    chance = of_a * of_b / max(1.0, a.size * (a.size - 1.0) / 2)
    most = (of_a + of_b) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def measure(region: Array, goal: Target) -> dict[str, float]:
    """Measure one partition of one frame.

    Parameters
    ----------
    region
        (y, x) integer, region labels; 0 = no region, whose pixels count with depth 0, as in the paper.
    goal
        The frame.

    Returns
    -------
    One value for each of ``MEASURES``; NaN where there is none:

    regions, coverage
        Regions with valid depth; share of the valid pixels that have a region.
    rmse, abs_rel, delta1
        Error of the regions' mean depths against the depth (m, 1, 1); δ1 counts ratios below 1.25.
    rmse_log
        Root mean square error of the natural logarithm of depth, over the pixels that have a region.
    explained_variation
        1 - squared error / squared deviation from the frame's mean depth. Source: Moore et al.,
        "Superpixel lattices", 2008.
    spread_median, spread_p95
        Standard deviation of depth in the region that a pixel lies in, over pixels (m).
    edge_recall, cross_share
        As the functions of these names say.
    agreement
        Adjusted Rand index with the reference over the valid pixels.
    """
    found = dict.fromkeys(MEASURES, float("nan"))
    label, d = region[goal.valid], goal.depth
    if not d.size:
        return found
    area = np.bincount(label)
    mean = np.bincount(label, d) / np.maximum(area, 1)
    mean[0] = 0
    estimate = mean[label]
    error = d - estimate
    squares = np.bincount(label, error * error)
    deviation = d.size * d.var()
    found["rmse"] = float(np.sqrt(squares.sum() / d.size))
    found["abs_rel"] = float(np.mean(np.abs(error) / d))
    found["delta1"] = float(np.mean((d < 1.25 * estimate) & (estimate < 1.25 * d)))
    found["explained_variation"] = 1 - float(squares.sum() / deviation) if deviation else float("nan")
    found["coverage"] = float(area[1:].sum() / d.size)
    found["agreement"] = rand_index(label, goal.reference)
    found["edge_recall"] = edge_recall(region, goal)
    present = np.flatnonzero(area[1:]) + 1
    found["regions"] = present.size
    if present.size:
        spread = np.sqrt(squares[present] / area[present])
        logarithm = np.log(estimate[label > 0] / d[label > 0])
        found["rmse_log"] = float(np.sqrt(np.mean(logarithm**2)))
        found["spread_median"] = weighted_quantile(spread, area[present], 0.5)
        found["spread_p95"] = weighted_quantile(spread, area[present], 0.95)
        found["cross_share"] = cross_share(region, goal, present)
    return found


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` measured.

    Attributes
    ----------
    frame : int array
        Positions in the store of the frames that were compared.
    partitions, values : list, float array
        The partitions, and (partition, frame, measure) with measures in the order of ``MEASURES``.
    """

    frame: Array
    partitions: list[Partition]
    values: Array

    def rows(self) -> list[dict[str, Any]]:
        """Means over the frames, one row a partition, as plain JSON types; None = not to be had."""
        return [
            {"name": p.name, "parameter": p.parameter, **_plain(_frame_mean(values))}
            for p, values in zip(self.partitions, self.values, strict=True)
        ]

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of each family by ascending number of regions, a family of one setting being a point."""
        families: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows():
            families.setdefault(row["name"], []).append(row)
        return {name: sorted(rows, key=lambda row: row["regions"] or 0) for name, rows in families.items()}

    def at_count(self, count: float) -> list[dict[str, Any]]:
        """Read each family's curve at ``count`` regions a frame; families that do not reach it are left out.

        Between two settings a measure runs straight over the logarithm of the mean number of regions.
        """
        found = []
        for name, rows in self.curves().items():
            counts = [row["regions"] or 0 for row in rows]
            if len(rows) > 1 and counts[0] <= count <= counts[-1]:
                known = {key: np.array([row[key] for row in rows], float) for key in MEASURES[1:]}
                at = {key: np.interp(np.log(count), np.log(counts), known[key]) for key in known}
                found.append({"name": name, "parameter": "", "regions": float(count), **_plain(at)})
        return found

    def document(self) -> dict[str, Any]:
        """Return the whole comparison as plain JSON types."""
        rows = self.rows()
        own = [row["regions"] for row in rows if row["name"] == "this store" and row["regions"]]
        counts = [{"regions": n, "rows": self.at_count(n)} for n in sorted({*map(float, COUNTS), *own})]
        return {"frames": len(self.frame), "edge_ratio": EDGE_RATIO, "rows": rows, "equal_counts": counts}


def _plain(values: dict[str, Any]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _frame_mean(values: Array) -> dict[str, float]:
    """Mean of (frame, measure) over the frames that have the measure."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return dict(zip(MEASURES, total / known.sum(axis=0), strict=True))


def sample_frames(store: Store, size: int, seed: int = 0) -> Array:
    """Draw ``size`` frames' positions in a store, in ascending order; all of them where it holds no more."""
    if size < 1:
        raise InputError(f"sample: got {size}, expected at least 1")
    return np.sort(np.random.default_rng(seed).choice(len(store), min(size, len(store)), replace=False))


def named_frames(store: Store, numbers: Sequence[int]) -> Array:
    """Positions in a store of the frames with these numbers (from 1, as in their source), ascending."""
    position = {int(number): k for k, number in enumerate(store.frame_id)}
    for number in numbers:
        if number not in position:
            raise InputError(f"frames: frame {number} is not in the store; `rsgt info` says how many are")
    return np.sort([position[number] for number in numbers])


def compare(
    store: Store, frames: Array, workers: int | None = None, progress: Progress | None = None
) -> Comparison:
    """Measure every partition of ``guidance.partitions`` on some frames of a store.

    Parameters
    ----------
    store
        A finished store.
    frames
        Positions in the store, for example ``sample_frames``'.
    workers
        Threads; default one per core. Each works on one frame at a time.
    progress
        Called with (frames done, frames in all).

    Raises
    ------
    InputError
        Where scikit-image is missing.
    """
    names: Any = store.array("semantic").attrs["class_names"]
    chosen = partitions(list(names))
    done = iter(range(1, len(frames) + 1))

    def work(k: int) -> list[list[float]]:
        rgb, depth, semantic, instance, region = (
            store.read(name, k, k + 1)[0] for name in ("rgb", "depth", "semantic", "instance", "region")
        )
        frame, goal = Frame(rgb, depth, semantic, instance, region), target(depth, region)
        found = [[*measure(p.regions(frame), goal).values()] for p in chosen]
        if progress:
            progress(next(done), len(frames))
        return found

    tasks = [dask.delayed(work, pure=False)(int(k)) for k in frames]
    values = dask.compute(*tasks, scheduler="threads", num_workers=workers, optimize_graph=False)
    return Comparison(frames, chosen, np.array(values).transpose(1, 0, 2))


PANELS = {
    "rmse": "RMSE of region means (m)",
    "explained_variation": "explained variation",
    "edge_recall": "recall of depth edges",
    "cross_share": "regions across a depth edge",
}


def plot(comparison: Comparison, path: Path) -> None:
    """Draw four measures over the number of regions: a curve a family, a point where it has no setting."""
    from matplotlib.figure import Figure  # here, since it takes longer to import than all the rest

    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for axes, (measure_name, title) in zip(panels, PANELS.items(), strict=True):
        for k, (name, rows) in enumerate(comparison.curves().items()):
            x, y = ([row[key] for row in rows] for key in ("regions", measure_name))
            look = {"color": f"C{k % 10}", "marker": "os^vD"[k % 5], "markersize": 5}
            axes.plot(x, y, "-" if len(rows) > 1 else "", label=name, **look)
        axes.set(xscale="log", xlabel="regions per frame", title=title)
        axes.grid(alpha=0.3)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)
