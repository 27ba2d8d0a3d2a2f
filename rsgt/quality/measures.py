"""Every measure by its name: unit, definition in a sentence, and which way is better.

Help texts, documents and pages take them from here; the functions that compute them are ``metrics``,
``normals``, ``boundaries``, ``breakdown`` and ``statistics``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rsgt.inputs import InputError


class Measure(NamedTuple):
    """One measure: its unit ("" = none), its definition, and whether less is better."""

    unit: str
    definition: str
    less_is_better: bool = True


DEPTH = {
    "rmse": Measure("m", "sqrt(mean((p - q)²))"),
    "rmse_log": Measure("", "sqrt(mean((ln p - ln q)²)), natural logarithm"),
    "rmse_log10": Measure("", "the same in base 10: rmse_log / ln 10"),
    "log10": Measure("", "mean(|log10 p - log10 q|)"),
    "abs_rel": Measure("", "mean(|p - q| / q)"),
    "sq_rel": Measure("m", "mean((p - q)² / q)"),
    "silog": Measure("", "100 sqrt(mean(d²) - mean(d)²) with d = ln p - ln q, as KITTI has it"),
    "delta1": Measure("", "share of pixels with max(p / q, q / p) < 1.25", less_is_better=False),
    "delta2": Measure("", "the same with 1.25²", less_is_better=False),
    "delta3": Measure("", "the same with 1.25³", less_is_better=False),
}
"""Errors of a depth map: p is the predicted depth, q the true one; means go over the pixels that count."""

_PERCENTILES = {
    "error_p90": Measure("m", "90th percentile of |p - q|"),
    "abs_rel_p90": Measure("", "90th percentile of |p - q| / q"),
}

_BANDS = {"below_2m": "q below 2 m", "2m_to_4m": "q from 2 m to below 4 m", "from_4m": "q from 4 m on"}

_DISTANCE = {
    f"{name}_{band}": Measure(DEPTH[name].unit, f"{name} of the pixels with {words}", name != "delta1")
    for band, words in _BANDS.items()
    for name in ("rmse", "abs_rel", "delta1")
}

_CATEGORY = {
    f"category_{name}": Measure(
        DEPTH[name].unit,
        f"{name} of the pixels of one category, whose number ends the name",
        name != "delta1",
    )
    for name in ("rmse", "abs_rel", "delta1")
}

_NORMALS = {
    "normal_mean": Measure("°", "mean angle between predicted and true surface normals"),
    "normal_median": Measure("°", "median angle between predicted and true surface normals"),
    "normal_11": Measure(
        "", "share of pixels whose normals are less than 11.25° apart", less_is_better=False
    ),
    "normal_22": Measure("", "the same with 22.5°", less_is_better=False),
    "normal_30": Measure("", "the same with 30°", less_is_better=False),
}

_BOUNDARIES = {
    "boundary_precision": Measure(
        "", "share of the predicted depth boundaries that are true, weighted over ratios 1.05 to 1.25", False
    ),
    "boundary_recall": Measure(
        "", "share of the true depth boundaries that are predicted, weighted likewise", False
    ),
    "boundary_f1": Measure(
        "", "harmonic mean of the two at each ratio, weighted likewise; sharp truth only", False
    ),
}

_REGIONS = {
    "region_rmse": Measure("m", "mean over regions of sqrt(mean((p - q)²))"),
    "region_variance": Measure("m²", "mean over regions of the variance of p - q"),
    "instability": Measure("m", "region_variance / region_rmse"),
    "region_rmse_scale": Measure(
        "m", "mean over regions of the RMSE after a factor of each region's own, by least squares"
    ),
    "region_rmse_scale_shift": Measure(
        "m", "the same after a factor, not below 0, and a shift: the shape apart from the level"
    ),
    "adjusted_rand": Measure("", "adjusted Rand index of predicted and true regions, 0 = by chance", False),
    "v_measure": Measure("", "harmonic mean of homogeneity and completeness of the regions", False),
    "coverage": Measure("", "share of the pixels with depth that have a region", False),
    "covering": Measure("", "mean over pixels of their true region's best IoU with a predicted one", False),
}

_PLANES = {
    "plane_rmse": Measure("m", "RMSE of a region's depth about the plane in space that fits it best"),
    "normal_spread": Measure("°", "angle whose cosine is the mean one of a region's normals to their mean"),
}

MEASURES: dict[str, Measure] = {
    **DEPTH, **_PERCENTILES, **_DISTANCE, **_CATEGORY, **_NORMALS, **_BOUNDARIES, **_REGIONS, **_PLANES,
}  # fmt: skip
"""Measures by name, with p and q as in ``DEPTH``; ``category_rmse`` stands for that of every category."""

SETS = {
    "depth": "errors of depth",
    "percentiles": "the worst tenth",
    "distance": "errors by distance",
    "categories": "errors by category",
    "normals": "surface normals, where the camera is known",
    "boundaries": "depth boundaries; sharp truth only",
    "shape": "each region's shape apart from its level",
}
"""What an evaluation can be asked for; it always has ``depth``."""


def chosen_sets(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return which of ``SETS`` are asked for, in their order, ``depth`` among them; ``all`` is every one.

    Raises
    ------
    InputError
        Where there is none of a name.
    """
    names = {given} if isinstance(given, str) else set(given)
    if unknown := sorted(names - {*SETS, "all"}):
        raise InputError(f"measures: got {unknown[0]!r}, expected some of {', '.join(SETS)}, or all")
    return tuple(name for name in SETS if name in names | {"depth"} or "all" in names)


def described(name: str) -> Measure:
    """Return what a measure is by its name, ``category_rmse_7`` too; KeyError where there is none."""
    of, _, number = name.rpartition("_")
    return MEASURES[of if name.startswith("category_") and number.isdigit() else name]
