"""How both programs speak on a terminal: mistakes in one line, tables, JSON, CSV and progress."""

import csv
import errno
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rsgt.schema import InputError

Progress = Callable[[int, int], None]
LAST_SECONDS = 10.0
"""How long an interrupted program waits for what its threads are at."""


class Script(click.Command):
    """A command in which a user's mistake is one line and exit code 2, and Ctrl-C always an end."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            end_soon(1)  # click's own status for it
            raise
        except InputError as error:
            fail(str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            remedy = "; free some and run the same command again" if error.errno == errno.ENOSPC else ""
            fail(f"{where}{error.strerror or error}{remedy}")


class Program(Script, click.Group):
    """A group of commands with the same manners."""


class _Output(click.Path):
    """A path to write to, refused before the work and not after it where that cannot succeed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text of an option into a Path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_dir():
            self.fail(f"{path} is a folder; give the name of a file", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"{path}: there is no folder {path.parent} to write to; make it first", param, ctx)
        return path


INPUT = click.Path(path_type=Path)
OUTPUT = _Output(path_type=Path)


def fail(message: str) -> None:
    """Print a mistake in one line and exit with 2."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(2)


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


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows of equal keys; an empty file where there are none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]] if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def cell(value: Any) -> str:
    """Write a value for a table: four decimals, and a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else f"{value}"


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
