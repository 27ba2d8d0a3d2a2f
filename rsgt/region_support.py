"""Algorithm 1 of the paper: one frame's depth and labels in, its region support out."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rsgt import kernels
from rsgt.schema import InputError

Variant = Literal["default", "published"]
Unlabelled = Literal["cluster", "ignore"]
Split = Literal["equal", "log", "natural"]

DEFAULT_BINS = 10
DEFAULT_MIN_SIZE = 32


@dataclass(frozen=True)
class RegionSupport:
    """The region support of one frame; every map is (y, x).

    Attributes
    ----------
    region : int32 array
        Label of each pixel's region, 1 to R; 0 = no region.
    support : float32 array (float64 for the published variant)
        Mean depth of the pixel's region in metres; 0 = no region.
    segment : int32 array
        What was split by depth, from 1: connected segments (default) or categories in descending order
        of their id, the paper's instances (published); 0 = none.
    """

    region: npt.NDArray[np.int32]
    support: npt.NDArray[Any]
    segment: npt.NDArray[np.int32]


def region_support(
    depth_m: npt.ArrayLike,
    semantic: npt.ArrayLike,
    instance: npt.ArrayLike | None = None,
    *,
    variant: Variant = "default",
    bins: int = DEFAULT_BINS,
    min_size: int = DEFAULT_MIN_SIZE,
    unlabelled: Unlabelled = "cluster",
    split: Split = "equal",
    groups: int | None = None,
) -> RegionSupport:
    """Split a frame into regions of one category at nearly constant depth.

    Parameters
    ----------
    depth_m
        (y, x) float, depth in metres. Not finite or <= 0 is invalid and belongs to no region; the
        published variant knows no invalid depth and takes 0 for a depth.
    semantic
        (y, x) integer 0..65535, category; 0 = unlabelled.
    instance
        (y, x) integer 0..65535, counter of the object within its category; segments then end where
        category or instance change. Default variant only.
    variant
        ``"default"`` gives every valid pixel a region; ``"published"`` reproduces the paper's code.
    bins
        Number of equal depth steps over the frame's depth range, at least 1.
    min_size
        Regions of fewer pixels join a neighbour; up to 1 keeps all. Not used by ``"published"``.
    unlabelled
        ``"cluster"`` treats unlabelled pixels as a category, ``"ignore"`` leaves them without region, as
        the published variant always does.
    split
        How segments are split by depth: in equal steps (the paper), in steps of equal ratio (``"log"``),
        or by ``"natural"`` breaks, which leave the least squared error. ``"published"`` knows the first.
    groups
        How many groups natural breaks make of the frame, never fewer than it has segments; None = as many
        as equal steps make of it. Connected pieces of a group are regions of their own.

    Returns
    -------
    RegionSupport

    Raises
    ------
    InputError
        Where shapes differ, values are out of range, or an option does not fit the variant.

    Notes
    -----
    Source: the paper, Algorithm 1; ``docs/algorithm.md`` says what each variant does and why. Labels are
    canonical, so that two results are equal where ``==`` says so: in raster order of first appearance
    (default) or in descending order of support (published).

    Examples
    --------
    >>> import numpy as np
    >>> depth = np.array([[1.0, 1.0, 4.0, 4.0]])
    >>> region_support(depth, np.ones((1, 4), int), min_size=1).region
    array([[1, 1, 2, 2]], dtype=int32)
    """
    depth = np.ascontiguousarray(depth_m)
    category = _labels("semantic", semantic, depth.shape)
    if depth.ndim != 2 or depth.dtype.kind not in "fiu":
        raise InputError(f"depth_m: got {depth.dtype} {depth.shape}, expected floats of shape (y, x)")
    _check_options(variant, bins, min_size, unlabelled)
    check_split(variant, split, groups)
    if variant == "published":
        if instance is not None:
            raise InputError("instance: the published variant knows categories only; leave it out")
        if not np.isfinite(depth).all():
            raise InputError("depth_m: the published variant needs finite depth; use variant='default'")
        return RegionSupport(*kernels.published_region_support(depth.astype(np.float64), category, bins))
    key = _segment_key(category, instance)
    if depth.dtype != np.float32:
        depth = depth.astype(np.float64)
    frame = depth, key, unlabelled == "ignore", bins, min_size
    if split == "natural":
        return RegionSupport(*kernels.natural_region_support(*frame, groups or 0))
    return RegionSupport(*kernels.default_region_support(*frame, split == "log"))


def _check_options(variant: str, bins: int, min_size: int, unlabelled: str) -> None:
    if variant not in get_args(Variant):
        raise InputError(f"variant: got {variant!r}, expected 'default' or 'published'")
    if bins < 1:
        raise InputError(f"bins: got {bins}, expected at least 1")
    if min_size < 0:
        raise InputError(f"min_size: got {min_size}, expected at least 0")
    if unlabelled not in get_args(Unlabelled):
        raise InputError(f"unlabelled: got {unlabelled!r}, expected 'cluster' or 'ignore'")


def check_split(variant: str, split: str, groups: int | None) -> None:
    """Raise an InputError where a split does not exist or does not fit the variant or the groups."""
    if split not in get_args(Split):
        raise InputError(f"split: got {split!r}, expected one of {', '.join(get_args(Split))}")
    if variant == "published" and split != "equal":
        raise InputError(f"split: got {split!r}, but the published variant has equal steps only")
    if groups is not None and split != "natural":
        raise InputError(f"groups: got {groups} with split {split!r}; only 'natural' takes a number")
    if groups is not None and groups < 1:
        raise InputError(f"groups: got {groups}, expected at least 1")


def _segment_key(category: npt.NDArray[np.uint16], instance: npt.ArrayLike | None) -> npt.NDArray[Any]:
    """Number that is equal where category, and instance if there is one, are equal; 0 = unlabelled."""
    if instance is None:
        return category
    key = category.astype(np.uint32) << 16 | _labels("instance", instance, category.shape)
    key[category == 0] = 0  # what has no category has no instance either
    return key


def _labels(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    array = np.ascontiguousarray(values)
    if array.shape != shape:
        raise InputError(f"{name}: got shape {array.shape}, expected depth's {shape}")
    if array.dtype == np.uint16:
        return array
    if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > 65535)):
        raise InputError(f"{name}: got {array.dtype} {_range(array)}, expected integers from 0 to 65535")
    return array.astype(np.uint16)


def _range(array: npt.NDArray[Any]) -> str:
    return f"from {array.min()} to {array.max()}" if array.size else "without values"
