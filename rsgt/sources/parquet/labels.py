"""How stored labels become categories 1, 2, … with 0 = unlabelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.classes import OWN, Classes
from rsgt.sources.facts import class_names, label_set
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.parquet.columns import MIRRORS

Array = npt.NDArray[Any]

NO_CLASS = frozenset({"background", "none", "unlabeled", "unlabelled", "void", "ignore", "unknown"})
"""First names of a list whose number 0 is no class."""

STRETCHED = "jagennath-hari/nyuv2"
"""The mirror whose images have 40 classes stretched over 16 bits: class times 65535 / 40."""

STEPS = np.round(np.arange(41) * (65535 / 40)).astype(np.int64)


@dataclass(frozen=True)
class LabelRule:
    """How stored labels become categories.

    Attributes
    ----------
    labels, names
        The label set and its class names; no names where nobody says.
    offset
        What is added to stored labels; None = nobody says.
    stretched
        Whether 40 classes were stretched over 16 bits.
    seen
        What stored labels are, as far as was looked, for messages.
    classes
        The user's names of numbers.
    """

    labels: str
    names: Sequence[str]
    offset: int | None
    stretched: bool
    seen: str
    classes: Classes | None = None

    def known_offset(self, place: str) -> int:
        """What is added to stored labels.

        Raises
        ------
        InputError
            Where nobody says.
        """
        if self.offset is None:
            raise InputError(
                f"{place}: stored labels are {self.seen}, expected to be told what 0 is: none "
                "(--label-offset 0) or the first class (--label-offset 1; then -1, 255 and 65535 are none)"
            )
        return self.offset

    def categories(self, stored: Array, place: str, frame: FrameFiles) -> Array:
        """Bring stored labels (y, x) to categories; -1 is none, and where 0 is a class, 255 and 65535 are.

        Raises
        ------
        InputError
            Where a label is no whole number or has no class, or nobody says what 0 is.
        """
        if stored.dtype.kind not in "ui":
            raise InputError(f"{place}: labels are {stored.dtype}, expected whole numbers")
        values = stored.astype(np.int64)
        if self.stretched:
            found = unstretched(values)
            if found is None:
                raise InputError(
                    f"{place}: has labels up to {values.max()}, expected steps of 65535 / 40 as in other "
                    "frames; leave the frame out (--frames, or --on-error skip)"
                )
            return self.classes.of(found, frame.files["depth"], frame.name) if self.classes else found
        offset = self.known_offset(place)
        if self.classes:
            if stored.dtype.kind == "i":
                stored = np.where(stored < 0, -offset, stored)
            return self.classes.of(stored, frame.files["depth"], frame.name)
        none = values < 0
        for mark, dtype in ((255, np.uint8), (65535, np.uint16)):
            free = mark + offset > len(self.names) if self.names else stored.dtype == dtype
            if offset == 1 and free:
                none |= values == mark
        found = np.where(none, 0, values + offset)
        most = len(self.names) or 65535
        wrong = (found < 0) | (found > most)
        if wrong.any():
            raise InputError(
                f"{place}: holds label {int(values[wrong][0])}, with an offset of {offset} expected in 1 to "
                f"{most}; --label-offset says what to add, --column semantic=NAME takes another column"
            )
        return found


def label_rule(
    looked: Sequence[Array],
    mirror: str | None,
    names: Sequence[str],
    said: int | None,
    path: Path | None,
) -> LabelRule:
    """Tell how labels are stored.

    Parameters
    ----------
    looked
        Stored labels of some frames.
    mirror
        Name of the known mirror, if it is one.
    names
        Class names of the numbers 0, 1, … that the file itself gives.
    said
        The offset that the user gave.
    path
        The file of class names that the user gave.
    """
    whole = [values.astype(np.int64) for values in looked if values.dtype.kind in "ui" and values.size]
    low = min((int(values.min()) for values in whole), default=0)
    high = max((int(values.max()) for values in whole), default=0)
    seen = f"from {low} to {high}"
    stretched = mirror == STRETCHED and high > 894 and all(unstretched(one) is not None for one in whole)
    offset = said if said is not None else MIRRORS[mirror].label_offset if mirror else None
    if offset is None and low < 0:
        offset = 1  # where -1 is none, 0 is a class
    known = MIRRORS[mirror].labels if mirror and (stretched or mirror != STRETCHED) else None
    if offset is None and known:
        # Classes from 0 with 255 = none, as this mirror is said to have them; seen, it is no doubt any more.
        ids = {int(one) for values in whole for one in np.unique(values)}
        offset = 1 if 255 in ids and max(ids - {255}, default=0) < len(class_names(known)) else None
    if path is not None:
        classes = Classes(0 if stretched else offset or 0, path)
        return LabelRule(classes.label_set, classes.names, classes.offset, stretched, seen, classes)
    if names and not stretched:
        counted = 0 if names[0].strip().lower() in NO_CLASS else 1
        kept = list(names[1 - counted :])
        return LabelRule(label_set(kept) or OWN, kept, counted if said is None else said, False, seen)
    if known:
        steps = " in steps of 65535 / 40" if stretched else ""
        return LabelRule(known, class_names(known), offset, stretched, seen + steps)
    return LabelRule(OWN, (), offset, False, seen)


def unstretched(values: Array) -> Array | None:
    """Bring labels that were stretched over 16 bits back to 0..40; None where they are none such."""
    if not values.size or values.min() < 0 or values.max() > 65535:
        return None
    ids = np.round(values * (40 / 65535)).astype(np.int64)
    return ids if (np.abs(STEPS[ids] - values) <= 1).all() else None
