# mypy: disable-error-code="no-untyped-call"
"""The one door to Numba: machine code is kept on disk where that is safe, and made anew where it is not.

Numba keeps it beside the package, or else in the user's cache. Where neither can be written, a folder of the
user's own in the temporary one takes their place; and where that is not to be trusted, nothing is kept. What
was kept is sealed with its hash, since Numba would run a damaged file, and fail on a shortened one.
"""

import hashlib
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

_SEAL = hashlib.sha256().digest_size


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function at its first call, to run without the interpreter's lock.

    Parameters
    ----------
    **options
        Further ones of ``numba.njit``.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        made = numba.njit(nogil=True, **options)(function)
        made._cache = _cache(function)
        return made

    return compiled


class _SealedFile(IndexDataCacheFile):
    """Numba's two files of a function; a damaged one is as good as none."""

    def _dump(self, value: Any) -> bytes:
        data: bytes = super()._dump(value)
        return data + hashlib.sha256(data).digest()

    def _load_index(self) -> dict[Any, str]:
        head = pickle.dumps(self._version, protocol=-1)
        try:
            raw = Path(self._index_path).read_bytes()
            if not raw.startswith(head):
                return {}  # of another version of Numba
            stamp, overloads = pickle.loads(_unsealed(raw[len(head) :]))
        except Exception:  # none there, a damaged one, or one that names types of an older text
            return {}
        return dict(overloads) if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_unsealed(Path(self._data_path(name)).read_bytes()))


class _Cache(FunctionCache):
    """Numba's cache of one function, which may fail to keep it: the disk is full, or not ours any more."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _SealedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(
                self._impl.locator.get_source_stamp(),
                _neighbours(Path(function.__code__.co_filename).parent),
            ),
        )

    def save_overload(self, signature: Any, result: Any) -> None:
        try:
            super().save_overload(signature, result)
        except OSError:
            self.disable()


@cache
def _neighbours(folder: Path) -> str:
    """Hash of the modules in a function's folder, whose functions it may have inside.

    Numba looks at the function's own file alone, and would run what was compiled from another's old text.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _unsealed(sealed: bytes) -> bytes:
    """Return what was sealed; ``OSError``, which Numba takes for a missing file, where it is damaged."""
    data, seal = sealed[:-_SEAL], sealed[-_SEAL:]
    if hashlib.sha256(data).digest() != seal:
        raise OSError("damaged")
    return data


def _cache(function: Callable[..., Any]) -> Any:
    """Find the place where a function's machine code can be kept, if there is one."""
    unwritable = (RuntimeError, OSError)
    with suppress(*unwritable):
        return _Cache(function)
    folder = private_folder()
    if folder is not None:
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        with suppress(*unwritable):
            return _Cache(function)
    return NullCache()


def private_folder() -> Path | None:
    """Return a folder in the temporary one that nobody else can write to, made where it is not there.

    None where there is no such place: what lies there is code, and may have been put there by another user.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    try:
        parent = Path(tempfile.gettempdir())
        folder = parent / f"rsgt-numba-{'' if user is None else user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        above, found = parent.stat(), folder.lstat()
    except OSError:
        return None
    if user is None:  # Windows: the temporary folder is the user's own
        return folder
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077
    # In a folder where all may write and rename, ours could be exchanged.
    fixed = above.st_uid in (0, user) and (not above.st_mode & 0o022 or above.st_mode & stat.S_ISVTX)
    return folder if ours and fixed else None
