"""What ends work from outside: Ctrl-C and SIGTERM as a question, and a machine that runs out of something."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from torch import OutOfMemoryError

from rsgt.inputs import InputError


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM has come; a second one acts as it always does.

    Works in a process's main thread, which alone may take signals.
    """
    asked = False

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[number])

    before = {int(number): signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def explain_shortages(remedy: str) -> Iterator[None]:
    """Say in one line that memory ran out, a loader process ended, or what went wrong in one.

    Parameters
    ----------
    remedy : str
        What needs less memory, and what becomes of the work.

    Raises
    ------
    InputError
        In place of what PyTorch raises for these.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if lines[0].startswith("Caught ") and " in DataLoader worker process" in lines[0]:
            # What a loader process raised has its traceback as the text, whose last line is what it said.
            told = lines[-1].removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")
            raise InputError(told) from error
        if lines[0].startswith("DataLoader worker"):
            raise InputError(
                f"a loader process has ended ({lines[0].strip()}); out of memory? {remedy}"
            ) from error
        # On a CPU, PyTorch says it in words alone.
        if (
            isinstance(error, MemoryError | OutOfMemoryError)
            or "not enough memory" in lines[0]
            or ("can't allocate memory" in lines[0])
        ):
            raise InputError(f"out of memory ({lines[0]}); {remedy}") from error
        raise
