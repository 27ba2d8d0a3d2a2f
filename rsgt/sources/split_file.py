"""A file that says which frames train and which test: ``splits.mat`` of either MATLAB format, or JSON."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from rsgt.inputs import InputError, read_text, shortened
from rsgt.sources.matlab import MatFile, is_matlab73
from rsgt.store import schema

_EXPECTED = (
    'expected splits.mat with trainNdxs and testNdxs, or JSON {"train": [ids], "test": [ids]}, ids from 1'
)
_IN_MATLAB = {"train": "trainNdxs", "test": "testNdxs"}


def read_split_file(
    path: Path, frame_ids: Sequence[int], names: Mapping[str, int] | None = None
) -> list[int]:
    """Read a split: ``splits.mat`` (trainNdxs, testNdxs) or JSON {"train": [ids], "test": [ids]}.

    What the file is, its content says and not its name. An id is a whole number from 1, or, where ``names``
    tells the numbers of frames by their names, a name; those of other frames than ``frame_ids`` are passed
    over.

    Returns
    -------
    ``schema.TRAIN`` or ``schema.TEST`` for each of ``frame_ids``.

    Raises
    ------
    InputError
        Where the file is neither, an id is no frame's number, or a frame is in no part or in both.
    """
    path = Path(path)
    content = _content(path)
    missing = [name for name in _IN_MATLAB if name not in content]
    if missing:
        raise InputError(f"{path}: no split (has no {' and no '.join(missing)}); {_EXPECTED}")
    known = names or {}
    numbered = {
        name: [known.get(one, 2**31 - 1) if known and isinstance(one, str) else one for one in content[name]]
        for name in _IN_MATLAB
    }
    ids = {name: _ids(path, name, numbered[name]) for name in _IN_MATLAB}
    for frame in frame_ids:
        if (frame in ids["train"]) == (frame in ids["test"]):
            where = "both parts" if frame in ids["train"] else "no part"
            raise InputError(f"{path}: frame {frame} is in {where}, expected exactly one of train and test")
    return [schema.TEST if frame in ids["test"] else schema.TRAIN for frame in frame_ids]


def _content(path: Path) -> dict[str, Any]:
    """Both parts as the file has them, under our names."""
    try:
        if not path.is_file():  # missing, which reading says; or a pipe, which can be read only once
            return _from_json(path)
        with path.open("rb") as file:
            is_matlab5 = file.read(10) == b"MATLAB 5.0"
        if is_matlab5:
            found = _matlab5(path)
        elif is_matlab73(path):
            with closing(MatFile(path, _EXPECTED)) as opened:
                found = {key: opened.small(key).ravel() for key in _IN_MATLAB.values() if key in opened}
        else:
            return _from_json(path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: no split ({reason}); {_EXPECTED}") from error
    return {name: found[key] for name, key in _IN_MATLAB.items() if key in found}


def _matlab5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # here: only this file format needs it

    try:
        content = loadmat(path, variable_names=list(_IN_MATLAB.values()))
    except Exception as error:  # there is no end to what SciPy's reader raises over a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: no split (damaged: {reason}); {_EXPECTED}") from error
    return {key: np.asarray(value).ravel() for key, value in content.items()}


def _from_json(path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there twice")
        return dict(pairs)

    try:
        content = json.loads(read_text(path), object_pairs_hook=unique)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: no split ({reason}); {_EXPECTED}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: no split (no JSON: {' '.join(str(error).split())}); {_EXPECTED}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no split (JSON, but {shortened(content, 40)}); {_EXPECTED}")
    for name in _IN_MATLAB:
        if name in content and not isinstance(content[name], list):
            raise InputError(f"{path}: {name} is {shortened(content[name], 40)}, no list; {_EXPECTED}")
    return content


def _ids(path: Path, part: str, values: Any) -> set[int]:
    """Check that each value is a frame's number: whole, from 1, and no larger than a store can hold."""
    for value in values:
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not (number and 1 <= value < 2**31 and value == int(value)):
            shown = shortened(value.item() if isinstance(value, np.generic) else value, 40)
            raise InputError(f"{path}: {part} has {shown}, expected the number of a frame; {_EXPECTED}")
    return {int(value) for value in values}
