"""An HDF5 stack of frames, streamed along its own chunk grid, whatever that is.

HDF5 has one lock for all its work. The fast way therefore only fetches packed chunks under it and inflates
them outside, so that several threads read one file at the speed of several cores. Chunks with another
filter, and stacks without chunks, take h5py's own way with the same result.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import deflate
import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Place = Callable[[Array, slice, tuple[slice, ...]], None]
"""Takes one block (frame, …), the positions in the selection that it fills, and the window of the
trailing axes that it covers."""

InflateError = deflate.DeflateError


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
    OSError, InflateError
        Where a chunk can't be read.
    """
    shape, chunks = data.shape, data.chunks or (1, *data.shape[1:])
    fast = _inflates_fast(data)
    for first, rows, wanted in _chunk_rows(frames, chunks[0]):
        if not fast:
            everything = tuple(slice(0, n) for n in shape[1:])
            place(data[first : min(first + chunks[0], shape[0])][wanted], rows, everything)
            continue
        for offset, window in _grid(first, shape, chunks):
            block = _chunk(data, offset, chunks)
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


def _inflates_fast(data: Any) -> bool:
    """Whether the chunks are plain or gzip, so that they can be unpacked without HDF5."""
    if data.chunks is None:
        return False
    properties = data.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    return filters in ([], [h5py.h5z.FILTER_DEFLATE])


def _chunk(data: Any, offset: tuple[int, ...], chunks: tuple[int, ...]) -> Array:
    """Read one chunk, inflating it outside HDF5's lock; a chunk at the edge may come with its padding."""
    info = data.id.get_chunk_info_by_coord(offset)
    if info.byte_offset is None or info.filter_mask:  # never written, or stored with a filter skipped
        return np.asarray(data[tuple(slice(o, o + c) for o, c in zip(offset, chunks, strict=True))])
    packed = data.id.read_direct_chunk(offset)[1]
    size = math.prod(chunks) * data.dtype.itemsize
    if data.compression == "gzip":
        packed = deflate.zlib_decompress(packed, size)
    if len(packed) != size:
        raise OSError(f"the chunk at {offset} has {len(packed)} bytes, expected {size}")
    return np.frombuffer(packed, data.dtype).reshape(chunks)


def first_frame(bad: Array) -> int:
    """Position of the first frame of a block, (frame, …) bool, that has a bad value."""
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
