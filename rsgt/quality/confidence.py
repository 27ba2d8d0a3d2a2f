"""How well a prediction's own confidence tells where it errs: error by tenths of confidence."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.judged import Image, Judged

Array = npt.NDArray[Any]

LEVELS = 1 << 16
"""Steps of confidence from 0 to 1 that are told apart: those of a 16-bit picture."""
TENTHS = 10
_STEP_M = 1e-3
_NAMES = ("pixels", "abs", "squared", "relative")


class ConfidenceTable:
    """Error against confidence over the pixels of many frames, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._by_confidence = {name: np.zeros(LEVELS) for name in _NAMES}
        # By error, in steps of 1 mm: what the best possible confidence would have told.
        self._by_error = {name: np.zeros(LEVELS) for name in ("pixels", "abs", "squared")}

    def add(self, confidence: Image, maps: Judged) -> None:
        """Enter a frame.

        Parameters
        ----------
        confidence
            (y, x), 0 (none) to 1.
        maps
            Prediction and truth, and where they count.

        Raises
        ------
        InputError
            Where confidence has another shape, or values beyond 0 and 1 or not finite where it counts.
        """
        if confidence.shape != maps.valid.shape:
            raise InputError(
                f"confidence: got shape {confidence.shape}, expected the prediction's {maps.valid.shape}"
            )
        sure = confidence[maps.valid]
        if not ((sure >= 0) & (sure <= 1)).all():
            raise InputError("confidence: got values beyond 0 and 1, expected 0 (none) to 1; rescale it")
        truth = maps.target[maps.valid].astype(np.float64)
        error = np.abs(maps.prediction[maps.valid] - truth)
        sums = {"abs": error, "squared": error**2, "relative": error / truth}
        for sorted_by, level in (
            (self._by_confidence, np.rint(sure * (LEVELS - 1)).astype(np.int64)),
            (self._by_error, np.minimum(error / _STEP_M, LEVELS - 1).astype(np.int64)),
        ):
            for name in sorted_by:
                sorted_by[name] += np.bincount(level, sums.get(name), minlength=LEVELS)

    def summary(self) -> dict[str, Any]:
        """Say how error falls with confidence.

        Returns
        -------
        dict
            ``tenths``: of the pixels, from the least sure to the surest, each with ``from`` and ``to``
            (confidence), ``mae`` (m), ``rmse`` (m) and ``abs_rel``; of pixels that are equally sure, each
            tenth gets its share. ``worst_tenth``: the share of all absolute (``abs``) and squared error that
            the least sure tenth holds, beside that which the tenth with the largest errors holds
            (``abs_best``, ``squared_best``).

        Raises
        ------
        InputError
            Where no pixel was entered.
        """
        ends = _cumulative(self._by_confidence)
        if not ends["pixels"][-1]:
            raise InputError("confidence: no pixel counts; choose another split or protocol")
        at = np.linspace(0, ends["pixels"][-1], TENTHS + 1)
        parts = {name: np.diff(np.interp(at, ends["pixels"], ends[name])) for name in _NAMES}
        bounds = np.searchsorted(ends["pixels"][1:], at.clip(1, None) - 0.5) / (LEVELS - 1)
        tenths = [
            {
                "from": float(bounds[i]),
                "to": float(bounds[i + 1]),
                "mae": float(parts["abs"][i] / parts["pixels"][i]),
                "rmse": float(np.sqrt(parts["squared"][i] / parts["pixels"][i])),
                "abs_rel": float(parts["relative"][i] / parts["pixels"][i]),
            }
            for i in range(TENTHS)
        ]
        best = _cumulative(self._by_error)
        rest = best["pixels"][-1] * (1 - 1 / TENTHS)
        worst: dict[str, float | None] = {}
        for name in ("abs", "squared"):
            total = ends[name][-1]
            largest = total - float(np.interp(rest, best["pixels"], best[name]))
            worst[name] = float(parts[name][0] / total) if total else None
            worst[f"{name}_best"] = largest / float(total) if total else None
        return {"pixels": int(ends["pixels"][-1]), "tenths": tenths, "worst_tenth": worst}


def _cumulative(sums: dict[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([[0.0], np.cumsum(total)]) for name, total in sums.items()}
