"""Times of frames: listed beside them, or in the names of their files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rsgt.inputs import InputError, read_text
from rsgt.sources.folder.names import DEPTH, RGB, Found, Key, reduced
from rsgt.sources.folder.scanning import TIME_LISTS, Tree

Timed = list[tuple[float, Found]]
"""Time in seconds and file."""


def listed_by_time(
    path: Path, tree: Tree, found: Mapping[str, Sequence[Found]]
) -> dict[str, dict[str, Timed]]:
    """Read ``rgb.txt`` and ``depth.txt`` (time, file from there) wherever both lie.

    Returns
    -------
    For each folder, for ``rgb`` and ``depth``, the times in seconds and the files, as they are listed.

    Raises
    ------
    InputError
        Where a line is none of time and file.
    """
    known = {file.path: file for files in found.values() for file in files}
    lists: dict[str, dict[str, Timed]] = {}
    for folder, notes in tree.notes.items():
        if notes.issuperset(TIME_LISTS):
            lists[folder] = {}
            for role, name in zip((RGB, DEPTH), TIME_LISTS, strict=True):
                listed = _read_list(path / folder / name)
                rows = {f"{folder}/{file}" if folder else file: time for file, time in listed.items()}
                lists[folder][role] = [
                    (time, known.get(below) or Found(below, Key(folder, "", Path(below).stem)))
                    for below, time in rows.items()
                ]
    return lists


def _read_list(file: Path) -> dict[str, float]:
    rows: dict[str, float] = {}
    try:
        lines = read_text(file).splitlines()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}; expected lines of time and file") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            parts = re.split(r"[\s,]+", text, maxsplit=1)
            try:
                rows[parts[1].strip().removeprefix("./")] = float(parts[0])
            except (ValueError, IndexError) as error:
                raise InputError(
                    f"{file}: line {number} is {text[:40]!r}, expected a time in seconds and a file; "
                    "--pairing name passes over the list"
                ) from error
    return rows


def times_in_names(path: Path, files: Sequence[Found]) -> Timed:
    """Take the names of files as times: seconds, or whole milli-, micro- or nanoseconds by their length."""
    timed = []
    for file in files:
        numbers = re.findall(r"\d+(?:\.\d+)?", reduced(file.key, 1).stem)
        # Beside a time, some names have a counter: NYU's raw files are d-TIME-TICKS.pgm.
        numbers = [number for number in numbers if "." in number] or numbers
        if len(numbers) != 1:
            raise InputError(
                f"{path}: {file.path} has no time in its name, expected one number such as "
                "1305031102.175304; pair by name (--pairing name), or list times in rgb.txt and depth.txt"
            )
        whole = len(numbers[0]) if "." not in numbers[0] else 0
        timed.append((float(numbers[0]) / {13: 1e3, 16: 1e6, 19: 1e9}.get(whole, 1.0), file))
    return timed
