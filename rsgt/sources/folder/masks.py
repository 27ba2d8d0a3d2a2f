"""Masks of one object a file: found for their frames, and put together to one map of objects."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.folder.names import LEVELS, Found, Key, reduced
from rsgt.sources.images import read_array, read_map
from rsgt.sources.listing import natural

Array = npt.NDArray[Any]


def of_frames(frames: Sequence[Found], masks: Sequence[Found]) -> dict[str, list[Found]]:
    """Find the masks of frames: ``masks/<frame>/<k>.png`` or ``masks/<frame>_<k>.png``.

    Returns
    -------
    For the path of each frame's colour, its masks in natural order; frames without one are left out.
    """
    for level in LEVELS:
        known = {reduced(frame.key, level): frame.path for frame in frames}
        views = {key._replace(view=""): path for key, path in known.items()}
        found: dict[str, list[Found]] = defaultdict(list)
        for mask in masks:
            for key in _frames_meant(mask.key, level):
                if path := known.get(key) or views.get(key):
                    found[path].append(mask)
                    break
        if found:
            return {path: sorted(files, key=lambda file: natural(file.path)) for path, files in found.items()}
    return {}


def _frames_meant(key: Key, level: int) -> list[Key]:
    """Frames of which a file can be one object, by its folder's name or the beginning of its own."""
    above, _, folder = key.place.rpartition("/")
    meant = [reduced(Key(above, key.view, folder), level)] if folder else []
    beginning = key.stem
    while beginning:
        cut = max(beginning.rfind(sign) for sign in "_-.")
        beginning = beginning[: max(cut, 0)]
        if beginning:
            meant.append(reduced(Key(key.place, key.view, beginning), level))
    return meant


def united(frame: str, paths: Sequence[Path]) -> Array:
    """Put masks of one object each together to a map (y, x): 0 = none, k = the k-th file.

    Where masks overlap the smaller one lies on top, so that a cushion stays visible on its sofa.

    Raises
    ------
    InputError
        Where a file is missing or damaged, or one is of another size than the others.
    """
    shapes: list[tuple[Array, int]] = []
    for number, path in enumerate(paths, start=1):
        values = read_flat(path, "mask")
        # Half of the largest value: 0 and 1, 0 and 255, and an edge that was smoothed.
        shapes.append((values > values.max() / 2, number))
    objects = np.zeros(shapes[0][0].shape, np.uint16)
    for shape, number in sorted(shapes, key=lambda one: -int(np.count_nonzero(one[0]))):
        if shape.shape != objects.shape:
            raise InputError(
                f"{paths[number - 1]}: mask of frame {frame} is {'x'.join(map(str, shape.shape))}, the first "
                f"one {'x'.join(map(str, objects.shape))}; expected masks of one size"
            )
        objects[shape] = number
    return objects


def read_flat(path: Path, what: str) -> Array:
    """Read labels or a mask (y, x); a picture of equal channels counts as one, without its alpha.

    Raises
    ------
    InputError
        As ``read_map``.
    """
    values = read_array(path)
    channels = int(values.shape[-1])
    if values.ndim == 3 and values.dtype == np.uint8:
        colours = values[..., :-1] if channels in (2, 4) else values
        if (colours == colours[..., :1]).all():
            return np.ascontiguousarray(colours[..., 0])
    return values if values.ndim == 2 and values.dtype.kind in "ui" else read_map(path, what)


def named(masks: Mapping[str, Path]) -> list[Path]:
    """The masks of one object each among the files of a frame, in their order."""
    return [path for name, path in masks.items() if name.startswith("object ")]
