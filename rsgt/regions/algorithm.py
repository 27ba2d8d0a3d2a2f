"""Algorithm 1 of the paper: one frame's depth and labels in, its region support out."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rsgt.inputs import MOST_LABEL, InputError, dense, unit_doubt
from rsgt.regions import kernels, planar

Variant = Literal["default", "published"]
Unlabelled = Literal["cluster", "ignore"]
Grouping = Literal["equal", "log", "natural"]
Surface = Literal["constant", "plane"]

DEFAULT_BINS = 10
DEFAULT_MIN_SIZE = 32

MOST_BINS = 10_000
"""A millimetre each over NYU's ten metres; memory grows with the steps of every segment."""

_LARGEST = 2**31 - 1

FURTHEST_MEDIAN_M = 500.0
"""No frame's median depth is above, indoors or out; a room's in millimetres is, from half a metre on."""


@dataclass(frozen=True)
class RegionSupport:
    """The region support of one frame; every map is (y, x).

    Attributes
    ----------
    region : int32 array
        Label of each pixel's region, 1 to R; 0 = no region.
    support : float32 array (float64 for the published variant)
        Mean depth of the pixel's region, or the depth of its plane there, in metres; 0 = no region.
    segment : int32 array
        What was split by depth, from 1: connected segments (default) or categories in descending order
        of their id, the paper's instances (published); 0 = none.
    planes : float64 array, (region, 3), or None
        Planes of the regions 1, 2, …: a, b and c of 1/support = a x + b y + c, with x and y in pixels from
        the first one's centre; a = b = 0 where the region's mean depth does as well. None = constants.
    residual : float64 array, (region, 2), or None
        Root mean square (m) and variance (m²) of support less depth over each region; None = constants.
    """

    region: npt.NDArray[np.int32]
    support: npt.NDArray[Any]
    segment: npt.NDArray[np.int32]
    planes: npt.NDArray[np.float64] | None = None
    residual: npt.NDArray[np.float64] | None = None


def region_support(
    depth_m: npt.ArrayLike, semantic: npt.ArrayLike | None = None, instance: npt.ArrayLike | None = None, *,
    variant: Variant = "default", bins: int = DEFAULT_BINS, min_size: int = DEFAULT_MIN_SIZE,
    unlabelled: Unlabelled = "cluster", grouping: Grouping = "equal", groups: int | None = None,
    surface: Surface = "constant", regions: int | None = None, tolerance: float | None = None,
    across_labels: bool = False, unit_known: bool = False,
) -> RegionSupport:  # fmt: skip
    """Split a frame into regions of one category at nearly constant depth, or on one plane.

    Parameters
    ----------
    depth_m
        (y, x) float, depth in metres. Not finite, <= 0 or masked is invalid and belongs to no region; the
        published variant knows no invalid depth and takes 0 for a depth. Integers, and a median above
        500 m, are refused: they are millimetres.
    semantic
        (y, x) integer from 0 to 2³¹ - 1, category, of 65,535 at most; 0 or masked = unlabelled. None = one.
    instance
        (y, x) integer like ``semantic``, object within its category; 0 or masked = none. Segments
        then end where category or instance change. Default variant only.
    variant
        ``"default"`` gives every valid pixel a region; ``"published"`` reproduces the paper's code.
    bins
        Number of equal depth steps over the frame's depth range, 1 to 10,000.
    min_size
        Regions of fewer pixels join a neighbour; up to 1 keeps all. Not used by ``"published"``.
    unlabelled
        ``"cluster"`` treats unlabelled pixels as a category, ``"ignore"`` leaves them without region, as
        the published variant always does.
    grouping
        By depth in equal steps (the paper), in steps of equal ratio (``"log"``), or by ``"natural"`` breaks,
        which leave the least squared error. ``"published"`` knows the first.
    groups
        How many groups natural breaks make of the frame, at least one a segment; None = as many as equal
        steps make of it. Connected pieces of a group are regions of their own.
    surface
        A region's support: a ``"constant"`` depth (the paper), or that of a ``"plane"``.
    regions, tolerance, across_labels
        Of planes: how many, at least one a segment, None = as many as equal steps make; instead, metres:
        merge while it adds no more squared error than they do on 1 % of the pixels; whether segments merge.
    unit_known
        These are metres for sure; else a frame of which half is above ``FURTHEST_MEDIAN_M`` is refused.

    Returns
    -------
    RegionSupport

    Raises
    ------
    InputError
        Where shapes differ, values are out of range or no metres, or an option does not fit.

    Notes
    -----
    Source: the paper, Algorithm 1; see ``docs/explanation/algorithm.md``. Labels are canonical, so that
    equality is ``==``: by first appearance in raster order (default), or by descending support (published).

    Examples
    --------
    >>> import numpy as np
    >>> depth = np.array([[1.0, 1.0, 4.0, 4.0]])
    >>> region_support(depth, np.ones((1, 4), int), min_size=1).region
    array([[1, 1, 2, 2]], dtype=int32)
    """
    check_options(variant, bins, min_size, unlabelled)
    check_grouping(variant, grouping, groups)
    check_surface(variant, grouping, surface, regions, tolerance, across_labels)
    depth = _depth(depth_m, unit_known)
    one = np.ones(depth.shape, np.uint16)
    category = one if semantic is None else _labels("semantic", semantic, depth.shape)
    if variant == "published":
        return _published(depth, category, instance, bins)
    key = _segment_key(category, instance)
    frame = depth, key, unlabelled == "ignore", bins, min_size
    if surface == "plane":
        stop = (regions or 0, np.inf) if tolerance is None else (1, float(tolerance))
        return RegionSupport(*planar.planar_region_support(*frame, *stop, across_labels))
    if grouping == "natural":
        return RegionSupport(*kernels.natural_region_support(*frame, groups or 0))
    return RegionSupport(*kernels.default_region_support(*frame, grouping == "log"))


