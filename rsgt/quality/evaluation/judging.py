"""A record from predicted maps and a store; no network, no PyTorch."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.files import replacing, write_csv, write_text
from rsgt.inputs import InputError, local_path
from rsgt.parallel import default_workers
from rsgt.quality.evaluation.alignment import KINDS, Alignment, Kind
from rsgt.quality.evaluation.checks import check_outputs, checked_protocols, warn_of_other_kind
from rsgt.quality.evaluation.maps import PredictedMaps, open_maps
from rsgt.quality.evaluation.protocol import Protocol, chosen_protocols
from rsgt.quality.evaluation.record import FORM, record_text
from rsgt.quality.evaluation.table import FrameMaps, Measured, Table, frame_maps
from rsgt.quality.measures import chosen_sets
from rsgt.store.map_checks import MapError
from rsgt.store.predictions import refuse_other_unit
from rsgt.store.provenance import commit, versions
from rsgt.store.reader import Store, as_store
from rsgt.store.schema import ALL, largest_category
from rsgt.store.splits import select_frames

Place = str | PathLike[str]
Array = npt.NDArray[Any]

_AT_ONCE = 4
"""Frames a thread whose measures wait to be entered: some megabytes each."""


def evaluate(
    store: Store | Place,
    prediction: Place,
    *,
    protocols: str | Protocol | Sequence[str | Protocol] = "paper",
    split: str | None = "test",
    align: Alignment = "none",
    raw: bool = False,
    kind: Kind = "depth",
    scale: float | None = None,
    match: str | None = None,
    measures: str | Sequence[str] = "depth",
    table: Place | None = None,
    out: Place | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Judge predicted depth maps of any origin on frames of a store.

    Frames without a map are left out and counted, damaged maps are named (``damaged``), and so are frames
    without a pixel that counts (``skipped``).

    Parameters
    ----------
    store
        An opened store, or its path.
    prediction
        ``.npy`` (frame, y, x), ``.npz``, a ``.zarr`` of ``rsgt.write_prediction``, or a folder of maps.
    protocols
        Names of protocols, or ``Protocol`` objects; those by name get ``align`` and ``raw``.
    split
        ``train``, ``test``, or ``all`` frames (None is the same).
    align
        One of ``alignment.ALIGNMENTS``.
    raw
        The truth is what the sensor gave, as the store's depth has to be.
    kind, scale
        ``depth`` or ``disparity`` (inverse depth), and how many units make a metre (1000 = millimetres); None
        = 1 for floats, refused for whole numbers.
    match
        ``number`` or ``name``: what files and keys are called by; None = as they tell.
    measures
        Some of ``rsgt.quality.measures.SETS``, or ``all``; ``depth`` always is among them.
    table, out
        Where to write the errors of each frame (CSV) and the record (JSON).
    workers
        Threads that judge; None = one a core.
    progress
        Called with (frames judged, frames in all).

    Returns
    -------
    dict
        The record: ``docs/reference/evaluation.md``.

    Raises
    ------
    InputError
        Where store, maps, protocols and options do not fit each other, or not one map can be judged.
    """
    begun = time.perf_counter()
    judged_by = _chosen(kind, protocols, align=align, raw=raw)
    opened, written = as_store(store), _places(csv=table, out=out)
    sets, frames = chosen_sets(measures), select_frames(opened, split)
    align = judged_by[0].align
    if align != "none" and scale is None:
        scale = 1.0  # which an alignment finds by itself
    maps = open_maps(local_path(prediction), opened, frames, kind=kind, scale=scale, match=match)
    found = [int(k) for k in frames if int(k) in maps.readers]
    judged_by = checked_protocols(opened, found, judged_by)
    _check_meaning(opened, maps, found, unit=align == "none")
    result = Table(judged_by, kind, sets, largest_category(opened.class_names))
    damaged = _fill(result, opened, maps, found, workers or default_workers(), progress)
    record = {"form": FORM, "prediction": maps.told(opened, frames)} | result.summary()
    record |= {
        "damaged": damaged, "split": split or ALL, "store": opened.identity, "commit": commit(),
        "versions": versions("numpy"), "seconds": time.perf_counter() - begun,
    }  # fmt: skip
    _write(record, result, written)
    return record


def _places(**given: Place | None) -> dict[str, Path | None]:
    places = {name: None if at is None else local_path(at) for name, at in given.items()}
    check_outputs(**places)
    return places


def _chosen(
    kind: Kind, protocols: str | Protocol | Sequence[str | Protocol], **options: Any
) -> list[Protocol]:
    if kind not in KINDS:
        raise InputError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    judged_by = chosen_protocols(protocols, **options)
    if judged_by[0].flip:
        raise InputError("protocols: got one with flip averaging, which is for networks; omit it")
    return judged_by


def _write(record: dict[str, Any], result: Table, places: dict[str, Path | None]) -> None:
    with ExitStack() as written:
        aside = {name: written.enter_context(replacing(at)) for name, at in places.items() if at}
        if "csv" in aside:
            write_csv(aside["csv"], result.rows)
        if "out" in aside:
            write_text(aside["out"], record_text(record))


def _check_meaning(store: Store, maps: PredictedMaps, frames: Sequence[int], *, unit: bool) -> None:
    """Refuse maps in another unit than was said, where the ``unit`` counts; warn of another kind."""
    if unit:
        refuse_other_unit(
            maps.path, store, np.array(frames), lambda k: _metres(maps, k), scale=maps.scale,
            inverse=maps.kind == "disparity",
        )  # fmt: skip
    warn_of_other_kind(store, maps)


def _metres(maps: PredictedMaps, position: int) -> Array:
    values: Array = maps.read(position)
    if maps.kind == "disparity":
        with np.errstate(divide="ignore"):
            values = 1 / values
    return np.where(np.isfinite(values), values, 0)


def _fill(
    table: Table, store: Store, maps: PredictedMaps, frames: Sequence[int], workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[str]:  # fmt: skip
    """Judge frames on threads, and enter them in order; returns what is damaged."""

    def measure(k: int) -> Measured | str:
        try:
            return table.measure(_frame(store, maps, k, table.truth))
        except MapError as error:
            return f"frame {store.frame_id[k]}: {error}"

    damaged: list[str] = []
    size = _AT_ONCE * workers
    # The same threads for all blocks: new ones would each leave memory behind.
    with ThreadPoolExecutor(workers) as threads:
        for begun in range(0, len(frames), size):
            for done, found in enumerate(threads.map(measure, frames[begun : begun + size]), begun + 1):
                if isinstance(found, str):
                    damaged.append(found)
                else:
                    table.put(found)
                if progress:
                    progress(done, len(frames))
    if len(damaged) == len(frames):
        raise InputError(f"{damaged[0].partition(': ')[2]} (none of {len(frames)} maps can be judged)")
    return damaged


def _frame(store: Store, maps: PredictedMaps, k: int, arrays: Sequence[str]) -> FrameMaps:
    beside = {name: read(k) for name, read in maps.beside.items()}
    truth = {name: store.read(name, k, k + 1)[0] for name in arrays}
    return frame_maps(
        store, k, truth, maps.read(k), initial=beside.get("initial"),
        predicted_support=beside.get("support"), predicted_region=beside.get("region"),
    )  # fmt: skip
