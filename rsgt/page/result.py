"""A result: the record of an evaluation together with the maps that it was made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, nan
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path, shortened
from rsgt.quality.evaluation.alignment import ALIGNMENTS, KINDS
from rsgt.quality.evaluation.maps import PredictedMaps, open_maps
from rsgt.quality.evaluation.protocol import Protocol, compared, judged_map
from rsgt.quality.evaluation.record import Record, checked_record, read_record
from rsgt.quality.measures import DEPTH
from rsgt.quality.metrics import depth_errors
from rsgt.quality.pooling import REDUCERS
from rsgt.store import schema
from rsgt.store.reader import Store
from rsgt.store.splits import select_frames

Array = npt.NDArray[Any]
Place = str | PathLike[str]
Pair = tuple[Place | Mapping[str, Any], Place]

MAX_RESULTS = 6

DEFAULT_COUNT, _DIFFERING = 12, 4
"""Frames to look into, and how many of them are those in which results differ most."""

_LARGEST = 1e100
"""No figure of maps of single precision lies beyond."""

LEAD = next(iter(DEPTH))
"""Measure that frames are ranked by."""


@dataclass(frozen=True)
class ShownMap:
    """One frame's prediction as a protocol compares it; maps (y, x).

    Attributes
    ----------
    metres : array
        Depth, aligned and clipped as the protocol has it.
    counted, nothing : array of bool
        Pixels that count, and those whose prediction says nothing and is the protocol's least depth.
    """

    metres: Array
    counted: Array
    nothing: Array


@dataclass(frozen=True)
class Result:
    """A record, its maps, and what they are called on a page.

    Attributes
    ----------
    name : str
        The record's file without its suffix; of a record from memory, that of its maps.
    record : dict
        What ``rsgt.evaluate`` returns; it is known to hold the figures that a page shows.
    maps : PredictedMaps
        Opened as the record says; every frame of the record has one.
    protocols : dict
        The record's protocols by name.
    """

    name: str
    record: Record
    maps: PredictedMaps
    protocols: dict[str, Protocol]

    @property
    def frame_ids(self) -> list[int]:
        """Numbers of the frames that were judged."""
        return list(self.record["by_frame"]["frame_id"])

    def by_frame(self, protocol: str, measure: str) -> Array:
        """One measure of each of ``frame_ids``, NaN where a frame has none."""
        return np.array(self.record["by_frame"][protocol][measure], np.float64)

    def figure(self, protocol: str, reducer: str, measure: str) -> float:
        """One figure of the record, NaN where it has none."""
        value = self.record["metrics"].get(protocol, {}).get(reducer, {}).get(measure)
        return nan if value is None else float(value)

    def judged(self, store: Store, position: int, protocol: str, depth: Array) -> ShownMap:
        """Bring one frame's map to metres by the protocol's own way, and see that the record is of it.

        Raises
        ------
        InputError
            Where the map gives another error than the record has, or can't be read.
        """
        used, number = self.protocols[protocol], int(store.frame_id[position])
        values = self.maps.read(position)
        known = self.by_frame(protocol, LEAD)[self.frame_ids.index(number)]
        maps = compared(used, values, depth, self.maps.kind).maps
        found = depth_errors(maps)[LEAD] if maps.valid.any() else nan
        if not isclose(found, known, rel_tol=1e-6, abs_tol=1e-7):
            raise InputError(
                f"{self.maps.path}: frame {number} has {LEAD} {found:.6g} by these maps, {known:.6g} by "
                f"record {self.name}; give the maps that it was made of"
            )
        metres, nothing = judged_map(used, values, depth, self.maps.kind)
        return ShownMap(metres, used.valid(depth), nothing)


def open_results(store: Store, given: Sequence[Pair]) -> list[Result]:
    """Open results of a store.

    Parameters
    ----------
    store
        A finished store.
    given
        Pairs of a record (its path, or what ``rsgt.evaluate`` returned) and its maps, in any form that
        ``open_maps`` takes; ``MAX_RESULTS`` at most.

    Raises
    ------
    InputError
        Where one is no such pair, a record is of another store, or its maps are others.
    """
    pairs = list(given)
    if not 0 < len(pairs) <= MAX_RESULTS:
        raise InputError(f"results: got {len(pairs)}, expected 1 to {MAX_RESULTS}; name fewer")
    results: list[Result] = []
    for k, pair in enumerate(pairs, 1):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(
                f"results: got {shortened(pair)}, expected pairs of a record and the maps that it was made of"
            )
        taken = {result.name for result in results}
        results.append(_opened(store, *pair, f"record {k}", taken))
    return results


def _opened(
    store: Store, given: Place | Mapping[str, Any], place: Place, where: str, taken: set[str]
) -> Result:
    if isinstance(given, Mapping):
        record, name = checked_record(dict(given), where), ""
    else:
        path = local_path(given)
        record, where, name = read_record(path), str(path), path.stem
    if record["store"] != store.identity:
        raise InputError(
            f"{where}: is of store {str(record['store'])[:12]}, got {store.path}, which is "
            f"{store.identity[:12]}; give the store that it was made on"
        )
    try:
        protocols = _protocols(record)
        _check_figures(record, protocols)
        told = record.get("prediction") or {"kind": "depth", "scale": None, "matched_by": "number"}
        kind, match = told["kind"], told["matched_by"]
        scale = None if told["scale"] is None else float(told["scale"])
        numbers = list(record["by_frame"]["frame_id"])
        if kind not in KINDS or not (scale is None or 0 < scale < _LARGEST):
            raise ValueError(f"maps of kind {kind!r} and scale {scale!r}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{where}: is no whole record ({type(error).__name__}: {error}); run `rsn evaluate` again"
        ) from error
    positions = store.positions(numbers)
    split = record["split"]
    # Maps that go by their order do so among the frames of the split.
    asked = np.array(positions)
    if split in ("train", "test", "all"):
        asked = select_frames(store, split)
    maps = open_maps(
        local_path(place), store, asked, kind=kind, scale=scale,
        match=match if match in ("name", "number") else None,
    )  # fmt: skip
    if lacking := [number for number, k in zip(numbers, positions, strict=True) if k not in maps.readers]:
        raise InputError(
            f"{maps.path}: has no map of frame {lacking[0]}, which {where} judges ({len(lacking)} of "
            f"{len(numbers)} are missing); give the maps that it was made of"
        )
    return Result(_free(name or maps.path.stem, taken), record, maps, protocols)


def _free(name: str, taken: set[str]) -> str:
    return next(
        text for text in (name, *(f"{name} ({k})" for k in range(2, MAX_RESULTS + 2))) if text not in taken
    )


def _protocols(record: Record) -> dict[str, Protocol]:
    found = {}
    for name, fields in record["protocols"].items():
        crop = fields.get("crop")
        _check_numbers({key: fields.get(key) for key in ("minimum_m", "cap_m")}, f"{name}'s span", 1)
        if crop is not None:
            top, bottom, left, right = crop
            if not all(type(end) is int for end in crop):
                raise ValueError(f"{name}.crop is {crop}")
            fields = fields | {"crop": (top, bottom, left, right)}  # noqa: PLW2901
        one = found[str(name)] = Protocol(**fields)
        known = one.reducer in REDUCERS and one.align in ALIGNMENTS and isinstance(one.reference, str)
        if not known or one.minimum_m is None or type(one.flip) is not bool:
            raise ValueError(f"{name} is {shortened(fields)}")
    if not found:
        raise ValueError("it has no protocol")
    return found


def _check_figures(record: Record, protocols: Mapping[str, Protocol]) -> None:
    """Refuse figures that are no numbers, or not one for each frame, by ValueError, KeyError or TypeError."""
    by_frame = record["by_frame"]
    frames, names = by_frame["frame_id"], by_frame["name"]
    if not frames or len(set(frames)) < len(frames) or not all(type(number) is int for number in frames):
        raise ValueError(f"frame_id is {shortened(frames)}")
    if not isinstance(names, list) or len(names) != len(frames):
        raise ValueError(f"name is {shortened(names)}")
    for name in protocols:
        _check_numbers(record["metrics"][name], f"{name}.metrics", 2)
        for measure, ends in record["intervals"][name].items():
            low, high = ends
            _check_numbers({"low": low, "high": high}, f"{name}.{measure}'s interval", 1)
        for measure, values in by_frame[name].items():
            _check_numbers(dict(enumerate(values)), f"{name}.{measure}", 1)
            if len(values) != len(frames) or (
                measure in DEPTH and not np.isfinite(np.array(values, np.float64)).all()
            ):
                raise ValueError(f"{name}.{measure} has not a number for each frame")
        if lacking := [measure for measure in DEPTH if measure not in by_frame[name]]:
            raise ValueError(f"{name} lacks {lacking[0]}")
    for key, levels in (("regions", 3), ("partition", 1), ("invalid_pixels", 1), ("images", 2)):
        _check_numbers(record.get(key, {}), key, levels)
    _check_numbers(record.get("initial", {}).get("metrics", {}), "initial.metrics", 3)
    for key in ("skipped", "damaged"):
        if not isinstance(record.get(key, []), list):
            raise ValueError(f"{key} is {shortened(record[key])}")


def _check_numbers(value: Any, where: str, levels: int) -> None:
    """Refuse what is no mapping of so many levels with numbers, or None, at its ends."""
    if levels:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {shortened(value)}")
        for key, part in value.items():
            _check_numbers(part, f"{where}.{key}", levels - 1)
    elif value is not None:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or abs(value) > _LARGEST:
            raise ValueError(f"{where} is {shortened(value)}")


class SharedFrames:
    """The frames that all results judged, and their errors by the protocol that each result is shown under.

    Attributes
    ----------
    shown : list of str
        For each result the first protocol that all have, else its own first.
    ids, positions : list of int
        Numbers of the frames, in the first record's order, and their positions in the store.
    errors : array
        (result, frame) of ``LEAD``.
    names, scene, split : list of str
        Of each frame.

    Raises
    ------
    InputError
        Where there is no such frame.
    """

    def __init__(self, store: Store, results: Sequence[Result]) -> None:
        common = [name for name in results[0].protocols if all(name in one.protocols for one in results)]
        self.shown = [common[0] if common else next(iter(result.protocols)) for result in results]
        places = [{number: i for i, number in enumerate(result.frame_ids)} for result in results]
        self.ids = [number for number in places[0] if all(number in place for place in places)]
        if not self.ids:
            raise InputError("results: they have no frame in common; judge them on the same frames")
        self.positions = store.positions(self.ids)
        self.errors = np.stack([
            result.by_frame(name, LEAD)[[place[number] for number in self.ids]]
            for result, name, place in zip(results, self.shown, places, strict=True)
        ])  # fmt: skip
        splits = {value: name for name, value in schema.SPLITS.items()}
        self.names = [store.frame_names[k] for k in self.positions]
        self.scene = [store.scene_names[store.scene[k]] for k in self.positions]
        self.split = [splits[int(store.split[k])] for k in self.positions]

    def origin(self, i: int) -> str:
        """Where a frame is from, in words; its name where that is another than its number."""
        known = self.names[i] != str(self.ids[i])
        return " · ".join([self.names[i]] * known + [self.scene[i]])

    def ranked(self, k: int) -> list[int]:
        """Places of the frames from the smallest error of the k-th result to its largest."""
        return list(map(int, np.argsort(self.errors[k], kind="stable")))

    def differing(self) -> list[int]:
        """Places of the frames in which two results differ most."""
        spread = np.ptp(self.errors, axis=0)
        return [int(i) for i in np.argsort(-spread, kind="stable") if spread[i] > 0][:_DIFFERING]

    def chosen(self) -> list[int]:
        """Places of the frames to look into: by rank in the first result, and where results differ most."""
        differing = self.differing()
        ranked = self.ranked(0)
        others = [i for i in ranked if i not in differing] or ranked
        steps = np.linspace(0, len(others) - 1, min(DEFAULT_COUNT - len(differing), len(others)))
        picked = {others[i] for i in np.rint(steps).astype(int)} | {*differing}
        return [i for i in ranked if i in picked]
