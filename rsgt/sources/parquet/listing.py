"""Rows of Parquet files as frames: the order of files, the split that their names tell, names and scenes."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.listing import natural, unique_names
from rsgt.sources.parquet.files import Table, read_column

PARTS = ("train", "val", "test", "")
"""Parts of a split in the order of their frames; the last is what no file's name tells."""

_PART = re.compile(r"(?:^|[-_.])(train|val|test)(?:ing|id|idation)?(?=$|[-_.])", re.IGNORECASE)
_DEEPEST = 3


@dataclass(frozen=True)
class Row(FrameFiles):
    """A frame: its part, its row in the file, and while it is read, its cell of one column."""

    part: str = ""
    row: int = 0
    cell: npt.NDArray[Any] | bytes | None = None


def list_files(path: Path) -> dict[Path, str]:
    """Find Parquet files, each with the part of the split that its name or folder tells, in order.

    Raises
    ------
    InputError
        Where there is none, or a folder may not be read.
    """
    if path.is_file():
        return {path: _part(path.stem)}
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; expected a Parquet file, or a folder of them")
    found = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        deep = len(Path(folder).relative_to(path).parts)
        folders[:] = [name for name in folders if not name.startswith(".") and deep < _DEEPEST]
        found += [Path(folder, name) for name in names if name.lower().endswith(".parquet")]
    if not found:
        raise InputError(
            f"{path}: holds no Parquet file, expected one or more, as train-00000-of-00002.parquet"
        )
    parts = {}
    for file in found:
        below = file.relative_to(path).with_suffix("").parts
        parts[file] = next((part for name in reversed(below) if (part := _part(name))), "")
    return dict(sorted(parts.items(), key=lambda item: (PARTS.index(item[1]), natural(item[0].as_posix()))))


def _part(name: str) -> str:
    found = _PART.search(name)
    return found[1].lower() if found else ""


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: {error.strerror}; make the folder readable") from error


def list_rows(tables: Sequence[Table], parts: Mapping[Path, str], columns: Mapping[str, str]) -> list[Row]:
    """Make a frame of each row.

    A frame's name is that of its column where no two are equal, else its part and its number in it from 0,
    as in ``train/12``, by which the Hub's library knows it. Its scene is that of its column, else its own:
    no mirror tells scenes.
    """
    rows, numbers = list[Row](), dict[str, int]()
    for table in tables:
        named, scenes = (_texts(table, columns.get(role)) for role in ("id", "scene"))
        files = dict.fromkeys(("rgb", "depth"), table.path)
        part = parts[table.path]
        for row in range(table.rows):
            number = numbers[part] = numbers.get(part, -1) + 1
            counted = f"{part or table.path.stem}/{number if part else row}"
            name = named[row] if named else counted
            rows.append(Row(name, scenes[row] if scenes else name, files, part, row))
    if len({row.name for row in rows}) < len(rows) and "id" in columns:
        return list_rows(tables, parts, {role: columns[role] for role in columns if role != "id"})
    unique_names(tables[0].path, (row.name for row in rows))
    return rows


def _texts(table: Table, column: str | None) -> list[str]:
    return [str(value) for value in read_column(table, column)] if column else []


def group_starts(table: Table, rows: int) -> npt.NDArray[np.int64]:
    """Rows that can be read without those before them: the first few of each row group."""
    starts = np.cumsum([0, *table.groups[:-1]])
    ends = starts + np.minimum(np.array(table.groups), rows)
    return np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
