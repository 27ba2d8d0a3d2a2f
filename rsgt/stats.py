"""How well a store's region support stands for its depth: per frame, and over the store."""

from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import numpy.typing as npt

from rsgt import kernels, schema
from rsgt.schema import InputError
from rsgt.store import Store

Array = npt.NDArray[Any]

ERRORS = ("rmse", "abs_rel", "sq_rel", "delta1", "delta2", "delta3")


@dataclass(frozen=True)
class Statistics:
    """Figures of the support map against the depth, one value a frame.

    Attributes
    ----------
    frame : int array
        Position in the store.
    regions : int array
        Number of regions.
    valid, covered : int array
        Pixels with valid depth, and those of them that have a region.
    errors : dict of float arrays
        Keys of ``ERRORS``: the support against the depth over the valid pixels; ``rmse`` in metres.
    region_rmse, region_variance : float array
        Mean over the frame's regions of the root mean square error (m) and of the error's variance (m²).
        Source: the paper, "Per-region statistics"; for a region's own mean depth the two follow from the
        variance of its depth, which the regions' table holds.
    """

    frame: Array
    regions: Array
    valid: Array
    covered: Array
    errors: dict[str, Array]
    region_rmse: Array
    region_variance: Array

    def summary(self) -> dict[str, Any]:
        """Means over the frames as plain JSON types; frames without a region are left out of region means."""
        rmse, variance = float(np.nanmean(self.region_rmse)), float(np.nanmean(self.region_variance))
        return {
            "frames": len(self.frame),
            "regions": int(self.regions.sum()),
            "regions_per_frame": float(np.median(self.regions)),
            "coverage": float(self.covered.sum() / max(1, self.valid.sum())),
            "pixel_rmse": float(np.nanmean(self.errors["rmse"])),
            **{name: float(np.nanmean(self.errors[name])) for name in ERRORS[1:]},
            "region_rmse": rmse,
            "region_variance": variance,
            "instability": variance / rmse if rmse > 0 else 0.0,
        }


def select_frames(store: Store, split: str | None) -> Array:
    """Positions of a split's frames in the store; all for None."""
    if split is None:
        return np.arange(len(store))
    if split not in schema.SPLITS:
        raise InputError(f"split: got {split!r}, expected {' or '.join(schema.SPLITS)}")
    frames = np.flatnonzero(store.split == schema.SPLITS[split])
    if not frames.size:
        raise InputError(f"{store.path}: no frame is in split {split!r}")
    return frames


def _pixel_sums(store: Store, start: int, stop: int) -> Array:
    """Return ``kernels.map_errors`` of the support and, last, the covered pixels: (frames, 8)."""
    depth, support = store.read("depth", start, stop), store.read("support", start, stop)
    region = store.read("region", start, stop)
    return np.array(
        [
            [*kernels.map_errors(support[i], depth[i]), np.count_nonzero((region[i] > 0) & (depth[i] > 0))]
            for i in range(stop - start)
        ]
    )


def statistics(store: Store, split: str | None = None, workers: int | None = None) -> Statistics:
    """Compare the support of a store with its depth, shard by shard.

    Parameters
    ----------
    store
        A finished store.
    split
        ``"train"``, ``"test"`` or None for all frames.
    workers
        Threads; default one per core. Each holds one part of a shard at a time.
    """
    frames = select_frames(store, split)
    part = min(store.shard_frames, 16)
    bounds = [(a, min(a + part, len(store))) for a in range(0, len(store), part)]
    wanted = [(a, b) for a, b in bounds if np.any((frames >= a) & (frames < b))]
    tasks = [dask.delayed(_pixel_sums, pure=False)(store, a, b) for a, b in wanted]
    parts = dask.compute(*tasks, scheduler="threads", num_workers=workers, optimize_graph=False)
    positions = np.concatenate([np.arange(a, b) for a, b in wanted])
    sums = np.concatenate(parts)[np.searchsorted(positions, frames)]

    start = store.region_start
    variance = np.asarray(store.array("regions/depth_variance")[:])
    count = np.diff(start)
    owner = np.repeat(np.arange(len(store)), count)
    with np.errstate(invalid="ignore"):  # a frame without valid pixels or regions has no mean: NaN
        mean_rmse = np.bincount(owner, np.sqrt(variance), len(store)) / np.where(count, count, np.nan)
        mean_variance = np.bincount(owner, variance, len(store)) / np.where(count, count, np.nan)
        valid = np.where(sums[:, 0] > 0, sums[:, 0], np.nan)
        ratios = sums[:, 1:7] / valid[:, None]
    ratios[:, 0] = np.sqrt(ratios[:, 0])
    return Statistics(
        frame=frames,
        regions=count[frames],
        valid=sums[:, 0].astype(np.int64),
        covered=sums[:, 7].astype(np.int64),
        errors=dict(zip(ERRORS, ratios.T, strict=True)),
        region_rmse=mean_rmse[frames],
        region_variance=mean_variance[frames],
    )
