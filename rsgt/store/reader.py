"""A finished region-support store, read only, as a sequence of frames."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from os import PathLike
from re import fullmatch
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.store import packing, schema
from rsgt.store.contents import Contents
from rsgt.store.encoding import TABLE_CHUNK, shard_file
from rsgt.store.frame import Frame
from rsgt.store.manifest import root_problem
from rsgt.store.names import Names
from rsgt.store.places import as_place, sizes_below
from rsgt.store.records import content_hash
from rsgt.store.root import REMEDY, STAGING, DamageError, root_attributes

__all__ = ["STAGING", "DamageError", "Store", "as_store", "content_hash_of", "find_store", "open_store"]

Array = npt.NDArray[Any]

_BLOCK_ROWS = 1 << 16
"""Rows of the regions' table that are worked on at a time: some megabytes of its columns."""


class Store(Contents):
    """A finished store, read only: a sequence of frames that opens its arrays on first use.

    ``open_store`` opens one and sees that all of it is there.
    """

    def __repr__(self) -> str:
        height, width = self.shape
        test = int(np.count_nonzero(self.split == schema.TEST))
        return (
            f"<Store {self.path}: {len(self)} frames of {height}x{width}, {len(self) - test} train, {test} "
            f"test, {int(self.region_start[-1]):,} regions>"
        )

    def frame(self, number: int) -> Frame:
        """Return the frame that goes by this number in the source: 433 is NYU's 433rd.

        Raises
        ------
        InputError
            Where the store has none of that number.
        DamageError
            Where it can't be read.
        """
        return self._frame(self.positions([number])[0])

    def __iter__(self) -> Iterator[Frame]:
        return (self._frame(position) for position in range(len(self)))

    def _frame(self, k: int) -> Frame:
        return Frame(
            number=int(self.frame_id[k]),
            name=self.frame_names[k],
            split=next(name for name, value in schema.SPLITS.items() if value == self.split[k]),
            scene=self.scene_names[self.scene[k]],
            intrinsics=self.intrinsics(k),
            regions=self.region_table(k),
            **self.maps(k),
        )

    def maps(self, position: int) -> dict[str, Array]:
        """Read the maps of one frame, by its position, under the names of ``schema.FRAME_ARRAYS``; (y, x)."""
        return {name: self.read(name, position, position + 1)[0] for name in schema.FRAME_SPECS}

    def to_xarray(self) -> Any:
        """Return the maps as an ``xarray.Dataset`` that reads on demand; ``frame`` are the frames' numbers.

        Raises
        ------
        InputError
            Where xarray is missing.
        DamageError
            Where a file is missing or of another size: Zarr alone would read it as zeros.
        """
        try:
            import xarray
        except ImportError as error:
            raise InputError("to_xarray needs xarray: pip install xarray") from error
        opened = open_store(self.path)
        return xarray.open_zarr(opened._requests or self.path, consolidated=False, chunks=None)

    def __len__(self) -> int:
        return int(self.array("depth").shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        _, height, width = self.array("depth").shape
        return height, width

    @property
    def planar(self) -> bool:
        """Whether a region's support is the depth of its plane, and not its mean depth."""
        return bool(self.attributes["parameters"].get("surface") == "plane")

    @property
    def shard_frames(self) -> int:
        """Frames in one shard."""
        shards = self.array("depth").shards
        return int(shards[0]) if shards else 1

    @cached_property
    def frame_id(self) -> Array:
        """Number (from 1) of each frame in its source, (frame,) int32."""
        return self.column("frame")

    @cached_property
    def frame_names(self) -> Sequence[str]:
        """Name of each frame in its source, such as that of its file."""
        if "names/text" not in self.specs:
            names: Any = self.array("frame").attrs["frame_names"]
            return Names.of(names)
        return Names(self.column("names/start"), self.column("names/text"))

    @cached_property
    def _camera_ends(self) -> list[int]:
        return [one["frames"][1] for one in self.attributes["cameras"]]

    def intrinsics(self, position: int) -> dict[str, float]:
        """Camera of the frame at a position: fx, fy, cx, cy in pixels of the stored maps; empty = unknown."""
        run = self.attributes["cameras"][bisect_right(self._camera_ends, position)]
        return dict(run["intrinsics"])

    def positions(self, frame_ids: Sequence[int]) -> list[int]:
        """Positions of frames by their numbers in the source; ``InputError`` where the store lacks one."""
        wanted = {*frame_ids}
        known = {int(number): k for k, number in enumerate(self.frame_id) if number in wanted}
        if unknown := ", ".join([str(number) for number in frame_ids if number not in known][:5]):
            has = f"{len(self)} frames from {self.frame_id.min()} to {self.frame_id.max()}"
            raise InputError(f"frames: {unknown} asked for, {self.path} has {has}; see `rsgt info`")
        return [known[number] for number in frame_ids]

    @cached_property
    def split(self) -> Array:
        """0 = train, 1 = test, (frame,) uint8."""
        return self.column("split")

    @cached_property
    def scene(self) -> Array:
        """Scene number of each frame, (frame,) int32."""
        return self.column("scene")

    @cached_property
    def scene_names(self) -> list[str]:
        """Names of the scenes 0, 1, …."""
        names: Any = self.array("scene").attrs["scene_names"]
        return list(names)

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the categories 1, 2, …."""
        names: Any = self.array("semantic").attrs["class_names"]
        return list(names)

    @cached_property
    def region_start(self) -> Array:
        """Rows of frame i in the regions' table are ``region_start[i]:region_start[i + 1]``; int64."""
        return self.column("regions/start")

    def describe(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON types; ``arrays`` has one entry an array."""
        arrays, files = {}, self.attributes["files"]
        for name in self.specs:
            array = self.array(name)
            small = sum(one["bytes"] for file, one in files.items() if file.startswith(f"{name}/"))
            arrays[name] = {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "chunks": list(array.chunks),
                "shards": list(array.shards) if array.shards else None,
                "bytes": small + (self.records.bytes_of(name) if name in schema.FRAME_SPECS else 0),
            }
        shown = ("format", "format_version", "parameters", "source", "split_origin", "versions")
        test = int(np.count_nonzero(self.split == schema.TEST))
        return {
            **{name: self.attributes[name] for name in shown},
            "frames": len(self),
            "train": len(self) - test,
            "test": test,
            "regions": int(self.region_start[-1]),
            "identity": self.identity,
            "arrays": arrays,
        }

    def read(self, name: str, start: int, stop: int) -> Array:
        """Read frames ``start`` to ``stop`` (exclusive) of an array as they are stored.

        Raises
        ------
        InputError
            Where that is no array of ``schema.FRAME_ARRAYS``, or there are no such frames.
        DamageError
            Where a shard's file is missing or has another size, which Zarr would read as zeros, or a chunk
            is damaged: its checksum does not hold.
        """
        if name not in schema.FRAME_SPECS:
            raise InputError(
                f"read: got {name!r}, expected one of {', '.join(schema.FRAME_SPECS)}; others are columns"
            )
        if not 0 <= start < stop <= len(self):
            raise InputError(f"read: got frames {start} to {stop}, expected some within 0 to {len(self)}")
        # With every read, and not when the store is opened alone: files vanish while a training runs.
        shards = range(start // self.shard_frames, -(-stop // self.shard_frames))
        files = [shard_file(schema.FRAME_SPECS[name], k) for k in shards]
        array, what = self.array(name), f"{name} of frames {start}..{stop - 1}"
        if stop > start + 1:
            return self._read(lambda: array[start:stop], files, what)
        if name not in self._plain:
            self._plain[name] = packing.plain(array)
        if plain := self._plain[name]:
            return self._read(lambda: self._frame_of(plain, files[0], start), files, what)[None]
        return self._read(lambda: array[start], files, what)[None]

    def region_table(self, frame: int) -> dict[str, Array]:
        """Return the regions of one frame: columns of ``schema.region_arrays``, one row a region."""
        return self.region_tables(frame, frame + 1)[0]

    def region_tables(self, start: int, stop: int) -> list[dict[str, Array]]:
        """Return ``region_table`` of each of some frames, whose rows are read at once."""
        return self.cut_regions(start, stop, self.region_rows(start, stop))

    def region_rows(self, start: int, stop: int, names: Sequence[str] | None = None) -> dict[str, Array]:
        """Read the regions of some frames, frame after frame: columns of these names, by default all."""
        rows = slice(int(self.region_start[start]), int(self.region_start[stop]))
        return {name: self.column(f"regions/{name}", rows) for name in names or self._region_columns}

    def cut_regions(self, start: int, stop: int, rows: dict[str, Array]) -> list[dict[str, Array]]:
        """Cut ``region_rows`` of frames ``start`` to ``stop`` into those of each."""
        bounds = self.region_start[start : stop + 1]
        cuts = (bounds - bounds[0]).tolist()
        return [{name: column[a:b] for name, column in rows.items()} for a, b in pairwise(cuts)]

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Cut the frames into runs of whole shards: the first of each, and the one after its last.

        Their rows of the regions' table are few enough to be held at once.
        """
        bounds = [*range(0, len(self), self.shard_frames), len(self)]
        rows, first = self.region_start[bounds], 0
        for k in range(1, len(bounds)):
            if k == len(bounds) - 1 or rows[k + 1] - rows[first] > _BLOCK_ROWS:
                yield bounds[first], bounds[k]
                first = k

    def whole_region_table(self) -> dict[str, Array]:
        """Return the regions of all frames, frame after frame (see ``region_start``)."""
        return self.region_rows(0, len(self))

    @property
    def _region_columns(self) -> list[str]:
        return [spec.name for spec in schema.region_arrays(self.attributes["parameters"])]


def find_store(path: str | PathLike[str]) -> Store:
    """Find a finished store, without a look at its files.

    Raises
    ------
    InputError
        Where there is no store, an unfinished one, or one of another format version.
    DamageError
        Where its root group can't be read.
    """
    path = as_place(path)
    if not path.exists():
        raise InputError(f"{path}: no such store; make one with `rsgt build --nyu FILE --out {path}`")
    if not (path / "zarr.json").exists() and (path / STAGING / "plan.json").exists():
        done = sum(
            fullmatch(r"[^/]+/shards/\d+\.json", file) is not None for file in sizes_below(path / STAGING)
        )
        raise InputError(f"{path}: unfinished store ({done} shards done); run the same `rsgt build` again")
    found = root_attributes(path).get("format_version")
    if found not in (schema.OLD_VERSION, schema.FORMAT_VERSION):
        raise InputError(
            f"{path}: got format version {found!r}, expected {schema.FORMAT_VERSION}; build it again "
            "(`rsgt build --overwrite`), or use the version of rsgt that wrote it"
        )
    return Store(path)


def open_store(path: str | PathLike[str]) -> Store:
    """Open a finished store, by its path or its URL, and see that all of it is there.

    Raises
    ------
    InputError
        As ``find_store`` says.
    DamageError
        Where it lacks a file, has one of another size, or says something else of itself or its arrays than
        it did when it was finished. What is inside a shard is checked when it is read.
    """
    opened = find_store(path)
    if problem := root_problem(opened.attributes):
        raise DamageError(f"{opened.path}: {problem}; {REMEDY}")
    for file, problem in opened.problems():
        raise DamageError(f"{opened.path / file}: {problem}; {REMEDY}")
    return opened


def as_store(store: Store | str | PathLike[str]) -> Store:
    """Open a store by its path; one that is open is one already."""
    return store if isinstance(store, Store) else open_store(store)


def content_hash_of(opened: Store) -> str:
    """Compute a store's content hash again from its records and its regions' table."""

    def pieces(name: str) -> Iterator[Array]:
        rows = int(opened.array(name).shape[0])
        return (opened.column(name, slice(k, k + TABLE_CHUNK)) for k in range(0, rows, TABLE_CHUNK))

    return content_hash(opened.records, pieces, opened.attributes["parameters"])