def _published(
    depth: npt.NDArray[Any], category: npt.NDArray[np.uint16], instance: npt.ArrayLike | None, bins: int
) -> RegionSupport:
    if instance is not None:
        raise InputError("instance: the published variant knows categories only; omit it")
    if not np.isfinite(depth).all():
        raise InputError("depth_m: the published variant needs finite depth; use variant='default'")
    return RegionSupport(*kernels.published_region_support(depth.astype(np.float64), category, bins))


def check_options(variant: str, bins: int, min_size: int, unlabelled: str) -> None:
    """Raise an InputError where an option of ``region_support`` does not exist or is out of range."""
    if variant not in get_args(Variant):
        raise InputError(f"variant: got {variant!r}, expected 'default' or 'published'")
    _check_number("bins", bins, 1, MOST_BINS)
    _check_number("min_size", min_size, 0, _LARGEST)
    if unlabelled not in get_args(Unlabelled):
        raise InputError(f"unlabelled: got {unlabelled!r}, expected 'cluster' or 'ignore'")


def _check_number(name: str, value: Any, least: int, most: int) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise InputError(
            f"{name}: got {value!r}, expected at least {least} and at most {most}, a whole number"
        )


def check_grouping(variant: str, grouping: str, groups: int | None) -> None:
    """Raise an InputError where a grouping does not exist or does not fit the variant or the groups."""
    if grouping not in get_args(Grouping):
        raise InputError(f"grouping: got {grouping!r}, expected one of {', '.join(get_args(Grouping))}")
    if variant == "published" and grouping != "equal":
        raise InputError(f"grouping: got {grouping!r}, but the published variant has equal steps only")
    if groups is not None and grouping != "natural":
        raise InputError(f"groups: got {groups} with grouping {grouping!r}; only 'natural' takes a number")
    if groups is not None:
        _check_number("groups", groups, 1, _LARGEST)


