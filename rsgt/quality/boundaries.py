"""Depth boundaries, where next pixels differ in depth by more than a factor: predicted and true ones.

The scale-invariant boundary measures of Depth Pro (Bochkovskii et al., ICLR 2025), as its authors' evaluation
computes them, so that figures compare. Two next pixels of a row or a column form a boundary at a threshold t
where the ratio of the farther to the nearer is above t, and the nearer one lies on one of two sides: four
kinds. Precision and recall are means over the four kinds, a kind without a boundary counting with 0; F1 is
their harmonic mean; and all three are averaged over ten thresholds from 1.05 to 1.25 with weights in
proportion to the threshold. So even a perfect prediction has less than 1 where the truth lacks a kind at some
threshold: the measure compares predictions of the same frames.

Ours differs in two ways. Pixels that do not count form no boundary, where there a hole is a depth of its own.
And a frame whose truth has no boundary at all has no value, where there it has 0. Nothing is aligned: ratios
know no scale, though they do know a shift.

**Only meaningful where the truth is sharp**, as of rendered frames: a sensor's depth is frayed at an edge by
several pixels, in-painted depth is smooth there, and a prediction that follows the photo is called wrong.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.quality.judged import Judged
from rsgt.quality.pooling import FrameMeasures, Sums
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

THRESHOLDS = np.linspace(1.05, 1.25, 10)
WEIGHTS = THRESHOLDS / THRESHOLDS.sum()
NAMES = ("boundary_precision", "boundary_recall", "boundary_f1")

_jit = jit(error_model="numpy")


@_jit
def _level(first: float, second: float, thresholds: Array) -> int:
    """How many thresholds the ratio of two depths exceeds; negative where the first is the nearer one."""
    near, far = min(first, second), max(first, second)
    if far <= thresholds[0] * near:  # most pixels
        return 0
    level = 1
    while level < thresholds.size and far > thresholds[level] * near:
        level += 1
    return level if first > second else -level


@_jit
def boundary_counts(prediction: Array, target: Array, valid: Array, thresholds: Array) -> Array:
    """Count the boundaries of two depth maps between next pixels that both count.

    Parameters
    ----------
    prediction, target
        (y, x) float32, metres, > 0 where they count.
    valid
        (y, x) bool.
    thresholds
        (threshold,) float64, ratios above 1 in growing order.

    Returns
    -------
    (3, 4, threshold) float64: boundaries of the prediction, of the target, and of both at one place; those
    whose nearer pixel is the right, the left, the lower and the upper one.
    """
    n = thresholds.size
    exactly = np.zeros((3, 4, n + 1))
    height, width = valid.shape
    for y in range(height):
        for x in range(width):
            if not valid[y, x]:
                continue
            for axis in range(2):
                row, column = y + axis, x + 1 - axis
                if row >= height or column >= width or not valid[row, column]:
                    continue
                p = _level(np.float64(prediction[y, x]), np.float64(prediction[row, column]), thresholds)
                q = _level(np.float64(target[y, x]), np.float64(target[row, column]), thresholds)
                exactly[0, 2 * axis + (p < 0), abs(p)] += 1
                exactly[1, 2 * axis + (q < 0), abs(q)] += 1
                if p * q > 0:
                    exactly[2, 2 * axis + (q < 0), min(abs(p), abs(q))] += 1
    found = np.zeros((3, 4, n))
    for k in range(n - 1, -1, -1):  # what exceeds a threshold exceeds those below it
        found[:, :, k] = exactly[:, :, k + 1]
        if k + 1 < n:
            found[:, :, k] += found[:, :, k + 1]
    return found


def boundary_measures(maps: Judged) -> FrameMeasures:
    """Precision, recall and F1 of the depth boundaries: see the module, also for where they mean something.

    Boundaries lie between valid pixels.

    Returns
    -------
    FrameMeasures of ``NAMES``, of NaN where the target has no boundary. Pooled are the counts of boundaries.
    """
    sums = {"boundaries": boundary_counts(*maps, THRESHOLDS)}
    return FrameMeasures(_from_counts(sums), sums, _from_counts)


def _from_counts(sums: Sums) -> dict[str, float]:
    """``NAMES`` from ``boundary_counts``, of one frame or of many."""
    predicted, true, both = sums["boundaries"]
    if not true.any():
        return dict.fromkeys(NAMES, float("nan"))
    precision = (both / predicted.clip(1)).mean(axis=0)
    recall = (both / true.clip(1)).mean(axis=0)
    f1 = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1)
    return {
        name: float(WEIGHTS @ values) for name, values in zip(NAMES, (precision, recall, f1), strict=True)
    }
