"""Names of label numbers, and numbers of any size brought to 1, 2, … as a store keeps them."""

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from rsgt.inputs import MOST_LABEL, InputError, read_text, shortened
from rsgt.sources.facts import LabelSet, class_names

Array = npt.NDArray[Any]

OWN = "own"
"""Label set of classes that are no known data set's."""

_NONE = frozenset({"", "unlabelled", "unlabeled", "ignore", "ignored", "void"})
"""Names that say that a pixel has no class."""

_EXPECTED = (
    "expected a line a class from 1 on, lines of number and name, a JSON list of names, or JSON "
    "{number: name}"
)


class Classes:
    """The classes of a set of label files.

    Parameters
    ----------
    offset
        What is added to the numbers in the files.
    path
        File of the names; None where numbers have none.

    Raises
    ------
    InputError
        Where the file is no list of names, or names a number twice, or names 0 as a class.
    """

    def __init__(self, offset: int = 0, path: Path | None = None) -> None:
        self.offset, self.path = offset, path
        self.names: tuple[str, ...] = ()
        self.label_set, self._of_stored = OWN, dict[int, int]()
        if path is None:
            return
        text, named, explicit = _read(path)
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        # Numbers that the file writes down are those in the label files; places in a list are what the
        # offset leads to, for a list has nothing at 0.
        stored = named if explicit else {number - offset: name for number, name in named.items()}
        self._number(stored)

    def _number(self, stored: Mapping[int, str]) -> None:
        after = {number: number + self.offset for number in stored}
        classes = [number for number in sorted(stored) if stored[number].strip().lower() not in _NONE]
        if any(after[number] == 0 for number in classes):
            name = next(stored[number] for number in classes if after[number] == 0)
            raise InputError(
                f"{self.path}: names 0 {shortened(name)}, which means unlabelled; --label-offset 1 makes "
                "0, 1, … of the files 1, 2, …"
            )
        if any(not 0 < after[number] <= MOST_LABEL for number in classes):
            after = {number: k for k, number in enumerate(classes, start=1)}
        if not classes or len(classes) > MOST_LABEL:
            raise InputError(
                f"{self.path}: names {len(classes):,} classes, expected 1 to {MOST_LABEL:,}; {_EXPECTED}"
            )
        names = [""] * max(after[number] for number in classes)
        for number in classes:
            names[after[number] - 1] = stored[number].strip()
        known = next((one for one in get_args(LabelSet) if _alike(names) == _alike(class_names(one))), None)
        self.label_set, self.names = known or OWN, tuple(class_names(known) if known else names)
        self._of_stored = {number: after[number] if number in classes else 0 for number in stored}
        for number in (0, -self.offset) if self.offset < 0 else (-self.offset,):
            self._of_stored.setdefault(number, 0)

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        """Class of each stored number of 16 bits; -1 = has no name."""
        table = np.full(MOST_LABEL + 1, -1, np.int64)
        for number, found in self._of_stored.items():
            if 0 <= number <= MOST_LABEL:
                table[number] = found
        return table

    @cached_property
    def _sorted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        numbers = sorted(self._of_stored)
        return np.array(numbers, np.int64), np.array([self._of_stored[n] for n in numbers], np.int64)

    def of(self, stored: Array, path: Path, frame: str) -> Array:
        """Bring a map of stored numbers (y, x) to classes; 0 = unlabelled.

        The largest number of an 8- or 16-bit file means "ignore" by custom: where names or an offset are
        given, and it has no name, it becomes 0. Below 0 stays below 0 where nobody named it.

        Raises
        ------
        InputError
            Where a number has no name, though others have.
        """
        if not self.names:
            if not self.offset:
                return stored
            moved = stored.astype(np.int64) + self.offset
            if self.offset < 0:
                moved[(stored >= 0) & (moved < 0)] = 0
            moved[_ignored(stored)] = 0
            return moved
        if stored.dtype in (np.uint8, np.uint16):
            classes = self._table[stored]
        else:
            if stored.dtype == np.uint64 and stored.size and stored.max() >= 2**63:
                raise InputError(f"{path}: labels go up to {stored.max()}, expected numbers below 2**63")
            numbers, classes_of = self._sorted
            values = stored.astype(np.int64)
            place = np.searchsorted(numbers, values).clip(max=len(numbers) - 1)
            classes = np.where(numbers[place] == values, classes_of[place], -1)
        if classes.size and classes.min() < 0:
            unknown = (classes < 0) & ~_ignored(stored)
            if unknown.any():
                number, numbers_from = int(stored[unknown].flat[0]), min(self._of_stored)
                raise InputError(
                    f"{path}: label {number} of frame {frame} has no name in {self.path}, which names "
                    f"{len(self._of_stored):,} numbers from {numbers_from} to {max(self._of_stored)}; add "
                    f"`{number} its name` (or `{number} unlabelled`) there, or say --label-offset"
                )
            classes = np.maximum(classes, 0)
        return classes


