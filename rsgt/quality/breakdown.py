"""Errors of a depth map taken apart: by distance, by category, the worst tenth, shape apart from level."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.judged import Judged
from rsgt.quality.metrics import Partition
from rsgt.quality.pooling import FrameMeasures, Sums, ratio
from rsgt.quality.quantiles import counts, quantile
from rsgt.regions.compilation import jit

Array = npt.NDArray[Any]

BOUNDS_M = (2.0, 4.0)
BANDS = ("below_2m", "2m_to_4m", "from_4m")
"""Of true depth, as ``BOUNDS_M`` part it."""
LEAST_PIXELS = 10
"""Pixels that a region needs for a shape. MoGe's evaluation asks for as many, of a coarser grid."""

_jit = jit(error_model="numpy")


@_jit
def sums_by_label(prediction: Array, target: Array, valid: Array, label: Array, labels: int) -> Array:
    """Sums of errors over the pixels of each label.

    Parameters
    ----------
    prediction, target
        (y, x) float32, metres, > 0 where they count.
    valid
        (y, x) bool.
    label
        (y, x) integer from 0 to ``labels`` - 1.
    labels
        How many there are.

    Returns
    -------
    (label, 4) float64: pixels, (p - q)², |p - q| / q, and pixels whose ratio is below 1.25.
    """
    found = np.zeros((labels, 4))
    for y in range(valid.shape[0]):
        for x in range(valid.shape[1]):
            if valid[y, x]:
                p, q, k = np.float64(prediction[y, x]), np.float64(target[y, x]), label[y, x]
                found[k, 0] += 1
                found[k, 1] += (p - q) * (p - q)
                found[k, 2] += abs(p - q) / q
                found[k, 3] += max(p, q) < 1.25 * min(p, q)
    return found


def _errors(sums: Array) -> dict[str, float]:
    """RMSE, absolute relative error and delta1 from a row of ``sums_by_label``."""
    pixels, squares, relative, close = sums.tolist()
    return {
        "rmse": ratio(squares, pixels) ** 0.5,
        "abs_rel": ratio(relative, pixels),
        "delta1": ratio(close, pixels),
    }


def distance_measures(maps: Judged) -> FrameMeasures:
    """RMSE, absolute relative error and delta1 of the pixels of each of ``BANDS`` of true depth.

    iBims-1 (Koch et al., 2018) gives such errors metre by metre; three bands are what indoor frames fill.

    Returns
    -------
    FrameMeasures named ``rmse_below_2m`` and so on, of NaN for a band without pixels.
    """
    band = np.zeros(maps.target.shape, np.uint8)
    for bound in BOUNDS_M:
        band += maps.target >= np.float32(bound)
    sums = {"bands": sums_by_label(*maps, band, len(BANDS))}
    return FrameMeasures(_by_distance(sums), sums, _by_distance)


def _by_distance(sums: Sums) -> dict[str, float]:
    return {
        f"{name}_{band}": value
        for band, row in zip(BANDS, sums["bands"], strict=True)
        for name, value in _errors(row).items()
    }


def category_measures(maps: Judged, semantic: Partition, categories: int) -> FrameMeasures:
    """RMSE, absolute relative error and delta1 of the pixels of each category.

    Parameters
    ----------
    maps
        Of ``judged``.
    semantic
        Categories (y, x); 0 = unlabelled, which is one like any other here, as for ``rsgt stats``.
    categories
        The highest number of a category, the same for all frames of a pool: ``schema.largest_category``.

    Returns
    -------
    FrameMeasures named ``category_rmse_7`` and so on; a category without pixels has no entry.

    Raises
    ------
    InputError
        Where ``semantic`` are no such categories.
    """
    _check_labels("category", semantic, maps)
    if (highest := int(semantic.max(initial=0))) > categories:
        raise InputError(f"category measures: got category {highest}, expected at most {categories}")
    sums = {"categories": sums_by_label(*maps, semantic, categories + 1)}
    return FrameMeasures(_by_category(sums), sums, _by_category)


def _check_labels(kind: str, labels: Partition, maps: Judged) -> None:
    if labels.shape != maps.target.shape or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{kind} measures: got labels {labels.dtype} of shape {labels.shape}, expected integers of "
            f"shape {maps.target.shape}"
        )
    if labels.min(initial=0) < 0:
        raise InputError(f"{kind} measures: got label {labels.min()}, expected none below 0")


def _by_category(sums: Sums) -> dict[str, float]:
    return {
        f"category_{name}_{k}": value
        for k in np.flatnonzero(sums["categories"][:, 0]).tolist()
        for name, value in _errors(sums["categories"][k]).items()
    }


