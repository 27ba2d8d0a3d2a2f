"""What a predicted map may hold: metres or labels that can be a frame's; else the fault is the frame's."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError

Array = npt.NDArray[Any]

_BEYOND_M = 1e9
"""No camera sees so far, in whatever unit: a value above it is a fault of its frame."""


class MapError(InputError):
    """One frame's map is damaged, or is none of its kind; the others can be judged all the same."""


def checked_regions(values: Array, where: str) -> npt.NDArray[np.int32]:
    """Return labels as int32; MapError, which ``where`` begins, where they are none of a frame's regions.

    Larger ones than there are pixels would cost memory as tables of all labels do.
    """
    if values.min(initial=0) < 0 or values.max(initial=0) > values.size:
        raise MapError(
            f"{where} has labels from {values.min()} to {values.max()}, expected 0 (none) and regions "
            f"numbered from 1, so {values.size} at most; number them anew"
        )
    return values.astype(np.int32)


def checked_metres(values: Array, where: str) -> Array:
    """Return depths as float32; MapError, which ``where`` begins, where they hold what no depth can."""
    with np.errstate(over="ignore", invalid="ignore"):
        metres = values.astype(np.float32)
    if not np.isfinite(metres).all():
        raise MapError(f"{where} has values that are NaN or infinite; expected depth in metres")
    if metres.min(initial=0) < 0 or metres.max(initial=0) > _BEYOND_M:
        raise MapError(
            f"{where} has values from {metres.min():g} to {metres.max():g}; expected depth in metres"
        )
    if not metres.any():
        raise MapError(f"{where} is 0 everywhere, which is no prediction")
    return metres
