"""How commands load PyTorch, which takes seconds."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
