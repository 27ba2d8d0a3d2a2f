"""Which frames of a store are learnt from, held out, and tested on."""

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rsgt.store.splits import select_frames
from rsn.data.dataset import Store


def split_frames(store: Store, split: str, *, others: bool = True) -> Sequence[int]:
    """Positions of the frames of a split, in the store's order, as ``rsgt.store.splits.select_frames``.

    Raises
    ------
    InputError
        Where there is no such split, or it is empty.
    """
    return _packed(select_frames(store, split, others=others))


def hold_out(store: Store, share: float, seed: int) -> tuple[Sequence[int], Sequence[int]]:
    """Split the training frames into a part to learn from and a part to validate on, by scene.

    Neighbouring frames of a scene show nearly the same picture, so whole scenes are held out. The test
    split is never touched. One scene, the last one that is shuffled, is always left to learn from.

    Returns
    -------
    learn, validate : array of int
        Positions in the store, ascending; ``validate`` is empty for a share of 0 and for frames of a single
        scene, else it is the shortest run of shuffled scenes that holds at least ``share`` of the frames, or
        all of them but one.

    Raises
    ------
    InputError
        Where the store has no training frame.
    """
    frames = np.asarray(split_frames(store, "train", others=False))
    scenes, count = np.unique(store.scene[frames], return_counts=True)
    order = np.random.default_rng(seed).permutation(len(scenes))
    before = np.cumsum(count[order]) - count[order]
    held = np.isin(store.scene[frames], scenes[order[:-1]][before[:-1] < share * len(frames)])
    return _packed(frames[~held]), _packed(frames[held])


def _packed(frames: npt.NDArray[np.int32]) -> Sequence[int]:
    """Positions as whole numbers, packed: a list of a million would take five times the memory."""
    return array("q", frames.astype(np.int64).tobytes())
