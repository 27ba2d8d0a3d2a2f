"""Which frames of a store train and which test; where there are none, what there is, and what to do."""

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.store.reader import Store
from rsgt.store.schema import ALL, BY_SCENE, SPLITS


def select_frames(store: Store, split: str | None, *, others: bool = True) -> npt.NDArray[np.int32]:
    """Positions of a split's frames in the store, ascending.

    Parameters
    ----------
    store
        A finished store.
    split
        ``train``, ``test``, or ``all`` (None is the same).
    others
        Whether the caller would take another split as well; else no message names one.

    Raises
    ------
    InputError
        Where there is no such split, or it has no frame.
    """
    if split is None or split == ALL:
        return np.arange(len(store), dtype=np.int32)
    if split not in SPLITS:
        raise InputError(f"split: got {split!r}, expected one of {', '.join([*SPLITS, ALL])}")
    frames = np.flatnonzero(store.split == SPLITS[split]).astype(np.int32)
    if not frames.size:
        other = next(name for name in SPLITS if name != split)
        remedy = f"choose --split {other} or {ALL}, or " * others
        raise InputError(f"{_without(store, split)}; {remedy}{_built_with(store)}")
    return frames


def empty_split(store: Store) -> str | None:
    """Say which split of a store, drawn by scene, is empty, and what fills it; None where all have."""
    if not store.attributes["split_origin"].startswith(BY_SCENE):
        return None
    empty = next((name for name, value in SPLITS.items() if not (store.split == value).any()), None)
    return empty and f"{_without(store, empty)}: whole scenes are drawn; {_built_with(store)}"


def _without(store: Store, split: str) -> str:
    other = next(name for name in SPLITS if name != split)
    return f"{store.path}: no frame is in split {split!r} ({len(store)} in {other})"


def _built_with(store: Store) -> str:
    folder = store.attributes["source"]["kind"] == "folder"
    return f"build it with {'--scenes frame, or ' * folder}--split-file"
