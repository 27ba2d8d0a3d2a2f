"""Figures of each category from the regions' table alone, in one pass over it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.quality.metrics import instability
from rsgt.quality.region_rows import RegionRows

Array = npt.NDArray[Any]

_CATEGORIES = 1 << 16
_SUMS = ("region_rmse", "region_variance", "depth")


def category_rows(rows: RegionRows) -> list[dict[str, Any]]:
    """One row a category that has regions, by id.

    ``region_rmse`` and ``region_variance`` are means over the category's regions of all frames, and
    ``instability`` their ratio, None where nothing errs; ``pixels`` and ``share`` count the pixels of those
    regions, ``region_area`` is the median and ``depth_mean`` goes over pixels. Fitted columns are means over
    the regions that have a value, NaN where none has.
    """
    frames, regions, pixels = np.zeros((3, _CATEGORIES), np.int64)
    sums = {name: np.zeros(_CATEGORIES) for name in (*_SUMS, *rows.fitted)}
    known = {name: np.zeros(_CATEGORIES, np.int64) for name in rows.fitted}
    areas, times = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for block in rows.blocks(rows.names):
        columns, of = block.columns, block.columns["semantic"].astype(np.int64)
        area = columns["area"].astype(np.int64)
        # Frames are whole in a block: each category is counted once in each.
        frames += np.bincount(np.unique(block.owner * _CATEGORIES + of) % _CATEGORIES, minlength=_CATEGORIES)
        regions += np.bincount(of, minlength=_CATEGORIES)
        pixels += np.bincount(of, area, _CATEGORIES).astype(np.int64)
        sums["depth"] += np.bincount(of, area * columns["depth_mean"], _CATEGORIES)
        for name in ("rmse", "variance"):
            sums[f"region_{name}"] += np.bincount(of, columns[f"support_{name}"], _CATEGORIES)
        for name in rows.fitted:
            there = ~np.isnan(columns[name])
            sums[name] += np.bincount(of[there], columns[name][there], _CATEGORIES)
            known[name] += np.bincount(of[there], minlength=_CATEGORIES)
        areas, times = _counted(areas, times, of << 32 | area)
    total = int(pixels.sum())
    found = []
    for k in np.flatnonzero(regions).tolist():
        mean = {name: float(sums[name][k] / regions[k]) for name in ("region_rmse", "region_variance")}
        mine = slice(*np.searchsorted(areas, [k << 32, k + 1 << 32]).tolist())
        found.append({
            "category": k,
            "name": "",
            "frames": int(frames[k]),
            "regions": int(regions[k]),
            "pixels": int(pixels[k]),
            "share": int(pixels[k]) / total,
            "region_area": _median(areas[mine] - (k << 32), times[mine]),
            "depth_mean": float(sums["depth"][k] / pixels[k]),
            **mean,
            "instability": instability({"rmse": mean["region_rmse"], "variance": mean["region_variance"]}),
            **{name: _ratio(float(sums[name][k]), int(known[name][k])) for name in known},
        })  # fmt: skip
    return found


def _counted(values: Array, times: Array, more: Array) -> tuple[Array, Array]:
    """Add values to those that were counted: which there are, ascending, and how often each."""
    new, often = np.unique(more, return_counts=True)
    found, where = np.unique(np.concatenate([values, new]), return_inverse=True)
    return found, np.bincount(where, np.concatenate([times, often]), len(found)).astype(np.int64)


def _ratio(total: float, count: int) -> float:
    return total / count if count else float("nan")


def _median(values: Array, times: Array) -> float:
    """Median of values that are there so many times each."""
    upto = np.cumsum(times)
    below, above = np.searchsorted(upto, [(upto[-1] - 1) // 2, upto[-1] // 2], side="right")
    return (float(values[below]) + float(values[above])) / 2
