"""Paths as users write them: what no file here can be called is refused where it enters, not made a file."""

import os
import re
from pathlib import Path

from rsgt.schema import InputError

_NAME_BYTES, _PATH_BYTES = 255, 4095
_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.:-]+:/")
"""A scheme of two letters or more: ``C:/`` is a drive. ``Path`` has made ``s3://`` into ``s3:/`` already."""


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave as a ``Path``.

    Raises
    ------
    InputError
        Where it is empty, a URL, ``-``, starts with a ``~`` that no shell expanded, holds a NUL, or is
        longer than a file system takes.
    """
    text = os.fsdecode(path)
    if not text.strip():
        raise InputError("path: got an empty one, expected the name of a file or folder")
    if _URL.match(text):
        raise InputError(
            f"{text}: a URL, expected a path on this machine; object stores and downloads are not supported, "
            "so copy it here first"
        )
    if text == "-":
        raise InputError("path: got '-', expected a file's name; standard input and output are not supported")
    if text.startswith("~"):
        raise InputError(f"{text}: the shell left ~ as it is; write the folder in full")
    if "\0" in text:
        raise InputError(f"path: got {text[:60]!r}, expected a name without NUL characters")
    longest = max(len(os.fsencode(part)) for part in Path(text).parts or (text,))
    if longest > _NAME_BYTES or len(os.fsencode(text)) > _PATH_BYTES:
        raise InputError(
            f"path: got {text[:60]}… with a name of {longest} bytes, expected at most {_NAME_BYTES} in a "
            f"name and {_PATH_BYTES} in all"
        )
    return Path(text)
