"""Two records against each other, paired by frame."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rsgt.inputs import InputError, local_path
from rsgt.quality.evaluation.record import Record, checked_record, read_record
from rsgt.quality.measures import MEASURES
from rsgt.quality.metrics import bootstrap_interval

Given = str | PathLike[str] | Mapping[str, Any]


def compare_records(first: Given, second: Given, *, most: int = 5, seed: int = 0) -> dict[str, Any]:
    """Compare two records on the frames that both judged, under the protocols that both have.

    Parameters
    ----------
    first, second
        Paths of records, or records.
    most
        How many frames to name, those whose errors (the first measure) differ most.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        ``frames`` in common, and ``only_one``: those of one record alone. ``protocols``: by name
        ``differences``, by measure the ``first`` and ``second`` mean over images, their ``difference``
        (second minus first), its 95 % ``interval`` over the pairs, and ``better`` (``first``, ``second``, or
        ``-`` where the interval holds 0); ``most_in``, the measure of ``most``: frames with ``frame_id``,
        ``name``, ``first``, ``second``, ``difference``.

    Raises
    ------
    InputError
        Where one is no record, they are of different stores, or share no protocol or frame.
    """
    one, two = (_record(given, f"record {k}") for k, given in ((1, first), (2, second)))
    if one["store"] != two["store"]:
        raise InputError(
            f"compare: records are of stores {one['store'][:12]} and {two['store'][:12]}; judge on one"
        )
    names = [name for name in one["protocols"] if name in two["protocols"]]
    if not names:
        raise InputError(
            f"compare: protocols are {', '.join(one['protocols'])} and {', '.join(two['protocols'])}, "
            "none in common; judge both by one"
        )
    for name in names:
        if dict(one["protocols"][name]) != dict(two["protocols"][name]):
            raise InputError(f"compare: {name} is another protocol in each record; judge both again")
    ids = [record["by_frame"]["frame_id"] for record in (one, two)]
    place = {number: k for k, number in enumerate(ids[1])}
    pairs = [(k, place[number]) for k, number in enumerate(ids[0]) if number in place]
    if not pairs:
        raise InputError("compare: the records have no frame in common; judge both on the same frames")
    return {
        "frames": len(pairs),
        "only_one": len(set(ids[0]) ^ set(ids[1])),
        "store": one["store"],
        "protocols": {name: _compared(one, two, name, np.array(pairs), most, seed) for name in names},
    }


def _record(given: Given, where: str) -> Record:
    if isinstance(given, Mapping):
        return checked_record(dict(given), where)
    return read_record(Path(local_path(given)))


def _compared(one: Record, two: Record, name: str, pairs: Any, most: int, seed: int) -> dict[str, Any]:
    errors = [record["by_frame"][name] for record in (one, two)]
    measures = [measure for measure in errors[0] if measure in errors[1]]
    values = {
        measure: [np.array(errors[k][measure], np.float64)[pairs[:, k]] for k in (0, 1)]
        for measure in measures
    }
    differences = {}
    for measure, (a, b) in values.items():
        both = np.isfinite(a) & np.isfinite(b)
        if not both.any():
            continue
        low, high = bootstrap_interval(b[both] - a[both], seed=seed)
        less = measure not in MEASURES or MEASURES[measure].less_is_better
        better = "-" if low <= 0 <= high else ("second" if (high < 0) == less else "first")
        differences[measure] = {
            "first": float(a[both].mean()), "second": float(b[both].mean()),
            "difference": float((b[both] - a[both]).mean()), "interval": (low, high), "better": better,
        }  # fmt: skip
    lead = next(iter(differences))
    a, b = values[lead]
    order = np.argsort(-np.nan_to_num(np.abs(b - a)), kind="stable")[:most]
    frames = one["by_frame"]
    named = [
        {
            "frame_id": frames["frame_id"][pairs[k, 0]], "name": frames["name"][pairs[k, 0]],
            "first": float(a[k]), "second": float(b[k]), "difference": float(b[k] - a[k]),
        }
        for k in order.tolist()
    ]  # fmt: skip
    return {"differences": differences, "most_in": lead, "most": named}