def percentile_measures(maps: Judged) -> FrameMeasures:
    """90th percentiles of the absolute error (m) and of the absolute relative error.

    A frame's own are exact, linear between two pixels as in ``numpy.quantile``; those of pooled pixels come
    from counts, whose resolution ``quantiles`` says.

    Returns
    -------
    FrameMeasures ``error_p90`` and ``abs_rel_p90``, of NaN where no pixel counts.
    """
    p, q, mask = maps
    true = q[mask]
    error = np.abs(p[mask] - true)
    found = {"error_p90": error, "abs_rel_p90": error / true}
    values = {
        name: float(np.quantile(errors, 0.9)) if errors.size else float("nan")
        for name, errors in found.items()
    }
    return FrameMeasures(values, {name: counts(errors) for name, errors in found.items()}, _percentiles)


def _percentiles(sums: Sums) -> dict[str, float]:
    return {name: quantile(found, 0.9) for name, found in sums.items()}


class AlignedErrors(NamedTuple):
    """RMSE (m) of each region that is large enough, after its own alignment; (region,) float64, by label."""

    scale: Array
    scale_shift: Array


@_jit
def aligned_errors(
    prediction: Array, target: Array, valid: Array, region: Array, least: int
) -> AlignedErrors:
    """RMSE of each region after a factor, and after a factor of 0 or more and a shift, both by least squares.

    Parameters
    ----------
    prediction, target
        (y, x) float32, metres, > 0 where they count.
    valid
        (y, x) bool.
    region
        (y, x) integer, labels from 1; 0 counts nowhere.
    least
        Pixels that a region needs.
    """
    labels = region.max() + 1 if region.size else 1
    n, mean_p, mean_q = np.zeros(labels), np.zeros(labels), np.zeros(labels)
    pp, pq = np.zeros(labels), np.zeros(labels)
    for y in range(valid.shape[0]):
        for x in range(valid.shape[1]):
            r = region[y, x]
            if r > 0 and valid[y, x]:
                p, q = np.float64(prediction[y, x]), np.float64(target[y, x])
                n[r] += 1
                mean_p[r] += p
                mean_q[r] += q
                pp[r] += p * p
                pq[r] += p * q
    scale = pq / pp
    mean_p /= n
    mean_q /= n
    scaled, vp, vq, vpq = np.zeros(labels), np.zeros(labels), np.zeros(labels), np.zeros(labels)
    for y in range(valid.shape[0]):  # about the means, so that a flat region far away keeps its digits
        for x in range(valid.shape[1]):
            r = region[y, x]
            if r > 0 and valid[y, x]:
                p, q = np.float64(prediction[y, x]), np.float64(target[y, x])
                scaled[r] += (scale[r] * p - q) ** 2
                vp[r] += (p - mean_p[r]) ** 2
                vq[r] += (q - mean_q[r]) ** 2
                vpq[r] += (p - mean_p[r]) * (q - mean_q[r])
    for r in range(labels):
        if vpq[r] > 0:  # else the shape is flat or inside out, and the best factor is 0
            vq[r] = max(vq[r] - vpq[r] * vpq[r] / vp[r], 0.0)
    large = np.flatnonzero(n >= least)
    return AlignedErrors(np.sqrt(scaled[large] / n[large]), np.sqrt(vq[large] / n[large]))


def region_shape_measures(maps: Judged, region: Partition) -> FrameMeasures:
    """Error of each region's shape apart from its level: RMSE (m) after alignment within the region.

    Each region's prediction is brought to its truth by a factor, or by a factor and a shift, as least squares
    have it; what remains is shape. MoGe (Wang et al., CVPR 2025) aligns the points of segments likewise. A
    factor that goes with a shift is not below 0: relief turned inside out is no shape that was found.

    Parameters
    ----------
    maps
        Of ``judged``.
    region
        Labels (y, x), dense from 1; 0 does not count, nor do regions of fewer than ``LEAST_PIXELS``.

    Returns
    -------
    FrameMeasures ``region_rmse_scale`` and ``region_rmse_scale_shift``: means over the frame's regions, and
    pooled over those of all frames; NaN where there is none.

    Raises
    ------
    InputError
        Where ``region`` are no such labels.
    """
    _check_labels("region", region, maps)
    found = aligned_errors(*maps, region, LEAST_PIXELS)
    sums = {name: np.array(values.sum()) for name, values in found._asdict().items()}
    sums["regions"] = np.array(float(found.scale.size))
    return FrameMeasures(_shapes(sums), sums, _shapes)


def _shapes(sums: Sums) -> dict[str, float]:
    return {
        "region_rmse_scale": ratio(sums["scale"], sums["regions"]),
        "region_rmse_scale_shift": ratio(sums["scale_shift"], sums["regions"]),
    }
