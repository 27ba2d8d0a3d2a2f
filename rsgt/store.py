"""The region-support store on disk: how its arrays are encoded, and how a finished one is read.

Only this module, ``writer``, which fills a store, and ``prediction`` know Zarr.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

from rsgt import schema
from rsgt.paths import local_path
from rsgt.schema import ArraySpec, InputError

Array = npt.NDArray[Any]

STAGING = ".rsgt-build"
TABLE_CHUNK = 1 << 18

# LZ4 decodes in half the time of Zstandard at about 1.1 times the size, and training reads each
# frame many times. Bit shuffle helps the noisy low bits of colour, byte shuffle the rest.
_LEVEL = 5
_SHUFFLE = {"rgb": BloscShuffle.bitshuffle}


def _codecs(spec: ArraySpec) -> list[Any]:
    return [
        BloscCodec(
            cname="lz4",
            clevel=_LEVEL,
            shuffle=_SHUFFLE.get(spec.name, BloscShuffle.shuffle),
            typesize=np.dtype(spec.dtype).itemsize,
        ),
        Crc32cCodec(),
    ]


def _array_attributes(spec: ArraySpec) -> dict[str, Any]:
    attributes: dict[str, Any] = {"description": spec.description}
    if spec.unit:
        attributes["units"] = spec.unit
    if spec.name == "split":
        attributes |= {"flag_values": list(schema.SPLITS.values()), "flag_meanings": " ".join(schema.SPLITS)}
    return attributes


def create_array(
    path: Path, spec: ArraySpec, shape: tuple[int, ...], *, shard: int | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> zarr.Array[Any]:  # fmt: skip
    """Create one array of the schema at ``path``: checksummed, one frame a chunk where it is sharded."""
    row = shape[1:]
    return zarr.create_array(
        str(path),
        shape=shape,
        dtype=spec.dtype,
        chunks=(1, *row) if shard else (max(1, min(shape[0], TABLE_CHUNK)), *row),
        shards=(shard, *row) if shard else None,
        compressors=_codecs(spec),
        fill_value=0,
        dimension_names=spec.axes,
        attributes={**_array_attributes(spec), **(attributes or {})},
        overwrite=True,
    )


def shard_file(path: Path, spec: ArraySpec, k: int) -> Path:
    """Path of the file that holds shard ``k`` of an array."""
    return path.joinpath(spec.name, "c", str(k), *("0" for _ in spec.axes[1:]))


def sha256(path: Path) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_record(path: Path) -> dict[str, Any]:
    """What a store remembers of one of its files: ``bytes`` and ``sha256``."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def file_problem(path: Path, record: Mapping[str, Any], *, whole: bool = False) -> str | None:
    """Say how a file differs from its ``file_record``: missing or of another size; None = it does not.

    Parameters
    ----------
    path, record
        The file, and what was remembered of it.
    whole
        Compare its SHA-256 as well, which reads it; without, this is cheap enough for every read.
    """
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "the file is missing"
    if size != record["bytes"]:
        return f"the file has {size} bytes, expected {record['bytes']}"
    if whole and sha256(path) != record["sha256"]:
        return "the file's SHA-256 is not the recorded one"
    return None


def content_hash(shards: list[dict[str, Any]], small: Mapping[str, Array]) -> str:
    """Hash the shards' hashes and the small arrays by name: equal where every array is."""
    digest = hashlib.sha256(json.dumps(shards, sort_keys=True).encode())
    for spec in (*schema.INDEX_ARRAYS, schema.REGION_START, *schema.REGION_ARRAYS):
        digest.update(np.ascontiguousarray(small[spec.name], spec.dtype).tobytes())
    return digest.hexdigest()


def root_attributes(path: Path) -> dict[str, Any]:
    """Attributes of the root group; InputError where there is none."""
    try:
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        attributes: dict[str, Any] = document["attributes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no region-support store here; make one with `rsgt build`") from error
    return attributes


