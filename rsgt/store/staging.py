"""Where a store is built: the folder aside, and the lock on it.

What lies there is ``.rsgt-build`` in the store's own folder: ``plan.json``, the lock, and a folder a plan.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rsgt.inputs import InputError
from rsgt.store.lease import leased
from rsgt.store.objects import ObjectPath, StorageError, delete
from rsgt.store.places import Place, sizes_below
from rsgt.store.root import STAGING, DamageError, root_attributes

LOCK = "lock"


def is_ours(path: Place) -> bool:
    """Whether ``path`` is a region-support store or the beginning of one (so that it may be replaced)."""
    if (path / STAGING).is_dir():
        return True
    try:
        root_attributes(path)
    except DamageError:
        return True
    except StorageError:
        raise
    except InputError:
        return False
    return True


@contextmanager
def sole_builder(path: Place) -> Iterator[Callable[[], None]]:
    """Keep other processes from building at a place; the lock ends with the process that holds it.

    Yields what raises an InputError where the lock was lost, which that of a folder never is.

    Raises
    ------
    InputError
        Where another process builds there.
    """
    if isinstance(path, ObjectPath):
        with leased(path / STAGING / LOCK) as confirm:
            yield confirm
            _tidy_objects(path)
    else:
        with _locked(path):
            yield lambda: None
            _tidy(path / STAGING)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path / STAGING / LOCK, timeout=0)
    for last in (False, False, True):
        (path / STAGING).mkdir(parents=True, exist_ok=True)
        if (path / STAGING).stat().st_dev != path.stat().st_dev:
            raise InputError(
                f"{path / STAGING}: lies on another disk than {path}, and a store can't be moved from there; "
                "remove the link or mount"
            )
        try:
            lock.acquire()
            break
        except FileNotFoundError:  # another build has just ended, and taken its folder away
            if last:
                raise
        except Timeout as error:
            raise InputError(
                f"{path}: another process builds here; wait for its end, or choose another --out"
            ) from error
    try:
        yield
    finally:
        lock.release()


def _tidy_objects(path: ObjectPath) -> None:
    """Do what ``_tidy`` does; here the whole store is still aside after the switch. The lock goes later."""
    staging = path / STAGING
    names = [name for name in sizes_below(staging) if name != LOCK]
    begun = "plan.json" in names and any(re.fullmatch(r"[^/]+/store/[^/]+/zarr\.json", one) for one in names)
    if not (begun and not is_placed(path, [staging / one for one in names])):
        delete(staging / one for one in names)


def is_placed(path: ObjectPath, aside: Iterable[ObjectPath]) -> bool:
    """Whether the root of a store that is whole aside stands at its place already."""
    try:
        root = (path / "zarr.json").read_bytes()
    except FileNotFoundError:
        return False
    return any(one.read_bytes() == root for one in aside if one.key.endswith("/store/zarr.json"))


def _tidy(staging: Path) -> None:
    """Remove what a build leaves when all is done, or nothing was begun; a build that can go on stays."""
    if (staging / "plan.json").exists() and any(staging.glob("*/store/*/zarr.json")):
        return
    # What can't be deleted takes space and spoils nothing; the next build here tries again. The lock goes
    # last: who gets it next finds nothing that is still being deleted.
    for entry in staging.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name not in ("plan.json", LOCK):  # what a kill left of a file that was written aside
            with suppress(OSError):
                entry.unlink()
    with suppress(OSError):
        (staging / "plan.json").unlink(missing_ok=True)
        (staging / LOCK).unlink(missing_ok=True)
        staging.rmdir()
