"""How well a store's region support stands for its depth: per frame, per category, and over the store."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.files import write_figure
from rsgt.inputs import InputError, local_path
from rsgt.parallel import map_threads
from rsgt.quality import planar_columns
from rsgt.quality.evaluation.maps import open_maps
from rsgt.quality.metrics import instability
from rsgt.quality.normals import known_intrinsics
from rsgt.quality.planes import RegionPlanes, region_planes
from rsgt.regions import kernels
from rsgt.store import schema
from rsgt.store.predictions import MapError, refuse_other_unit
from rsgt.store.reader import Store, as_store

Array = npt.NDArray[Any]
Row = dict[str, Any]

ERRORS = ("rmse", "abs_rel", "sq_rel", "delta1", "delta2", "delta3")
AGAINST = ("depth", "support")
QUANTILES = {"minimum": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1.0}
DISTRIBUTIONS = {
    "regions_per_frame": "regions per frame",
    "region_area": "pixels per region",
    "region_spread": "standard deviation of depth in a region (m)",
}
PLANES = RegionPlanes._fields
"""Figures of planes, where they are asked for: columns of the regions' table, means of these elsewhere."""

_FIGURES = 9
"""Figures of a predicted map against one other: ``kernels.map_errors`` and the two regional ones."""

_PART = 32
"""Frames read at once: zarr decodes whole shards at twice the rate of single frames."""


@dataclass(frozen=True, kw_only=True)
class MapErrors:
    """Errors of one map against another, one value a frame; NaN where the frame has none.

    Attributes
    ----------
    errors : dict of float arrays
        Keys of ``ERRORS``, over the valid pixels; ``rmse`` and ``sq_rel`` in metres.
    region_rmse, region_variance : float array
        Mean over the frame's regions of the root mean square error (m) and of the error's variance (m²).
        Source: the paper, "Per-region statistics".
    """

    errors: dict[str, Array]
    region_rmse: Array
    region_variance: Array

    def summary(self) -> dict[str, Any]:
        """Means over the frames that have the figure."""
        rmse, variance = _mean(self.region_rmse), _mean(self.region_variance)
        return {
            "rmse": _mean(self.errors["rmse"]),
            **{name: _mean(self.errors[name]) for name in ERRORS[1:]},
            "region_rmse": rmse,
            "region_variance": variance,
            "instability": instability({"rmse": rmse, "variance": variance}),
        }

    def columns(self, prefix: str = "") -> dict[str, Array]:
        """Columns of a table with a row a frame."""
        regional = {"region_rmse": self.region_rmse, "region_variance": self.region_variance}
        return {prefix + name: values for name, values in (self.errors | regional).items()}


