"""Figures of a store's support, as ``rsgt.statistics`` returns them: a frame, a category, the whole store."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.files import write_figure
from rsgt.inputs import local_path
from rsgt.quality import planar_columns
from rsgt.quality.category_rows import category_rows
from rsgt.quality.distribution import HELD, Stream, mean_and_quantiles
from rsgt.quality.metrics import instability
from rsgt.quality.planes import RegionPlanes
from rsgt.quality.region_rows import SUPPORT, RegionRows
from rsgt.store import schema

Array = npt.NDArray[Any]
Row = dict[str, Any]

ERRORS = ("rmse", "abs_rel", "sq_rel", "delta1", "delta2", "delta3")
_REGIONAL = ("region_rmse", "region_variance")
QUANTILES = {"minimum": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1.0}
DISTRIBUTIONS = {
    "regions_per_frame": "regions per frame",
    "region_area": "pixels per region",
    "region_spread": "standard deviation of depth in a region (m)",
}
PLANES = RegionPlanes._fields
"""Figures of planes, where they are asked for: columns of the regions' table, means of these elsewhere."""


class Errors(Mapping[str, Array]):
    """Keys of ``ERRORS``, each (frame,) float64, NaN where a frame has no valid pixel.

    Of the last three only pixels are held: of a million frames a ratio would be twice as much.

    Parameters
    ----------
    means
        The first three, (3, frame) float64.
    counts
        Valid pixels, and those whose ratio is below 1.25, 1.25² and 1.25³: (4, frame) int32.
    """

    def __init__(self, means: Array, counts: Array) -> None:
        self.means, self.counts = means, counts

    def __getitem__(self, name: str) -> Array:
        if name not in ERRORS:
            raise KeyError(name)
        k = ERRORS.index(name)
        if k < len(self.means):
            found: Array = self.means[k]
            return found
        with np.errstate(invalid="ignore"):
            share: Array = self.counts[k + 1 - len(self.means)] / self.counts[0]
        return share

    def __iter__(self) -> Iterator[str]:
        return iter(ERRORS)

    def __len__(self) -> int:
        return len(ERRORS)


