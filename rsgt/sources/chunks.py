"""An HDF5 stack of frames, streamed along its own chunk grid, whatever that is.

HDF5 has one lock for all its work. The fast way therefore only fetches packed chunks under it and inflates
them outside, so that several threads read one file at the speed of several cores; and a chunk that would
inflate to more than it may hold is refused there, which HDF5 would go on unpacking. Chunks with another
filter than gzip and shuffle, and stacks without chunks, take h5py's own way with the same result.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import deflate
import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Place = Callable[[Array, slice, tuple[slice, ...]], None]
"""Takes one block (frame, …), the positions in the selection that it fills, and the window of the
trailing axes that it covers."""

FAULTS: tuple[type[Exception], ...] = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError,
    MemoryError, SystemError, deflate.DeflateError,
)  # fmt: skip
"""What h5py raises over a damaged file: HDF5's errors by their kind, and what nonsense in it leads to."""

_UNPACKED_HERE = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}


class ChunkError(Exception):
    """A chunk can't be read; the message says why, in one line."""


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the many errors of a damaged chunk into one kind; no caller's code runs inside."""
    try:
        yield
    except FAULTS as error:
        raise ChunkError(str(error) or type(error).__name__) from error


def stream(data: Any, frames: Sequence[int], place: Place) -> None:
    """Hand every stored block that the frames need to ``place``, each block once.

    Parameters
    ----------
    data
        h5py dataset whose first axis is the frame.
    frames
        Positions of frames, ascending.
    place
        Called with each block. Memory beside what it keeps: one chunk, or one row of chunks where
        h5py's own way is taken.

    Raises
    ------
    ChunkError
        Where a chunk can't be read.
    """
    with _reading():
        shape, chunks = data.shape, data.chunks or (1, *data.shape[1:])
        filters = _filters(data)
    for first, rows, wanted in _chunk_rows(frames, chunks[0]):
        if filters is None:
            everything = tuple(slice(0, n) for n in shape[1:])
            with _reading():
                block = data[first : min(first + chunks[0], shape[0])][wanted]
            place(block, rows, everything)
            continue
        for offset, window in _grid(first, shape, chunks):
            with _reading():
                block = _chunk(data, offset, chunks, filters)
            inside = tuple(slice(0, w.stop - w.start) for w in window)
            place(block[(wanted, *inside)], rows, window)


def _chunk_rows(frames: Sequence[int], depth: int) -> Iterator[tuple[int, slice, slice | list[int]]]:
    """Group ascending frames by the row of chunks that holds them: (first frame of the row, rows, picks)."""
    i = 0
    while i < len(frames):
        first = frames[i] // depth * depth
        j = i
        while j < len(frames) and frames[j] < first + depth:
            j += 1
        picks = [f - first for f in frames[i:j]]
        contiguous = picks == list(range(picks[0], picks[0] + len(picks)))
        yield first, slice(i, j), slice(picks[0], picks[-1] + 1) if contiguous else picks
        i = j


def _grid(
    first: int, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Offsets of the chunks that begin at frame ``first``, with the window of the other axes each covers."""
    counts = [-(-n // c) for n, c in zip(shape[1:], chunks[1:], strict=True)]
    for index in np.ndindex(*counts):
        offset = tuple(i * c for i, c in zip(index, chunks[1:], strict=True))
        window = tuple(slice(o, min(o + c, n)) for o, c, n in zip(offset, chunks[1:], shape[1:], strict=True))
        yield (first, *offset), window


def _filters(data: Any) -> list[int] | None:
    """Filters of the chunks in the order of packing, where they can be undone without HDF5; else None."""
    if data.chunks is None:
        return None
    properties = data.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    return filters if set(filters) <= _UNPACKED_HERE else None


def _chunk(data: Any, offset: tuple[int, ...], chunks: tuple[int, ...], filters: list[int]) -> Array:
    """Read one chunk, unpacking it outside HDF5's lock; a chunk at the edge may come with its padding."""
    try:
        skipped, packed = data.id.read_direct_chunk(offset)
    except (OSError, RuntimeError):  # never written: HDF5 gives the fill value; or unreadable: it says why
        return np.asarray(data[tuple(slice(o, o + c) for o, c in zip(offset, chunks, strict=True))])
    size, item = math.prod(chunks) * data.dtype.itemsize, data.dtype.itemsize
    for i, code in reversed(list(enumerate(filters))):
        if skipped >> i & 1:
            continue
        if code == h5py.h5z.FILTER_DEFLATE:
            packed = deflate.zlib_decompress(packed, size)
        elif (
            item > 1 and len(packed) == size
        ):  # shuffled: the first byte of every value, the second of every value, and so on
            packed = np.frombuffer(packed, np.uint8).reshape(item, -1).T.tobytes()
    if len(packed) != size:
        raise OSError(f"the chunk at {offset} has {len(packed)} bytes, expected {size}")
    return np.frombuffer(packed, data.dtype).reshape(chunks)


def first_frame(bad: Array) -> int:
    """Position of the first frame of a block, (frame, …) bool, that has a bad value."""
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
