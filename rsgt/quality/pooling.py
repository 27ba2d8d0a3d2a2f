"""From the measures of single frames to those of a set of them: the three reducers, for every measure alike.

A measure of many images is one of three numbers, which differ by a tenth and more, and papers seldom say
which one they print: the mean over images, the median over images, and the measure of all pixels of all
images taken together. A frame therefore gives its own values, and beside them sums that add up over frames.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError

Array = npt.NDArray[Any]
Sums = Mapping[str, Array]

REDUCERS = {
    "image_mean": "mean of the images' values",
    "image_median": "median of the images' values",
    "pixel_pool": "the measure of all pixels of all images taken together",
}


class FrameMeasures(NamedTuple):
    """What one frame gives for some measures that belong together.

    Attributes
    ----------
    values : mapping of float
        The frame's own value of each measure; NaN, or no entry, where it has none.
    sums : mapping of array
        Float64 arrays (or scalars) that add up over frames, always of the same shapes.
    pooled : callable
        From the sums of many frames to the values over all of their pixels; a function of a module, since
        frames are pooled with those that name the same one.
    """

    values: Mapping[str, float]
    sums: Sums
    pooled: Callable[[Sums], dict[str, float]]


class Pool:
    """The measures of frames that are added one after another; memory is one number a frame and measure.

    >>> pool = Pool()
    >>> for prediction, target in pairs:
    ...     pool.add(depth_measures(prediction, target, target > 0), normal_measures(...))
    >>> pool.reduced()["pixel_pool"]["rmse"]

    Attributes
    ----------
    frames : int
        Number of calls of ``add``.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._values: dict[str, list[float]] = {}
        self._sums: dict[Callable[[Sums], dict[str, float]], dict[str, Array]] = {}

    def add(self, *measured: FrameMeasures | None) -> None:
        """Add one frame: what each kind of measure found there; None, as without a camera, is nothing.

        Sums of floats depend on their order in the last digits: add frames in one order, threads or not.
        """
        self.frames += 1
        for part in filter(None, measured):
            for name, value in part.values.items():
                kept = self._values.setdefault(name, [])
                kept += [np.nan] * (self.frames - 1 - len(kept)) + [value]
            if part.pooled not in self._sums:
                self._sums[part.pooled] = {n: np.array(v, np.float64) for n, v in part.sums.items()}
                continue
            for name, total in self._sums[part.pooled].items():
                np.add(total, part.sums[name], out=total)

    def images(self) -> dict[str, Array]:
        """Each measure's values, (frame,) float64 in the order of adding; NaN where a frame has none."""
        return {
            name: np.array(values + [np.nan] * (self.frames - len(values)))
            for name, values in self._values.items()
        }

    def reduced(self) -> dict[str, dict[str, float]]:
        """Return each measure by each of ``REDUCERS``; NaN where no frame has it.

        Frames that lack a measure count in neither its mean nor its median.

        Raises
        ------
        InputError
            Where no frame was added.
        """
        if not self.frames:
            raise InputError("pool: got no image, expected at least one")
        known = {name: values[~np.isnan(values)] for name, values in self.images().items()}
        pooled: dict[str, float] = {}
        for finish, sums in self._sums.items():
            pooled |= finish(sums)
        return {
            "image_mean": {n: float(v.mean()) if v.size else float("nan") for n, v in known.items()},
            "image_median": {n: float(np.median(v)) if v.size else float("nan") for n, v in known.items()},
            "pixel_pool": {name: pooled.get(name, float("nan")) for name in known},
        }


def ratio(part: Any, whole: Any) -> float:
    """Divide two sums; NaN where there is nothing to divide by."""
    return float(part) / float(whole) if whole > 0 else float("nan")
