"""The contract of a region-support store, and the facts of NYU Depth v2, as data.

Every array's name, axes, dtype, unit, meaning of 0 and chunking stands here once; ``store`` creates
what this file lists and ``verify`` checks against it. ``docs/reference/format.md`` is the prose beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsgt.inputs import MOST_LABEL

FORMAT = "region-support"
FORMAT_VERSION = 4
OLD_VERSION = 3
"""Still read: records of its shards stand in the root's attributes, names of frames in those of ``frame``."""
ATTRIBUTES = (
    "format", "format_version", "parameters", "source", "split_origin", "cameras", "versions", "shards",
    "content_sha256", "files", "seal",
)  # fmt: skip
"""What the root group of a store says of itself."""


TRAIN, TEST = 0, 1
SPLITS = {"train": TRAIN, "test": TEST}
ALL = "all"
"""What the frames of every split together are called; None in Python is the same."""
BY_SCENE = "by scene"
"""How the origin of a split begins that was drawn, since nobody said which frames test."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of the store.

    ``axes`` are Zarr dimension names; the first one is always the one that is sharded. ``per_frame``
    arrays are written shard by shard while building; the others are small and written at the end.
    """

    name: str
    axes: tuple[str, ...]
    dtype: str
    unit: str | None
    description: str
    per_frame: bool = True


FRAME_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("rgb", ("frame", "y", "x", "channel"), "uint8", None, "colour, sRGB, channels red green blue"),
    ArraySpec("depth", ("frame", "y", "x"), "float32", "m", "depth along the optical axis; 0 = no depth"),
    ArraySpec("semantic", ("frame", "y", "x"), "uint16", None, "category; 0 = unlabelled"),
    ArraySpec("instance", ("frame", "y", "x"), "uint16", None,
              "counter of the object within its category; 0 = none"),
    ArraySpec("region", ("frame", "y", "x"), "int32", None,
              "region, dense from 1 in each frame; 0 = no region"),
    ArraySpec("support", ("frame", "y", "x"), "float32", "m", "mean depth of the region; 0 = no region"),
)  # fmt: skip

INDEX_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("frame", ("frame",), "int32", None, "1-based number of the frame in its source", False),
    ArraySpec("split", ("frame",), "uint8", None, "0 = train, 1 = test", False),
    ArraySpec("scene", ("frame",), "int32", None, "scene number; names in the attribute scene_names", False),
)

REGION_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("label", ("region",), "int32", None, "the region's label in its frame", False),
    ArraySpec("semantic", ("region",), "uint16", None,
              "category of the segment that the region grew from", False),
    ArraySpec("area", ("region",), "int32", "px", "number of pixels", False),
    ArraySpec("depth_mean", ("region",), "float64", "m", "mean depth", False),
    ArraySpec("depth_variance", ("region",), "float64", "m2", "population variance of depth", False),
    ArraySpec("depth_minimum", ("region",), "float32", "m", "smallest depth", False),
    ArraySpec("depth_maximum", ("region",), "float32", "m", "largest depth", False),
)  # fmt: skip
"""Columns of the ragged table in group ``regions``: one row a region, frames one after another."""

PLANE_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("inverse_depth_x", ("region",), "float64", "m-1 px-1", "slope of inverse depth along x", False),
    ArraySpec("inverse_depth_y", ("region",), "float64", "m-1 px-1", "slope of inverse depth along y", False),
    ArraySpec("inverse_depth_0", ("region",), "float64", "m-1",
              "inverse depth of the plane at the centre of the frame's first pixel", False),
    ArraySpec("normal_x", ("region",), "float64", None,
              "unit normal away from the camera, to the right; NaN = camera unknown", False),
    ArraySpec("normal_y", ("region",), "float64", None, "the same, down", False),
    ArraySpec("normal_z", ("region",), "float64", None, "the same, forward", False),
    ArraySpec("plane_distance", ("region",), "float64", "m",
              "distance of the plane from the camera; NaN = camera unknown", False),
    ArraySpec("support_rmse", ("region",), "float64", "m", "root mean square of support less depth", False),
    ArraySpec("support_variance", ("region",), "float64", "m2",
              "population variance of support less depth", False),
)  # fmt: skip
"""Further columns of a store whose regions are planes."""

REGION_START = ArraySpec("start", ("frame_bound",), "int64", None,
                         "rows of frame i are start[i]:start[i + 1]", False)  # fmt: skip


NAME_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("start", ("frame_bound",), "int64", None,
              "the name of frame i is text[start[i]:start[i + 1]]", False),
    ArraySpec("text", ("byte",), "uint8", None, "names of the frames in their source, UTF-8", False),
)  # fmt: skip

FRAME_SPECS = {spec.name: spec for spec in FRAME_ARRAYS}
RECORD_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("bytes", ("shard", "array"), "int64", "byte",
              f"size of each shard's file of {', '.join(FRAME_SPECS)}", False),
    ArraySpec("sha256", ("shard", "array", "byte"), "uint8", None, "SHA-256 of the same files", False),
)  # fmt: skip

ARRAYS: dict[str, ArraySpec] = {
    **{spec.name: spec for spec in (*FRAME_ARRAYS, *INDEX_ARRAYS)},
    **{f"regions/{spec.name}": spec for spec in (REGION_START, *REGION_ARRAYS)},
}
"""Every array that any store has, of whatever version, by its path in it."""

RECORDED: dict[str, ArraySpec] = {
    **{f"names/{spec.name}": spec for spec in NAME_ARRAYS},
    **{f"shards/{spec.name}": spec for spec in RECORD_ARRAYS},
}
"""Further arrays of this version: what an older one says in attributes."""


def region_arrays(parameters: Mapping[str, Any]) -> tuple[ArraySpec, ...]:
    """Columns of the regions' table of a store that was built with these parameters."""
    return REGION_ARRAYS + (PLANE_ARRAYS if parameters.get("surface") == "plane" else ())


def arrays(parameters: Mapping[str, Any], version: int = FORMAT_VERSION) -> dict[str, ArraySpec]:
    """Every array of a store of a version that was built with these parameters, by its path in it."""
    columns = {f"regions/{spec.name}": spec for spec in region_arrays(parameters)}
    return ARRAYS | columns | (RECORDED if version == FORMAT_VERSION else {})


def descriptions(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Attributes in which arrays of a store with these parameters differ from their specification."""
    if parameters.get("surface") != "plane":
        return {}
    return {"support": {"description": "depth of the region's plane; 0 = no region"}}


PREDICTIONS = {
    spec.name: spec
    for spec in (
        ArraySpec("prediction", ("frame", "y", "x"), "float32", "m", "predicted depth or support"),
        ArraySpec("region", ("frame", "y", "x"), "int32", "", "predicted region; 0 = none"),
        ArraySpec("support", ("frame", "y", "x"), "float32", "m", "predicted support, beside a depth"),
        ArraySpec("initial", ("frame", "y", "x"), "float32", "m", "depth before a model's second stage"),
    )
}


def class_name(names: Sequence[str], category: int) -> str:
    """Name of a category of a store whose attribute ``class_names`` is ``names``; its number, if it has none.

    A store may have labels and no names: numbers in a folder's label files are classes without a name.
    """
    if category == 0:
        return "unlabelled"
    return (names[category - 1] if category <= len(names) else "") or f"class {category}"


def largest_category(names: Sequence[str]) -> int:
    """Return the largest number that a category can have there: without names, what 16 bits hold."""
    return len(names) or MOST_LABEL
