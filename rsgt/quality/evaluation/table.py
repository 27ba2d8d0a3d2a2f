"""The table of measures that the predictions of a split get under some protocols."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.boundaries import boundary_measures
from rsgt.quality.breakdown import (
    category_measures,
    distance_measures,
    percentile_measures,
    region_shape_measures,
)
from rsgt.quality.evaluation.alignment import Kind
from rsgt.quality.evaluation.protocol import PAPER, Protocol, compared, judged_map
from rsgt.quality.judged import Image, Judged
from rsgt.quality.measures import chosen_sets
from rsgt.quality.metrics import (
    bootstrap_interval,
    depth_measures,
    instability,
    region_errors,
    region_quality,
)
from rsgt.quality.normals import Intrinsics, known_intrinsics, normal_measures
from rsgt.quality.pooling import FrameMeasures, Pool
from rsgt.store.reader import Store

Labels = npt.NDArray[np.integer[Any]]
Row = dict[str, Any]

_WITHOUT_FRAMES = "category_"
"""What measures by frame, and intervals, leave out: a thousand numbers a frame, most of them none."""


class FrameMaps(NamedTuple):
    """One frame to judge; every map is (y, x), metres or labels, and 0 in depth or region does not count.

    Attributes
    ----------
    frame_id : int
        Number of the frame in its source.
    prediction, depth : array
        Predicted depth (of the table's ``kind``) and true depth.
    support, region : array
        True region support.
    semantic : array, optional
        Categories, for measures by category.
    camera : Intrinsics, optional
        For surface normals; None where it is not known.
    name : str
        Name of the frame in its source.
    initial : array, optional
        Depth before the model's second stage, for models that have two: judged beside ``prediction``.
    predicted_support, predicted_region : array, optional
        Predicted region support, where the model has it.
    """

    frame_id: int
    prediction: Image
    depth: Image
    support: Image
    region: Labels
    semantic: Labels | None = None
    camera: Intrinsics | None = None
    name: str = ""
    initial: Image | None = None
    predicted_support: Image | None = None
    predicted_region: Labels | None = None


def frame_maps(
    store: Store, position: int, truth: Mapping[str, Any], prediction: Image, **predicted: Any
) -> FrameMaps:
    """Put a prediction of a store's frame beside its ``truth``, the arrays of ``Table.truth``."""
    return FrameMaps(
        int(store.frame_id[position]), prediction, **truth, **predicted,
        camera=known_intrinsics(store.intrinsics(position)), name=store.frame_names[position],
    )  # fmt: skip


class Measured(NamedTuple):
    """What one frame gave: by protocol its measures and pixels without a prediction, and of its regions."""

    frame_id: int
    name: str
    counts: bool
    measures: dict[str, list[FrameMeasures]]
    initial: dict[str, FrameMeasures]
    invalid: dict[str, int]
    regions: dict[str, float]


class Table:
    """Measures of many frames: a row each, with columns such as ``paper.rmse``.

    Parameters
    ----------
    protocols : sequence of Protocol
        Every frame is judged by each of them; they agree in ``align``.
    kind : str
        What the predictions are, one of ``alignment.KINDS``.
    measures : str or sequence of str
        Which of ``measures.SETS``.
    categories : int
        The highest number of a category, for measures by category.

    Attributes
    ----------
    rows : list of dict
        Rows so far, each with ``frame_id`` and ``name``.
    skipped : list of int
        Ids of frames without a pixel that counts.
    truth : list of str
        Arrays of a store that frames are judged by.
    """

    def __init__(
        self,
        protocols: Sequence[Protocol],
        kind: Kind = "depth",
        measures: str | Sequence[str] = "depth",
        categories: int = 0,
    ) -> None:
        self.protocols = tuple(protocols)
        self.kind: Kind = kind
        self.sets = chosen_sets(measures)
        self.categories = categories
        self.truth = ["depth", "support", "region"] + ["semantic"] * ("categories" in self.sets)
        self.rows: list[Row] = []
        self.skipped: list[int] = []
        names = [protocol.name for protocol in protocols]
        self._pools, self._initial = ({name: Pool() for name in names} for _ in range(2))
        self._invalid = dict.fromkeys(names, 0)
        # Regions are judged over the whole frame, by whichever protocol.
        self._whole = replace(PAPER, align=self.protocols[0].align)

    def add(self, frame: FrameMaps) -> None:
        """Judge one frame."""
        self.put(self.measure(frame))

    def measure(self, frame: FrameMaps) -> Measured:
        """Judge one frame, and leave the table as it is: threads may do it side by side."""
        found = Measured(frame.frame_id, frame.name, self._counts(frame), {}, {}, {}, {})
        if not found.counts:
            return found
        for protocol in self.protocols:
            maps, invalid = compared(protocol, frame.prediction, frame.depth, self.kind)
            found.measures[protocol.name] = [
                measured for name in self.sets if (measured := _OF_SET[name](maps, frame, self.categories))
            ]
            found.invalid[protocol.name] = invalid
            if frame.initial is not None:
                before = compared(protocol, frame.initial, frame.depth, self.kind).maps
                found.initial[protocol.name] = depth_measures(before)
        if (frame.region > 0).any():
            found.regions.update(self._regions(frame))
        return found

    def put(self, found: Measured) -> None:
        """Enter what ``measure`` found; the order of frames is that of the rows."""
        if not found.counts:
            self.skipped.append(found.frame_id)
            return
        row: Row = {"frame_id": found.frame_id, "name": found.name}
        for protocol, measures in found.measures.items():
            self._pools[protocol].add(*measures)
            self._invalid[protocol] += found.invalid[protocol]
            values = {name: value for one in measures for name, value in one.values.items()}
            row |= {f"{protocol}.{name}": value for name, value in _by_frame(values).items()}
        for protocol, before in found.initial.items():
            self._initial[protocol].add(before)
            row |= {f"initial.{protocol}.{name}": value for name, value in before.values.items()}
        self.rows.append(row | found.regions)

    def _counts(self, frame: FrameMaps) -> bool:
        return all(protocol.valid(frame.depth).any() for protocol in self.protocols)

    def _regions(self, frame: FrameMaps) -> dict[str, float]:
        """Errors per region, and of the partition, over the whole frame."""
        row: dict[str, float] = {}
        metres = judged_map(self._whole, frame.prediction, frame.depth, self.kind)[0]
        for of, values in {"prediction": metres, "support": frame.predicted_support}.items():
            if values is not None:
                for truth_name, truth in (("depth", frame.depth), ("support", frame.support)):
                    found = region_errors(values, truth, frame.region)
                    row |= {f"{of}.{truth_name}.{key}": value for key, value in found.items()}
        if frame.predicted_region is not None:
            quality = region_quality(frame.predicted_region, frame.region)
            row |= {f"region.{key}": value for key, value in quality.items()}
        return row

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """Average the table by each reducer, with 95 % bootstrap intervals and per-region statistics.

        Returns
        -------
        dict
            Plain values. ``protocols`` by name; ``measures``: which sets were asked for; ``metrics`` by
            protocol, reducer (``rsgt.quality.pooling.REDUCERS``) and measure; ``images`` by protocol and
            measure, how many have it; ``intervals`` likewise, of the mean over images; ``invalid_pixels`` by
            protocol, how many predictions said nothing where they count; ``regions``: RMSE (m), variance (m²)
            and instability of each predicted map against depth and support; ``partition``: agreement of
            predicted with true regions, where there are any; ``initial``, for models of two stages: the
            metrics of the depth before the second one, and intervals of what the second gains (an image's
            error before it minus after it); ``by_frame``: ``frame_id``, ``name`` and, by protocol and
            measure, each frame's own (``None`` = it has none). Measures by category have neither intervals
            nor a place in ``by_frame``.

        Raises
        ------
        InputError
            Where no frame counted.
        """
        if not self.rows:
            raise InputError("evaluation: no frame has a pixel that counts; choose another split or protocol")
        regions: dict[str, dict[str, dict[str, float | None]]] = {}
        for name in ("prediction", "support"):
            for truth in ("depth", "support"):
                means = self._means(f"{name}.{truth}.")
                if means:
                    ratio = instability(means)
                    regions.setdefault(name, {})[truth] = {
                        **means, "instability": None if np.isnan(ratio) else ratio,
                    }  # fmt: skip
        every = {name: pool.images() for name, pool in self._pools.items()}
        values = {name: _by_frame(found) for name, found in every.items()}
        summary = {
            "protocols": {protocol.name: asdict(protocol) for protocol in self.protocols},
            "measures": list(self.sets),
            "frames": len(self.rows),
            "skipped": self.skipped,
            "metrics": {name: _known(pool) for name, pool in self._pools.items()},
            "images": {name: _counted(found) for name, found in every.items()},
            "intervals": _intervals(values, seed),
            "invalid_pixels": dict(self._invalid),
            "regions": regions,
            "partition": self._means("region."),
        }
        if any(pool.frames for pool in self._initial.values()):
            before = {name: pool.images() for name, pool in self._initial.items()}
            gained = {
                name: {error: errors - values[name][error] for error, errors in found.items()}
                for name, found in before.items()
            }
            summary["initial"] = {
                "metrics": {name: _known(pool) for name, pool in self._initial.items()},
                "gain_intervals": _intervals(gained, seed),
            }
        frames = {key: [row[key] for row in self.rows] for key in ("frame_id", "name")}
        return summary | {"by_frame": frames | {name: _plain(found) for name, found in values.items()}}

    def _means(self, prefix: str) -> dict[str, float]:
        names = dict.fromkeys(name for row in self.rows for name in row if name.startswith(prefix))
        return {
            name.removeprefix(prefix): float(np.mean([row[name] for row in self.rows if name in row]))
            for name in names
        }


def _categories(maps: Judged, frame: FrameMaps, categories: int) -> FrameMeasures | None:
    return None if frame.semantic is None else category_measures(maps, frame.semantic, categories)


_OF_SET: dict[str, Callable[[Judged, FrameMaps, int], FrameMeasures | None]] = {
    "depth": lambda maps, *_: depth_measures(maps),
    "percentiles": lambda maps, *_: percentile_measures(maps),
    "distance": lambda maps, *_: distance_measures(maps),
    "categories": _categories,
    "normals": lambda maps, frame, _: normal_measures(maps, frame.camera),
    "boundaries": lambda maps, *_: boundary_measures(maps),
    "shape": lambda maps, frame, _: region_shape_measures(maps, frame.region),
}
"""How each of ``measures.SETS`` is measured; None where the frame lacks what it needs."""


def _known(pool: Pool) -> dict[str, dict[str, float]]:
    """What a pool has by each reducer, without the measures that no frame has."""
    return {
        reducer: {name: value for name, value in found.items() if not np.isnan(value)}
        for reducer, found in pool.reduced().items()
    }


def _by_frame(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith(_WITHOUT_FRAMES)}


def _counted(values: Mapping[str, Image]) -> dict[str, int]:
    counts = {name: int(np.count_nonzero(~np.isnan(found))) for name, found in values.items()}
    return {name: count for name, count in counts.items() if count}


def _plain(values: Mapping[str, Image]) -> dict[str, list[float | None]]:
    return {
        name: [None if np.isnan(value) else value for value in found.tolist()]
        for name, found in values.items()
    }


def _intervals(
    values: Mapping[str, Mapping[str, Image]], seed: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Bootstrap intervals of the mean over images, by protocol and measure; none where no image has it."""
    return {
        name: {
            measure: bootstrap_interval(known, seed=seed)
            for measure, of in found.items()
            if (known := of[~np.isnan(of)]).size
        }
        for name, found in values.items()
    }