def _ignored(stored: Array) -> Array:
    """Pixels (y, x) that hold the largest number of 8 or 16 bits."""
    if stored.dtype in (np.uint8, np.uint16):
        return np.asarray(stored == np.iinfo(stored.dtype).max)
    return np.zeros(stored.shape, bool)


def _alike(names: list[str]) -> list[str]:
    """Names as far as spelling tells nothing: small letters without signs and blanks."""
    return [re.sub(r"[\W_]+", "", name.lower()) for name in names]


def _read(path: Path) -> tuple[str, dict[int, str], bool]:
    """The text, names by number, and whether the file wrote the numbers down."""
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"--classes: {path}: {error.strerror or error}; {_EXPECTED}") from error
    if text.lstrip().startswith(("{", "[")):
        return text, *_of_json(path, text)
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"--classes: {path}: is empty; {_EXPECTED}")
    rows = [_row(line) for line in lines if line]
    numbered = [row for row in rows if row is not None]
    if len(numbered) == len(rows) or (rows[0] is None and 0 < len(numbered) == len(rows) - 1):  # with a head
        return text, _unique(path, numbered), True
    if 2 * len(numbered) > len(rows):
        odd = next(line for line in lines if line and _row(line) is None)
        raise InputError(f"--classes: {path}: has numbers before most names, but {odd[:40]!r}; {_EXPECTED}")
    return text, dict(enumerate(lines, start=1)), False


def _row(line: str) -> tuple[int, str] | None:
    """Number and name of a line such as ``3 chair``, ``3,chair`` or ``3: chair``; else None."""
    match = re.fullmatch(r"(-?\d+)\s*[,;:\t ]\s*(.*)", line)
    if not match:
        return None
    name = match[2].strip()
    if name.startswith('"') or "," in name:
        name = next(csv.reader([name]), [""])[0].strip()
    return int(match[1]), name


def _of_json(path: Path, text: str) -> tuple[dict[int, str], bool]:
    try:
        pairs: list[list[tuple[str, Any]]] = []

        def keep(found: list[tuple[str, Any]]) -> dict[str, Any]:
            pairs.append(found)
            return dict(found)

        content = json.loads(text, object_pairs_hook=keep)
        if isinstance(content, list) and all(isinstance(name, str) for name in content):
            return dict(enumerate(content, start=1)), False
        if isinstance(content, dict) and all(isinstance(name, str) for name in content.values()):
            return _unique(path, [(int(number), name) for number, name in pairs[-1]]), True
        raise ValueError("is JSON of another shape")
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"--classes: {path}: {error}; {_EXPECTED}") from error


def _unique(path: Path, rows: list[tuple[int, str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, name in rows:
        if number in names:
            raise InputError(f"--classes: {path}: names {number} twice; keep one")
        if abs(number) >= 2**62:
            raise InputError(f"--classes: {path}: names {number}, expected numbers below 2**62")
        names[number] = name
    return names
