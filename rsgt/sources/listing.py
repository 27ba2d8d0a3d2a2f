"""What lies in a folder: names of files and folders, and their order."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rsgt.files import PACKED
from rsgt.inputs import InputError
from rsgt.sources.images import PICTURES

Listing = tuple[list[str], list[str]]
"""Names of the files and of the folders in a folder, in no order."""

_TAR = b"ustar"


def check_folder(path: Path, expected: str) -> None:
    """Refuse what is no folder.

    Raises
    ------
    InputError
        That says what is there instead, as far as the first bytes tell.
    """
    if path.is_dir():
        return
    if not path.exists():
        raise InputError(f"{path}: no such folder; expected {expected}")
    head = b""
    if path.is_file():
        try:
            with path.open("rb") as file:
                head = file.read(262)
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror or error})") from error
    packed = next((what for start, what in PACKED.items() if head.startswith(start)), None)
    packed = packed or ("a tar archive" if head[257:] == _TAR else None)
    if packed:
        raise InputError(f"{path}: is {packed}, expected {expected}; unpack it and give the folder")
    raise InputError(f"{path}: is a file, expected {expected}; give the folder")


def look(folder: Path | str) -> Listing:
    """List files and folders, without hidden ones; of a link, what it leads to.

    Raises
    ------
    InputError
        Where the folder can't be read.
    """
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror or error})") from error
    return files, folders


def has(folder: Path, *names: str) -> bool:
    """Whether each of the names is a folder in a folder."""
    return all((folder / name).is_dir() for name in names)


def walk(folder: Path, depth: int) -> Iterator[tuple[Path, Listing]]:
    """Give a folder and those below it, down to a depth, in natural order, each with what it holds.

    Who takes a folder name out of a listing has that one passed over.
    """
    listing = look(folder)
    yield folder, listing
    if depth:
        for name in sorted(listing[1], key=natural):
            yield from walk(folder / name, depth - 1)


def pictures(files: list[str]) -> list[str]:
    """Of names, those of images."""
    return [name for name in files if os.path.splitext(name)[1].lower() in PICTURES]  # noqa: PTH122


def nearby(path: Path, names: tuple[str, ...], above: int = 1) -> Path | None:
    """Find the first of some files in a folder, or else in one of those above it."""
    folder = path.absolute()
    for place in (folder, *list(folder.parents)[:above]):
        for name in names:
            if (place / name).is_file():
                return place / name
    return None


def natural(text: str) -> list[tuple[int, int | str]]:
    """Key that sorts names as people do: ``2`` before ``10``."""
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in parts]


def unique_names(path: Path, names: Iterable[str]) -> None:
    """Refuse two frames of one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: two frames are called {name}; rename one")
        seen.add(name)
