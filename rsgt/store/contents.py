"""The files of a store: each read through Zarr, and held against its record first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rsgt.inputs import InputError
from rsgt.store import packing, schema
from rsgt.store.encoding import location
from rsgt.store.manifest import file_problem, file_problems
from rsgt.store.objects import StorageError
from rsgt.store.places import Place, as_place, sizes_below
from rsgt.store.records import ShardRecords
from rsgt.store.requests import Requests
from rsgt.store.root import REMEDY, DamageError, root_attributes

Array = npt.NDArray[Any]


class Contents:
    """What a finished store is made of: attributes, arrays and records; it pickles as its path.

    Attributes
    ----------
    path : Path or ObjectPath
        The store's folder, or its URL.
    attributes : dict
        Parameters, source, versions and checksums, as ``docs/reference/format.md`` lists them.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = as_place(path)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._plain: dict[str, packing.Plain | None] = {}

    def __reduce__(self) -> tuple[type["Contents"], tuple[Place]]:
        return (type(self), (self.path,))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the root group."""
        return root_attributes(self.path)

    @property
    def by_url(self) -> bool:
        """Whether it is read over a network, where one waits for each answer."""
        return not isinstance(self.path, Path)

    @property
    def identity(self) -> str:
        """Hash of the store's content, equal for equal arrays."""
        return str(self.attributes["content_sha256"])

    @cached_property
    def specs(self) -> Mapping[str, schema.ArraySpec]:
        """Specification of each array that it has, by its path."""
        return schema.arrays(self.attributes["parameters"], self.attributes["format_version"])

    @cached_property
    def records(self) -> ShardRecords:
        """Records of its shards.

        Raises
        ------
        DamageError
            Where they can't be read, or are none.
        """
        told = self.attributes["shards"]
        with self._as_damage():
            if isinstance(told, list):
                return ShardRecords.of_list(told)
            found = ShardRecords.room(told["frames"], told["shard_frames"])
            found.sizes[...] = self.column("shards/bytes")
            return replace(found, ask_hashes=partial(self._hashes, found.ask_hashes))

    def _hashes(self, room: Callable[[], Array]) -> Array:
        with self._as_damage():
            found = room()
            found[...] = self.column("shards/sha256")
            return found

    @contextmanager
    def _as_damage(self) -> Iterator[None]:
        """Say what is wrong with the records where they are none."""
        try:
            yield
        except (StorageError, DamageError):
            raise
        except (ValueError, OverflowError, KeyError) as error:
            raise DamageError(f"{self.path}: records of shards are none ({error}); {REMEDY}") from error

    @cached_property
    def _requests(self) -> Requests | None:
        """How Zarr reads a store by URL: each response is held against the recorded size."""
        if isinstance(self.path, Path):
            return None
        _ = self.records  # read before: while it waits for an answer, Zarr can't read another array
        return Requests(self.path, self._size, self.identity)

    @cached_property
    def _record_requests(self) -> Requests | None:
        """The same for the records themselves."""
        return None if isinstance(self.path, Path) else Requests(self.path, self._size, self.identity)

    def _size(self, file: str) -> int | None:
        """Recorded bytes of a file; None where it has no record."""
        if (shard := _shard_of(file)) is not None:
            name, k = shard
            return self.records.size(k, name) if k < len(self.records) else None
        record = self.attributes["files"].get(file)
        return None if record is None else int(record["bytes"])

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array ``name``, for example ``depth`` or ``regions/area``, as it is.

        Zarr reads missing files as zeros; ``read`` and ``column`` refuse them.
        """
        if name not in self._arrays:
            requests = self._record_requests if name.startswith("shards/") else self._requests
            try:
                where = location(self.path, name, requests)
                self._arrays[name] = zarr.open_array(where, mode="r", zarr_format=3)
            except StorageError:
                raise
            except FileNotFoundError as error:
                raise InputError(f"{self.path}: has no array {name!r}; see `rsgt info`") from error
            except Exception as error:  # there is no end to what Zarr raises over metadata that are none
                raise DamageError(
                    f"{self.path / name / 'zarr.json'}: is damaged ({error}); {REMEDY}"
                ) from error
        return self._arrays[name]

    def column(self, name: str, rows: slice = slice(None)) -> Array:
        """Read rows of an array that is not sharded, for example ``split`` or ``regions/area``.

        Raises
        ------
        DamageError
            Where a chunk is missing or damaged, or has no record.
        """
        array = self.array(name)
        first, stop, _ = rows.indices(array.shape[0])
        size, within = array.chunks[0], "/0" * (array.ndim - 1)
        files = [f"{name}/c/{k}{within}" for k in range(first // size, -(-max(first, stop) // size))]
        if unknown := [file for file in files if file not in self.attributes["files"]]:
            raise DamageError(f"{self.path}: {unknown[0]}: has no record in zarr.json; {REMEDY}")
        straight = isinstance(self.path, Path) and first < stop and rows.step in (None, 1)
        if straight and (plain := packing.rows(array)):
            there = [Path(self.path / file) for file in files]
            return self._read(lambda: plain.read(there, first, stop), files, name)
        return self._read(lambda: array[rows], files, name)

    def _read(self, rows: Callable[[], Any], files: Sequence[str], what: str) -> Array:
        """Read rows of an array, or refuse where one of its files is missing, of another size or damaged.

        Files are looked at before; of objects the response itself says what they are.
        """
        if isinstance(self.path, Path):
            self._refuse(files)
        try:
            return np.asarray(rows())
        except StorageError:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            if not isinstance(self.path, Path):
                self._refuse(files)
            raise DamageError(f"{self.path}: {what} can't be read ({error}); {REMEDY}") from error

    def _frame_of(self, plain: packing.Plain, file: str, position: int) -> Array:
        k, requests = position % plain.shard, self._requests
        if requests is None:
            return plain.read(Path(self.path / file), k)
        size = self._size(file) or 0
        return plain.decoded(partial(requests.part, file, size), size, k)

    def _refuse(self, files: Sequence[str]) -> None:
        for file in files:
            if problem := file_problem(self.path / file, {"bytes": self._size(file)}):
                raise DamageError(f"{self.path / file}: {problem}{self._frames_of(file)}; {REMEDY}")

    def _frames_of(self, file: str) -> str:
        """Say which frames a shard's file holds."""
        if (shard := _shard_of(file)) is None:
            return ""
        name, k = shard
        first, stop = self.records.frames_of(k)
        try:
            numbers = "..".join(str(self.column("frame", slice(at, at + 1))[0]) for at in (first, stop - 1))
        except DamageError:
            numbers = f"at {first}..{stop - 1}"
        return f" ({name} of frames {numbers})"

    def problems(self, *, whole: bool = False) -> Iterator[tuple[str, str]]:
        """Yield the files that are missing or of another size, by their names, and what is wrong.

        With ``whole``, every file is read and held against its SHA-256; without, only those that describe
        arrays and those of the records of shards, some kilobytes of a store. Where the latter are damaged,
        nothing is said of shards.

        Raises
        ------
        DamageError
            Where the records of shards are none.
        """
        listed = not isinstance(self.path, Path) and self.path.listed
        sizes = sizes_below(self.path) if listed else None
        told = True
        for file, problem in file_problems(
            self.path,
            self.attributes["files"].items(),
            lambda file: whole or file.endswith("zarr.json") or file.startswith("shards/"),
            sizes,
        ):
            told &= not file.startswith("shards/")
            yield file, problem
        if told:
            for file, problem in file_problems(self.path, self.records.files(), lambda _: whole, sizes):
                yield file, problem + self._frames_of(file)


def _shard_of(file: str) -> tuple[str, int] | None:
    """Array and number of the shard that a file holds, by its name in the store; None: it holds none."""
    name, _, chunk = file.partition("/c/")
    number = chunk.partition("/")[0]
    return (name, int(number)) if name in schema.FRAME_SPECS and number.isdecimal() else None
