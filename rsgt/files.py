"""Files: written whole or not at all, and known by some of their bytes."""

import csv
import errno
import io
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rsgt.inputs import InputError

PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed with gzip",
    b"\xfd7zXZ": "packed with xz",
    b"(\xb5/\xfd": "packed with Zstandard",
}
"""What a file is that has to be unpacked, by its first bytes."""


def check_place(path: Path, option: str) -> None:
    """Refuse a path, before the work, that could not be written to after it.

    Raises
    ------
    InputError
        Where the nearest folder above that exists is a file, or may not be written to.
    """
    above = path.absolute().parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{option}: {above} is a file, expected a folder for {path}; give another path")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{option}: the folder {above} may not be written to; give another path")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write a file or folder to; it takes the name when all is written.

    After a failure nothing of it is left, and what ``path`` held before is as it was. A link is written to
    where it leads, and what is no file, such as a pipe, is written to directly.

    Raises
    ------
    IsADirectoryError
        Where ``path`` is a folder.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a folder, expected a file to write", str(path))
    if path.exists() and not path.is_file():
        yield path
        return
    # A name that nobody else has: two processes may write one result, and what is another's stays.
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        remove(aside)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove the files that ``replacing`` left where its process was killed."""
    for file in path.parent.glob(f".{path.name}.*.tmp"):
        if re.fullmatch(r"[0-9a-f]{8}", file.name.removeprefix(f".{path.name}.").removesuffix(".tmp")):
            file.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; what UTF-8 cannot hold (halves of characters) becomes "?"."""
    with replacing(path) as aside, aside.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
        synchronise(file)


def synchronise(file: IO[Any]) -> None:
    """Bring what was written to the disk, where there is one behind it."""
    file.flush()
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.fsync(file.fileno())


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; a later row may have columns that the first has not.

    Without rows, the file is empty.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_figure(path: Path, figure: Any, **options: Any) -> None:
    """Write a figure of matplotlib in the format that the suffix of ``path`` says, whole or not at all."""
    with replacing(path) as aside:
        figure.savefig(aside, format=path.suffix.lower().lstrip("."), **options)


def spaced_blocks(file: Path, count: int = 64, size: int = 65_536) -> bytes:
    """Read evenly spaced blocks of a large file, its beginning and end among them."""
    blocks = []
    with file.open("rb") as content:
        last = max(0, file.stat().st_size - size)
        for k in range(count):
            content.seek(last * k // (count - 1))
            blocks.append(content.read(size))
    return b"".join(blocks)
