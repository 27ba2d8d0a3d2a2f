"""Frames of an array straight into a shard and out of it: what Zarr does, without its bookkeeping.

That costs several times as much as the codec does of a small frame. The libraries are those that zarr-python
itself encodes and decodes with, and the bytes are its own. Whatever is encoded otherwise than
``rsgt.store.encoding`` says is left to Zarr.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec

_CODECS = [BytesCodec, Crc32cCodec, BytesCodec, BloscCodec, Crc32cCodec]
"""Of a shard's index, then of its chunks."""

_ENTRY, _CHECKSUM = 16, 4
"""Bytes of a chunk's place and length in the index, and of the CRC-32C that ends an index and each chunk."""
_NONE = (1 << 64) - 1
"""Place and length of a chunk that there is not."""
_SHUFFLES = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}


@dataclass(frozen=True)
class Plain:
    """How the frames of an array lie in shards, each packed by Blosc with a checksum.

    Attributes
    ----------
    shard
        Frames in a shard.
    shape, dtype
        Of one frame.
    codec
        Name of Blosc's codec, level, shuffle, and block size (0 = its own choice).
    """

    shard: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    codec: tuple[bytes, int, int, int]

    def encoded(self, values: npt.NDArray[Any]) -> bytes:
        """Encode a shard.

        Each frame has its chunk, zeros too: what is missing is never taken for zeros.

        Parameters
        ----------
        values
            (frame, ...) of ``shape`` and ``dtype``, contiguous; up to ``shard`` frames.
        """
        parts, index, end = [], np.full((self.shard, 2), _NONE, "<u8"), 0
        for k, frame in enumerate(values):
            part = _with_checksum(blosc.compress(frame, *self.codec))
            index[k] = end, len(part)
            end += len(part)
            parts.append(part)
        return b"".join([*parts, _with_checksum(index.tobytes())])

    def read(self, file: Path, k: int) -> npt.NDArray[Any]:
        """Read the frame that is the ``k``-th of the shard in a file.

        Raises
        ------
        ValueError, RuntimeError
            Where its chunk is missing or damaged.
        OSError
            Where the file can't be read.
        """
        opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            size = os.fstat(opened).st_size
            return self.decoded(lambda first, length: os.pread(opened, length, first), size, k)
        finally:
            os.close(opened)

    def decoded(self, part: Callable[[int, int], bytes], size: int, k: int) -> npt.NDArray[Any]:
        """Decode the ``k``-th frame of a shard of so many bytes; ``part`` reads some: from where, how many.

        Raises
        ------
        ValueError, RuntimeError
            Where its chunk is missing or damaged.
        """
        end = _ENTRY * self.shard + _CHECKSUM
        index = _checked(part, size - end, end, size)
        first, length = np.frombuffer(index, "<u8", 2, _ENTRY * k).tolist()
        return _unpacked(_checked(part, first, length, size), self.shape, self.dtype)


@dataclass(frozen=True)
class Rows:
    """How the rows of an array that is not sharded lie in its chunks, each packed by Blosc with a checksum.

    Zarr decodes in threads of its own, each of which keeps some memory: for a table of millions of rows more
    than for the rows.

    Attributes
    ----------
    chunk
        Rows in a chunk's file; the last one is as long.
    shape, dtype
        Of one row.
    """

    chunk: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, files: Sequence[Path], first: int, stop: int) -> npt.NDArray[Any]:
        """Read rows that lie in these files, the first of which begins with row ``first // chunk * chunk``.

        Raises
        ------
        ValueError, RuntimeError
            Where a chunk is damaged.
        OSError
            Where a file can't be read.
        """
        found = np.empty((stop - first, *self.shape), self.dtype)
        for k, file in enumerate(files, first // self.chunk):
            begin = k * self.chunk
            rows = _unpacked(_sound(file.read_bytes()), (self.chunk, *self.shape), self.dtype)
            low, high = max(first, begin), min(stop, begin + self.chunk)
            found[low - first : high - first] = rows[low - begin : high - begin]
        return found


def rows(array: zarr.Array[Any]) -> Rows | None:
    """Say how the rows of an array lie that is not sharded; None where Zarr has to read them."""
    codecs: Any = getattr(array.metadata, "codecs", ())
    ours = (
        [type(codec) for codec in codecs] == _CODECS[2:]
        and (codecs[0].endian is None or codecs[0].endian.value == sys.byteorder == "little")
        and array.ndim > 0
        and array.chunks[1:] == array.shape[1:]
    )
    return Rows(array.chunks[0], array.shape[1:], array.dtype) if ours else None


def plain(array: zarr.Array[Any]) -> Plain | None:
    """Say how the frames of an array lie; None where Zarr has to read them."""
    codecs: Any = getattr(array.metadata, "codecs", ())
    if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec) or array.shards is None:
        return None
    (sharding,) = codecs
    within = (*sharding.index_codecs, *sharding.codecs)
    orders = {codec.endian.value for codec in within if isinstance(codec, BytesCodec) and codec.endian}
    ours = (
        sharding.index_location.value == "end"
        and [type(codec) for codec in within] == _CODECS
        and orders == {"little"} == {sys.byteorder}
        and (array.chunks, array.shards[1:]) == ((1, *array.shape[1:]), array.shape[1:])
    )
    if not ours:
        return None
    packed = sharding.codecs[1]
    codec = packed.cname.value.encode(), packed.clevel, _SHUFFLES[packed.shuffle.value], packed.blocksize
    return Plain(array.shards[0], array.shape[1:], array.dtype, codec)


def _unpacked(packed: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    values = np.empty(shape, dtype)
    _, unpacked, _, here = np.frombuffer(packed, "<u4", 4).tolist()
    if (unpacked, here) != (values.nbytes, len(packed)):
        raise ValueError(f"got {unpacked} bytes in {here}, expected {values.nbytes} in {len(packed)}")
    blosc.decompress(packed, values)
    return values


def _with_checksum(content: bytes) -> bytes:
    told: bytes = google_crc32c.value(content).to_bytes(_CHECKSUM, "little")
    return content + told


def _checked(part: Callable[[int, int], bytes], first: int, length: int, size: int) -> bytes:
    """Read a part, and return it without its checksum."""
    if not (0 <= first <= first + length <= size):  # as of a chunk that was never written
        raise ValueError(f"bytes {first} to {first + length} are beyond the end")
    return _sound(part(first, length))


def _sound(content: bytes) -> bytes:
    """Content without the checksum at its end, which has to hold."""
    inner, told = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if google_crc32c.value(inner) != int.from_bytes(told, "little"):
        raise ValueError("a checksum does not hold")
    return inner
