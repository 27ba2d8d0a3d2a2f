"""ScanNet's tables: from raw ids to NYU's 40 classes, and which scans train and test."""

import csv
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import MOST_LABEL, InputError, read_text, shortened
from rsgt.sources import facts
from rsgt.sources.listing import nearby
from rsgt.sources.published_split import PublishedSplit
from rsgt.sources.source import TEST, TRAIN

Array = npt.NDArray[Any]

TABLE = "scannetv2-labels.combined.tsv"
LISTS = {"scannetv2_train.txt": TRAIN, "scannetv2_val.txt": TEST, "scannetv2_test.txt": TEST}
_NAMES = ("raw_category", "category")


class LabelTable:
    """The table of raw ids: their names, and the one of NYU's 40 classes that each belongs to.

    Where an id has several rows the last one counts, as in the publishers' own reader.

    Parameters
    ----------
    path
        ``scannetv2-labels.combined.tsv``: text in columns, of which ``id`` and ``nyu40id`` are needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _text(self) -> str:
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; expected {TABLE}, which comes with ScanNet")
        try:
            return read_text(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: can't be read ({error.strerror or error})") from error

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the table's text."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @cached_property
    def rows(self) -> dict[int, tuple[int, str]]:
        """Class (0 = none) and name of each raw id.

        Raises
        ------
        InputError
            Where the file is missing or another one.
        """
        lines = csv.DictReader(self._text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        columns = lines.fieldnames or []
        name = next((one for one in _NAMES if one in columns), None)
        if "id" not in columns or "nyu40id" not in columns or name is None:
            raise InputError(
                f"{self.path}: has the columns {shortened(', '.join(columns))}, expected id, nyu40id and "
                f"raw_category, with tabs between; give {TABLE}"
            )
        rows = {}
        for number, line in enumerate(lines, start=2):
            try:
                key, value = int(line["id"]), int("0" if line["nyu40id"] == "" else line["nyu40id"])
                if not (1 <= key <= MOST_LABEL and 0 <= value <= len(facts.class_names("40"))):
                    raise ValueError
            except (TypeError, ValueError):
                raise InputError(
                    f"{self.path}: line {number} has id {line['id']!r} and nyu40id {line['nyu40id']!r}, "
                    f"expected numbers, a class from 0 to 40; give {TABLE}"
                ) from None
            rows[key] = value, line[name] or ""
        if not rows:
            raise InputError(f"{self.path}: has no rows; give {TABLE}")
        return rows

    @cached_property
    def names(self) -> list[str]:
        """Name of each raw id from 1 on; "" for a number that is none."""
        return [self.rows.get(key, (0, ""))[1] for key in range(1, max(self.rows) + 1)]

    @cached_property
    def to40(self) -> npt.NDArray[np.uint16]:
        """Class of each raw id, 0 = none."""
        table = np.zeros(max(self.rows) + 1, np.uint16)
        table[list(self.rows)] = [value for value, _ in self.rows.values()]
        return table

    @cached_property
    def _known(self) -> npt.NDArray[np.bool_]:
        known = np.zeros(MOST_LABEL + 1, np.bool_)
        known[[0, *self.rows]] = True
        return known

    def classes(self, ids: Array, frame: str, table: Array | None) -> Array:
        """Look up raw ids (y, x), 0 = none, in a table of classes; None = they stay.

        Raises
        ------
        InputError
            That names the first id that the label table lacks.
        """
        if ids.min() < 0 or ids.max() > MOST_LABEL or not self._known[ids].all():
            found = np.unique(ids)
            missing = next(one for one in found if not (0 <= one <= MOST_LABEL and self._known[one]))
            raise InputError(
                f"{self.path}: has no id {missing}, which frame {frame} holds; give the table of the same "
                "release, or add a row"
            )
        return ids if table is None else table[ids]


def read_split(path: Path, given: Path | None, scans: Sequence[str]) -> PublishedSplit | None:
    """Read the official lists of scans, those given or those that lie by; None = there are none.

    Parameters
    ----------
    path
        The folder of the frames.
    given
        A folder with lists, or one of them, which brings the others beside it.
    scans
        Scan of each frame.

    Raises
    ------
    InputError
        Where there is no list, or a scan is in two parts.
    """
    if given is None:
        found = nearby(path, tuple(LISTS), above=2)
        folder = found.parent if found else None
    else:
        folder = given if given.is_dir() else given.parent
    if folder is None:
        return None
    parts: dict[str, str] = {}
    lists = [folder / name for name in LISTS if (folder / name).is_file()]
    if not lists or (given is not None and not given.exists()):
        raise InputError(f"{given}: has no scannetv2_train.txt or scannetv2_val.txt; give their folder")
    for file in lists:
        for scan in read_text(file).split():
            if parts.setdefault(scan, LISTS[file.name]) != LISTS[file.name]:
                raise InputError(f"{file}: {scan} is in another list, too, expected one; download them again")
    return PublishedSplit(given or lists[0], parts, scans, asked_for=given is not None)
