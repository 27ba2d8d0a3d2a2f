"""The contract of a region-support store, and the facts of NYU Depth v2, as data.

Every array's name, axes, dtype, unit, meaning of 0 and chunking stands here once; ``store`` creates
what this file lists and ``verify`` checks against it. ``docs/format.md`` is the prose beside it.
"""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt

FORMAT = "region-support"
FORMAT_VERSION = 2
ATTRIBUTES = (
    "format", "format_version", "parameters", "source", "split_origin", "intrinsics", "versions", "shards",
    "content_sha256", "files", "seal",
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

    def __init__(self, message: str = "") -> None:
        # What a library said goes into the message, and may have several lines.
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


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
"""Frames of one source or selection: far above any labelled data set, and little enough to list."""


def parse_frames(text: str) -> list[int]:
    """Expand a frame selection such as ``"1-9,20,433"`` into its numbers, in the order written.

    Raises
    ------
    InputError
        Where a part is no number or range, runs backwards, or is beyond a million frames, or a frame is
        named twice.
    """
    frames: list[int] = []
    for part in map(str.strip, text.split(",")):
        first, dash, last = (number.strip() for number in part.partition("-"))
        if not (_is_number(first) and (_is_number(last) if dash else not last)):
            raise InputError(f"frames: got {shortened(part)}, expected a number or a range such as 1-48")
        start, stop = (int(n) if len(n) < 100 else 2**31 for n in (first, last or first))
        if stop >= 2**31 or stop - start + len(frames) >= MOST_FRAMES:
            raise InputError(
                f"frames: got {shortened(part)}, expected at most {MOST_FRAMES:,} frames in all, "
                "by their numbers; `rsgt info` says how many a file has"
            )
        if not start:
            raise InputError(f"frames: got {shortened(part)}, expected a number from 1, as in the source")
        if stop < start:
            raise InputError(
                f"frames: got {shortened(part)}, which runs backwards; expected a range such as 1-48"
            )
        frames.extend(range(start, stop + 1))
    if len(set(frames)) != len(frames):
        raise InputError(f"frames: {shortened(text)} names a frame twice; name each frame once")
    return frames


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()  # isdigit alone takes a superscript for a number


def shortened(value: object, most: int = 60) -> str:
    """Show a value as Python writes it, in one line and within a message's length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}…"


_MOST_TEXT = 2**26
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """Read a text that a user wrote: UTF-8, or UTF-16 as another shell's redirection leaves it.

    A byte order mark tells which, and is dropped; UTF-16 without one is told by its zero bytes.

    Raises
    ------
    OSError
        Where the file is missing or can't be read.
    InputError
        Where it is above 64 MiB or no text.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_TEXT + 1)
    if len(data) > _MOST_TEXT:
        raise InputError(f"{path}: is larger than {_MOST_TEXT:,} bytes; expected a text file")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:2]:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text in {encoding} (byte {error.start} is {error.object[error.start]:#04x}); "
            "save it as UTF-8"
        ) from error


def unit_doubt(depth_m: npt.NDArray[Any], most: float, least: float = 0.0) -> str | None:
    """Say so where a frame's depth can't be in metres: half of it is too far, or all of it too near.

    Parameters
    ----------
    depth_m
        (y, x) floats; not finite or <= 0 is invalid.
    most
        Median in metres that no frame of the kind exceeds.
    least
        Furthest depth in metres that no frame of the kind stays below.

    Returns
    -------
    What was got and what it looks like, to end a message with; None for a plausible frame.
    """
    far = np.count_nonzero(depth_m > most)
    if not far and (depth_m >= least).any():
        return None
    valid = depth_m[(depth_m > 0) & (depth_m < np.inf)]
    if 2 * np.count_nonzero(valid > most) > valid.size:
        return (
            f"a median of {np.median(valid):,.0f}, expected metres; millimetres? divide by 1000 "
            "(centimetres: by 100)"
        )
    if valid.size and valid.max() < least:
        return f"no depth beyond {valid.max():.3g}, expected metres; kilometres? multiply by 1000"
    return None


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
