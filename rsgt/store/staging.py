"""Where a store is built: its plan, the folder aside that it is built in, and the lock on that.

What lies there is ``.rsgt-build`` in the store's own folder: ``plan.json``, the lock, and a folder a plan.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rsgt.inputs import InputError
from rsgt.store import schema
from rsgt.store.lease import leased
from rsgt.store.manifest import SEAL, read_sealed, seal
from rsgt.store.objects import ObjectPath, StorageError, delete
from rsgt.store.places import Place, sizes_below
from rsgt.store.reader import STAGING, DamageError, root_attributes

LOCK = "lock"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a store will hold and how it is cut into shards: everything that shapes its bytes.

    ``frames`` are positions (from 0) in the source, ``frame_ids`` the numbers (from 1) and ``names`` the
    names that they go by there. ``cameras`` has an entry for each run of frames with one camera.
    """

    parameters: dict[str, Any]
    source: dict[str, Any]
    shape: tuple[int, int]
    frames: tuple[int, ...]
    frame_ids: tuple[int, ...]
    names: tuple[str, ...]
    split: tuple[int, ...]
    split_origin: str
    scene: tuple[int, ...]
    scene_names: tuple[str, ...]
    class_names: tuple[str, ...]
    cameras: tuple[dict[str, Any], ...]
    shard_frames: int
    versions: dict[str, str]

    @property
    def n_shards(self) -> int:
        """Number of shards of every sharded array."""
        return -(-len(self.frames) // self.shard_frames)

    def shard(self, k: int) -> slice:
        """Rows of the store that shard ``k`` holds."""
        return slice(k * self.shard_frames, min((k + 1) * self.shard_frames, len(self.frames)))

    def intrinsics(self, row: int) -> dict[str, float]:
        """Camera of the frame in a row of the store; empty = unknown."""
        return next(dict(one["intrinsics"]) for one in self.cameras if row < one["frames"][1])

    def staging(self, path: Place) -> Any:
        """Folder in which this plan is built, another for each plan.

        A task of an abandoned build that still runs somewhere then writes where nobody looks.
        """
        return path / STAGING / self.key

    @cached_property
    def key(self) -> str:
        """Made once: it grows with the frames, and each shard asks for it."""
        return plan_key(self.document())

    def document(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        plain: dict[str, Any] = json.loads(
            json.dumps({"format_version": schema.FORMAT_VERSION, **asdict(self)})
        )
        return plain


def plan_key(document: Mapping[str, Any]) -> str:
    """Name that is equal for plans of one and the same build, which a build may go on with.

    A source may be renamed, and another Python or library go on: the store names all that had a part in it.
    """
    source = {name: value for name, value in document["source"].items() if name != "name"}
    versions = {name: document["versions"].get(name) for name in ("rsgt", "commit")}
    # Nor is it another build where the same split stands in a file of another name.
    named = {**document, "source": source, "versions": versions, "split_origin": None}
    return seal(named)[:16]


@lru_cache(maxsize=2)
def begun_plan(path: Place, key: str) -> Plan:
    """Read the plan of a build that is under way, by its key: what a cluster's tasks carry in its stead.

    Raises
    ------
    InputError
        Where this machine sees none, or another build's.
    """
    document = unfinished_plan(path)
    if document is None or plan_key(document) != key:
        found = "no build" if document is None else "another build"
        raise InputError(f"{found} at {path}; let workers see the same folder, and run again")
    del document["format_version"]
    lists = (
        "shape",
        "frames",
        "frame_ids",
        "names",
        "split",
        "scene",
        "scene_names",
        "class_names",
        "cameras",
    )
    return Plan(**{**document, **{name: tuple(document[name]) for name in lists}})


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


def unfinished_plan(path: Place) -> dict[str, Any] | None:
    """Return the plan of a store that is being built at ``path``, or None where there is none.

    Raises
    ------
    InputError
        Where the plan is damaged.
    """
    try:
        document = read_sealed(path / STAGING / "plan.json")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except StorageError:
        raise
    except (ValueError, IsADirectoryError) as error:
        raise InputError(
            f"{path}: the build's plan is damaged ({error}); build again with --overwrite"
        ) from error
    del document[SEAL]
    return document


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
