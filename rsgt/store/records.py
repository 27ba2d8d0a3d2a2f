"""Records of a store's shards: the frames of each, and bytes and SHA-256 of its files.

They lie in the arrays ``shards/bytes`` and ``shards/sha256``, for a store may have some ten thousand shards.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.store import schema
from rsgt.store.encoding import shard_file

Array = npt.NDArray[Any]

_PLACE = {name: k for k, name in enumerate(schema.FRAME_SPECS)}


@dataclass(frozen=True)
class ShardRecords:
    """Bytes and SHA-256 of the file that each shard has of each array of ``schema.FRAME_ARRAYS``.

    Attributes
    ----------
    frames, each
        Frames of the store, and of every shard but the last.
    sizes
        (shard, array) int64, bytes.
    ask_hashes
        Gives the ``hashes`` when they are first needed: most that read a store don't.
    """

    frames: int
    each: int
    sizes: Array
    ask_hashes: Callable[[], Array]

    @cached_property
    def hashes(self) -> Array:
        """SHA-256, (shard, array, 32) uint8."""
        return self.ask_hashes()

    @classmethod
    def room(cls, frames: int, each: int) -> "ShardRecords":
        """Make room for the records of so many frames, to ``put`` them."""
        shape = (-(-frames // each), len(_PLACE))
        return cls(frames, each, np.zeros(shape, np.int64), lambda: np.zeros((*shape, 32), np.uint8))

    @classmethod
    def of_list(cls, shards: Sequence[Mapping[str, Any]]) -> "ShardRecords":
        """Take the list that a store of format version 3 has of them in its root's attributes."""
        found = cls.room(shards[-1]["frames"][1], shards[0]["frames"][1])
        for k, shard in enumerate(shards):
            found.put(k, shard["files"])
        return found

    def put(self, k: int, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Note the records of a shard's files, by their arrays."""
        for name, record in files.items():
            self.sizes[k, _PLACE[name]] = record["bytes"]
            self.hashes[k, _PLACE[name]] = np.frombuffer(bytes.fromhex(record["sha256"]), np.uint8)

    def __len__(self) -> int:
        return len(self.sizes)

    def frames_of(self, k: int) -> tuple[int, int]:
        """First frame of a shard, and the one after its last."""
        return k * self.each, min((k + 1) * self.each, self.frames)

    def size(self, k: int, name: str) -> int:
        """Bytes of the file that a shard has of an array."""
        return int(self.sizes[k, _PLACE[name]])

    def record(self, k: int, name: str) -> dict[str, Any]:
        """``manifest.file_record`` of the file that a shard has of an array."""
        return {"bytes": self.size(k, name), "sha256": self.hashes[k, _PLACE[name]].tobytes().hex()}

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Names of all shards' files in their store, each with its record."""
        for k in range(len(self)):
            for name, spec in schema.FRAME_SPECS.items():
                yield shard_file(spec, k), self.record(k, name)

    def bytes_of(self, name: str) -> int:
        """Bytes of all files of an array."""
        return int(self.sizes[:, _PLACE[name]].sum())

    def texts(self) -> Iterator[bytes]:
        """All records as the text that a store's identity is a hash over, piece by piece."""
        for k in range(len(self)):
            files = {name: self.record(k, name) for name in _PLACE}
            one = json.dumps({"frames": [*self.frames_of(k)], "files": files}, sort_keys=True)
            yield f"{', ' if k else '['}{one}".encode()
        yield b"]"


def content_hash(
    records: ShardRecords, pieces: Callable[[str], Iterable[Array]], parameters: Mapping[str, Any]
) -> str:
    """Hash the shards' hashes and the small arrays by name: equal where every array is.

    ``pieces`` gives the rows of an array one after another, and is asked in the order of the hash: the whole
    table of regions is never needed at once. Which columns that has, ``parameters`` say.
    """
    digest = hashlib.sha256()
    for text in records.texts():
        digest.update(text)
    for spec in (*schema.INDEX_ARRAYS, schema.REGION_START, *schema.region_arrays(parameters)):
        within = "" if spec in schema.INDEX_ARRAYS else "regions/"
        for rows in pieces(within + spec.name):
            digest.update(np.ascontiguousarray(rows, spec.dtype).tobytes())
    return digest.hexdigest()
