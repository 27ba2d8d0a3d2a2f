"""Predicted maps, matched with the frames of a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt import schema
from rsgt.schema import InputError
from rsgt.store import Store, read_prediction

Array = npt.NDArray[Any]


def open_prediction(
    path: Path, store: Store, frames: Array, name: str = "prediction"
) -> tuple[Array, Callable[[int], Array]]:
    """Open predicted maps and match them with frames of a store.

    Parameters
    ----------
    path
        What ``store.write_prediction`` wrote, or an ``.npy`` file (frame, y, x) with a map for each of
        ``frames``, or for each frame of the store, in their order.
    store
        The store, whose height and width the maps have.
    frames
        Positions of the frames asked for.
    name
        Which of ``schema.PREDICTIONS`` to take.

    Returns
    -------
    The positions of those of ``frames`` that have a map, and a function from such a position to its map.

    Raises
    ------
    InputError
        Where there are no maps, their number or size is another, or none belongs to ``frames``.
    """
    if path.suffix == ".npy":
        try:
            maps: Any = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no array here ({error}); expected floats (frame, y, x)") from error
        known = {len(frames): frames, len(store): np.arange(len(store))}
        if maps.ndim != 3 or maps.shape[0] not in known:
            raise InputError(
                f"{path}: got {maps.shape}, expected (frame, y, x) of {' or '.join(map(str, known))} frames"
            )
        place = {int(k): i for i, k in enumerate(known[maps.shape[0]])}
    else:
        maps, numbers = read_prediction(path, name)
        of_number = {int(number): i for i, number in enumerate(numbers)}
        place = {k: of_number[int(n)] for k, n in enumerate(store.frame_id) if int(n) in of_number}
    if maps.shape[1:] != store.shape:
        raise InputError(
            f"{path}: maps are {maps.shape[1:]}, expected the store's {store.shape}; resize them"
        )
    matched = np.array([k for k in frames if int(k) in place], np.int64)
    if not matched.size:
        raise InputError(
            f"{path}: none of its {maps.shape[0]} frames is among the {len(frames)} of {store.path}"
        )
    return matched, lambda k: np.asarray(maps[place[k]], schema.PREDICTIONS[name].dtype)
