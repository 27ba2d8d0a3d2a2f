"""How both programs speak on a terminal: mistakes in one line, tables, JSON, CSV and progress."""

import errno
import json
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from rsgt.cli.options import INPUT, homes_of, name_of, refuse_overwriting
from rsgt.cli.streams import guarded_streams
from rsgt.inputs import DataWarning, InputError

__all__ = [
    "INPUT", "INTERRUPTED", "Program", "Script", "cell", "end_soon", "fail", "print_json",
    "print_maps", "print_pairs", "print_table", "progress_bar",
]  # fmt: skip

Progress = Callable[[int, int], None]
LAST_SECONDS = 10.0
"""How long an interrupted program waits for what its threads are at."""

FOUND_WANTING, MISTAKE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
"""Exit codes; the last two are what a shell reports of a program that SIGINT or SIGTERM ended."""

_NEEDED = {
    "torch": "rsn needs PyTorch and Lightning Fabric: pip install 'region-support[rsn]'",
    "lightning_fabric": "rsn needs PyTorch and Lightning Fabric: pip install 'region-support[rsn]'",
}


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a program in the same order as Ctrl-C does."""


class Script(click.Command):
    """A command whose every end is foreseen: one line, and an exit code that says which.

    2 = a user's mistake; 1 = judged and found wanting, or something that nobody foresaw, which the
    environment variable ``RSGT_DEBUG`` raises with its traceback; 130 and 143 = interrupted by SIGINT or
    SIGTERM; 141 = the pipe behind standard output or error ended.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        os.environ["MPLBACKEND"] = "agg"  # pictures go to files; another backend may not even exist here
        with guarded_streams(), _terminated_like_interrupted():
            return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options."""
        with _foreseen():
            context = super().make_context(*args, **kwargs)
            refuse_overwriting(context)
            return context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options; of arguments too many, say how they were to be given."""
        stray = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            raise click.UsageError(error.message + _remedy(ctx, stray, error.message), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _foreseen(), _warnings():
            return super().invoke(ctx)


class Program(Script, click.Group):
    """A group of commands with the same manners."""

    command_class = Script


@contextmanager
def _warnings() -> Iterator[None]:
    """Print what the libraries warn of, a line each; other warnings go Python's own way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        usual = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, DataWarning):
                click.echo(f"warning: {message}", err=True)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


@contextmanager
def _foreseen() -> Iterator[None]:
    """End the program in one line for whatever is raised."""
    try:
        yield
    except click.exceptions.Exit:
        raise
    except (KeyboardInterrupt, click.Abort) as stop:
        _interrupted(stop)
    except getattr(click.exceptions, "NoArgsIsHelpError", ()):
        raise  # shows the help
    except click.ClickException as error:
        fail(_usage(error), error.exit_code)
    except Exception as error:
        message, status = _told(error)
        if status == FOUND_WANTING and os.environ.get("RSGT_DEBUG", "0") not in ("", "0"):
            raise
        fail(message, status)


def _usage(error: click.ClickException) -> str:
    """Name the option, what was got, and what was expected."""
    if type(error) is click.BadParameter and error.param is not None:
        return f"{name_of(error.param)}: {error.message}"
    return error.format_message()


def _remedy(ctx: click.Context, args: list[str], message: str) -> str:
    """What to do about arguments too many: numbers that belong together, or paths without their option."""
    extra = message.partition("(")[2].rpartition(")")[0].split()
    starts = [k for k in range(2, len(args)) if args[k : k + len(extra)] == extra]
    option = next((args[k - 2] for k in starts if args[k - 2].startswith("--")), None)
    if option and all(re.fullmatch(r"-?[0-9.]+,?", text) for text in extra):
        together = ",".join(text.rstrip(",") for text in args[args.index(option) + 1 :][: len(extra) + 1])
        return f"; numbers of one option go with commas, without spaces: {option} {together}"
    homes = homes_of(ctx, extra[0]) if extra else ""
    return f"; a path goes with its option: {homes}" * bool(homes)


def _told(error: Exception) -> tuple[str, int]:
    """Say an exception in words, with the exit code; ``FOUND_WANTING`` where nobody foresaw it."""
    told_itself = isinstance(error, InputError) and os.strerror(errno.ENOSPC) in str(error)
    if not told_itself and (full := next((e for e in _causes(error) if _is_full(e)), None)):
        where = f"{full.filename}: " if isinstance(full, OSError) and full.filename else ""
        return f"{where}No space left on device; free some and run the same command again", MISTAKE
    if isinstance(error, InputError):
        return str(error), MISTAKE
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _NEEDED:
        return _NEEDED[(error.name or "").partition(".")[0]], MISTAKE
    if isinstance(error, OSError) and error.errno is not None:
        return (f"{error.filename}: " if error.filename else "") + (error.strerror or str(error)), MISTAKE
    if any(isinstance(e, MemoryError) or "can't start new thread" in str(e) for e in _causes(error)):
        return f"out of memory or threads: {error}; use fewer --workers, or less at once", MISTAKE
    cause = f"unforeseen {type(error).__name__}: {error}"
    return f"{cause[:1000]}; set RSGT_DEBUG=1 for the traceback", FOUND_WANTING


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and those that it was raised from or holds."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inner = (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))
            waiting += [e for e in inner if isinstance(e, BaseException)]


def _is_full(error: BaseException) -> bool:
    """Tell a full disk also where a library kept its words alone, as HDF5 does."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or (isinstance(error, Exception) and os.strerror(errno.ENOSPC) in str(error))


def _interrupted(stop: BaseException) -> NoReturn:
    """Say so, with what the command had to add, and end; a second Ctrl-C ends at once."""
    word, status = (
        ("terminated", TERMINATED) if isinstance(stop, _Terminated) else ("interrupted", INTERRUPTED)
    )
    if threading.current_thread() is threading.main_thread():
        # Not the default, which ends by the signal: that is another status to a program that started this.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    click.echo(f"{word}; {stop}" if str(stop) else word, err=True)
    end_soon(status)
    sys.exit(status)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken, so that what is half done is left in order."""
    untouched = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not untouched or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def fail(message: str, status: int = MISTAKE) -> NoReturn:
    """Print a mistake in one line and exit, with 2 unless told otherwise."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(status)


def end_soon(status: int) -> None:
    """End this program with that status where it has not ended by itself in ``LAST_SECONDS``.

    An interrupt that comes while a thread pool holds one of its locks leaves the lock held (a weakness of
    Python's own), and Python would wait for the pool's threads for good.
    """
    timer = threading.Timer(LAST_SECONDS, os._exit, (status,))
    timer.daemon = True
    timer.start()


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_pairs(rows: list[tuple[str, str]]) -> None:
    """Print names with their values beside them, in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar with the time left on a terminal, a line at each tenth elsewhere, nothing if quiet."""
    if quiet:
        yield None
        return
    started = time.monotonic()
    if sys.stderr.isatty():
        with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

            def draw(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            yield draw
        return
    shown = -1

    def line(done: int, total: int) -> None:
        nonlocal shown
        if done and (tenth := 10 * done // max(1, total)) > shown:
            shown = tenth
            click.echo(f"{label}: {done}/{total} after {time.monotonic() - started:.1f} s", err=True)

    yield line


def cell(value: Any) -> str:
    """Write a value for a table: four decimals, and a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else f"{value}"


def print_maps(told: dict[str, Any]) -> None:
    """Print what was read of predicted maps, as ``PredictedMaps.told`` says it."""
    scale = "" if told["scale"] is None else f", {told['scale']:g} a metre"
    click.echo(f"maps: {told['form']}, {told['kind']}{scale}, matched by {told['matched_by']}")
    if resized := told["resized"]:
        click.echo(f"resized to the store's size, {resized['method']}, from {resized['from']}")
    if told["missing"]:
        click.echo(f"{told['missing']} frames have no map, the first {told['first_missing']}")


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows of equal keys as a table with a head, words to the left and numbers to the right."""
    cells = [[*rows[0]], *([cell(value) for value in row.values()] for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = [isinstance(value, str) for value in rows[0].values()] if rows else []
    for line in cells:
        padded = [
            f"{cell:<{width}}" if at_left else f"{cell:>{width}}"
            for cell, width, at_left in zip(line, widths, left, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())
