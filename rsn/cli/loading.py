"""How commands load PyTorch, which takes seconds, and pass on what a call warns of."""

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rsgt.cli.terminal import INTERRUPTED

DEVICE = click.Choice(["auto", "cpu", "cuda", "mps"])


@contextmanager
def importing() -> Iterator[None]:
    """End at once at Ctrl-C while PyTorch is imported, half of which would not take an exception well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def notes() -> Iterator[None]:
    """Print what a call warns of as notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", module="rsn.cli", category=UserWarning)
        yield
    for one in said:
        if one.category is UserWarning and Path(one.filename).parent == Path(__file__).parent:
            click.echo(f"note: {one.message}", err=True)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
