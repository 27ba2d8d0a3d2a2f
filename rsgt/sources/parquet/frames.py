"""Frames of Parquet files: cells become colour, metres and labels."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.files import spaced_blocks
from rsgt.inputs import InputError
from rsgt.sources.cameras import nyu_camera, of_field_of_view, read_camera
from rsgt.sources.frame_files import FileSource, FrameFiles
from rsgt.sources.images import decode_colour, decode_map, one_channel
from rsgt.sources.options import SourceOptions
from rsgt.sources.parquet.columns import MIRRORS, Mirror, choose_columns, known_mirror
from rsgt.sources.parquet.files import ROWS_AHEAD, read_cells, read_table
from rsgt.sources.parquet.labels import LabelRule, label_rule
from rsgt.sources.parquet.listing import PARTS, Row, group_starts, list_files, list_rows
from rsgt.sources.source import TEST, TRAIN, Camera
from rsgt.sources.units import check_largest, guess_text, to_metres, valid

Array = npt.NDArray[Any]

LOOKED_AT = 8
"""Frames that are looked at to tell how labels are stored."""


class ParquetSource(FileSource):
    """Rows of Parquet files as frames: those of train files first, then val, then test.

    Parameters
    ----------
    path
        A file, or a folder of files.
    options
        ``size``, ``columns``, ``depth_scale``, ``no_depth``, ``label_offset``, ``classes``, ``camera``,
        ``fov``.

    Raises
    ------
    InputError
        Where pyarrow is not installed, there is no file, one is damaged, or no column holds colour or depth.
    """

    kind = "parquet"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        parts = list_files(path)
        tables = [read_table(file) for file in parts]
        first = tables[0]
        self.columns = choose_columns(first.path, first.columns, options.get("columns", {}))
        for table in tables[1:]:
            for name in self.columns.values():
                if name not in table.columns or table.columns[name].kind != first.columns[name].kind:
                    raise InputError(
                        f"{table.path}: column {name} is missing, or of another type than in {first.path}; "
                        "keep files of another layout in another folder"
                    )
        self.mirror_name = known_mirror(first.columns, self.columns)
        self.tables = {table.path: table for table in tables}
        told = any(parts.values())
        rows = list_rows([table for table in tables if parts[table.path] or not told], parts, self.columns)
        super().__init__(path, rows, options, [
            f"{file.relative_to(path)}: its name says no part of a split (train, val, test), others' do"
            for file, part in parts.items() if told and not part
        ])  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path.absolute(), "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def mirror(self) -> Mirror | None:
        """What is known of the mirror of NYU Depth v2 that has such columns."""
        return MIRRORS[self.mirror_name] if self.mirror_name else None

    @property
    def split(self) -> list[str] | None:
        """The parts that the files' names tell; val is for testing, as the mirrors have it."""
        parts = [_row(frame).part for frame in self.frames]
        return [TRAIN if part == "train" else TEST for part in parts] if any(parts) else None

    @property
    def own_label_sets(self) -> tuple[str, ...]:
        """The class list of the labels; ``own`` where nobody says which."""
        return (self.label_rule.labels,) if "semantic" in self.columns else ()

    def names_of(self, labels: str) -> Sequence[str]:
        """Names of the classes 1, 2, …; empty where nobody says."""
        return self.label_rule.names

    @property
    def has_instances(self) -> bool:
        """Whether a column tells apart objects."""
        return "instance" in self.columns

    @cached_property
    def label_rule(self) -> LabelRule:
        """How stored labels become categories."""
        names = self.tables[_row(self.frames[0]).files["depth"]].columns[self.columns["semantic"]].names
        looked = list(self._look("semantic", LOOKED_AT))
        said, classes = self.options.get("label_offset"), self.options.get("classes")
        return label_rule(looked, self.mirror_name, names, said, classes)

    @cached_property
    def depth_scale(self) -> float:
        """Units of depth in a metre.

        Raises
        ------
        InputError
            Where nobody says; the message has a guess from the data.
        """
        said = self.options.get("depth_scale") or (self.mirror.depth_scale if self.mirror else None)
        if said is None:
            raise InputError(
                f"{self.path}: the unit of column {self.columns['depth']} is not known, expected "
                f"--depth-scale with how many are a metre; {self._guess()}"
            )
        return float(said)

    def _guess(self) -> str:
        for values in self._look("depth", LOOKED_AT):
            distances = valid(values, self.options.get("no_depth", ()))
            if distances.size:
                return guess_text(float(np.median(distances)), values.dtype)
        return "it holds no distance in the frames looked at"

    def _look(self, key: str, count: int) -> Iterator[Array]:
        """Maps as they are stored, of frames that are soon reached; those that are damaged are left out."""
        starts = {path: set(group_starts(table, ROWS_AHEAD).tolist()) for path, table in self.tables.items()}
        rows = map(_row, self.frames)
        near = [f for f, row in enumerate(rows) if row.row in starts[row.files["depth"]]]
        for f in near[:: max(1, len(near) // count)][:count]:
            with suppress(InputError):
                values = next((self._map(key, _row(one)) for one in self.opened([f], key)), None)
                if values is not None:
                    yield values

    def opened(self, frames: Sequence[int], key: str) -> Iterator[FrameFiles]:
        """Frames with their cells of a column; each row group is read once, a few rows at a time."""
        rows = [_row(self.frames[f]) for f in frames]
        if key not in self.columns:
            yield from rows
            return
        for path, run in groupby(rows, key=lambda row: row.files["depth"]):
            some = list(run)
            cells = read_cells(self.tables[path], self.columns[key], [row.row for row in some])
            for row, cell in zip(some, cells, strict=True):
                yield replace(row, cell=cell)

    def _place(self, key: str, frame: FrameFiles) -> str:
        return f"{frame.files['depth']}: column {self.columns[key]} of frame {frame.name}"

    def _map(self, key: str, row: Row) -> Array | None:
        """One number a pixel, (y, x), as it is stored; None where the cell is empty."""
        place = self._place(key, row)
        if isinstance(row.cell, bytes):
            return decode_map(row.cell, place, key)
        return None if row.cell is None else one_channel(row.cell, place, key)

    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame, (h, w, 3) uint8; floats from 0 to 1 become 0 to 255 by rounding."""
        place, cell = self._place("rgb", frame), _row(frame).cell
        if cell is None:
            raise _empty(place)
        if isinstance(cell, bytes):
            return decode_colour(cell, place)
        if cell.ndim == 3 and cell.shape[0] in (1, 3, 4) and cell.shape[2] not in (3, 4):
            cell = np.moveaxis(cell, 0, -1)
        if cell.ndim != 3 or cell.shape[2] not in (1, 3, 4) or not cell.size:
            raise InputError(f"{place}: has shape {cell.shape}, expected colour as (3, y, x) or (y, x, 3)")
        most = 1 if cell.dtype.kind == "f" else 255
        if not (cell.min() >= 0 and cell.max() <= most):  # false for NaN, too
            raise InputError(
                f"{place}: goes from {cell.min():g} to {cell.max():g}, expected "
                f"{'floats from 0 to 1' if most == 1 else 'numbers from 0 to 255'}; --column rgb=NAME takes "
                "another column"
            )
        image = (np.rint(cell * 255) if most == 1 else cell).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(image[..., :3], (*cell.shape[:2], 3)))

    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Planar depth of a frame in metres, (h, w) floats; 0 or NaN = none."""
        place, values = self._place("depth", frame), self._map("depth", _row(frame))
        if values is None:
            raise _empty(place)
        if values.dtype == np.uint8 and "depth_scale" not in self.options:
            raise InputError(
                f"{place}: has 8 bits, expected 16 or floats; it may be a picture whose range was stretched "
                "frame by frame, and then is no depth; if all frames have one unit, --depth-scale says which"
            )
        none = self.options.get("no_depth", ())
        check_largest(frame.files["depth"], values, none)
        return to_metres(values, self.depth_scale, none)

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """Category of a frame, (h, w), 0 = unlabelled; None where the frame has no labels."""
        values = self._map("semantic", _row(frame))
        if values is None:
            return None
        return self.label_rule.categories(values, self._place("semantic", frame), frame)

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame, (h, w) integers, 0 = none; None where the frame has none."""
        if not self.has_instances:
            return None
        values = self._map("instance", _row(frame))
        if values is None or values.dtype.kind == "u" or values.min() >= 0:
            return values
        objects: Array = np.maximum(values + 1, 0)  # where -1 is none, 0 is an object
        return objects

    @cached_property
    def _first_shape(self) -> tuple[int, int]:
        """Height and width of the first depth map that can be read."""
        for values in self._look("depth", LOOKED_AT):
            return int(values.shape[0]), int(values.shape[1])
        for row in self.opened([0], "depth"):
            self._map("depth", _row(row))
        raise _empty(f"{self.path}: column {self.columns['depth']}")

    def native_camera(self, frame: FrameFiles) -> Camera:
        """The camera that was said; else NYU's colour camera of a known mirror's frames at their size."""
        if "camera" in self.options:
            return self._said_camera
        if "fov" in self.options:
            return of_field_of_view(self.options["fov"], self._first_shape)
        if self.mirror and self._first_shape == self.mirror.shape:
            return nyu_camera(self.mirror.shape)
        return {}

    @cached_property
    def _said_camera(self) -> Camera:
        return read_camera(self.options["camera"])

    def content(self, file: Path) -> bytes:
        """What the fingerprint takes of a file: evenly spaced blocks."""
        return spaced_blocks(file)

    def _every_file(self) -> list[Path]:
        return list(dict.fromkeys(frame.files["depth"] for frame in self.frames))

    def told_options(self) -> dict[str, Any]:
        """Options, and what the columns told in their place."""
        told = {**self.options, "columns": self.columns, "depth_scale": self.depth_scale}
        if "semantic" in self.columns:
            told["label_offset"] = self.label_rule.known_offset(self._place("semantic", self.frames[0]))
        if "semantic" in self.columns and self.label_rule.classes:
            told["classes_sha256"] = self.label_rule.classes.sha256
        return told

    def details(self) -> dict[str, Any]:
        """Which mirror it is, which column holds what, frames in each part, how labels are stored."""
        parts = [_row(frame).part for frame in self.frames]
        found: dict[str, Any] = {
            "mirror": self.mirror_name,
            "columns": dict(self.columns),
            "row_groups": sum(len(table.groups) for table in self.tables.values()),
            "parts": {part: parts.count(part) for part in PARTS if part and part in parts},
        }
        if "semantic" in self.columns:
            found["stored_labels"] = self.label_rule.seen
            found["label_offset"] = self.label_rule.offset
        return found


def _row(frame: FrameFiles) -> Row:
    assert isinstance(frame, Row)
    return frame


def _empty(place: str) -> InputError:
    return InputError(f"{place}: is empty; leave the frame out (--frames, or --on-error skip)")
