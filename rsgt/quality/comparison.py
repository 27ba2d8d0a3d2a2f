"""How well partitions explain the depth: the paper's Figure 2 in numbers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path
from rsgt.parallel import Progress, map_threads
from rsgt.quality import curves, planes
from rsgt.quality.evaluation.maps import open_prediction
from rsgt.quality.families import FrameMaps, Partition, partitions
from rsgt.quality.partitions import EDGE_RATIO, MEASURES, Target, borders, explained, target
from rsgt.store import schema
from rsgt.store.map_checks import MapError
from rsgt.store.reader import Store, as_store

Array = npt.NDArray[Any]

DEFAULT_SAMPLE = 100
COUNTS = (50, 100, 400)


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` measured.

    Attributes
    ----------
    frame : int array
        Positions in the store of the frames that were compared.
    partitions, values : list, float array
        The partitions, and (partition, frame, measure) with measures in the order of ``MEASURES``.
    skipped : list of str
        Why a frame with a predicted map was left out, a line a frame.
    """

    frame: Array
    partitions: list[Partition]
    values: Array
    skipped: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Means over the frames, one row a partition, as plain JSON types; None = not to be had."""
        return [
            {"name": p.name, "parameter": p.parameter, "surface": p.surface, **_plain(_frame_mean(values))}
            for p, values in zip(self.partitions, self.values, strict=True)
        ]

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of each family by ascending number of regions, a family of one setting being a point."""
        families: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows():
            families.setdefault(row["name"], []).append(row)
        return {name: sorted(rows, key=lambda row: row["regions"] or 0) for name, rows in families.items()}

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the curves into a picture file: PNG, PDF or SVG, as its suffix says."""
        curves.plot(self.curves(), local_path(path))

    def at_count(self, count: float) -> list[dict[str, Any]]:
        """Read each family's curve at ``count`` regions a frame; families that do not reach it are left out.

        Between two settings a measure runs straight over the logarithm of the mean number of regions.
        """
        rows = self.rows()
        found = []
        for name, surface in dict.fromkeys((row["name"], row["surface"]) for row in rows):
            if between := _settings_about(rows, name, count):
                one, two, share = between
                at = {
                    key: (1 - share) * np.float64(rows[one][key]) + share * np.float64(rows[two][key])
                    for key in MEASURES[1:]
                }
                at_count = {"name": name, "parameter": "", "surface": surface, "regions": float(count)}
                found.append(at_count | _plain(at))
        return found

    def settings_about(self, name: str, count: float) -> tuple[int, int, float] | None:
        """The two settings of a family about ``count`` regions a frame, and the second's share of the value.

        As places in ``partitions``; None where the family's settings do not reach so far.
        """
        return _settings_about(self.rows(), name, count)

    def document(self) -> dict[str, Any]:
        """Return the whole comparison as plain JSON types."""
        rows = self.rows()
        own = [
            row["regions"] for row in rows if row["name"] in ("this store", "prediction") and row["regions"]
        ]
        counts = [{"regions": n, "rows": self.at_count(n)} for n in sorted({*map(float, COUNTS), *own})]
        return {
            "frames": len(self.frame),
            "skipped": self.skipped,
            "edge_ratio": EDGE_RATIO,
            "rows": rows,
            "equal_counts": counts,
        }


def _settings_about(rows: Sequence[dict[str, Any]], name: str, count: float) -> tuple[int, int, float] | None:
    own = sorted((row["regions"], k) for k, row in enumerate(rows) if row["name"] == name and row["regions"])
    for (low, one), (high, two) in pairwise(own):
        if low <= count <= high:
            share = np.log(count / low) / np.log(high / low) if low < high else 0
            return one, two, float(share)
    return None


def _plain(values: dict[str, Any]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _frame_mean(values: Array) -> dict[str, float]:
    """Mean of (frame, measure) over the frames that have the measure."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return dict(zip(MEASURES, total / known.sum(axis=0), strict=True))


def sample_frames(available: Array, size: int, seed: int = 0) -> Array:
    """Draw ``size`` of the available frames' positions, in ascending order; all where there are no more."""
    if size < 1:
        raise InputError(f"sample: got {size}, expected at least 1")
    return np.sort(np.random.default_rng(seed).choice(available, min(size, len(available)), replace=False))


