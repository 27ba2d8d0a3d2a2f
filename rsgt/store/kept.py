"""Parts of objects kept in a folder of this machine, up to so many bytes: those read longest ago go first."""

import hashlib
import math
import os
from contextlib import suppress
from pathlib import Path

from rsgt.inputs import InputError, local_path

FOLDER, GIGABYTES = "RSGT_CACHE", "RSGT_CACHE_GB"
"""Environment variables: where to keep them, and how much; several processes share one folder."""

_DEFAULT_GB = "10"
_SHARE = 20
"""Each process looks at the folder again when it has added one part in so many."""


class Kept:
    """A folder of parts of objects, by what they are parts of.

    Parameters
    ----------
    folder
        Where; made where it is missing.
    most
        Bytes that it may hold; each process that reads may exceed it by a twentieth.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._added = most  # look at the folder with the first part

    @classmethod
    def of_environment(cls) -> "Kept | None":
        """Make the one that the environment asks for; None where it asks for none.

        Raises
        ------
        InputError
            Where it says no number, or names what is no folder.
        """
        place, text = os.environ.get(FOLDER), os.environ.get(GIGABYTES, _DEFAULT_GB)
        if not place:
            return None
        try:
            most = float(text)
        except ValueError:
            most = math.nan
        if not 0 < most < math.inf:
            raise InputError(f"{GIGABYTES}: got {text!r}, expected a number above 0; unset it")
        folder = local_path(place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{FOLDER}: {place} is no folder ({error.strerror}); give one") from error
        return cls(folder, int(most * 1e9))

    def _file(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()}.part"

    def get(self, name: str) -> bytes | None:
        """Return a part, by a name that says what it is part of; None where it is not here."""
        try:
            content = self._file(name).read_bytes()
            os.utime(self._file(name))
        except OSError:
            return None
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep a part; where the disk is full or the folder gone, it is not kept."""
        aside = self.folder / f"{os.urandom(8).hex()}.tmp"
        try:
            aside.write_bytes(content)
            aside.replace(self._file(name))
        except OSError:
            with suppress(OSError):
                aside.unlink()
            return
        self._added += len(content)
        if self._added * _SHARE >= self.most:
            self._added = 0
            self._shrink()

    def _shrink(self) -> None:
        found = []
        for file in self.folder.glob("*.part"):
            with suppress(OSError):
                found.append((file.stat().st_mtime_ns, file.stat().st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= self.most:
                break
            with suppress(OSError):
                file.unlink()
            total -= size
