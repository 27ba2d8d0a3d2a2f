"""What the measures of one frame are given, checked once and in one form."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.metrics import MINIMUM_DEPTH_M, Image, Mask

Array = npt.NDArray[Any]


class Judged(NamedTuple):
    """Two depth maps (y, x) float32 in metres, and where they count, bool."""

    prediction: Array
    target: Array
    valid: Array


def judged(prediction: Image, target: Image, valid: Mask) -> Judged:
    """Bring a prediction and its truth to the form that the kernels take.

    Parameters
    ----------
    prediction, target
        Depth (y, x) in metres. A prediction below 1 mm, 0 and negative ones with it, counts as 1 mm, as in
        ``depth_errors``: nobody gains by leaving out what is hard.
    valid
        Pixels (y, x) that count; what the maps hold elsewhere is not looked at.

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
    return Judged(np.maximum(p, np.float32(MINIMUM_DEPTH_M)), q, mask)