@dataclass(frozen=True, kw_only=True)
class Statistics(MapErrors):
    """Figures of a store's support against its depth, one value a frame.

    The two regional figures are of the regions' table: for a region's own mean depth they follow from the
    variance of its depth, and planes have columns of their own.

    Attributes
    ----------
    frame, number, split : int array
        Position in the store, number (from 1) in the source, 0 = train and 1 = test.
    regions : int array
        Number of regions.
    valid, covered : int array
        Pixels with valid depth, and those of them that have a region.
    table : dict of arrays
        The regions of these frames: columns ``semantic``, ``area``, ``depth_mean`` and ``depth_variance`` of
        ``schema.REGION_ARRAYS``, ``support_rmse`` and ``support_variance``, and ``owner``, the place of the
        region's frame in ``frame``; those of ``PLANES`` (m, degrees), where they were asked for.
    class_names : list of str
        Names of the categories 1, 2, ….
    prediction : dict of MapErrors
        A predicted map against the depth and against the support, keys of ``AGAINST``; empty without one.
    maps : dict
        What was read of predicted maps, as a record of ``rsgt.evaluate`` says it; empty without any.
    skipped : list of str
        Why a frame's predicted map was not judged, a line a frame.
    """

    frame: Array
    number: Array
    split: Array
    regions: Array
    valid: Array
    covered: Array
    table: dict[str, Array]
    class_names: list[str]
    prediction: dict[str, MapErrors]
    maps: dict[str, Any]
    skipped: list[str]

    def summary(self) -> dict[str, Any]:
        """Return the store's figures: counts and means over the frames."""
        return {
            "frames": len(self.frame),
            "regions": int(self.regions.sum()),
            "regions_per_frame": float(np.median(self.regions)),
            "coverage": float(self.covered.sum() / max(1, self.valid.sum())),
            **super().summary(),
            **{name: _mean(values) for name, values in self.planes().items()},
        }

    def planes(self) -> dict[str, Array]:
        """Means over the regions of each frame of ``PLANES``, NaN where it has none; empty without them."""
        found = {}
        for name in PLANES:
            if name in self.table:
                known = ~np.isnan(self.table[name])
                owner, frames = self.table["owner"][known], len(self.frame)
                with np.errstate(invalid="ignore"):
                    total = np.bincount(owner, self.table[name][known], frames)
                    found[name] = total / np.bincount(owner, minlength=frames)
        return found

    def document(self) -> dict[str, Any]:
        """Return summary, distributions and what was found of a prediction, as plain JSON types.

        None is what no frame has.
        """
        found = _plain(self.summary())
        found["distributions"] = {name: _quantiles(values) for name, values in self.distributions().items()}
        if self.prediction:
            against = {f"against_{name}": _plain(e.summary()) for name, e in self.prediction.items()}
            found["prediction"] = against
            found["maps"] = self.maps
            found["skipped"] = self.skipped
        return found

    def distributions(self) -> dict[str, Array]:
        """Values under the keys of ``DISTRIBUTIONS``, one a frame or one a region; and of planes, theirs."""
        return {
            "regions_per_frame": self.regions,
            "region_area": self.table["area"],
            "region_spread": np.sqrt(self.table["depth_variance"]),
            **{name: values[~np.isnan(values)] for name, values in self.table.items() if name in PLANES},
            **planar_columns.distributions(self.table),
        }

    def frames(self) -> list[Row]:
        """One row a frame: its number in the source, split, counts and errors; None where it has no depth."""
        columns = {
            "frame": self.number,
            "split": np.array(list(schema.SPLITS))[self.split],
            "regions": self.regions,
            "valid": self.valid,
            "covered": self.covered,
            **self.columns(),
            **self.planes(),
        }
        for name, errors in self.prediction.items():
            columns |= errors.columns(f"prediction_{name}_")
        return [
            _plain(dict(zip(columns, row, strict=True)))
            for row in zip(*(column.tolist() for column in columns.values()), strict=True)
        ]

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw distributions, and frames' errors over their regions, into a picture file."""
        from matplotlib.figure import Figure  # here, since it takes longer to import than all the rest

        from rsgt.page.pictures import check_suffix

        path = local_path(path)
        check_suffix(path)
        figure = Figure(figsize=(11, 8), layout="constrained")
        panels = figure.subplots(2, 2).ravel()
        distributions = self.distributions()
        for axes, name in zip(panels, DISTRIBUTIONS, strict=False):
            values = distributions[name]
            # Below a millimetre of spread there is only rounding.
            shown = np.maximum(values, 1e-3) if name == "region_spread" else values
            log = name != "regions_per_frame" and values.size > 0
            bars = np.geomspace(shown.min(), 1.001 * shown.max(), 60) if log else 40
            axes.hist(shown, bars, color="#0f766e")
            axes.set(xscale="log" if log else "linear", xlabel=DISTRIBUTIONS[name])
            axes.set_ylabel("frames" if name == "regions_per_frame" else "regions")
        panels[3].scatter(self.regions, self.errors["rmse"], s=8, alpha=0.4, color="#0f766e")
        panels[3].set(xlabel="regions of the frame", ylabel="RMSE of the support (m)")
        for axes in panels:
            axes.spines[["top", "right"]].set_visible(False)
        write_figure(path, figure, dpi=120)

    def categories(self) -> list[Row]:
        """One row a category that has regions, by id; from the regions' table alone.

        ``region_rmse`` and ``region_variance`` are means over the category's regions of all frames, and
        ``instability`` their ratio, None where nothing errs; ``pixels`` and ``share`` count the pixels of
        those regions, ``region_area`` is the median and ``depth_mean`` goes over pixels.
        """
        if not self.table["semantic"].size:
            return []
        order = np.argsort(self.table["semantic"], kind="stable")
        table = {name: values[order] for name, values in self.table.items()}
        present, first = np.unique(table["semantic"], return_index=True)
        rows = []
        for k, begin, end in zip(present.tolist(), first, [*first[1:], order.size], strict=True):
            mine = {name: values[begin:end] for name, values in table.items()}
            area, variance = mine["area"], float(mine["support_variance"].mean())
            rmse = float(mine["support_rmse"].mean())
            rows.append(_plain({
                "category": k,
                "name": self.class_names[k - 1] if k else "unlabelled",
                "frames": np.unique(mine["owner"]).size,
                "regions": area.size,
                "pixels": int(area.sum()),
                "share": float(area.sum() / table["area"].sum()),
                "region_area": float(np.median(area)),
                "depth_mean": float(np.average(mine["depth_mean"], weights=area)),
                "region_rmse": rmse,
                "region_variance": variance,
                "instability": instability({"rmse": rmse, "variance": variance}),
                **{name: _mean(mine[name]) for name in PLANES if name in mine},
            }))  # fmt: skip
        return rows


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _plain(row: Row) -> Row:
    """Put None in the place of NaN, which JSON and CSV do not know."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def _quantiles(values: Array) -> dict[str, float | None]:
    """Mean and ``QUANTILES`` of one distribution; None where it is empty."""
    if not values.size:
        return dict.fromkeys(("mean", *QUANTILES))
    found = np.quantile(values, list(QUANTILES.values()))
    return {"mean": float(values.mean()), **dict(zip(QUANTILES, found.tolist(), strict=True))}


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


def _part(
    store: Store, frames: Array, predicted: Callable[[int], Array] | None, planes: bool
) -> tuple[list[list[float]], list[str], list[RegionPlanes]]:
    """Figures of some frames that lie close together, 8 of each and 18 more with a prediction.

    They are ``map_errors`` of the support against the depth and the number of covered pixels; then of the
    prediction, against each of ``AGAINST``, ``map_errors`` and the two regional figures, NaN where its map
    is none. Beside them, why so, and each frame's planes, where they are asked for.
    """
    first, last = int(frames[0]), int(frames[-1]) + 1
    depths, supports = store.read("depth", first, last), store.read("support", first, last)
    regions = store.read("region", first, last) if predicted or planes else depths
    found, skipped, fitted = [], [], []
    for k in frames.tolist():
        depth, support, region = depths[k - first], supports[k - first], regions[k - first]
        row = [*kernels.map_errors(support, depth), np.count_nonzero((support > 0) & (depth > 0))]
        if planes:
            count = int(np.diff(store.region_start[k : k + 2])[0])
            fitted.append(region_planes(depth, region, count, known_intrinsics(store.intrinsics(k))))
        if predicted:
            try:
                estimate = predicted(k)
            except MapError as error:
                skipped.append(f"frame {store.frame_id[k]}: {error}")
                row += [math.nan] * (len(AGAINST) * _FIGURES)
            else:
                for reference in (depth, support):
                    row += kernels.map_errors(estimate, reference).tolist()
                    row += [_mean(v) for v in kernels.region_errors(estimate, reference, region, depth)]
        found.append(row)
    return found, skipped, fitted


def pixel_errors(sums: Array) -> dict[str, Array]:
    """Turn ``kernels.map_errors`` of each frame, (frame, 7), into ``ERRORS``."""
    with np.errstate(invalid="ignore"):
        ratios = sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
    ratios[:, 0] = np.sqrt(ratios[:, 0])
    return dict(zip(ERRORS, ratios.T, strict=True))


def _region_rows(store: Store, frames: Array) -> dict[str, Array]:
    """Columns of the regions' table for some frames, and ``owner``."""
    count = np.diff(store.region_start)
    place = np.full(len(store), -1)
    place[frames] = np.arange(len(frames))
    owner = np.repeat(place, count)
    wanted = owner >= 0
    names = ["semantic", "area", "depth_mean", "depth_variance"]
    names += planar_columns.COLUMNS if store.planar else ()
    table = {name: store.column(f"regions/{name}")[wanted] for name in names}
    if not store.planar:  # what a mean leaves is the variance
        variance = table["depth_variance"]
        table |= {"support_rmse": np.sqrt(variance), "support_variance": variance}
    return {"owner": owner[wanted], **table}


