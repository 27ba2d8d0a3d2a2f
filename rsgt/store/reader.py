"""A finished region-support store, read only.

Only this module, ``encoding``, ``writer``, which fills a store, and ``prediction`` know Zarr.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rsgt.inputs import InputError, local_path
from rsgt.store import schema
from rsgt.store.encoding import shard_file
from rsgt.store.frame import Frame
from rsgt.store.manifest import file_problem, group_attributes, root_problem

Array = npt.NDArray[Any]

STAGING = ".rsgt-build"
REMEDY = "run `rsgt verify`, then build again with --overwrite"


def content_hash(
    shards: list[dict[str, Any]], small: Mapping[str, Array], parameters: Mapping[str, Any]
) -> str:
    """Hash the shards' hashes and the small arrays by name: equal where every array is."""
    digest = hashlib.sha256(json.dumps(shards, sort_keys=True).encode())
    for spec in (*schema.INDEX_ARRAYS, schema.REGION_START, *schema.region_arrays(parameters)):
        digest.update(np.ascontiguousarray(small[spec.name], spec.dtype).tobytes())
    return digest.hexdigest()


class DamageError(InputError):
    """A store that is there and is not, or does not say of itself, what it was when it was finished."""


def _no_store(path: Path, found: str) -> InputError:
    """Say that a store is damaged where all but its root group is there, else that there is none."""
    if all((path / name).is_dir() for name in schema.FRAME_SPECS):
        return DamageError(f"{path / 'zarr.json'}: {found}; {REMEDY}")
    return InputError(f"{path}: no region-support store here ({found}); make one with `rsgt build`")


def root_attributes(path: Path) -> dict[str, Any]:
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
    path : Path
        The store's folder.
    attributes : dict
        Parameters, source, versions and checksums, as ``docs/format.md`` lists them.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        return (type(self), (self.path,))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the root group."""
        return root_attributes(self.path)

    @property
    def identity(self) -> str:
        """Hash of the store's content, equal for equal arrays."""
        return str(self.attributes["content_sha256"])

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return {}

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
        open_store(self.path)
        return xarray.open_zarr(self.path, consolidated=False, chunks=None)

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array ``name``, for example ``depth`` or ``regions/area``, as it is.

        Zarr reads missing files as zeros; ``read`` and ``column`` refuse them.
        """
        if name not in self._arrays:
            try:
                self._arrays[name] = zarr.open_array(str(self.path / name), mode="r")
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
        array = self.array(name)
        for file, record in self.attributes["files"].items():
            if file.startswith(f"{name}/c/"):
                self._refuse(file, file_problem(self.path / file, record))
        try:
            return np.asarray(array[rows])
        except (ValueError, RuntimeError, OSError) as error:
            raise DamageError(f"{self.path}: {name} can't be read ({error}); {REMEDY}") from error

    def _refuse(self, file: str | Path, problem: str | None) -> None:
        if problem:
            raise DamageError(f"{self.path / file}: {problem}; {REMEDY}")

    def describe(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON types; ``arrays`` has one entry an array."""
        arrays = {}
        for name in schema.arrays(self.attributes["parameters"]):
            array = self.array(name)
            arrays[name] = {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "chunks": list(array.chunks),
                "shards": list(array.shards) if array.shards else None,
                "bytes": sum(f.stat().st_size for f in (self.path / name).rglob("*") if f.is_file()),
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
        array = self.array(name)
        # With every read, and not when the store is opened alone: files vanish while a training runs.
        for k in range(start // self.shard_frames, -(-stop // self.shard_frames)):
            self._refuse(*self._shard_problem(name, k))
        try:
            # One frame by its number takes the short way through zarr-python's sharding codec.
            values = np.asarray(array[start])[None] if stop == start + 1 else np.asarray(array[start:stop])
        except (ValueError, RuntimeError, OSError) as error:
            raise DamageError(
                f"{self.path}: {name} of frames {start}..{stop - 1} can't be read ({error}); {REMEDY}"
            ) from error
        return values

    def region_table(self, frame: int) -> dict[str, Array]:
        """Return the regions of one frame: columns of ``schema.region_arrays``, one row a region."""
        rows = slice(int(self.region_start[frame]), int(self.region_start[frame + 1]))
        return {name: self.column(f"regions/{name}", rows) for name in self._region_columns}

    def whole_region_table(self) -> dict[str, Array]:
        """Return the regions of all frames, frame after frame (see ``region_start``)."""
        return {name: self.column(f"regions/{name}") for name in self._region_columns}

    @property
    def _region_columns(self) -> list[str]:
        return [spec.name for spec in schema.region_arrays(self.attributes["parameters"])]

    def _shard_problem(self, name: str, k: int, *, whole: bool = False) -> tuple[Path, str | None]:
        """File of a shard, from the store's folder, and what is wrong with it."""
        shard = self.attributes["shards"][k]
        file = shard_file(Path(), schema.FRAME_SPECS[name], k)
        problem = file_problem(self.path / file, shard["files"][name], whole=whole)
        if problem:
            first, stop = shard["frames"]
            try:
                numbers = f"{self.frame_id[first]}..{self.frame_id[stop - 1]}"
            except DamageError:
                numbers = f"at {first}..{stop - 1}"
            problem = f"{problem} ({name} of frames {numbers})"
        return file, problem

    def problems(self, *, whole: bool = False) -> Iterator[tuple[Path, str]]:
        """Yield the files that are missing or of another size, from the store's folder, and what is wrong.

        With ``whole``, every file is read and held against its SHA-256; without, only those that describe
        arrays, some kilobytes of a store.
        """
        for name, record in self.attributes["files"].items():
            file = Path(name)
            if problem := file_problem(self.path / file, record, whole=whole or file.name == "zarr.json"):
                yield file, problem
        for k in range(len(self.attributes["shards"])):
            for name in schema.FRAME_SPECS:
                file, found = self._shard_problem(name, k, whole=whole)
                if found:
                    yield file, found


def find_store(path: str | PathLike[str]) -> Store:
    """Find a finished store of this version, without a look at its files.

    Raises
    ------
    InputError
        Where there is no store, an unfinished one, or one of another format version.
    DamageError
        Where its root group can't be read.
    """
    path = local_path(path)
    if not path.exists():
        raise InputError(f"{path}: no such store; make one with `rsgt build --nyu FILE --out {path}`")
    if (path / STAGING / "plan.json").exists() and not (path / "zarr.json").exists():
        done = len(list((path / STAGING).glob("*/shards/*.json")))
        raise InputError(f"{path}: unfinished store ({done} shards done); run the same `rsgt build` again")
    found = root_attributes(path).get("format_version")
    if found != schema.FORMAT_VERSION:
        raise InputError(
            f"{path}: got format version {found!r}, expected {schema.FORMAT_VERSION}; build it again "
            "(`rsgt build --overwrite`), or use the version of rsgt that wrote it"
        )
    return Store(path)


def open_store(path: str | PathLike[str]) -> Store:
    """Open a finished store, and see that all of it is there.

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
    small = {spec.name: opened.column(spec.name) for spec in schema.INDEX_ARRAYS}
    table = {"start": opened.region_start, **opened.whole_region_table()}
    return content_hash(opened.attributes["shards"], {**small, **table}, opened.attributes["parameters"])
