"""Work on the workers of a ``dask.distributed`` cluster."""

import logging
from collections.abc import Callable, Sequence

from rsgt.schema import InputError
from rsgt.threads import Progress


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
    except ImportError as error:
        raise InputError("--scheduler needs dask.distributed: pip install 'rsgt[distributed]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers ({error})") from error
    total = done + len(todo)
    # What goes wrong is said below; the library would log it with a traceback as well.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with client:
        try:
            futures = client.map(task, todo, pure=False, retries=2)
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
