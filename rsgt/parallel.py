"""Work in parallel: on threads of this process, and on the workers of a ``dask.distributed`` cluster."""

import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import dask
from dask.callbacks import Callback
from dask.system import cpu_count

from rsgt.inputs import InputError

T = TypeVar("T")
Progress = Callable[[int, int], None]

AT_ONCE = 256
"""Calls that are handed to the threads together. At the end of each lot threads wait for the last call."""

CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or what its container is limited to."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition(":")[2].lstrip("/")
    except OSError:  # not Linux
        own = ""
    for file in ("memory.max", f"{own}/memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((CGROUP / file).read_text(encoding="ascii")))
        except (OSError, ValueError):  # not in a container, or one without a limit: "max"
            continue
    return min(limits)


def default_workers(bytes_each: int = 0) -> int:
    """How many threads to use where nobody says.

    One a core that this process may use, by its affinity and its container, but no more than hold
    ``bytes_each`` in half of the memory.
    """
    cores: int = cpu_count()
    return max(1, min(cores, available_memory() // 2 // bytes_each)) if bytes_each else cores


def stream_threads(
    function: Callable[..., T],
    items: Iterable[tuple[Any, ...]],
    workers: int | None,
    progress: Progress | None = None,
    *,
    total: int = 0,
    done: int = 0,
) -> Iterator[T]:
    """Call a function with each item's arguments on so many threads, and yield the results in their order.

    Items are taken, and results held, ``AT_ONCE`` at a time: memory does not grow with their number.

    Parameters
    ----------
    function, items
        What to call, and a tuple of arguments for each call.
    workers
        Threads; None = ``default_workers()``, 0 = in this very thread, one after another.
    progress, total, done
        Called with (calls done, calls in all) after each call; ``done`` of them were done before.
    """

    def advance(*_: Any) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    where: dict[str, Any] = (
        {"scheduler": "synchronous"}
        if workers == 0
        else {"scheduler": "threads", "num_workers": workers or default_workers()}
    )
    rest = iter(items)
    while some := [*islice(rest, AT_ONCE)]:
        tasks = [dask.delayed(partial(function, *arguments), pure=False)() for arguments in some]
        with Callback(posttask=advance):
            found = dask.compute(*tasks, optimize_graph=False, **where)
        del some, tasks
        yield from found


def map_threads(
    function: Callable[..., T],
    items: Sequence[tuple[Any, ...]],
    workers: int | None,
    progress: Progress | None = None,
    *,
    done: int = 0,
) -> list[T]:
    """Call a function with each item's arguments, as ``stream_threads`` does, and return all results."""
    return [*stream_threads(function, items, workers, progress, total=done + len(items), done=done)]


class _Shared:
    """What all tasks of a cluster call: packed once, and unpacked once in a process, for all its threads.

    A source of 10,000 frames would else travel with every shard, and be unpacked for each. Workers pass the
    packed form to each other, which no thread is changing meanwhile.
    """

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    def __reduce__(self) -> tuple[Any, ...]:
        return _Shared, (self.packed,)

    @cached_property
    def call(self) -> Callable[[int], int]:
        from distributed.protocol import pickle

        unpacked: Callable[[int], int] = pickle.loads(zlib.decompress(self.packed))
        return unpacked


def _call(k: int, shared: _Shared) -> int:
    return shared.call(k)


def run_on_cluster(
    task: Callable[[int], int], todo: Sequence[int], address: str, progress: Progress | None, *, done: int
) -> None:
    """Run the tasks on a ``dask.distributed`` cluster; a lost worker's tasks go to the others.

    Raises
    ------
    InputError
        Where there is no scheduler, or it is lost; or where tasks kill every worker that takes them.
    """
    try:
        from distributed import CancelledError, Client, KilledWorker, as_completed
        from distributed.comm import CommClosedError
        from distributed.protocol import pickle
    except ImportError as error:
        raise InputError(
            "--scheduler needs dask.distributed: pip install 'region-support[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers ({error})") from error
    total = done + len(todo)
    # What goes wrong is said below; the library would log it with a traceback as well.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with client:
        try:
            packed = zlib.compress(pickle.dumps(task), level=1)  # a graph of 10 MB would be warned of
            # A task of its own, unlike scattered data, is done again where its worker is lost.
            shared = client.submit(_Shared, packed, pure=False, retries=2)
            futures = client.map(_call, todo, shared=shared, pure=False, retries=2)
            for count, future in enumerate(as_completed(futures), done + 1):
                future.result()
                if progress:
                    progress(count, total)
        except (CancelledError, TimeoutError, CommClosedError) as error:
            raise InputError(
                f"--scheduler {address}: was lost ({error}); run the same command again"
            ) from error
        except KilledWorker as error:
            raise InputError(
                f"--scheduler {address}: workers died over a shard ({error}), perhaps for want of memory; "
                "give them more, or a smaller --shard-frames, and run the same command again"
            ) from error
