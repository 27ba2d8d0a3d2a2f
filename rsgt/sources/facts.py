"""The facts of NYU Depth v2: class names and maps, the official split, the colour camera, the usual crop."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt

from rsgt.inputs import parse_frames

LabelSet = Literal["894", "40", "13"]
"""Which class list ``semantic`` holds: the raw 894 classes, or the usual 40 or 13."""

NYU_SHAPE = (480, 640)
"""Height and width of NYU Depth v2's frames."""

EIGEN_CROP = (slice(45, 471), slice(41, 601))
"""Rows and columns of a 480x640 frame that the literature evaluates on."""


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
    facts: NyuFacts = json.loads((files("rsgt.sources") / "nyu_facts.json").read_text(encoding="utf-8"))
    return facts


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
