"""Trained networks that come with the package: which there are, and where they lie.

Each is a folder here, in the layout of a published run: ``model.safetensors``, ``config.json`` and the model
card ``README.md``.
"""

import os
from pathlib import Path

from rsgt.inputs import InputError

FOLDER = Path(__file__).parent
PREFERRED = ("nyu", "rooms")
"""Which of them is taken where none is named: the first that is there."""


def names() -> list[str]:
    """Names of the networks that come with this installation, sorted."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "config.json").is_file())


def shipped(given: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Find the place of weights: what was given, or the folder of a network that comes with the package.

    Parameters
    ----------
    given : path or str, optional
        A checkpoint, a run's folder, or the name of such a network, which counts where no file or folder of
        that name stands; None: one of ``PREFERRED``.

    Raises
    ------
    InputError
        Where none is named, and none came with this installation.
    """
    there = names()
    if given is not None:
        named = os.fspath(given) in there and not Path(given).exists()
        return FOLDER / given if named else given
    for name in PREFERRED:
        if name in there:
            return FOLDER / name
    raise InputError(
        "weights: none came with this installation; give a checkpoint, or the folder of a run of rsn fit"
    )
