"""What the numbers in a depth file mean: metres, none, or a picture that can't be read back."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.images import read_array, read_map

Array = npt.NDArray[Any]

USUAL_SCALES = (1000.0, 5000.0, 4000.0, 256.0, 512.0, 6553.5, 100.0, 1.0)
"""Units in a metre of whole numbers, the most usual first: millimetres, TUM, Matterport, KITTI, Taskonomy,
Replica, centimetres, metres."""

_USUAL_OF_FLOATS = (1.0, 1000.0, 100.0)
_CALLED = {1.0: "metres", 100.0: "centimetres", 1000.0: "millimetres"}
INDOOR_MEDIAN_M = (0.5, 10.0)

LARGEST = 65_535
_FAR_FROM_REST = 0.8
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
_PICTURE = (
    "a picture to look at can't be read back; give the depth maps themselves (16-bit PNG, TIFF, EXR, .npy)"
)


def read_stored(path: Path) -> Array:
    """Read a depth map (y, x) as it is stored, in the file's own unit.

    Four channels of 8 bits are the bytes of a float32, as TartanAir writes them with OpenCV: blue first.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or holds a picture: JPEG, 8 bits, colours.
    """
    if path.suffix.lower() in _LOSSY:
        raise InputError(f"{path}: depth as {path.suffix.lower()[1:].upper()}; {_PICTURE}")
    values = read_array(path)
    if values.ndim == 3 and values.dtype == np.uint8 and values.shape[2] in (3, 4):
        if values.shape[2] == 4 and values[..., 3].min() < 255:
            return np.ascontiguousarray(values[..., [2, 1, 0, 3]]).view("<f4")[..., 0]
        raise InputError(f"{path}: depth has {values.shape[2]} channels of 8 bits; {_PICTURE}")
    if values.ndim == 2 and values.dtype in (np.uint8, np.int8, np.bool_):
        raise InputError(f"{path}: depth has 8 bits a pixel, 256 steps at most; {_PICTURE}")
    return values if values.ndim == 2 and values.dtype.kind in "uif" else read_map(path, "depth")


def to_metres(values: Array, scale: float, none: Sequence[float]) -> npt.NDArray[np.floating[Any]]:
    """Bring stored depth (y, x) to metres, as float32 where that holds the file's numbers; 0 = none."""
    # Where both operands are float32 numbers, dividing in float32 rounds as dividing in float64 would.
    exact = np.float32(scale) == scale and values.dtype.kind + str(values.dtype.itemsize) in _IN_FLOAT32
    metres = np.divide(values, scale, dtype=np.float32 if exact else np.float64)
    for value in none:
        metres[values == value] = 0
    return metres


_IN_FLOAT32 = frozenset({"u1", "u2", "i1", "i2", "f2", "f4"})


def share_of_largest(values: Array) -> tuple[float, int]:
    """Share of pixels that hold 65,535, the largest of 16 bits, where all else is far below; and the next.

    It means "none" then, as in 7-Scenes and Taskonomy, rather than a distance.
    """
    if values.dtype != np.uint16 or not values.size or values.max() < LARGEST:
        return 0.0, 0
    rest = values[values < LARGEST]
    most = int(rest.max()) if rest.size else 0
    return (1 - rest.size / values.size, most) if most < _FAR_FROM_REST * LARGEST else (0.0, most)


def check_largest(path: Path, values: Array, none: Sequence[float]) -> None:
    """Refuse 65,535 where it seems to mean "none", and nobody said what does.

    Raises
    ------
    InputError
        With both answers.
    """
    share, most = share_of_largest(values) if not none else (0.0, 0)
    if share:
        raise InputError(
            f"{path}: {share:.1%} of the depth is 65,535, the largest of 16 bits, and all else "
            f"at most {most:,}: it seems to mean none; say so with --no-depth 65535, or that it "
            "is a distance with --no-depth 0"
        )


def valid(values: Array, none: Sequence[float]) -> Array:
    """The numbers of a map (y, x) that are distances: finite, above 0, and none of those that mean none."""
    kept = np.isfinite(values) & (values > 0)
    for value in none:
        kept &= values != value
    if not none and share_of_largest(values)[0]:
        kept &= values < LARGEST
    return values[kept]


def guessed(median: float, is_float: bool) -> list[float]:
    """Scales that would make a median that of a room, 0.5 to 10 m, the most usual first."""
    scales = dict.fromkeys((*_USUAL_OF_FLOATS, *USUAL_SCALES) if is_float else USUAL_SCALES)
    low, high = INDOOR_MEDIAN_M
    return [scale for scale in scales if low <= median / scale <= high]


def guess_text(median: float, kind: np.dtype[Any]) -> str:
    """A guess at the unit, for a message."""
    scales = guessed(median, kind.kind == "f")
    got = f"a median of {median:,.5g} ({kind})"
    if not scales:
        return f"{got} is no room's in any usual unit"
    name = _CALLED.get(scales[0])
    others = ", ".join(f"{scale:g}" for scale in scales[1:4])
    return (
        f"{got} looks like {name or f'{scales[0]:g} units a metre'}, --depth-scale {scales[0]:g} "
        f"(a guess{f'; {others} would also give a room' if others else ''})"
    )


def sample(paths: Sequence[Path]) -> Iterator[tuple[Path, Array]]:
    """Read the first, the middle and the last map of several, as far as they can be read."""
    for k in sorted({0, len(paths) // 2, len(paths) - 1}):
        try:
            yield paths[k], read_stored(paths[k])
        except InputError:
            continue
