"""What a labelled NYU file has to look like: its stacks, their types, axes and sizes, before any work."""

import math
from typing import Any

import numpy as np

from rsgt.inputs import MOST_FRAMES, InputError
from rsgt.sources.matlab import MatFile, reading

STACKS = {
    "images": ("uint8", 4),
    "depths": ("float32", 3),
    "rawDepths": ("float32", 3),
    "labels": ("uint16", 3),
    "instances": ("uint8", 3),
}
"""Stacks of frames with their type and number of axes; a wider type of the same kind is taken, too."""

REQUIRED = ("images", "depths", "labels", "names")

MOST_PIXELS = 2**25
"""Pixels of a frame, 8K video's: what claims more is no frame, and would not fit beside others."""

MOST_CHUNK_BYTES = 2**30


def check_layout(file: MatFile) -> None:
    """Check that a file has every stack that is needed, and each in its place.

    Raises
    ------
    InputError
        Where a stack is missing, no array, of another type or shape, or of a size that no memory holds.
    """
    missing = [name for name in REQUIRED if name not in file]
    if missing:
        raise InputError(
            f"{file.path}: has no {', '.join(missing)} (it has {', '.join(file.names()) or 'nothing'}); "
            + file.remedy
        )
    with reading(file.path, "images"):
        frames, _, width, height = (*file["images"].shape, 0, 0, 0, 0)[:4]
    for name, (_, rank) in STACKS.items():
        if name in file:
            expected = (frames, 3, width, height) if rank == 4 else (frames, width, height)
            _check_stack(file, name, expected)
    if not (0 < frames <= MOST_FRAMES and 0 < width * height <= MOST_PIXELS):
        raise InputError(
            f"{file.path}: images has {frames:,} frames of {height:,}x{width:,} pixels, expected 1 to "
            f"{MOST_FRAMES:,} frames of 1 to {MOST_PIXELS:,} pixels; {file.remedy}"
        )


def _check_stack(file: MatFile, name: str, expected: tuple[int, ...]) -> None:
    data = file[name]
    with reading(file.path, name):
        shape, dtype, chunk = data.shape, data.dtype, math.prod(data.chunks or ())
    wanted = np.dtype(STACKS[name][0])
    fits = dtype.kind == wanted.kind and (name != "images" or dtype.itemsize == 1)
    if shape != expected or not fits:
        axes = "(frame, 3, x, y)" if name == "images" else expected
        raise InputError(
            f"{file.path}: {name} is {dtype} {shape}, expected {wanted} {axes}"
            f"{_guess(name, shape, expected, dtype)}; {file.remedy}"
        )
    if chunk * dtype.itemsize > MOST_CHUNK_BYTES:
        raise InputError(
            f"{file.path}: {name} has chunks of {chunk * dtype.itemsize:,} bytes, expected at most "
            f"{MOST_CHUNK_BYTES:,}; repack the file with smaller ones (h5repack -l)"
        )


def _guess(name: str, shape: tuple[int, ...], expected: tuple[int, ...], dtype: Any) -> str:
    """Say what a stack of another shape or type looks like, where that can be told."""
    if name == "images" and len(shape) == 4 and shape[1] != 3:
        if shape[3] == 3:
            return (
                ": axes look like (frame, y, x, channel), as Python writes them; transpose every stack to "
                "MATLAB's order: images (frame, channel, x, y), the others (frame, x, y)"
            )
        if shape[2] == 3:
            return ": axes look like (y, x, channel, frame); transpose every stack to the reverse order"
    if name != "images" and shape != expected and len(shape) == 3:
        if shape == (expected[0], expected[2], expected[1]):
            return ": axes look like (frame, y, x), as Python writes them; transpose it to (frame, x, y)"
        if shape == expected[::-1]:
            return ": axes look like (y, x, frame); transpose it to the reverse order"
    if name in ("depths", "rawDepths") and dtype.kind in "iu":
        return ": integers; millimetres? divide by 1000 and store float32 metres"
    return ""
