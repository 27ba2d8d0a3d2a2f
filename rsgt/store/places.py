"""Where a store lies: in a folder, which is a ``Path``, or below a URL, which is an ``ObjectPath``.

All other modules use both alike; where the two differ, the functions here know how.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rsgt import files
from rsgt.inputs import InputError, local_path
from rsgt.store.objects import AT_ONCE, ObjectPath, delete

Place = Path | ObjectPath
"""Where a store lies: a folder, or below a URL."""

_PARTS_AT_ONCE = 256

_WRITTEN_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+://")


def as_place(place: str | os.PathLike[str]) -> Place:
    """Return the place that a user gave: a path of this machine, ``file:///PATH``, or a URL.

    Raises
    ------
    InputError
        Where it is none; see ``rsgt.inputs.local_path``.
    """
    if isinstance(place, ObjectPath):
        return place
    text = os.fsdecode(place)
    if not _WRITTEN_URL.match(text):
        return local_path(text)
    parts = urlsplit(text.strip())
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise InputError(f"{text}: got another machine's, expected file:///PATH")
        return local_path(unquote(parts.path))
    return ObjectPath(text)


def concurrently(function: Any, items: Iterable[Any]) -> list[Any]:
    """Call a function that waits for the network with each item, ``AT_ONCE`` at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [*threads.map(function, items)]


def each(place: Place, function: Any, items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a function returns of each item: one after another for a folder, else some at once."""
    if isinstance(place, Path):
        yield from map(function, items)
        return
    rest = iter(items)
    while some := [*islice(rest, _PARTS_AT_ONCE)]:
        yield from concurrently(function, some)


def sizes_below(place: Place) -> dict[str, int]:
    """Bytes of each file below a place, by its name from there."""
    if isinstance(place, ObjectPath):
        return dict(place.below())
    found = (file for file in place.rglob("*") if file.is_file())
    return {file.relative_to(place).as_posix(): file.stat().st_size for file in found}


def remove(place: Place) -> None:
    """Remove what lies at a place and below it, where there is anything."""
    if isinstance(place, Path):
        files.remove(place)
    else:
        delete([place, *(place / name for name in sizes_below(place))])


def write_text(place: Place, text: str) -> None:
    """Write a text, whole or not at all."""
    if isinstance(place, Path):
        files.write_text(place, text)
    else:
        place.write_bytes(text.encode("utf-8", "replace"))


@contextmanager
def replacing(place: Place) -> Iterator[Any]:
    """Yield what to open and write to, so that the place holds all of it, or what it held before."""
    if isinstance(place, Path):
        with files.replacing(place) as aside:
            yield aside
    else:
        yield place


def remove_tree(place: Place) -> None:
    """Remove a folder, or all objects below a name."""
    shutil.rmtree(place) if isinstance(place, Path) else remove(place)


def copy_below(source: ObjectPath, target: ObjectPath, names: Iterable[str]) -> None:
    """Copy objects within a bucket, which their server does by itself."""

    def copy(name: str) -> None:
        old, new = (source / name).key, (target / name).key
        source.ask(lambda obstore, client: obstore.copy(client, old, new))

    concurrently(copy, names)