def statistics(
    store: Store | str | PathLike[str],
    split: str | None = None,
    workers: int | None = None,
    prediction: str | PathLike[str] | None = None,
    *,
    scale: float | None = None,
    match: str | None = None,
    planes: bool = False,
) -> Statistics:
    """Compare the support of a store with its depth, part of a shard by part of a shard.

    Parameters
    ----------
    store
        A finished store, or its path.
    split
        ``"train"``, ``"test"`` or None for all frames.
    workers
        Threads; default one per core. Each holds one part of a shard at a time.
    prediction
        Predicted depth or support in metres, in any form that ``rsgt.evaluate`` takes, to compare with depth
        and support; the figures are then of the frames that it has.
    scale, match
        Of the maps, as for ``rsgt.evaluate``.
    planes
        Also fit a plane to each region, and take the spread of its normals: see ``rsgt.quality.planes``.

    Raises
    ------
    InputError
        Where the maps do not fit the store, are in another unit, or not one of them can be judged.
    """
    store, maps, predicted = as_store(store), None, None
    asked = frames = select_frames(store, split)
    if prediction is not None:
        maps = open_maps(local_path(prediction), store, asked, scale=scale, match=match)
        frames, predicted = np.array(sorted(maps.readers)), maps.read_sound
        refuse_other_unit(maps.path, store, frames, predicted)
    elif scale is not None or match is not None:
        raise InputError("--prediction-scale and --match are for --prediction; omit them")
    cuts = np.flatnonzero(np.diff(frames // min(store.shard_frames, _PART))) + 1
    parts = [(store, some, predicted, planes) for some in np.split(frames, cuts)]
    judged = map_threads(_part, parts, workers)
    figures = np.concatenate([rows for rows, *_ in judged])
    skipped = [line for _, lines, _ in judged for line in lines]
    if predicted and len(skipped) == len(frames):
        raise InputError(f"{skipped[0]}; none of its {len(frames)} frames can be judged")

    table = _region_rows(store, frames)
    if planes:
        fitted = zip(*(one for *_, some in judged for one in some), strict=True)
        table |= {name: np.concatenate(values) for name, values in zip(PLANES, fitted, strict=True)}
    count = np.bincount(table["owner"], minlength=len(frames))
    with np.errstate(invalid="ignore"):
        rmse = np.bincount(table["owner"], table["support_rmse"], len(frames)) / count
        variance = np.bincount(table["owner"], table["support_variance"], len(frames)) / count
    return Statistics(
        errors=pixel_errors(figures[:, :7]),
        region_rmse=rmse,
        region_variance=variance,
        frame=frames,
        number=store.frame_id[frames],
        split=store.split[frames],
        regions=count,
        valid=figures[:, 0].astype(np.int64),
        covered=figures[:, 7].astype(np.int64),
        table=table,
        class_names=store.class_names,
        prediction={
            name: MapErrors(
                errors=pixel_errors(figures[:, at : at + 7]),
                region_rmse=figures[:, at + 7],
                region_variance=figures[:, at + 8],
            )
            for name, at in zip(AGAINST, (8, 8 + _FIGURES), strict=True)
            if predicted
        },
        maps=maps.told(store, asked) if maps else {},
        skipped=skipped,
    )
