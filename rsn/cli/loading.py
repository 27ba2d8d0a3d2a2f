"""How commands load PyTorch, which takes seconds."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from rsgt.cli.options import LocalPath
from rsgt.cli.terminal import INTERRUPTED


class Weights(LocalPath):
    """A trained network: a path on this machine, or ``hf://OWNER/NAME``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text of an option into a path; an address stays text."""
        return value if str(value).startswith("hf://") else super().convert(value, param, ctx)


DEVICE = click.Choice(["auto", "cpu", "cuda", "mps"])
WEIGHTS = Weights()
CHECKPOINT = (
    "best.ckpt or last.ckpt of a run, its folder, a folder of published weights, hf://OWNER/NAME, or a name "
    "of weights that come with the package: nyu, rooms."
)
"""What ``--checkpoint`` takes."""


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