def named_frames(store: Store, numbers: Sequence[int], available: Array) -> Array:
    """Positions of the frames with these numbers (from 1, as in their source), ascending.

    Raises
    ------
    InputError
        Where the store has no such frame, or it is not available.
    """
    found = np.sort(store.positions(numbers))
    missing = np.setdiff1d(found, available)
    if missing.size:
        raise InputError(f"frames: frame {store.frame_id[missing[0]]} is not in the prediction")
    return found


def compare(
    store: Store | str | PathLike[str],
    *,
    frames: Sequence[int] | None = None,
    sample: int | None = DEFAULT_SAMPLE,
    seed: int = 0,
    prediction: str | PathLike[str] | None = None,
    only: Collection[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare region support with labels, superpixels and a grid by how well regions explain depth.

    Each partition's regions stand for the depth by their means, and once more by a plane in each; the
    store's own by its support.

    Parameters
    ----------
    store
        A finished store, or its path.
    frames
        Numbers of the frames to compare on, from 1, as in their source; None = draw some.
    sample, seed
        How many frames to draw, and the draw's seed; None = all frames.
    prediction
        Predicted regions to compare as well, in any form; frames without are left out.
    only
        Names of the families to measure; empty = all.
    workers
        Threads; None = one a core. Each works on one frame at a time.
    progress
        Called with (frames done, frames in all).

    Raises
    ------
    InputError
        Where scikit-image is missing, there is no such frame or family, or not one frame's predicted map is
        one.
    """
    store, predicted = as_store(store), None
    chosen: Array = np.arange(len(store))
    if prediction is not None:
        chosen, predicted = open_prediction(prediction, store, chosen, "region")
    if frames is not None:
        chosen = named_frames(store, frames, chosen)
    elif sample is not None:
        chosen = sample_frames(chosen, sample, seed)
    return compare_frames(store, chosen, workers, progress, predicted, only)


def compare_frames(
    store: Store,
    frames: Array,
    workers: int | None = None,
    progress: Progress | None = None,
    predicted: Callable[[int], Array] | None = None,
    only: Collection[str] = (),
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
    predicted
        Function from a frame's position to a network's regions (y, x), to compare as well; 0 = none.
    only
        Names of the families to measure; empty = all.

    Raises
    ------
    InputError
        Where scikit-image is missing, there is no family of a name in ``only``, or not one frame's predicted
        map is one.
    """
    every = partitions(store.class_names, predicted=predicted is not None)
    names = dict.fromkeys(p.name for p in every)
    for name in only:
        if name not in names:
            raise InputError(f"only: got {name!r}, expected some of: {'; '.join(names)}")
    chosen = [p for p in every if not only or p.name in only]

    def work(k: int) -> list[list[float]] | str:
        maps = {name: store.read(name, k, k + 1)[0] for name in schema.FRAME_SPECS}
        try:
            found_by = None if predicted is None else predicted(k)
        except MapError as error:
            number = f"frame {store.frame_id[k]}"
            return str(error) if number in str(error) else f"{number}: {error}"
        frame = FrameMaps(**maps, predicted=found_by)
        return _measured(chosen, frame, target(frame.depth, frame.region))

    found = map_threads(work, [(k,) for k in frames.tolist()], workers, progress)
    values = [one for one in found if not isinstance(one, str)]
    skipped = [one for one in found if isinstance(one, str)]
    if not values:
        raise InputError(f"{skipped[0]}; none of its {len(frames)} frames can be compared")
    compared = frames[[not isinstance(one, str) for one in found]]
    return Comparison(compared, chosen, np.array(values).transpose(1, 0, 2), skipped)


def _measured(chosen: Sequence[Partition], frame: FrameMaps, goal: Target) -> list[list[float]]:
    """Measure partitions of one frame; regions that stand for its depth in two ways are made once."""
    made: dict[Any, tuple[Array, dict[str, float]]] = {}
    found = []
    for p in chosen:
        if p.regions not in made:
            made[p.regions] = (region := p.regions(frame)), borders(region, goal)
        region, known = made[p.regions]
        support = None
        if p.surface == "own":
            support = frame.support
        elif p.surface == "plane":
            support = planes.fit(frame.depth, region, int(region.max())).support
        told = explained(region, goal, support) | known
        found.append([told[name] for name in MEASURES])
    return found
