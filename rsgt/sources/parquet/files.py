"""Parquet files: which columns they have, and the cells of a column as arrays, one after another.

A row group may hold hundreds of frames. It is decoded a few rows at a time, so that memory does not grow
with it, and outside the interpreter's lock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, shortened

Array = npt.NDArray[Any]
Kind = Literal["encoded", "floats", "integers", "plain", "other"]
"""What cells are: encoded images, nested lists of numbers, a text or number, or nothing of use here."""

ROWS_AHEAD = 4
"""Rows that are decoded at once: 10 MB of the largest known mirror's colour."""

BUFFER_BYTES = 2**20
_REMEDY = "download the file again"


@dataclass(frozen=True)
class Column:
    """A column: what its cells are, and the class names that the file gives to numbers from 0."""

    kind: Kind
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A Parquet file: its columns by name, and the number of rows in each of its row groups."""

    path: Path
    columns: Mapping[str, Column]
    groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of all row groups."""
        return sum(self.groups)


def read_table(path: Path) -> Table:
    """Read what a Parquet file says of itself at its end; no cell is read.

    Raises
    ------
    InputError
        Where pyarrow is not installed, or the file is missing, damaged or no Parquet.
    """
    with _opened(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
        groups = tuple(metadata.row_group(k).num_rows for k in range(metadata.num_row_groups))
        features = _features(schema.metadata or {})
    columns = {field.name: Column(_kind(field.type), _names(features.get(field.name))) for field in schema}
    return Table(path, columns, groups)


def read_cells(table: Table, column: str, rows: Sequence[int]) -> Iterator[Array | bytes | None]:
    """Read cells of one column in ascending order of rows, each row group once.

    Returns
    -------
    An encoded image's bytes, an array of the nested lists' shape, a text or number as an array without axes,
    or None where the cell is null.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or a cell's lists have different lengths.
    """
    with _opened(table.path) as file:
        first = 0
        for group, count in enumerate(table.groups):
            wanted = [row - first for row in rows if first <= row < first + count]
            yield from _cells_of_group(file, group, column, wanted, f"{table.path}: column {column}")
            first += count


def read_column(table: Table, column: str) -> list[Any]:
    """Read a whole column of texts or numbers."""
    with _opened(table.path) as file:
        return list(file.read(columns=[column], use_threads=False).column(column).to_pylist())


def _cells_of_group(
    file: Any, group: int, column: str, wanted: Sequence[int], place: str
) -> Iterator[Array | bytes | None]:
    if not wanted:
        return
    waiting, start = iter(wanted), 0
    row = next(waiting)
    for batch in file.iter_batches(ROWS_AHEAD, row_groups=[group], columns=[column], use_threads=False):
        cells = batch.column(0)
        while row < start + len(cells):
            yield _cell(cells.slice(row - start, 1), place)
            if (row := next(waiting, -1)) < 0:
                return
        start += len(cells)
    raise InputError(f"{place}: ends before row {row} of row group {group}; {_REMEDY}")


def _cell(cells: Any, place: str) -> Array | bytes | None:
    """One cell, given as a column of a single row."""
    from pyarrow import types

    tensor = getattr(cells.type, "shape", None)
    cells = getattr(cells, "storage", cells)  # of an extension type, what it is made of
    if cells.null_count:
        return None
    if types.is_struct(cells.type):
        cells = cells.field("bytes")
        return None if cells.null_count else bytes(cells[0].as_py())
    if types.is_binary(cells.type) or types.is_large_binary(cells.type):
        return bytes(cells[0].as_py())
    shape = []
    while _is_list(cells.type):
        lengths = np.asarray(cells.value_lengths()) if hasattr(cells, "value_lengths") else None
        if lengths is None:
            size = cells.type.list_size
        elif len(lengths) and (lengths == lengths[0]).all():
            size = int(lengths[0])
        else:
            raise InputError(f"{place}: its lists have different lengths, expected those of an image")
        shape.append(size)
        cells = cells.flatten()
    values = cells.to_numpy(zero_copy_only=False)
    if values.size != np.prod(shape, dtype=int):
        raise InputError(f"{place}: has null among its lists, expected those of an image")
    return np.asarray(values.reshape(tensor if tensor and len(shape) == 1 else shape))


def _kind(kind: Any) -> Kind:
    from pyarrow import types

    axes = len(getattr(kind, "shape", ()))  # of a tensor, whose values are one flat list
    kind = getattr(kind, "storage_type", kind)
    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        inner = kind.field(place).type if place >= 0 else None
        return "encoded" if inner is not None and _is_bytes(inner) else "other"
    if _is_bytes(kind):
        return "encoded"
    nested = 0
    while _is_list(kind):
        kind, nested = kind.value_type, nested + 1
    if not nested:
        readable = types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)
        return "plain" if readable else "other"
    if max(nested, axes) < 2 or not (types.is_integer(kind) or types.is_floating(kind)):
        return "other"
    return "floats" if types.is_floating(kind) else "integers"


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What the Hub's library notes of each column, where it wrote the file."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _names(feature: Any) -> tuple[str, ...]:
    """Class names of a feature, which may lie in sequences of sequences."""
    for _ in range(8):
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            return tuple(str(name) for name in feature["names"])
        feature = feature.get("feature") if isinstance(feature, dict) else feature
        feature = feature[0] if isinstance(feature, list) and feature else feature
    return ()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a Parquet file to read; what pyarrow raises meanwhile becomes one message."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet files need pyarrow: pip install 'region-support[parquet]'"
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(
            path, buffer_size=BUFFER_BYTES, page_checksum_verification=True
        ) as file:
            yield file
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {_REMEDY}") from error
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError, UnicodeError) as error:
        raise InputError(
            f"{path}: is no Parquet file, or damaged ({shortened(str(error), 120)}); {_REMEDY}"
        ) from error
