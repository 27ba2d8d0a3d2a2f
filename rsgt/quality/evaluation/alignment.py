"""Alignment: what a prediction of unknown scale, or scale and shift, is granted before it is judged.

Each image on its own, by the pixels that count. Fits are least squares, as MiDaS and Marigold make them, or
robust ones: of the least sum of |p - q| / q, as MoGe's evaluation makes them, which a few wild pixels do not
draw away. MoGe fits those on 64 x 64 of a frame's pixels; here they are at most ``SAMPLE``.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Alignment = Literal[
    "none", "median", "scale", "scale-shift", "disparity", "robust-scale", "robust-scale-shift"
]
ALIGNMENTS: dict[Alignment, str] = {
    "none": "as it is",
    "median": "times the ratio of the medians, truth to prediction",
    "scale": "times the factor of least squares",
    "scale-shift": "factor and shift of least squares, in depth",
    "disparity": "factor and shift of least squares, in inverse depth",
    "robust-scale": "times the factor of least absolute relative errors",
    "robust-scale-shift": "factor and shift of least absolute relative errors, in depth",
}
"""Alignments by name, and what they do to each image's prediction."""

Kind = Literal["depth", "disparity"]
KINDS: dict[Kind, str] = {"depth": "depth along the optical axis", "disparity": "inverse depth"}
"""What the numbers of a predicted map are."""

_SHIFTED: dict[str, Kind] = {"scale-shift": "depth", "robust-scale-shift": "depth", "disparity": "disparity"}
"""Alignments that move the zero, and the kind of map in which they do."""

SAMPLE = 1 << 14
"""Pixels of an image, at equal steps, that a robust fit goes over."""


def unusable(prediction: Image, kind: Kind, align: Alignment) -> Mask:
    """Pixels (y, x) of a prediction that say nothing.

    NaN and infinite ones are; 0 and negative ones too, but for a map whose zero the alignment itself finds: 0
    then is a number like any other, such as the furthest of an inverse depth without unit.
    """
    nothing = ~np.isfinite(prediction)
    return nothing if _SHIFTED.get(align) == kind else nothing | (prediction <= 0)


def aligned(
    prediction: Image, depth: Image, counted: Mask, kind: Kind, align: Alignment, furthest_m: float | None
) -> Image:
    """Bring a predicted map to depth in metres.

    Parameters
    ----------
    prediction
        (y, x), of ``kind``; any number where ``unusable``.
    depth
        True depth (y, x) in metres.
    counted
        Pixels (y, x) that the fit goes over: usable ones with true depth. Where there is none, nothing is
        aligned.
    kind, align
        Of ``KINDS`` and ``ALIGNMENTS``.
    furthest_m
        Where a fit of inverse depths gives an inverse below that of this depth, or none, it is this depth;
        None = the truth's furthest in the image.

    Returns
    -------
    (y, x) in metres; not above 0 where a shift led there.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if align == "none" or not counted.any():
            return prediction if kind == "depth" else 1 / prediction
        values = prediction.astype(np.float64)
        if align == "disparity":
            inverse = values if kind == "disparity" else 1 / values
            truth = 1 / depth[counted].astype(np.float64)
            scale, shift = _line(inverse[counted], truth)
            least = 1 / furthest_m if furthest_m is not None else truth.min()
            return np.asarray(1 / np.maximum(scale * inverse + shift, least))
        metres = values if kind == "depth" else 1 / values
        p, q = metres[counted], depth[counted].astype(np.float64)
        if align == "median":
            return np.asarray(metres * (np.median(q) / np.median(p)))
        if align == "scale":
            return np.asarray(metres * ((p @ q) / (p @ p)))
        if align.startswith("robust"):
            step = -(-p.size // SAMPLE)
            p, q = p[::step], q[::step]
        if align == "robust-scale":
            return np.asarray(metres * _robust_factor(p, q, 1 / q))
        scale, shift = (_robust_line if align == "robust-scale-shift" else _line)(p, q)
        return np.asarray(scale * metres + shift)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Factor and shift that bring x nearest to y by least squares; a constant x becomes the mean of y."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    scale = float(centred @ (y - y.mean())) / spread if spread > 0 else 0.0
    return scale, float(y.mean() - scale * x.mean())


def _robust_factor(x: Floats, y: Floats, weight: Floats) -> float:
    """Factor s of the least sum of weight |s x - y|: the median of y / x, each with the weight of its x."""
    known = x != 0
    ratio, mass = y[known] / x[known], (weight * np.abs(x))[known]
    if not ratio.size:
        return 0.0
    order = np.argsort(ratio, kind="stable")
    below = np.cumsum(mass[order])
    return float(ratio[order[np.searchsorted(below, below[-1] / 2)]])


def _robust_line(x: Floats, y: Floats) -> tuple[float, float]:
    """Factor and shift of the least sum of |s x + t - y| / y.

    For each height of the line at the median of x the best factor is known, and the sum that is left is a
    convex function of this height.
    """
    from scipy.optimize import minimize_scalar  # here, since it takes longer to import than all else

    middle, weight = float(np.median(x)), 1 / y
    centred = x - middle

    def left(height: float) -> float:
        return float(weight @ np.abs(_robust_factor(centred, y - height, weight) * centred + height - y))

    span = float(np.ptp(y))
    if span == 0:
        return 0.0, float(y[0])
    bounds = (float(y.min()) - span, float(y.max()) + span)
    found = minimize_scalar(left, bounds=bounds, method="bounded", options={"xatol": 1e-7 * span})
    scale = _robust_factor(centred, y - found.x, weight)
    return scale, float(found.x - scale * middle)
