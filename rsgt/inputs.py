"""What users give to both programs: paths, texts, numbers of frames, depths; and how a mistake is told."""

import codecs
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class InputError(ValueError):
    """A mistake that the user can mend: what was got, what was expected, and the remedy, in one line.

    The command line prints it without a traceback and exits with 2.
    """

    def __init__(self, message: str = "") -> None:
        # What a library said goes into the message, and may have several lines.
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


class DataWarning(UserWarning):
    """Something about the data, or a run, that its owner should know, and that nothing need stop for."""


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
            f"{text}: a URL, expected a path on this machine; only stores have URLs (s3://BUCKET/NAME), "
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


MOST_FRAMES = 1_000_000
"""Frames of one source or selection: far above any labelled data set, and little enough to list."""


def parse_frames(text: str) -> list[int]:
    """Expand a frame selection such as ``"1-9,20,433"`` into its numbers, in the order written.

    Raises
    ------
    InputError
        Where a part is no number or range, runs backwards, or is beyond a million frames, or a frame is
        named twice.
    """
    frames: list[int] = []
    for part in map(str.strip, text.split(",")):
        first, dash, last = (number.strip() for number in part.partition("-"))
        if not (_is_number(first) and (_is_number(last) if dash else not last)):
            raise InputError(f"frames: got {shortened(part)}, expected a number or a range such as 1-48")
        start, stop = (int(n) if len(n) < 100 else 2**31 for n in (first, last or first))
        if stop >= 2**31 or stop - start + len(frames) >= MOST_FRAMES:
            raise InputError(
                f"frames: got {shortened(part)}, expected at most {MOST_FRAMES:,} frames in all, "
                "by their numbers; `rsgt info` says how many a file has"
            )
        if not start:
            raise InputError(f"frames: got {shortened(part)}, expected a number from 1, as in the source")
        if stop < start:
            raise InputError(
                f"frames: got {shortened(part)}, which runs backwards; expected a range such as 1-48"
            )
        frames.extend(range(start, stop + 1))
    if len(set(frames)) != len(frames):
        raise InputError(f"frames: {shortened(text)} names a frame twice; name each frame once")
    return frames


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()  # isdigit alone takes a superscript for a number


def shortened(value: object, most: int = 60) -> str:
    """Show a value as Python writes it, in one line and within a message's length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}…"


_MOST_TEXT = 2**26
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """Read a text that a user wrote: UTF-8, or UTF-16 as another shell's redirection leaves it.

    A byte order mark tells which, and is dropped; UTF-16 without one is told by its zero bytes.

    Raises
    ------
    OSError
        Where the file is missing or can't be read.
    InputError
        Where it is above 64 MiB or no text.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_TEXT + 1)
    if len(data) > _MOST_TEXT:
        raise InputError(f"{path}: is larger than {_MOST_TEXT:,} bytes; expected a text file")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:2]:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text in {encoding} (byte {error.start} is {error.object[error.start]:#04x}); "
            "save it as UTF-8"
        ) from error


MOST_LABEL = 2**16 - 1
"""Largest number of a category or object in a store, whose maps have 16 bits."""


def dense(labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Number labels (of any shape, from 0) anew from 1 in ascending order; 0 stays 0."""
    found, places = np.unique(labels, return_inverse=True)
    return np.asarray(places.reshape(labels.shape) + (1 if found.size and found[0] else 0))


FURTHEST_MEDIAN_M = 100.0
"""No indoor frame's median depth is above; a room's in millimetres is, from 0.1 m on."""

FURTHEST_LEAST_M = 0.1
"""No indoor frame lies nearer as a whole; a room's in kilometres does."""


def unit_doubt(depth_m: npt.NDArray[Any], most: float, least: float = 0.0) -> str | None:
    """Say so where a frame's depth can't be in metres: half of it is too far, or all of it too near.

    Parameters
    ----------
    depth_m
        (y, x) floats; not finite or <= 0 is invalid.
    most
        Median in metres that no frame of the kind exceeds.
    least
        Furthest depth in metres that no frame of the kind stays below.

    Returns
    -------
    What was got and what it looks like, to end a message with; None for a plausible frame.
    """
    far = np.count_nonzero(depth_m > most)
    if not far and (depth_m >= least).any():
        return None
    valid = depth_m[(depth_m > 0) & (depth_m < np.inf)]
    if 2 * np.count_nonzero(valid > most) > valid.size:
        return (
            f"a median of {np.median(valid):,.0f}, expected metres; millimetres? divide by 1000 "
            "(centimetres: by 100)"
        )
    if valid.size and valid.max() < least:
        return f"no depth beyond {valid.max():.3g}, expected metres; kilometres? multiply by 1000"
    return None
