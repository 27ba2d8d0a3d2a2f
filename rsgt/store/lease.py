"""A lock where no file system keeps one: an object that only one process can create, and has to renew.

The lock of a process that died on this machine is free at once; elsewhere, when it was not renewed for
``LEASE_S``. Whoever takes it over says which version of the object it replaces, so that only one can.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsgt.inputs import InputError
from rsgt.store.objects import ObjectPath, StorageError

LEASE_S = 60.0
"""Seconds after which a lock that was not renewed is free."""

_RENEW_S = LEASE_S / 6

_held: set[str] = set()
"""Locks of this very process: what else bears its number could not be let go."""


def _machine() -> str:
    """Name this machine, and on Linux what its process numbers are counted in: containers share neither."""
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


class _Lease:
    """The object, what replaces it, and whether it is still ours."""

    def __init__(self, lock: ObjectPath) -> None:
        self.lock = lock
        self.me: dict[str, Any] = {"owner": os.urandom(8).hex(), "machine": _machine(), "pid": os.getpid()}
        self.turn = 0
        self.version: dict[str, str] = {}
        self.renewed = 0.0
        self.lost = False

    def put(self, after: Any) -> None:
        """Write the object where nobody else has in the meantime.

        Raises
        ------
        FileExistsError
            Where somebody has.
        """
        self.turn += 1
        content = json.dumps({**self.me, "turn": self.turn}).encode()
        begun = time.monotonic()
        try:
            self.version = self.lock.write_bytes(content, after=after)
        except FileExistsError:
            # A request whose answer was lost is made twice, and the second one finds the first's object.
            try:
                found, version, _ = self.lock.version()
            except FileNotFoundError:
                found = b""
            if found != content:
                raise
            self.version = version
        self.renewed = begun

    def take(self) -> None:
        """Create the object, or replace that of a process that is dead.

        Raises
        ------
        InputError
            Where another process has it.
        """
        _held.add(self.me["owner"])
        try:
            self._create_or_replace()
        except BaseException:
            _held.discard(self.me["owner"])
            raise

    def _create_or_replace(self) -> None:
        try:
            self.put("create")
            return
        except FileExistsError:
            pass
        try:
            content, version, put_at = self.lock.version()
        except FileNotFoundError:
            content, version, put_at = b"{}", {}, datetime.now(UTC)  # it has just been let go
        try:
            holder = json.loads(content)
        except ValueError as error:
            raise InputError(f"{self.lock}: is no lock of a build; remove it") from error
        here = holder.get("machine") == self.me["machine"]
        age_s = (datetime.now(UTC) - put_at).total_seconds()
        try:
            if holder and not (here and not _lives(holder)):
                if age_s < LEASE_S:
                    raise FileExistsError
                self._watch(version)
            self.put(version or "create")
        except FileExistsError as error:
            raise InputError(
                f"{self.lock}: another process builds here ({str(holder.get('machine')).partition(' ')[0]}, "
                f"process {holder.get('pid')}); wait for its end, or {LEASE_S:.0f} s where it was killed, or "
                "choose another --out"
            ) from error

    def _watch(self, version: dict[str, str]) -> None:
        """See for a while whether anybody renews the object: clocks of two machines may differ."""
        time.sleep(2 * _RENEW_S)
        if self.lock.version()[1] != version:
            raise FileExistsError

    def renew(self) -> None:
        """Put the object anew; say so where another process has taken it."""
        try:
            self.put(self.version)
        except FileExistsError:
            self.lost = True
        except StorageError:
            self.lost = time.monotonic() - self.renewed > LEASE_S

    def confirm(self) -> None:
        """Raise an InputError where the lock is another's by now."""
        if not self.lost:
            self.renew()
        if self.lost:
            raise InputError(
                f"{self.lock}: was lost to another process, or not renewed; run the same command again"
            )


def _lives(holder: Mapping[str, Any]) -> bool:
    """Whether the process that holds a lock on this machine still does."""
    if holder.get("pid") == os.getpid():
        return holder.get("owner") in _held
    try:
        os.kill(int(holder["pid"]), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, KeyError, TypeError, ValueError):
        return False
    return True


@contextmanager
def leased(lock: ObjectPath) -> Iterator[Callable[[], None]]:
    """Hold a lock while the body runs; yields a function that raises an InputError where it was lost.

    Raises
    ------
    InputError
        Where another process has it.
    """
    lease = _Lease(lock)
    lease.take()
    over = threading.Event()
    holding = threading.Lock()

    def keep() -> None:
        while not over.wait(_RENEW_S) and not lease.lost:
            with holding:
                lease.renew()

    def confirm() -> None:
        with holding:
            lease.confirm()

    threading.Thread(target=keep, daemon=True).start()
    try:
        yield confirm
    finally:
        over.set()
        _held.discard(lease.me["owner"])
        with holding, suppress(StorageError):
            if not lease.lost:
                lock.unlink()
