"""What the measures of one frame are given: checked once, in one form, for all of them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError

Array = npt.NDArray[Any]
Image = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MINIMUM_DEPTH_M = 1e-3


class Judged(NamedTuple):
    """Two depth maps (y, x) float32 in metres, and where they count, bool."""

    prediction: Array
    target: Array
    valid: Array


def judged(prediction: Image, target: Image, valid: Mask, minimum_m: float = MINIMUM_DEPTH_M) -> Judged:
    """Bring a prediction and its truth to the form that every measure takes.

    Parameters
    ----------
    prediction, target
        Depth (y, x) in metres.
    valid
        Pixels (y, x) that count; what the maps hold elsewhere is not looked at.
    minimum_m
        A prediction below it, 0 and negative ones with it, counts as this in every measure: logarithms and
        ratios need it, and nobody gains by leaving out what is hard.

    Raises
    ------
    InputError
        Where shapes differ, or at a valid pixel the prediction is not finite, or the target not finite
        and > 0.
    """
    if prediction.ndim != 2 or prediction.shape != target.shape or target.shape != valid.shape:
        raise InputError(
            f"measures: got shapes {prediction.shape}, {target.shape} and {valid.shape} of prediction, "
            "target and valid, expected one shape (y, x)"
        )
    mask = np.ascontiguousarray(valid, np.bool_)
    p, q = (np.ascontiguousarray(values, np.float32) for values in (prediction, target))
    if wrong := int(np.count_nonzero(mask & ~np.isfinite(p))):
        raise InputError(f"measures: {wrong} predictions are not finite where they count; mark them invalid")
    if np.any(mask & ~(np.isfinite(q) & (q > 0))):
        raise InputError("measures: the target is not > 0 at a valid pixel: mark such pixels invalid")
    return Judged(np.maximum(p, np.float32(minimum_m)), q, mask)
