"""What an evaluation needs, checked before it: places to write to, frames, pixels that count."""

from collections.abc import Sequence
from pathlib import Path

from rsgt.files import check_place
from rsgt.inputs import InputError
from rsgt.store.schema import SPLITS
from rsn.data.dataset import Store
from rsn.data.split import hold_out, split_frames
from rsn.judging.protocol import Protocol, check_protocol


def check_outputs(*, save: Path | None, **paths: Path | None) -> None:
    """Refuse places that the results of an evaluation could not be written to; by the options' names.

    Raises
    ------
    InputError
        Where that is so, or predictions are there already.
    """
    if save is not None and save.exists():
        raise InputError(f"{save}: exists; choose another path for the predictions")
    for option, path in {"save": save, **paths}.items():
        if path is not None and path.is_dir():
            raise InputError(f"{option}: {path} is a folder, expected a file to write; give another path")
        if path is not None:
            check_place(path, option)


def frames_to_judge(
    store: Store,
    split: str,
    protocols: Sequence[Protocol],
    *,
    trained_on: str,
    validation: float,
    seed: int,
) -> list[int]:
    """Positions of the frames of a split, once store and protocols fit each other.

    Parameters
    ----------
    store, split
        The store, and ``train``, ``test``, or ``validation``: what a run held out.
    protocols
        What the frames are to be judged by.
    trained_on, validation, seed
        Identity of the store that the run learnt from (of several, joined by ``+``), and these of its
        settings.

    Raises
    ------
    InputError
        Where there is no such split, it is empty, or the run learnt from another store; where the store is
        not what a protocol is for; where no frame has a pixel that counts under every protocol.
    """
    frames = _frames_of(store, split, trained_on=trained_on, validation=validation, seed=seed)
    for protocol in protocols:
        check_protocol(protocol, store.shape, store.attributes["parameters"]["depth"])
    for frame in frames:
        depth = store.read("depth", frame, frame + 1)[0]
        if all(protocol.valid(depth).any() for protocol in protocols):
            return frames
    raise InputError(
        f"evaluation: none of {len(frames)} frames has a pixel that counts; choose another split or protocol"
    )


def _frames_of(store: Store, split: str, *, trained_on: str, validation: float, seed: int) -> list[int]:
    if split not in (*SPLITS, "validation"):
        raise InputError(f"split: got {split!r}, expected one of {', '.join((*SPLITS, 'validation'))}")
    if split != "validation":
        return split_frames(store, split)
    if store.identity not in trained_on.split("+"):
        raise InputError(
            f"split: got 'validation', but the run held out frames of another store than {store.path}, "
            "and may have learnt from these; use train or test"
        )
    held = hold_out(store, validation, seed)[1]
    if not held:
        raise InputError("split: got 'validation', but the run held nothing out; use train or test")
    return held
