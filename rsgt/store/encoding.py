"""How the arrays of a store are encoded: chunks, shards, codecs and what they say of themselves."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore, StorePath

from rsgt.inputs import InputError
from rsgt.store import packing, schema
from rsgt.store.manifest import content_record
from rsgt.store.places import Place, replacing
from rsgt.store.requests import Requests
from rsgt.store.schema import ArraySpec

TABLE_CHUNK = 1 << 18

if not (type(at_once := zarr.config.get("async.concurrency", 1)) is int and at_once > 0):
    # With none at once, zarr-python waits for good.
    raise InputError(f"ZARR_ASYNC__CONCURRENCY: got {at_once!r}, expected a number from 1; unset it")

# LZ4 decodes in half the time of Zstandard at about 1.1 times the size, and training reads each
# frame many times. Bit shuffle helps the noisy low bits of colour, byte shuffle the rest.
_LEVEL = 5
_SHUFFLE: dict[str, Literal["bitshuffle"]] = {"rgb": "bitshuffle"}


def _codecs(spec: ArraySpec) -> list[Any]:
    return [
        BloscCodec(
            cname="lz4",
            clevel=_LEVEL,
            shuffle=_SHUFFLE.get(spec.name, "shuffle"),
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


def location(place: Place, name: str = "", requests: Requests | None = None) -> str | StorePath:
    """Say where an array or group of a store lies as Zarr takes it, and by which requests it is read."""
    if isinstance(place, Path):
        return str(place / name)
    return StorePath(Requests(place / name)) if requests is None else StorePath(requests, name)


def create_array(
    path: Place | MemoryStore, spec: ArraySpec, shape: tuple[int, ...], *, shard: int | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> zarr.Array[Any]:  # fmt: skip
    """Create one array of the schema at ``path``: checksummed, one frame a chunk where it is sharded."""
    row = shape[1:]
    return zarr.create_array(
        path if isinstance(path, MemoryStore) else location(path),
        shape=shape,
        dtype=spec.dtype,
        chunks=(1, *row) if shard else (max(1, min(shape[0], TABLE_CHUNK)), *row),
        shards=(shard, *row) if shard else None,
        compressors=_codecs(spec),
        fill_value=0,
        dimension_names=spec.axes,
        attributes={**_array_attributes(spec), **(attributes or {})},
        overwrite=True,
        zarr_format=3,
    )


def shard_file(spec: ArraySpec, k: int) -> str:
    """Name, in its store, of the file that holds shard ``k`` of an array."""
    return str(PurePosixPath(spec.name, "c", str(k), *("0" for _ in spec.axes[1:])))


def write_shard_file(
    path: Place, spec: ArraySpec, k: int, values: npt.NDArray[Any], shard: int
) -> dict[str, Any]:
    """Write shard ``k`` of an array below ``path``, whole or not at all, and return its ``file_record``.

    ``values`` and ``shard`` are ``encode_shard``'s.
    """
    content = encode_shard(spec, values, shard)
    file = path / shard_file(spec, k)
    if isinstance(file, Path):
        file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as aside:
        aside.write_bytes(content)
    return content_record(content)


def encode_shard(spec: ArraySpec, values: npt.NDArray[Any], shard: int) -> bytes:
    """Encode one whole shard of an array: the bytes of its ``shard_file``.

    Parameters
    ----------
    spec
        The array.
    values
        All frames of the shard, (frame, ...) as ``spec`` says; an array's last shard may have fewer.
    shard
        Frames in each shard of the array but the last.
    """
    values = np.ascontiguousarray(values, spec.dtype)
    plain = _packing(spec, values.shape, shard)
    return plain.encoded(values) if plain else encoded_by_zarr(spec, values, shard)


@cache
def _packing(spec: ArraySpec, shape: tuple[int, ...], shard: int) -> packing.Plain | None:
    return packing.plain(create_array(MemoryStore(), spec, shape, shard=shard))


def encoded_by_zarr(spec: ArraySpec, values: npt.NDArray[Any], shard: int) -> bytes:
    """Encode one whole shard as zarr-python does: the same bytes, several times slower for small frames."""
    files: dict[str, Any] = {}
    array = create_array(MemoryStore(files), spec, values.shape, shard=shard)
    # Zeros, too, have their chunks: what is missing is never taken for zeros.
    array.with_config({"write_empty_chunks": True})[:] = values
    encoded: bytes = files[shard_file(spec, 0).removeprefix(f"{spec.name}/")].to_bytes()
    return encoded


def encoding_problems(
    array: zarr.Array[Any], spec: ArraySpec, shape: tuple[int, ...], *, shard: int | None = None,
    attributes: Mapping[str, Any] | None = None, free: tuple[str, ...] = (),
) -> list[str]:  # fmt: skip
    """Say in what an array is encoded, or describes itself, otherwise than ``create_array`` would have it.

    Parameters
    ----------
    array
        What was found.
    spec, shape, shard, attributes
        As ``create_array`` takes them.
    free
        Attributes that may have any value.
    """
    wanted = create_array(MemoryStore(), spec, shape, shard=shard, attributes=attributes)
    found, expected = (one.metadata.to_dict() for one in (array, wanted))
    own: Any = found["attributes"]
    found["attributes"] = {name: value for name, value in own.items() if name not in free}
    return [
        f"{name} is {found.get(name)!r}, expected {expected.get(name)!r}"
        for name in {**expected, **found}
        if found.get(name) != expected.get(name)
    ]