class Store:
    """A finished store, read only. Opens its arrays on first use and pickles as its path.

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

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array ``name``, for example ``depth`` or ``regions/area``."""
        if name not in self._arrays:
            try:
                self._arrays[name] = zarr.open_array(str(self.path / name), mode="r")
            except FileNotFoundError as error:
                raise InputError(f"{self.path}: has no array {name!r}; see `rsgt info`") from error
        return self._arrays[name]

    def __len__(self) -> int:
        return int(self.array("depth").shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        _, height, width = self.array("depth").shape
        return height, width

    @property
    def shard_frames(self) -> int:
        """Frames in one shard."""
        shards = self.array("depth").shards
        return int(shards[0]) if shards else 1

    @cached_property
    def frame_id(self) -> Array:
        """Number (from 1) of each frame in its source, (frame,) int32."""
        return self._whole("frame_id")

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
        return self._whole("split")

    @cached_property
    def scene(self) -> Array:
        """Scene number of each frame, (frame,) int32."""
        return self._whole("scene")

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
        return self._whole("regions/start")

    def _whole(self, name: str) -> Array:
        values: Array = np.asarray(self.array(name)[:])
        return values

    def describe(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON types; ``arrays`` has one entry an array."""
        arrays = {}
        names = [spec.name for spec in (*schema.FRAME_ARRAYS, *schema.INDEX_ARRAYS)]
        for name in names + [f"regions/{spec.name}" for spec in (schema.REGION_START, *schema.REGION_ARRAYS)]:
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
            Where a chunk is damaged: its checksum does not hold.
        """
        array = self.array(name)
        try:
            # One frame by its number takes the short way through zarr-python's sharding codec.
            values = np.asarray(array[start])[None] if stop == start + 1 else np.asarray(array[start:stop])
        except (ValueError, RuntimeError, OSError) as error:
            raise InputError(
                f"{self.path}: {name} of frames {start}..{stop - 1} can't be read ({error}); "
                "run `rsgt verify`, then build again with --overwrite"
            ) from error
        return values

    def region_table(self, frame: int) -> dict[str, Array]:
        """Return the regions of one frame: columns of ``schema.REGION_ARRAYS``, one row a region."""
        rows = slice(int(self.region_start[frame]), int(self.region_start[frame + 1]))
        return {
            spec.name: np.asarray(self.array(f"regions/{spec.name}")[rows]) for spec in schema.REGION_ARRAYS
        }

    def whole_region_table(self) -> dict[str, Array]:
        """Return the regions of all frames, frame after frame (see ``region_start``)."""
        return {spec.name: self._whole(f"regions/{spec.name}") for spec in schema.REGION_ARRAYS}


def open_store(path: str | Path) -> Store:
    """Open a finished store.

    Raises
    ------
    InputError
        Where there is no store, an unfinished one, or one of another format version.
    """
    path = local_path(path)
    if not path.exists():
        raise InputError(f"{path}: no such store; make one with `rsgt build --nyu FILE --out {path}`")
    if (path / STAGING / "plan.json").exists() and not (path / "zarr.json").exists():
        done = len(list((path / STAGING / "shards").glob("*.json")))
        raise InputError(f"{path}: unfinished store ({done} shards done); run the same `rsgt build` again")
    attributes = root_attributes(path)
    found = (attributes.get("format"), attributes.get("format_version"))
    if found != (schema.FORMAT, schema.FORMAT_VERSION):
        raise InputError(
            f"{path}: got format {found[0]!r} version {found[1]!r}, expected {schema.FORMAT!r} "
            f"version {schema.FORMAT_VERSION}; build it again"
        )
    if lacking := [name for name in schema.ATTRIBUTES if name not in attributes]:
        raise InputError(f"{path}: the root group lacks {', '.join(lacking)}; build it again")
    return Store(path)


def damaged_files(opened: Store) -> Iterator[tuple[int, str, str]]:
    """Yield (shard, array, what is wrong) of every shard file that is missing or not as it was written."""
    for k, shard in enumerate(opened.attributes["shards"]):
        for spec in schema.FRAME_ARRAYS:
            file, expected = shard_file(opened.path, spec, k), shard["files"][spec.name]
            if not file.exists():
                yield k, spec.name, "the shard's file is missing"
            elif file.stat().st_size != expected["bytes"]:
                yield k, spec.name, f"the file has {file.stat().st_size} bytes, expected {expected['bytes']}"
            elif sha256(file) != expected["sha256"]:
                yield k, spec.name, "the file's SHA-256 is not the recorded one"


def content_hash_of(opened: Store) -> str:
    """Compute a store's content hash again from its records and its regions' table."""
    small = {spec.name: np.asarray(opened.array(spec.name)[:]) for spec in schema.INDEX_ARRAYS}
    table = {"start": opened.region_start, **opened.whole_region_table()}
    return content_hash(opened.attributes["shards"], {**small, **table})


def __getattr__(name: str) -> Any:
    """Find ``write_prediction`` and ``read_prediction``, which moved to ``rsgt.prediction``."""
    if name in ("write_prediction", "read_prediction"):
        from rsgt import prediction  # here, for it knows this module

        return getattr(prediction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
