"""How stored labels become categories 1, 2, … with 0 = unlabelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.facts import class_names, label_set
from rsgt.sources.parquet.columns import MIRRORS

Array = npt.NDArray[Any]

OWN = "own"
"""Label set of numbers that nobody explains, or of the file's own names."""

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
    """

    labels: str
    names: Sequence[str]
    offset: int | None
    stretched: bool
    seen: str

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

    def categories(self, stored: Array, place: str) -> Array:
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
            return found
        offset = self.known_offset(place)
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
    looked: Sequence[Array], mirror: str | None, names: Sequence[str], said: int | None
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
    """
    whole = [values.astype(np.int64) for values in looked if values.dtype.kind in "ui" and values.size]
    low = min((int(values.min()) for values in whole), default=0)
    high = max((int(values.max()) for values in whole), default=0)
    seen = f"from {low} to {high}"
    if mirror == STRETCHED and high > 894 and all(unstretched(values) is not None for values in whole):
        return LabelRule("40", class_names("40"), 0, True, f"{seen} in steps of 65535 / 40")
    if names:
        counted = 0 if names[0].strip().lower() in NO_CLASS else 1
        kept = list(names[1 - counted :])
        return LabelRule(label_set(kept) or OWN, kept, counted if said is None else said, False, seen)
    known = MIRRORS[mirror] if mirror and mirror != STRETCHED else None
    offset = said if said is not None else MIRRORS[mirror].label_offset if mirror else None
    if offset is None and low < 0:
        offset = 1  # where -1 is none, 0 is a class
    if offset is None and known:
        # Classes from 0 with 255 = none, as this mirror is said to have them; seen, it is no doubt any more.
        classes = {int(one) for values in whole for one in np.unique(values)}
        offset = (
            1 if 255 in classes and max(classes - {255}, default=0) < len(class_names(known.labels)) else None
        )
    if known:
        return LabelRule(known.labels, class_names(known.labels), offset, False, seen)
    return LabelRule(OWN, (), offset, False, seen)


def unstretched(values: Array) -> Array | None:
    """Bring labels that were stretched over 16 bits back to 0..40; None where they are none such."""
    if not values.size or values.min() < 0 or values.max() > 65535:
        return None
    ids = np.round(values * (40 / 65535)).astype(np.int64)
    return ids if (np.abs(STEPS[ids] - values) <= 1).all() else None
