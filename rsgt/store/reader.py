"""A finished region-support store, read only.

Only this module, ``encoding``, ``requests``, ``writer``, which fills a store, and ``predictions`` know Zarr.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rsgt.inputs import InputError
from rsgt.store import decoding, schema
from rsgt.store.encoding import TABLE_CHUNK, location, shard_file
from rsgt.store.frame import Frame
from rsgt.store.manifest import file_problem, file_problems, group_attributes, root_problem
from rsgt.store.objects import StorageError
from rsgt.store.places import Place, as_place, sizes_below
from rsgt.store.requests import Requests

Array = npt.NDArray[Any]

STAGING = ".rsgt-build"
REMEDY = "run `rsgt verify`, then build again with --overwrite"


def content_hash(
    shards: list[dict[str, Any]], pieces: Callable[[str], Iterable[Array]], parameters: Mapping[str, Any]
) -> str:
    """Hash the shards' hashes and the small arrays by name: equal where every array is.

    ``pieces`` gives the rows of an array one after another, and is asked in the order of the hash: the whole
    table of regions is never needed at once. Which columns that has, ``parameters`` say.
    """
    digest = hashlib.sha256(json.dumps(shards, sort_keys=True).encode())
    for spec in (*schema.INDEX_ARRAYS, schema.REGION_START, *schema.region_arrays(parameters)):
        within = "" if spec in schema.INDEX_ARRAYS else "regions/"
        for rows in pieces(within + spec.name):
            digest.update(np.ascontiguousarray(rows, spec.dtype).tobytes())
    return digest.hexdigest()


class DamageError(InputError):
    """A store that is there and is not, or does not say of itself, what it was when it was finished."""


def _no_store(path: Place, found: str) -> InputError:
    """Say that a store is damaged where all but its root group is there, else that there is none."""
    if all((path / name).is_dir() for name in schema.FRAME_SPECS):
        return DamageError(f"{path / 'zarr.json'}: {found}; {REMEDY}")
    return InputError(f"{path}: no region-support store here ({found}); make one with `rsgt build`")


def root_attributes(path: Place) -> dict[str, Any]:
    """Attributes of the root group of a store of this format, whatever its version.

    Raises
    ------
    DamageError
        Where its file is damaged, and a store is there by its arrays.
    InputError
        Where there is no store.
    """
    try:
        attributes = group_attributes(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_store(path, "the file is missing") from error
    except StorageError:
        raise
    except ValueError as error:
        raise _no_store(path, f"is damaged: {error}") from error
    if attributes.get("format") != schema.FORMAT:
        raise _no_store(path, f"got format {attributes.get('format')!r}, expected {schema.FORMAT!r}")
    return attributes


class Store:
    """A finished store, read only: a sequence of frames that opens its arrays on first use.

    It pickles as its path. ``open_store`` opens one and sees that all of it is there.

    Attributes
    ----------
    path : Path or ObjectPath
        The store's folder, or its URL.
    attributes : dict
        Parameters, source, versions and checksums, as ``docs/format.md`` lists them.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = as_place(path)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._plain: dict[str, decoding.Plain | None] = {}

    def __reduce__(self) -> tuple[type["Store"], tuple[Place]]:
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
    def _requests(self) -> Requests | None:
        """How Zarr reads a store by URL: each response is held against the recorded size."""
        if isinstance(self.path, Path):
            return None
        sizes = {file: one["bytes"] for file, one in self._records()}
        return Requests(self.path, sizes, self.identity)

    def _records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file of the store but its root's, with its record."""
        yield from self.attributes["files"].items()
        for k, shard in enumerate(self.attributes["shards"]):
            for name, spec in schema.FRAME_SPECS.items():
                yield shard_file(spec, k), shard["files"][name]

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

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array ``name``, for example ``depth`` or ``regions/area``, as it is.

        Zarr reads missing files as zeros; ``read`` and ``column`` refuse them.
        """
        if name not in self._arrays:
            try:
                where = location(self.path, name, self._requests)
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
    def frame_names(self) -> list[str]:
        """Name of each frame in its source, such as that of its file."""
        names: Any = self.array("frame").attrs["frame_names"]
        return list(names)

    def intrinsics(self, position: int) -> dict[str, float]:
        """Camera of the frame at a position: fx, fy, cx, cy in pixels of the stored maps; empty = unknown."""
        cameras: list[dict[str, Any]] = self.attributes["cameras"]
        return next(dict(one["intrinsics"]) for one in cameras if position < one["frames"][1])

    def positions(self, frame_ids: Sequence[int]) -> list[int]:
        """Positions of frames by their numbers in the source; ``InputError`` where the store lacks one."""
        known = {number: position for position, number in enumerate(self.frame_id.tolist())}
        if unknown := ", ".join([str(number) for number in frame_ids if number not in known][:5]):
            has = f"{len(known)} frames from {min(known)} to {max(known)}"
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

    def column(self, name: str, rows: slice = slice(None)) -> Array:
        """Read rows of an array that is not sharded, for example ``split`` or ``regions/area``.

        Raises
        ------
        DamageError
            Where a chunk is missing or damaged.
        """
        files = [file for file in self.attributes["files"] if file.startswith(f"{name}/c/")]
        array = self.array(name)
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

    def _refuse(self, files: Sequence[str]) -> None:
        for file in files:
            if problem := file_problem(self.path / file, self._record(file)):
                raise DamageError(f"{self.path / file}: {problem}{self._frames_of(file)}; {REMEDY}")

    def _record(self, file: str) -> dict[str, Any]:
        name, _, chunk = file.partition("/c/")
        if name in schema.FRAME_SPECS and chunk:
            return self.attributes["shards"][int(chunk.partition("/")[0])]["files"][name]  # type: ignore[no-any-return]
        return self.attributes["files"][file]  # type: ignore[no-any-return]

    def _frames_of(self, file: str) -> str:
        """Say which frames a shard's file holds."""
        name, _, chunk = file.partition("/c/")
        number = chunk.partition("/")[0]
        if name not in schema.FRAME_SPECS or not number.isdecimal():
            return ""
        first, stop = self.attributes["shards"][int(number)]["frames"]
        try:
            numbers = f"{self.frame_id[first]}..{self.frame_id[stop - 1]}"
        except DamageError:
            numbers = f"at {first}..{stop - 1}"
        return f" ({name} of frames {numbers})"

    def describe(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON types; ``arrays`` has one entry an array."""
        arrays, records = {}, [*self._records()]
        for name in schema.arrays(self.attributes["parameters"]):
            array = self.array(name)
            arrays[name] = {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "chunks": list(array.chunks),
                "shards": list(array.shards) if array.shards else None,
                "bytes": sum(one["bytes"] for file, one in records if file.startswith(f"{name}/")),
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
            self._plain[name] = decoding.plain(array)
        if plain := self._plain[name]:
            return self._read(lambda: self._frame_of(plain, files[0], start), files, what)[None]
        return self._read(lambda: array[start], files, what)[None]

    def _frame_of(self, plain: decoding.Plain, file: str, position: int) -> Array:
        k, requests = position % plain.shard, self._requests
        if requests is None:
            return plain.read(Path(self.path / file), k)
        return plain.decoded(partial(requests.part, file), requests.sizes[file], k)

    def region_table(self, frame: int) -> dict[str, Array]:
        """Return the regions of one frame: columns of ``schema.region_arrays``, one row a region."""
        return self.region_tables(frame, frame + 1)[0]

    def region_tables(self, start: int, stop: int) -> list[dict[str, Array]]:
        """Return ``region_table`` of each of some frames, whose rows are read at once."""
        bounds = self.region_start[start : stop + 1]
        rows = slice(int(bounds[0]), int(bounds[-1]))
        whole = {name: self.column(f"regions/{name}", rows) for name in self._region_columns}
        cuts = (bounds - bounds[0]).tolist()
        return [{name: column[a:b] for name, column in whole.items()} for a, b in pairwise(cuts)]

    def whole_region_table(self) -> dict[str, Array]:
        """Return the regions of all frames, frame after frame (see ``region_start``)."""
        return {name: self.column(f"regions/{name}") for name in self._region_columns}

    @property
    def _region_columns(self) -> list[str]:
        return [spec.name for spec in schema.region_arrays(self.attributes["parameters"])]

    def problems(self, *, whole: bool = False) -> Iterator[tuple[str, str]]:
        """Yield the files that are missing or of another size, by their names, and what is wrong.

        With ``whole``, every file is read and held against its SHA-256; without, only those that describe
        arrays, some kilobytes of a store.
        """
        for file, problem in file_problems(
            self.path, self._records(), lambda file: whole or file.endswith("zarr.json")
        ):
            yield file, problem + self._frames_of(file)


def find_store(path: str | PathLike[str]) -> Store:
    """Find a finished store of this version, without a look at its files.

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
        done = sum(file.endswith(".json") and "/shards/" in file for file in sizes_below(path / STAGING))
        raise InputError(f"{path}: unfinished store ({done} shards done); run the same `rsgt build` again")
    found = root_attributes(path).get("format_version")
    if found != schema.FORMAT_VERSION:
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

    return content_hash(opened.attributes["shards"], pieces, opened.attributes["parameters"])
