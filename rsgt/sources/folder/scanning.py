"""What files lie below a folder, and which maps they hold as far as their names tell; none is opened."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rsgt.inputs import InputError
from rsgt.sources.folder.names import (
    DEPTH,
    RGB,
    ROLES,
    Found,
    Key,
    is_picture,
    place_of,
    roles_in,
)
from rsgt.sources.images import SUFFIXES

CAMERA_FILES = (
    "intrinsics.json", "intrinsics.txt", "camera-intrinsics.txt", "camera_intrinsics.txt",
    "camera_intrinsics.json", "cam_params.json", "intrinsic_depth.txt", "camera.json",
)  # fmt: skip
"""Names under which a camera is looked for."""

TIME_LISTS = ("rgb.txt", "depth.txt")
"""Lists of time and file, as TUM RGB-D has them."""

_NOTES = frozenset({*CAMERA_FILES, *TIME_LISTS, "classes.txt", "classes.json"})
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")


class Tree(NamedTuple):
    """Names of what lies below a folder. Folders are paths from it, with ``/``; "" is itself.

    Attributes
    ----------
    images
        Names of the files in each folder that can hold a map.
    notes
        Names of the files in each folder that say something of the maps, such as a camera.
    archives
        Packed files.
    """

    images: Mapping[str, list[str]]
    notes: Mapping[str, frozenset[str]]
    archives: list[str]


def is_archive(name: str) -> bool:
    """Whether a file is packed, by its name."""
    return name.lower().endswith(_ARCHIVES)


def look_around(path: Path) -> Tree:
    """List a folder and all below it by names alone; hidden ones and stores are passed over.

    Raises
    ------
    InputError
        Where a folder can't be read, or a name is no text.
    """
    images: dict[str, list[str]] = {}
    notes: dict[str, frozenset[str]] = {}
    archives: list[str] = []
    waiting = [("", os.path.realpath(path))]
    while waiting:
        folder, real = waiting.pop()
        here, said = [], []
        try:
            with os.scandir(path / folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if entry.is_dir():
                        below = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{name}"
                        # A link to a folder above would lead around without an end.
                        if not name.endswith(".zarr") and not f"{real}/".startswith(f"{below}/"):
                            waiting.append((f"{folder}/{name}" if folder else name, below))
                    elif os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122 - ten times as fast
                        here.append(name)
                    elif name in _NOTES:
                        said.append(name)
                    elif is_archive(name):
                        archives.append(f"{folder}/{name}" if folder else name)
        except OSError as error:
            raise InputError(
                f"{path / folder}: {error.strerror or error}; expected a folder to read"
            ) from error
        for name in (folder, *here):
            if not name.isascii():
                _check_text(path, name)
        notes[folder] = frozenset(said)
        if here:
            images[folder] = sorted(here)
    return Tree(images, notes, sorted(archives))


def _check_text(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: has the name {name!r}, which is no text in UTF-8; rename it") from error


def by_words(tree: Tree) -> dict[str, list[Found]]:
    """Tell what files hold by the words in their names and those of their folders."""
    found: dict[str, list[Found]] = {role: [] for role in ROLES}
    nameless: list[Found] = []
    for folder, names in tree.images.items():
        place = place_of(folder)
        if place is None:
            continue
        stems = [_stem(name) for name in names]
        said = [roles_in(stem) for stem in stems]
        # A folder rgb/ may hold 1_rgb.png, 2_rgb.png, and depth/ the depth maps under the same names; where
        # files of one folder differ in their words, the words count.
        side_by_side = not place.role or len(set(said)) > 1
        for name, stem, roles in zip(names, stems, said, strict=True):
            role = place.role
            if side_by_side and (roles or not role):
                if len(roles) > 1 or is_picture(stem):
                    continue
                role = next(iter(roles), role)
            file = Found(f"{folder}/{name}" if folder else name, Key(place.place, place.view, stem))
            (found[role] if role else nameless).append(file)
    # Beside depth maps, and where no file says that it is colour, those without a word are colour.
    coloured = {file.key.place for file in found[RGB]}
    beside = {file.key.place for file in found[DEPTH]} - coloured
    found[RGB] += [file for file in nameless if file.key.place in beside]
    return found


def by_pattern(path: Path, tree: Tree, pattern: str, flag: str) -> list[Found]:
    """Take the files that a pattern matches; what its wildcards match is the frame's name.

    Parameters
    ----------
    path
        The folder.
    tree
        What lies in it.
    pattern
        From the folder, with ``*`` and ``?`` within a name and ``**`` for any folders; without any, a
        folder is all that is in it.
    flag
        The option, for messages.

    Raises
    ------
    InputError
        Where it matches nothing.
    """
    wanted = _below(path, pattern, flag)
    if not re.search(r"[*?]", wanted):
        inside = any(folder == wanted or folder.startswith(f"{wanted}/") for folder in tree.images)
        wanted = f"{wanted}/**/*".lstrip("/") if inside or not wanted else wanted
    rule, found = _compiled(wanted), []
    for folder, names in tree.images.items():
        for name in names:
            file = f"{folder}/{name}" if folder else name
            if match := rule.fullmatch(file):
                found.append(Found(file, _captured(match, name)))
    if not found:
        listed = ", ".join(sorted(tree.images)[:4]) or "no images"
        raise InputError(
            f"{flag}: {pattern!r} matches no image below {path} (there are: {listed}); "
            "expected a pattern from there such as 'rgb/*.png'"
        )
    return found


def _below(path: Path, pattern: str, flag: str) -> str:
    """Return a pattern as a path from the folder."""
    text = pattern.replace(os.sep, "/")
    for base in (path, path.absolute()):
        text = text.removeprefix(f"{base.as_posix()}/") if text.startswith("/") else text
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or not text.strip():
        raise InputError(f"{flag}: got {pattern!r}, expected a pattern from {path} on, such as 'rgb/*.png'")
    return "/".join(parts)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    rule = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        rule += {"**/": "(?:(.*)/)?", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}.get(part, re.escape(part))
    return re.compile(rule)


def _captured(match: re.Match[str], name: str) -> Key:
    """The frame's name from what wildcards matched: whole folders are its place, the rest its stem."""
    text = match.string
    begin = len(text) - len(name)
    places, stems = [], []
    end = len(text) - len(os.path.splitext(name)[1])  # noqa: PTH122
    for number in range(len(match.groups())):
        start, stop = match.span(number + 1)
        if start < 0 or start == stop:
            continue
        if stop <= begin:
            places.append(text[start:stop])
        else:
            folders, _, stem = text[start : min(stop, end)].rpartition("/")
            places += [folders] if folders else []
            stems.append(stem)
    return Key("/".join(places), "", "_".join(stem for stem in stems if stem))


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122
