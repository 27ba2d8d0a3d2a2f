"""How Zarr reads and writes objects: what is missing or of another size is an error, and never zeros."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import ObjectStore

from rsgt.store.kept import Kept
from rsgt.store.objects import WAITS_S, ObjectPath, StorageError, is_cut, obstore_for

_INDEXES = 4096
"""Indexes of shards that are kept: half a kilobyte each, which saves every second request."""


class ObjectError(RuntimeError):
    """An object is missing, or of another size than was recorded."""


class Requests(ObjectStore[Any]):
    """What lies below a name in an object store, as Zarr's store.

    Parameters
    ----------
    place
        The name.
    size_of
        Bytes of an object that has to be there, by its name from it, None for others; with it, it only reads.
    identity
        Hash of the content, where parts of it may be kept on this machine (``rsgt.store.kept``).
    """

    def __init__(
        self, place: ObjectPath, size_of: Callable[[str], int | None] | None = None, identity: str = ""
    ) -> None:
        super().__init__(place.client, read_only=size_of is not None)
        self.identity = identity
        self._kept = Kept.of_environment() if identity else None
        self.place, self.size_of = place, size_of
        self._indexes: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def with_read_only(self, read_only: bool = False) -> "Requests":
        """Return one that only reads, or one that writes as well."""
        return Requests(self.place, self.size_of if read_only else None, self.identity if read_only else "")

    async def get(self, key: str, prototype: BufferPrototype, byte_range: Any = None) -> Buffer | None:
        """Read an object, or a part of it.

        Raises
        ------
        ObjectError
            Where it is missing and has to be there, or is of another size.
        """
        kept = (key, byte_range.suffix) if isinstance(byte_range, SuffixByteRequest) else None
        content = self._indexes.get(kept) if kept else None
        if content is None:
            content = await self._got(key, byte_range)
            if content is None:
                return None
            if kept and self.size_of:
                self._indexes[kept] = content
                if len(self._indexes) > _INDEXES:
                    self._indexes.popitem(last=False)
        return prototype.buffer.from_bytes(content)

    def part(self, key: str, size: int, first: int, length: int) -> bytes:
        """Read so many bytes of an object of a size that has to be there; its end, a shard's index, is kept.

        Raises
        ------
        ObjectError
            As ``get`` does.
        """
        stop = first + length
        asked = SuffixByteRequest(length) if stop == size else RangeByteRequest(first, stop)
        buffer = sync(self.get(key, default_buffer_prototype(), asked))
        assert buffer is not None  # it would have been refused
        return buffer.to_bytes()

    async def _got(self, key: str, byte_range: Any) -> bytes | None:
        expected = self.size_of(key) if self.size_of else None
        # Under the store's content, and not its URL: another store may stand there tomorrow.
        name = f"{self.identity} {key} {byte_range}" if self._kept and expected is not None else ""
        if self._kept and name and (kept := await asyncio.to_thread(self._kept.get, name)) is not None:
            return kept
        try:
            size, content = await self._answer(self.place / key, byte_range, expected)
        except FileNotFoundError as error:
            if expected is None:
                return None
            raise ObjectError(f"{self.place / key}: is missing") from error
        if expected not in (None, size):
            raise ObjectError(f"{self.place / key}: has {size} bytes, expected {expected}")
        if self._kept and name:
            await asyncio.to_thread(self._kept.put, name, content)
        return content

    async def _answer(self, named: ObjectPath, byte_range: Any, size: int | None) -> tuple[int, bytes]:
        """Ask for an object, or a part of it, again where the answer was cut off: its size and the bytes."""
        obstore = obstore_for(named)
        for wait_s in (*WAITS_S, None):
            try:
                with named.told():
                    if isinstance(byte_range, SuffixByteRequest) and size is None:
                        size = (await obstore.head_async(self.store, named.key))["size"]
                    limits = _limits(byte_range, size)
                    options: Any = {} if limits is None else {"range": limits}
                    response = await obstore.get_async(self.store, named.key, options=options)
                    return response.meta["size"], bytes(await response.bytes_async())
            except StorageError as error:
                # A part that begins after the end is refused, where one that ends there is cut.
                if re.search(r"\b416\b", str(error.__cause__).partition("Debug source")[0]):
                    raise ObjectError(f"{named}: is too short, expected {size} bytes") from error
                if wait_s is None or not is_cut(error):
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError

    async def set(self, key: str, value: Buffer) -> None:
        """Put an object, whole or not at all."""
        await asyncio.to_thread((self.place / key).write_bytes, value.to_bytes())

    # What Zarr asks for beside: the same, below the name.

    async def exists(self, key: str) -> bool:  # noqa: D102
        with (self.place / key).told():
            return await super().exists((self.place / key).key)

    async def delete(self, key: str) -> None:  # noqa: D102
        with (self.place / key).told():
            await super().delete((self.place / key).key)

    async def delete_dir(self, prefix: str) -> None:  # noqa: D102
        async for name in self.list_prefix(prefix):
            await self.delete(name)

    async def getsize(self, key: str) -> int:  # noqa: D102
        with (self.place / key).told():
            return await super().getsize((self.place / key).key)

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:  # noqa: D102
        start, below = len(self.place.key) + 1, self.place / prefix
        for key in await _whole(super().list_prefix, below, below.key.rstrip("/") + "/"):
            yield key[start:]

    def list(self) -> AsyncGenerator[str, None]:  # noqa: D102
        return self.list_prefix("")

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:  # noqa: D102
        below = self.place / prefix
        for name in await _whole(super().list_dir, below, below.key.rstrip("/")):
            yield name


async def _whole(
    listing: Callable[[str], AsyncIterator[str]], below: ObjectPath, prefix: str
) -> Sequence[str]:
    """List all names below a place, asked for again where the answer was cut off."""
    for wait_s in (*WAITS_S, None):
        try:
            with below.told():
                return [name async for name in listing(prefix)]
        except StorageError as error:
            if wait_s is None or not is_cut(error):
                raise
            await asyncio.sleep(wait_s)
    raise AssertionError


def _limits(byte_range: Any, size: int | None) -> Any:
    """A part as obstore takes it: from the first byte to before the last, or all from an offset on."""
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.start, byte_range.end
    if isinstance(byte_range, OffsetByteRequest):
        return {"offset": byte_range.offset}
    if isinstance(byte_range, SuffixByteRequest):
        return max(0, (size or 0) - byte_range.suffix), size
    return None
