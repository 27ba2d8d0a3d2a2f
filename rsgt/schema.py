"""The contract of a region-support store, and the facts of NYU Depth v2, as data.

Every array's name, axes, dtype, unit, meaning of 0 and chunking stands here once; ``store`` creates
what this file lists and ``verify`` checks against it. ``docs/format.md`` is the prose beside it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt

FORMAT = "region-support"
FORMAT_VERSION = 1
ATTRIBUTES = (
    "format", "format_version", "parameters", "source", "split_origin", "intrinsics", "versions", "shards",
    "content_sha256",
)  # fmt: skip
"""What the root group of a store says of itself."""


TRAIN, TEST = 0, 1
SPLITS = {"train": TRAIN, "test": TEST}

LabelSet = Literal["894", "40", "13"]
"""Which class list ``semantic`` holds: the raw 894 classes, or the usual 40 or 13."""

EIGEN_CROP = (slice(45, 471), slice(41, 601))
"""Rows and columns of a 480x640 frame that the literature evaluates on."""


class InputError(ValueError):
    """A mistake that the user can mend: what was got, what was expected, and the remedy, in one line.

    The command line prints it without a traceback and exits with 2.
    """


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
    ArraySpec("frame_id", ("frame",), "int32", None, "1-based number of the frame in its source", False),
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

REGION_START = ArraySpec("start", ("frame_bound",), "int64", None,
                         "rows of frame i are start[i]:start[i + 1]", False)  # fmt: skip


PREDICTIONS = {
    spec.name: spec
    for spec in (
        ArraySpec("prediction", ("frame", "y", "x"), "float32", "m", "predicted depth or support"),
        ArraySpec("region", ("frame", "y", "x"), "int32", "", "predicted region; 0 = none"),
    )
}


class NyuFacts(TypedDict):
    """What the publishers of NYU Depth v2 fix (``source`` says who)."""

    source: str
    frames: int
    train_frames: str
    intrinsics_rgb: dict[str, float]
    names13: list[str]
    names40: list[str]
    names894: list[str]
    map40to13: list[int]
    map894to40: list[int]


@cache
def nyu_facts() -> NyuFacts:
    """Class names and maps, the official split and the colour camera of NYU Depth v2."""
    facts: NyuFacts = json.loads((files("rsgt") / "nyu_facts.json").read_text(encoding="utf-8"))
    return facts


MOST_FRAMES = 1_000_000
"""More than any data set has; a range of more is a slip that would cost the memory of its numbers."""


def parse_frames(text: str) -> list[int]:
    """Expand a frame selection such as ``"1-9,20,433"`` into its numbers, in the order written.

    Raises
    ------
    InputError
        Where a part is no number from 1 or range, runs backwards, a frame is named twice, or there are more
        than ``MOST_FRAMES``.
    """
    frames: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not 1 <= first <= last:
            got = part.strip()[:40]
            raise InputError(f"frames: got {got!r}, expected a number from 1 or a range such as 1-48")
        if len(frames) + last - first >= MOST_FRAMES:
            raise InputError(f"frames: got {part.strip()}, expected {MOST_FRAMES} frames at most; name fewer")
        frames.extend(range(first, last + 1))
    if len(set(frames)) != len(frames):
        raise InputError(f"frames: {text[:40]!r} names a frame twice; name each frame once")
    return frames


@cache
def official_train_frames() -> frozenset[int]:
    """Numbers (1-based) of the 795 official training frames; the other 654 of 1449 are the test frames."""
    return frozenset(parse_frames(nyu_facts()["train_frames"]))


def class_map(labels: LabelSet) -> npt.NDArray[np.uint16]:
    """Table of 895 entries from a raw NYU label to the label set; 0 (unlabelled) stays 0."""
    facts = nyu_facts()
    raw = np.arange(len(facts["names894"]) + 1, dtype=np.uint16)
    if labels == "894":
        return raw
    to40 = np.array([0, *facts["map894to40"]], np.uint16)
    if labels == "40":
        return to40
    return np.array([0, *facts["map40to13"]], np.uint16)[to40]


def class_names(labels: LabelSet) -> list[str]:
    """Names of the classes 1, 2, … of a label set; entry 0 is class 1."""
    facts = nyu_facts()
    return {"894": facts["names894"], "40": facts["names40"], "13": facts["names13"]}[labels]


def label_set(names: Sequence[str]) -> LabelSet | None:
    """Tell the label set of NYU Depth v2 that has these class names; None for another data set's."""
    return next((labels for labels in get_args(LabelSet) if list(names) == class_names(labels)), None)
