"""Every error of a depth map and of a partition, defined here and nowhere else (paper, section 5).

``kernels.map_errors`` and ``kernels.region_errors`` are fast paths of ``depth_errors`` and ``region_errors``;
a property test holds them equal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.judged import Image, Judged
from rsgt.quality.measures import DEPTH
from rsgt.quality.pooling import FrameMeasures, Sums

DEPTH_ERRORS = tuple(DEPTH)

Partition = npt.NDArray[np.integer[Any]]


def depth_errors(maps: Judged) -> dict[str, float]:
    """Errors of one predicted depth map: those of ``measures.DEPTH``, and what pooling them needs.

    ``pixels`` is the number of valid pixels, ``log_bias`` the mean of ln p - ln q.

    Parameters
    ----------
    maps
        Of ``judged``.

    Raises
    ------
    InputError
        Where no pixel is valid.

    Notes
    -----
    Computed in float64. Source: the paper, section 5.
    """
    p, q = (values[maps.valid].astype(np.float64) for values in (maps.prediction, maps.target))
    if not q.size:
        raise InputError("depth errors: got no valid pixel, expected at least one: leave the frame out")
    error, log_error = p - q, np.log(p) - np.log(q)
    ratio = np.maximum(p / q, q / p)
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "rmse_log": float(np.sqrt(np.mean(log_error**2))),
        "rmse_log10": float(np.sqrt(np.mean(log_error**2)) / np.log(10)),
        "log10": float(np.mean(np.abs(log_error)) / np.log(10)),
        "abs_rel": float(np.mean(np.abs(error) / q)),
        "sq_rel": float(np.mean(error**2 / q)),
        "silog": float(100 * np.std(log_error)),
        "delta1": float(np.mean(ratio < 1.25)),
        "delta2": float(np.mean(ratio < 1.25**2)),
        "delta3": float(np.mean(ratio < 1.25**3)),
        "pixels": float(q.size),
        "log_bias": float(np.mean(log_error)),
    }


def depth_measures(maps: Judged) -> FrameMeasures:
    """``DEPTH_ERRORS`` of one frame, for a ``Pool``; parameters and errors are those of ``depth_errors``."""
    errors = depth_errors(maps)
    # Means over pixels, or roots of such.
    means = {name: errors[name] for name in DEPTH_ERRORS}
    means |= {name: errors[name] ** 2 for name in ("rmse", "rmse_log", "rmse_log10")}
    means["log_bias"] = errors["log_bias"]
    sums = {name: np.array(errors["pixels"] * mean) for name, mean in means.items() if name != "silog"}
    sums["pixels"] = np.array(errors["pixels"])
    return FrameMeasures({name: errors[name] for name in DEPTH_ERRORS}, sums, _pooled)


def _pooled(sums: Sums) -> dict[str, float]:
    """``DEPTH_ERRORS`` of all pixels of many images."""
    mean = {name: float(total / sums["pixels"]) for name, total in sums.items()}
    variance = mean["rmse_log"] - mean["log_bias"] ** 2
    roots = {name: mean[name] ** 0.5 for name in ("rmse", "rmse_log", "rmse_log10")}
    found = mean | roots | {"silog": 100 * max(variance, 0.0) ** 0.5}
    return {name: found[name] for name in DEPTH_ERRORS}


def bootstrap_interval(
    values: Sequence[float] | npt.NDArray[np.floating[Any]],
    *,
    seed: int,
    level: float = 0.95,
    samples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over images.

    Parameters
    ----------
    values
        One error an image.
    seed
        Of the resampling; the same seed gives the same interval.
    level
        Share of the resampled means inside the interval.
    samples
        Number of resampled sets.

    Returns
    -------
    tuple of float
        Lower and upper end, in the unit of ``values``.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise InputError(f"bootstrap: got values of shape {array.shape}, expected one number an image")
    chosen = np.random.default_rng(seed).integers(0, array.size, (samples, array.size))
    low, high = np.quantile(array[chosen].mean(axis=1), ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def region_errors(prediction: Image, reference: Image, region: Partition) -> dict[str, float]:
    """Per-region statistics of one map, averaged over its regions.

    Parameters
    ----------
    prediction
        Map P (y, x) in metres: a prediction, a support map or the depth itself.
    reference
        Map Q (y, x) in metres; a pixel that is not finite and > 0 does not count.
    region
        Labels (y, x), dense from 1; 0 does not count. Memory grows with the largest.

    Returns
    -------
    dict
        ``rmse``: mean over regions of sqrt(mean((P - Q)²)), in metres. ``variance``: mean over regions
        of the population variance of P - Q, in m².

    Raises
    ------
    InputError
        Where no pixel counts.

    Notes
    -----
    Source: the paper, section 1, "Per-region statistics".
    """
    counted = (region > 0) & np.isfinite(reference) & (reference > 0)
    if not counted.any():
        raise InputError("region errors: got no pixel with a region and a reference, expected at least one")
    error = prediction[counted].astype(np.float64) - reference[counted]
    label = region[counted]
    # Counting is several times as fast as sorting, and the labels are small: dense from 1.
    pixels = np.bincount(label)
    present = np.flatnonzero(pixels)
    mean = np.bincount(label, error) / pixels.clip(1)
    square = np.bincount(label, error**2)[present] / pixels[present]
    variance = np.bincount(label, (error - mean[label]) ** 2)[present] / pixels[present]
    return {"rmse": float(np.sqrt(square).mean()), "variance": float(variance.mean())}


def instability(errors: Mapping[str, float]) -> float:
    """Ratio of variance to RMSE per region, in metres: the paper's 0.117 / 0.2852 = 41 %.

    Give it the averages over frames: a ratio of means, not a mean of ratios. NaN where the RMSE is 0.
    """
    return errors["variance"] / errors["rmse"] if errors["rmse"] else float("nan")


def adjusted_rand(a: Partition, b: Partition) -> float:
    """Adjusted Rand index of two labellings (pixel,) of small integers from 0: 1 = equal, 0 = by chance.

    Source: Hubert and Arabie, "Comparing partitions", 1985.
    """

    def pairs(labels: Partition) -> float:
        count = np.bincount(labels).astype(np.float64)
        return float((count * (count - 1)).sum() / 2)

    of_a, of_b = pairs(a), pairs(b)
    both = pairs(a.astype(np.int64) * (int(b.max()) + 1) + b)
    chance = of_a * of_b / max(1.0, a.size * (a.size - 1.0) / 2)
    most = (of_a + of_b) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def region_quality(predicted: Partition, truth: Partition) -> dict[str, float]:
    """How well a partition of one image agrees with the true one.

    Parameters
    ----------
    predicted
        Labels (y, x); 0 is a region like any other.
    truth
        Labels (y, x); pixels of 0 do not count.

    Returns
    -------
    dict
        ``adjusted_rand`` (1 = equal, 0 = by chance), ``v_measure`` (0 to 1) and ``covering`` (0 to 1:
        mean over pixels of the best intersection over union that their true region has with any
        predicted one; Arbelaez et al., 2011).

    Raises
    ------
    InputError
        Where the truth has no region, or scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import v_measure_score
    except ModuleNotFoundError as error:
        raise InputError(
            "region quality needs scikit-learn: pip install 'region-support[compare]'"
        ) from error
    counted = truth > 0
    if not counted.any():
        raise InputError("region quality: got a truth without regions, expected at least one")
    a, b = (np.unique(labels[counted], return_inverse=True)[1] for labels in (truth, predicted))
    return {
        "adjusted_rand": adjusted_rand(a, b),
        "v_measure": float(v_measure_score(a, b)),
        "covering": _covering(a, b),
    }


def _covering(truth: Partition, predicted: Partition) -> float:
    """Covering of two labellings (pixel,) that are dense from 0."""
    truth_pixels, predicted_pixels = np.bincount(truth), np.bincount(predicted)
    pairs, common = np.unique(truth * predicted_pixels.size + predicted, return_counts=True)
    row, column = np.divmod(pairs, predicted_pixels.size)
    union = truth_pixels[row] + predicted_pixels[column] - common
    best = np.zeros(truth_pixels.size)
    np.maximum.at(best, row, common / union)
    return float(np.average(best, weights=truth_pixels))