@dataclass(frozen=True, kw_only=True)
class MapErrors:
    """Errors of one map against another, one value a frame; NaN where the frame has none.

    Attributes
    ----------
    errors : mapping of float arrays
        Keys of ``ERRORS``, over the valid pixels; ``rmse`` and ``sq_rel`` in metres.
    region_rmse, region_variance : float array
        Mean over the frame's regions of the root mean square error (m) and of the error's variance (m²).
        Source: the paper, "Per-region statistics".
    """

    errors: Errors
    region_rmse: Array
    region_variance: Array

    def summary(self) -> dict[str, Any]:
        """Means over the frames that have the figure."""
        regional = mean_of_known(self.region_rmse), mean_of_known(self.region_variance)
        return _mean_errors(self.errors, *regional)

    def columns(self, prefix: str = "") -> dict[str, Array]:
        """Columns of a table with a row a frame."""
        regional = dict(zip(_REGIONAL, (self.region_rmse, self.region_variance), strict=True))
        return {prefix + name: values for name, values in {**self.errors, **regional}.items()}


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Figures of a store's support against its depth, one value a frame.

    Attributes
    ----------
    errors : mapping of float arrays
        As those of ``MapErrors``.
    frame, number, split : int array
        Position in the store, number (from 1) in the source, 0 = train and 1 = test.
    valid, covered : int array
        Pixels with valid depth, and those of them that have a region.
    rows : RegionRows
        The regions of these frames, which are read as they are asked for.
    class_names : list of str
        Names of the categories 1, 2, …; empty where labels have none.
    prediction : dict of MapErrors
        A predicted map against the depth and against the support, keys of ``AGAINST``; empty without one.
    maps : dict
        What was read of predicted maps, as a record of ``rsgt.evaluate`` says it; empty without any.
    skipped : list of str
        Why a frame's predicted map was not judged, a line a frame.
    """

    errors: Errors
    frame: Array
    number: Array
    split: Array
    valid: Array
    covered: Array
    rows: RegionRows
    class_names: list[str]
    prediction: dict[str, MapErrors]
    maps: dict[str, Any]
    skipped: list[str]

    @property
    def regions(self) -> Array:
        """Number of regions of each frame, (frame,) int32."""
        return self.rows.counts

    @cached_property
    def _regional(self) -> dict[str, Array]:
        return dict(zip(_REGIONAL, self.rows.means(SUPPORT).values(), strict=True))

    @property
    def region_rmse(self) -> Array:
        """Mean over the regions of each frame of their RMSE (m), as that of ``MapErrors``.

        It and ``region_variance`` are of the regions' table, read when they are asked for first. For a
        region's own mean depth they follow from its depth's variance, and planes have columns of their own.
        """
        return self._regional["region_rmse"]

    @property
    def region_variance(self) -> Array:
        """Mean over the regions of each frame of their error's variance (m²)."""
        return self._regional["region_variance"]

    def summary(self) -> dict[str, Any]:
        """Return the store's figures: counts and means over the frames."""
        regions = self.regions
        return {
            "frames": len(self.frame),
            "regions": int(regions.sum()),
            "regions_per_frame": float(np.median(regions)),
            "coverage": float(self.covered.sum() / max(1, self.valid.sum())),
            **_mean_errors(self.errors, *map(self.rows.mean_of_means, SUPPORT)),
            **{name: self.rows.mean_of_means(name) for name in self.rows.fitted},
        }

    @cached_property
    def table(self) -> dict[str, Array]:
        """All regions of these frames at once.

        Columns ``semantic``, ``area``, ``depth_mean``, ``depth_variance``, ``support_rmse``,
        ``support_variance``, and ``owner``, the place of the region's frame in ``frame``; those of ``PLANES``
        (m, degrees), where they were asked for.
        """
        return self.rows.whole()

    def planes(self) -> dict[str, Array]:
        """Means over the regions of each frame of ``PLANES``, NaN where it has none; empty without them."""
        return self.rows.means([*self.rows.fitted])

    def document(self) -> dict[str, Any]:
        """Return summary, distributions and what was found of a prediction, as plain JSON types.

        None is what no frame has.
        """
        found = _plain(self.summary())
        streams: dict[str, Stream] = {
            "regions_per_frame": lambda: iter(np.array_split(self.regions, 1 + len(self.frame) // HELD)),
            "region_area": partial(self.rows.column, "area"),
            "region_spread": lambda: map(np.sqrt, self.rows.column("depth_variance")),
            **{name: partial(self.rows.column, name) for name in self.rows.fitted},
            **planar_columns.streams(self.rows),
        }
        found["distributions"] = {name: _quantiles(stream) for name, stream in streams.items()}
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
            **{name: values[~np.isnan(values)] for name, values in self.rows.fitted.items()},
            **{name: np.concatenate([*s()]) for name, s in planar_columns.streams(self.rows).items()},
        }

    def frames(self) -> list[Row]:
        """One row a frame: its number in the source, split, counts and errors; None where it has no depth."""
        columns = {
            "frame": self.number,
            "split": np.array(list(schema.SPLITS))[self.split],
            "regions": self.regions,
            "valid": self.valid,
            "covered": self.covered,
            **self.errors,
            **self._regional,
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
        return [
            _plain({**row, "name": schema.class_name(self.class_names, row["category"])})
            for row in category_rows(self.rows)
        ]


def _mean_errors(errors: Errors, region_rmse: float, region_variance: float) -> dict[str, Any]:
    return {
        **{name: mean_of_known(errors[name]) for name in ERRORS},
        "region_rmse": region_rmse,
        "region_variance": region_variance,
        "instability": instability({"rmse": region_rmse, "variance": region_variance}),
    }


def _plain(row: Row) -> Row:
    """Put None in the place of NaN, which JSON and CSV do not know."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def _quantiles(stream: Stream) -> dict[str, float | None]:
    """Mean and ``QUANTILES`` of one distribution; None where it is empty."""
    found = mean_and_quantiles(stream, [*QUANTILES.values()])
    if found is None:
        return dict.fromkeys(("mean", *QUANTILES))
    mean, quantiles = found
    return {"mean": mean, **dict(zip(QUANTILES, quantiles, strict=True))}


def mean_of_known(values: Array) -> float:
    """Mean of the values that are no NaN; NaN where there is none."""
    unknown = np.isnan(values)
    known = values[~unknown] if unknown.any() else values  # of a million frames a copy is much
    return float(known.mean()) if known.size else float("nan")
