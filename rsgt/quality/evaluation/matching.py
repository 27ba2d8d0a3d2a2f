"""Which frames of a store predicted maps are of, by what their files or keys are called."""

import re
from collections.abc import Sequence
from pathlib import Path

from rsgt.inputs import InputError
from rsgt.sources.folder.names import Key, reduced
from rsgt.store.reader import Store


def match_keys(path: Path, keys: Sequence[str], store: Store, match: str | None) -> tuple[str, list[int]]:
    """Match names of maps with frames: by the frames' names in the source, else by their numbers.

    Returns
    -------
    ``name`` or ``number``, and the position of each key's frame in the store.

    Raises
    ------
    InputError
        Where a key is no frame's, two are of one frame, or names and numbers tell different frames.
    """
    full = {name: k for k, name in enumerate(store.frame_names)}
    last: dict[str, list[int]] = {}
    for name, k in full.items():
        last.setdefault(name.rsplit("/", 1)[-1], []).append(k)
    of_number = {int(number): k for k, number in enumerate(store.frame_id)}

    def by_name(key: str) -> int | None:
        for text in (key, _bare(key)):
            one = last.get(text.rsplit("/", 1)[-1], [])
            if text in full or len(one) == 1:
                return full.get(text, one[0] if one else None)
        return None

    def by_number(key: str) -> int | None:
        numbers = re.findall(r"\d+", _bare(key).rsplit("/", 1)[-1])
        return of_number.get(int(numbers[0])) if len(numbers) == 1 else None

    ways = {"name": [by_name(key) for key in keys], "number": [by_number(key) for key in keys]}
    whole = [way for way, found in ways.items() if None not in found and match in (None, way)]
    if not whole:
        best = min(ways, key=lambda way: ways[way].count(None)) if match is None else match
        lost = keys[ways[best].index(None)]
        raise InputError(
            f"{path}: {lost} is no frame of {store.path}, by its {best}; expected numbers as "
            f"{store.frame_id[0]} "
            f"or names as {store.frame_names[0]}; take it away, or give the store that it is of"
        )
    if len(whole) == 2 and ways["name"] != ways["number"]:
        k = next(i for i, key in enumerate(keys) if ways["name"][i] != ways["number"][i])
        raise InputError(
            f"{path}: {keys[k]} is one frame by its name and another by its number; say which with --match"
        )
    places = [place for place in ways[whole[0]] if place is not None]
    if len(set(places)) < len(places):
        twice = next(key for key, place in zip(keys, places, strict=True) if places.count(place) > 1)
        raise InputError(f"{path}: {twice} is not the only map of its frame; keep one for each")
    return whole[0], places


def _bare(key: str) -> str:
    """A key without words that name a map: ``0001_depth`` is ``0001``."""
    folder, _, stem = key.rpartition("/")
    return f"{folder}/{reduced(Key('', '', stem), 2).stem}".lstrip("/")
