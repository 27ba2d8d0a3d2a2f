"""What an evaluation needs, checked before it: places to write to, pixels that count."""

from collections.abc import Sequence
from pathlib import Path

from rsgt.files import check_place
from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import Protocol, check_protocol
from rsgt.store.reader import Store


def check_outputs(*, save: Path | None = None, **paths: Path | None) -> None:
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


def check_frames(store: Store, frames: Sequence[int], protocols: Sequence[Protocol]) -> None:
    """Refuse protocols that a store's frames (by their positions) cannot be judged by.

    Raises
    ------
    InputError
        Where the store is not what a protocol is for, or no frame has a pixel that counts under every one.
    """
    for protocol in protocols:
        check_protocol(protocol, store.shape, store.attributes["parameters"]["depth"])
    for frame in frames:
        depth = store.read("depth", frame, frame + 1)[0]
        if all(protocol.valid(depth).any() for protocol in protocols):
            return
    raise InputError(
        f"evaluation: none of {len(frames)} frames has a pixel that counts; choose another split or protocol"
    )
