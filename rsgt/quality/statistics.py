"""How well a store's region support stands for its depth: its frames judged, some at a time."""

import math
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path
from rsgt.parallel import stream_threads
from rsgt.quality.evaluation.checks import warn_of_other_kind
from rsgt.quality.evaluation.maps import open_maps
from rsgt.quality.figures import PLANES, Errors, MapErrors, Statistics, mean_of_known
from rsgt.quality.normals import known_intrinsics
from rsgt.quality.planes import RegionPlanes, region_planes
from rsgt.quality.region_rows import RegionRows
from rsgt.regions import kernels
from rsgt.store.map_checks import MapError
from rsgt.store.predictions import refuse_other_unit
from rsgt.store.reader import Store, as_store
from rsgt.store.splits import select_frames

__all__ = ["PLANES", "Statistics", "pixel_errors", "statistics"]

Array = npt.NDArray[Any]

AGAINST = ("depth", "support")

_FIGURES = 9
"""Figures of a predicted map against one other: ``kernels.map_errors`` and the two regional ones."""

_PART = 32
"""Frames read at once: zarr decodes whole shards at twice the rate of single frames."""


def _part(
    store: Store, frames: Array, predicted: Callable[[int], Array] | None, planes: bool
) -> tuple[Array, list[str], list[RegionPlanes]]:
    """Figures of some frames that lie close together, (frame, 8), and 18 more of each with a prediction.

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
                    row += [
                        mean_of_known(v) for v in kernels.region_errors(estimate, reference, region, depth)
                    ]
        found.append(row)
    return np.array(found), skipped, fitted


def pixel_errors(sums: Array) -> dict[str, Array]:
    """Turn ``kernels.map_errors`` of each frame, (frame, 7), into ``ERRORS``."""
    gathered = _Gathered(len(sums))
    gathered.put(slice(None), sums)
    return dict(gathered.errors)


class _Judged:
    """Figures of all frames, gathered while some are judged after others."""

    def __init__(
        self, store: Store, frames: Array, predicted: Callable[[int], Array] | None, planes: bool
    ) -> None:
        self.store, self.frames, self.predicted, self.planes = store, frames, predicted, planes
        self.support = _Gathered(len(frames))
        self.maps = {name: _Gathered(len(frames)) for name in AGAINST if predicted}
        self.covered = np.empty(len(frames), np.int32)
        self.skipped: list[str] = []
        self.fitted: list[RegionPlanes] = []

    def run(self, workers: int | None) -> None:
        """Judge every frame, on so many threads."""
        done = 0
        for figures, lines, fitted in stream_threads(_part, self._parts(), workers):
            at = slice(done, done + len(figures))
            self.support.put(at, figures[:, :7])
            self.covered[at] = figures[:, 7]
            for gathered, first in zip(self.maps.values(), (8, 8 + _FIGURES), strict=False):
                gathered.put(at, figures[:, first : first + _FIGURES])
            self.skipped += lines
            self.fitted += fitted
            done = at.stop

    def _parts(self) -> Iterator[tuple[Any, ...]]:
        step = min(self.store.shard_frames, _PART)
        for begin in range(0, len(self.store), step):
            first, stop = np.searchsorted(self.frames, [begin, begin + step])
            if first < stop:
                yield self.store, self.frames[first:stop], self.predicted, self.planes

    def fitted_columns(self) -> dict[str, Array]:
        """Columns of ``PLANES``, a row a region; empty where they were not asked for."""
        columns = zip(*self.fitted, strict=True) if self.planes else ()
        return dict(zip(PLANES, map(np.concatenate, columns), strict=self.planes))


class _Gathered:
    """Errors of one map against another, put in part by part."""

    def __init__(self, frames: int) -> None:
        self.errors = Errors(np.empty((3, frames)), np.empty((4, frames), np.int32))
        self.regional = np.empty((2, frames))

    def put(self, at: slice, figures: Array) -> None:
        """Put in the figures of some frames, (frame, 7 or 9): ``map_errors``, and the two regional ones."""
        pixels = figures[:, 0]
        self.errors.counts[:, at] = np.where(pixels > 0, figures[:, [0, 4, 5, 6]].T, 0)
        with np.errstate(invalid="ignore"):
            means = figures[:, 1:4].T / np.where(pixels > 0, pixels, np.nan)
        means[0] = np.sqrt(means[0])
        self.errors.means[:, at] = means
        if figures.shape[1] == _FIGURES:
            self.regional[:, at] = figures[:, 7:].T


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
        ``"train"``, ``"test"``, or ``"all"`` frames (None is the same).
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
        frames, predicted = np.array(sorted(maps.readers), np.int32), maps.read_sound
        refuse_other_unit(maps.path, store, frames, predicted, scale=scale)
        warn_of_other_kind(store, maps)
    elif scale is not None or match is not None:
        raise InputError("--prediction-scale and --match are for --prediction; omit them")
    judged = _Judged(store, frames, predicted, planes)
    judged.run(workers)
    skipped = judged.skipped
    if predicted and len(skipped) == len(frames):
        raise InputError(f"{skipped[0]}; none of its {len(frames)} frames can be judged")

    # Nothing is copied where all frames are meant: it may be a million of them.
    these = slice(None) if len(frames) == len(store) else frames
    rows = RegionRows(store, frames, judged.fitted_columns())
    return Statistics(
        errors=judged.support.errors,
        frame=frames,
        number=store.frame_id[these],
        split=store.split[these],
        valid=judged.support.errors.counts[0],
        covered=judged.covered,
        rows=rows,
        class_names=store.class_names,
        prediction={
            name: MapErrors(
                errors=found.errors, region_rmse=found.regional[0], region_variance=found.regional[1]
            )
            for name, found in judged.maps.items()
        },
        maps=maps.told(store, asked) if maps else {},
        skipped=skipped,
    )