def check_surface(
    variant: str, grouping: str, surface: str, regions: int | None, tolerance: float | None,
    across_labels: bool,
) -> None:  # fmt: skip
    """Raise an InputError where a surface does not exist or does not fit the other options."""
    if surface not in get_args(Surface):
        raise InputError(f"surface: got {surface!r}, expected 'constant' or 'plane'")
    if type(across_labels) is not bool:
        raise InputError(f"across_labels: got {across_labels!r}, expected True or False")
    options = {"regions": regions, "tolerance": tolerance, "across_labels": across_labels or None}
    given = [name for name, value in options.items() if value is not None]
    if surface == "constant" and given:
        raise InputError(f"{given[0]}: is for planes; use surface='plane' (--surface plane), or omit it")
    if surface == "plane" and (variant, grouping) != ("default", "equal"):
        raise InputError("surface: planes have a variant and a grouping of their own; omit those")
    if regions is not None and tolerance is not None:
        raise InputError("regions and tolerance exclude each other; omit one")
    if regions is not None:
        _check_number("regions", regions, 1, _LARGEST)
    if tolerance is not None and not (_is_number(tolerance) and 0 < tolerance < np.inf):
        raise InputError(f"tolerance: got {tolerance!r}, expected a number of metres above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _segment_key(category: npt.NDArray[np.uint16], instance: npt.ArrayLike | None) -> npt.NDArray[Any]:
    """Number that is equal where category, and instance if there is one, are equal; 0 = unlabelled."""
    if instance is None:
        return category
    key = category.astype(np.uint32) << 16 | _labels("instance", instance, category.shape)
    key[category == 0] = 0  # what has no category has no instance either
    return key


def _array(name: str, values: npt.ArrayLike, masked: float) -> npt.NDArray[Any]:
    """Make an array of what a caller has: NumPy's, xarray's, a tensor in main memory, nested lists.

    A masked value becomes ``masked``, for NumPy alone would drop the mask and keep what lies under it.
    """
    try:
        if isinstance(values, np.ma.MaskedArray):
            # An integer has no NaN: what is no float is refused by its type later, mask or not.
            fits = values.dtype.kind in "f" or masked == 0
            return np.asarray(values.filled(masked if fits else 0))
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, a tensor on a GPU or with gradient
        raise InputError(
            f"{name}: can't be made a NumPy array ({' '.join(str(error).split())}); expected shape (y, x)"
        ) from error


def _depth(values: npt.ArrayLike, unit_known: bool) -> npt.NDArray[Any]:
    """Check depth and return it as contiguous float32 or float64, NaN where it was masked."""
    depth = _array("depth_m", values, np.nan)
    if depth.ndim != 2 or depth.dtype.kind not in "fiu":
        raise InputError(f"depth_m: got {depth.dtype} {depth.shape}, expected floats of shape (y, x)")
    if not depth.size:
        raise InputError(f"depth_m: got shape {depth.shape}, without a pixel; expected (y, x)")
    if depth.dtype.kind in "iu":
        raise InputError(
            f"depth_m: got {depth.dtype} {_range(depth)}, expected floats in metres; millimetres? divide by "
            "1000 (whole metres: .astype(float))"
        )
    depth = np.ascontiguousarray(depth, np.float32 if depth.dtype == np.float32 else np.float64)
    if depth.dtype == np.float64 and ((depth > np.finfo(np.float32).max) & (depth < np.inf)).any():
        raise InputError(f"depth_m: got values up to {np.nanmax(depth):.3g}, expected metres within float32")
    if not unit_known and (doubt := unit_doubt(depth, FURTHEST_MEDIAN_M)):
        raise InputError(f"depth_m: got {doubt}")
    return depth


def _labels(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Check labels and return them as uint16; larger ones are numbered anew, in their order."""
    array = _array(name, values, 0)
    if array.shape != shape:
        raise InputError(f"{name}: got shape {array.shape}, expected depth's {shape}")
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > _LARGEST:
        got = f" {_range(array)}" if array.dtype.kind in "iuf" else ""
        raise InputError(f"{name}: got {array.dtype}{got}, expected integers from 0 to {_LARGEST:,}")
    if array.max() > MOST_LABEL:
        array = dense(array)
        if (count := array.max()) > MOST_LABEL:
            raise InputError(f"{name}: got {count:,} different labels, expected at most {MOST_LABEL:,}")
    return np.ascontiguousarray(array, np.uint16)


def _range(array: npt.NDArray[Any]) -> str:
    return f"from {array.min()} to {array.max()}"
