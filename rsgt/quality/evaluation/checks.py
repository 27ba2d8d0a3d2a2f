"""What an evaluation needs, checked before it: places to write to, pixels that count."""

from collections.abc import Sequence
from pathlib import Path

from rsgt.files import check_place
from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import Protocol, checked_protocol
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


def checked_protocols(store: Store, frames: Sequence[int], protocols: Sequence[Protocol]) -> list[Protocol]:
    """Refuse protocols that a store's frames (by their positions) cannot be judged by.

    Those returned name the kind of depth that the store has.

    Raises
    ------
    InputError
        Where the store is not what a protocol is for, or no frame has a pixel that counts under every one.
    """
    kind = store.attributes["parameters"]["depth"]
    checked = [checked_protocol(protocol, store.shape, kind) for protocol in protocols]
    for frame in frames:
        depth = store.read("depth", frame, frame + 1)[0]
        if all(protocol.valid(depth).any() for protocol in checked):
            return checked
    raise InputError(
        f"evaluation: none of {len(frames)} frames has a pixel that counts; choose another split or protocol"
    )
