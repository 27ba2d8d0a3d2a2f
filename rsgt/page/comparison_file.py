"""What ``rsgt compare --json`` wrote, read again for the report and checked value by value."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsgt.inputs import InputError, local_path, read_text

COMPARED = {
    "regions": ("Regions", ".0f"),
    "rmse": ("RMSE (m)", ".3f"),
    "abs_rel": ("AbsRel", ".3f"),
    "delta1": ("δ<sub>1</sub>", ".3f"),
    "spread_median": ("Spread (m)", ".3f"),
    "spread_p95": ("Spread 95 % (m)", ".3f"),
    "edge_recall": ("Recall", ".3f"),
    "cross_share": ("Across", ".3f"),
}
"""Columns of the comparison: key in a row of ``rsgt compare --json``, heading, format."""

_LARGEST, _SMALLEST = 1e9, 1e-9
"""No count of regions and no error in metres lies beyond, and a logarithmic scale needs an end."""


def read_comparison(path: Path) -> dict[str, Any]:
    """Read what ``rsgt compare --json`` wrote: a document with ``rows``, or the rows alone.

    Raises
    ------
    InputError
        Where the file is no JSON, or ``checked`` refuses it.
    """
    path = local_path(path)
    try:
        document = json.loads(read_text(path))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: no comparison ({type(error).__name__}: {error}); expected the output of "
            "`rsgt compare STORE --json`"
        ) from error
    return checked(document if isinstance(document, dict) else {"rows": document}, str(path))


def checked(document: Mapping[str, Any], where: str = "comparison") -> dict[str, Any]:
    """Return a comparison of which everything that a page shows is known to be what it should be.

    Parameters
    ----------
    document
        ``rows``, each with ``name``, ``regions`` and ``rmse``, and the other keys of ``COMPARED`` where it
        has them: numbers from 0, or None; ``surface``, ``mean`` where it is missing; ``equal_counts`` with
        ``regions`` and ``rows``; ``frames``.
    where
        What to call it in a message.

    Raises
    ------
    InputError
        That names the first thing that is something else.
    """
    if not isinstance(document, Mapping) or "rows" not in document:
        raise _no(where, "it has no 'rows'")
    _rows(document["rows"], where, "rows")
    if not document["rows"]:
        raise InputError(f"{where}: the comparison has no rows; run `rsgt compare STORE --json` again")
    equal = document.get("equal_counts", [])
    if not isinstance(equal, list):
        raise _no(where, f"equal_counts is {_shown(equal)}, expected a list")
    for k, table in enumerate(equal):
        if not isinstance(table, Mapping) or not {"regions", "rows"} <= {*table}:
            raise _no(where, f"equal_counts[{k}] is {_shown(table)}, expected regions and rows")
        if _number(table["regions"], where, f"equal_counts[{k}].regions") is None:
            raise _no(where, f"equal_counts[{k}].regions is missing")
        _rows(table["rows"], where, f"equal_counts[{k}].rows")
    frames = document.get("frames", 1)
    if not isinstance(frames, int) or isinstance(frames, bool) or not 0 < frames < _LARGEST:
        raise _no(where, f"frames is {_shown(frames)}, expected a whole number from 1")
    return dict(document)


def _rows(rows: Any, where: str, place: str) -> None:
    if not isinstance(rows, list):
        raise _no(where, f"{place} is {_shown(rows)}, expected a list")
    for k, row in enumerate(rows):
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
            raise _no(where, f"{place}[{k}] is {_shown(row)}, expected a row with a name")
        if lacking := [key for key in ("regions", "rmse") if key not in row]:
            raise _no(where, f"{place}[{k}] lacks {', '.join(lacking)}")
        if not isinstance(row.get("parameter"), str | None):
            raise _no(where, f"{place}[{k}].parameter is {_shown(row['parameter'])}, expected text")
        if row.get("surface", "mean") not in ("mean", "plane", "own"):
            raise _no(where, f"{place}[{k}].surface is {_shown(row['surface'])}, expected mean, plane or own")
        for key in COMPARED:
            _number(row.get(key), where, f"{place}[{k}].{key}")


def _number(value: Any, where: str, place: str) -> float | None:
    """Check a number from 0, or None, which says that there is none to be had."""
    if value is None:
        return None
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(min(value, _LARGEST)) or not 0 <= value <= _LARGEST:
        raise _no(where, f"{place} is {_shown(value)}, expected a number from 0 to {_LARGEST:g}, or null")
    if 0 < value < _SMALLEST:
        raise _no(where, f"{place} is {_shown(value)}, expected 0 or a number from {_SMALLEST:g}")
    return float(value)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__} too long to show"


def _no(where: str, problem: str) -> InputError:
    return InputError(
        f"{where}: no comparison: {problem}; expected the output of `rsgt compare STORE --json`"
    )
