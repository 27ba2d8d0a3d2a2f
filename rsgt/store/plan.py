"""The plan of a store: what it will hold and how it is cut into shards, while it is built.

It lies beside the shards: ``plan.json``, which does not grow with the frames, and ``frames.npz`` of what
there is to say of each frame.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.store import schema
from rsgt.store.manifest import SEAL, read_sealed, seal
from rsgt.store.names import Names
from rsgt.store.objects import StorageError
from rsgt.store.places import Place, replacing
from rsgt.store.root import STAGING

Array = npt.NDArray[Any]

COLUMNS = {"frames": "int32", "frame_ids": "int32", "split": "uint8", "scene": "int32"}
"""What there is to say of each frame beside its name, and the type that it is held in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a store will hold and how it is cut into shards: everything that shapes its bytes.

    ``frames`` are positions (from 0) in the source, ``frame_ids`` the numbers (from 1) and ``names`` the
    names that they go by there; these, ``split`` and ``scene`` may be any sequences, and are held as arrays.
    ``cameras`` has an entry for each run of frames with one camera.
    """

    parameters: dict[str, Any]
    source: dict[str, Any]
    shape: tuple[int, int]
    frames: Array
    frame_ids: Array
    names: Sequence[str]
    split: Array
    split_origin: str
    scene: Array
    scene_names: tuple[str, ...]
    class_names: tuple[str, ...]
    cameras: tuple[dict[str, Any], ...]
    shard_frames: int
    versions: dict[str, str]

    def __post_init__(self) -> None:
        """Pack what there is an entry of for each frame: of a million, lists would take a gigabyte."""
        for name, dtype in COLUMNS.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        object.__setattr__(self, "names", Names.of(self.names))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.document() == other.document()

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_shards(self) -> int:
        """Number of shards of every sharded array."""
        return -(-len(self.frames) // self.shard_frames)

    def shard(self, k: int) -> slice:
        """Rows of the store that shard ``k`` holds."""
        return slice(k * self.shard_frames, min((k + 1) * self.shard_frames, len(self.frames)))

    @cached_property
    def _camera_ends(self) -> list[int]:
        return [one["frames"][1] for one in self.cameras]

    def intrinsics(self, row: int) -> dict[str, float]:
        """Camera of the frame in a row of the store; empty = unknown."""
        return dict(self.cameras[bisect_right(self._camera_ends, row)]["intrinsics"])

    def staging(self, path: Place) -> Any:
        """Folder in which this plan is built, another for each plan.

        A task of an abandoned build that still runs somewhere then writes where nobody looks.
        """
        return path / STAGING / self.key

    @cached_property
    def key(self) -> str:
        """Made once: it is a hash over all frames, and each shard asks for it."""
        return plan_key(self.document())

    def columns(self) -> dict[str, Array]:
        """Arrays of what there is to say of each frame."""
        names: Any = self.names
        found: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS}
        return {**found, "names_start": names.start, "names_text": names.text}

    def document(self) -> dict[str, Any]:
        """Return the plan as plain JSON types, with a hash in place of each of its ``columns``."""
        hashed = {name: column_hash(values) for name, values in self.columns().items()}
        rest = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in (*COLUMNS, "names")
        }
        told = {"format_version": schema.FORMAT_VERSION, **rest, "columns": hashed}
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain


def column_hash(values: Array) -> str:
    """SHA-256 over the values of a column, as they are in memory."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def plan_key(document: Mapping[str, Any]) -> str:
    """Name that is equal for plans of one and the same build, which a build may go on with.

    A source may be renamed, and another Python or library go on: the store names all that had a part in it.
    """
    source = {name: value for name, value in document["source"].items() if name != "name"}
    versions = {name: document["versions"].get(name) for name in ("rsgt", "commit")}
    # Nor is it another build where the same split stands in a file of another name.
    named = {**document, "source": source, "versions": versions, "split_origin": None}
    return seal(named)[:16]


def write_columns(path: Place, plan: Plan) -> None:
    """Lay a plan's columns beside its shards, for the workers of a cluster."""
    with replacing(plan.staging(path) / "frames.npz") as aside, aside.open("wb") as file:
        columns: dict[str, Any] = plan.columns()
        np.savez(file, **columns)


def unfinished_plan(path: Place) -> dict[str, Any] | None:
    """Return the plan, without its columns, of a store that is being built at ``path``; None: there is none.

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


@lru_cache(maxsize=2)
def begun_plan(path: Place, key: str) -> Plan:
    """Read the plan of a build that is under way, by its key: what a cluster's tasks carry in its stead.

    Raises
    ------
    InputError
        Where this machine sees none, or another build's, or it is damaged.
    """
    document = unfinished_plan(path)
    if document is None or plan_key(document) != key:
        found = "no build" if document is None else "another build"
        raise InputError(f"{found} at {path}; let workers see the same folder, and run again")
    hashes = document.pop("columns")
    del document["format_version"]
    try:
        with (path / STAGING / key / "frames.npz").open("rb") as file, np.load(file) as found:
            columns = {name: found[name] for name in hashes}
        if {name: column_hash(values) for name, values in columns.items()} != hashes:
            raise ValueError("it is another plan's")
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(
            f"{path}: frames of the build's plan are damaged ({error}); run the same build again"
        ) from error
    names = Names(columns.pop("names_start"), columns.pop("names_text"))
    for name in ("shape", "scene_names", "class_names", "cameras"):
        document[name] = tuple(document[name])
    return Plan(**document, **columns, names=names)
