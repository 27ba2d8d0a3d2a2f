"""Work in parallel: on threads of this process, and on the workers of a ``dask.distributed`` cluster."""

import logging
import math
import os
import platform
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
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
CGROUP, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux says what limits a process: the groups' files, and which groups are its own."""


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or what its container is limited to."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("memory.max", "memory.limit_in_bytes"):
        limits += [most for (most,) in _limits("memory", file)]
    return min(limits)


def available_cores() -> int:
    """Cores that this process may keep busy: by its affinity, and by its container's share of time."""
    shares = [most / period for most, period in _limits("cpu", "cpu.max")]
    shares += [
        most / period for most, period in _limits("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us") if most > 0
    ]
    return int(min([cpu_count(), *map(math.ceil, shares)]))


def _limits(controller: str, *files: str) -> Iterator[tuple[int, ...]]:
    """Numbers in files of this process's groups and of all above them, which limit it as well.

    In version 1 of control groups each controller has a tree of its own, in version 2 all share one. A
    container sees its own group as the root.
    """
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    groups = {CGROUP, CGROUP / controller}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        tree = CGROUP / controllers if controllers else CGROUP
        if not controllers or controller in controllers.split(","):
            group = tree / path.lstrip("/")
            groups |= {group, *(above for above in group.parents if above.is_relative_to(tree))}
    for group in sorted(groups):
        try:
            numbers = " ".join((group / file).read_text(encoding="ascii") for file in files).split()
            yield tuple(int(number) for number in numbers)
        except (OSError, ValueError):  # no such file, or without a limit: "max"
            continue


def default_workers(bytes_each: int = 0) -> int:
    """How many threads to use where nobody says.

    One a core that this process may use, by its affinity and its container, but no more than hold
    ``bytes_each`` in half of the memory.
    """
    cores = available_cores()
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


@lru_cache(maxsize=2)
def unpacked(packed: bytes) -> Callable[[int], int]:
    """Unpack what all tasks of a build call: once in a process of a cluster, for all its threads.

    A source of 10,000 frames would else travel with every shard, and be unpacked for each. Workers pass the
    packed form to each other, which no thread is changing meanwhile.
    """
    from distributed.protocol import pickle

    call: Callable[[int], int] = pickle.loads(zlib.decompress(packed))
    return call


def call_on_worker(k: int, packed: bytes, where: str) -> int:
    """Do task ``k`` on a worker of a cluster.

    Raises
    ------
    InputError
        Whatever the worker can't do for want of something, with its name.
    """
    try:
        task = unpacked(packed)
    except Exception as error:  # of another version there is no end to what may be missing
        raise InputError(f"{where}: can't unpack its task ({error}); install the same rsgt there") from error
    try:
        return task(k)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def run_on_cluster(
    task: Callable[[int], int], todo: Sequence[int], address: str, progress: Progress | None, *, done: int
) -> None:
    """Run the tasks on a ``dask.distributed`` cluster; a lost worker's tasks go to the others.

    Raises
    ------
    InputError
        Where there is no scheduler, or it is lost; where a worker lacks rsgt, or sees no source or store; or
        where tasks kill every worker that takes them.
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

    def call(k: int, packed: bytes) -> int:
        # Within this function, so that it travels as it is: a worker without rsgt could not take another.
        from distributed import get_worker

        where = f"worker {get_worker().address} on {platform.node()}"
        try:
            from rsgt.parallel import call_on_worker
        except ImportError as error:
            raise ImportError(f"{where}: has no rsgt ({error})") from error
        return call_on_worker(k, packed, where)

    total = done + len(todo)
    # What goes wrong is said below; the library would log it with a traceback as well.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with client:
        try:
            packed = zlib.compress(pickle.dumps(task), level=1)  # a graph of 10 MB would be warned of
            # A task of its own, unlike scattered data, is done again where its worker is lost.
            shared = client.submit(bytes, packed, pure=False, retries=2)
            futures = client.map(call, todo, packed=shared, pure=False, retries=2)
            for count, future in enumerate(as_completed(futures), done + 1):
                future.result()
                if progress:
                    progress(count, total)
        except (CancelledError, TimeoutError, CommClosedError) as error:
            raise InputError(
                f"--scheduler {address}: was lost ({error}); run the same command again"
            ) from error
        except ImportError as error:
            raise InputError(f"--scheduler {address}: {error}; install the same there") from error
        except KilledWorker as error:
            raise InputError(
                f"--scheduler {address}: workers died over a shard ({error}), perhaps for want of memory; "
                "give them more, or a smaller --shard-frames, and run the same command again"
            ) from error
