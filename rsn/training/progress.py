"""What a run tells while it runs: progress with the time that is left, and its log as files."""

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from rsgt.inputs import InputError

Row = dict[str, float]


def duration(seconds: float) -> str:
    """Write seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def format_row(row: Row) -> str:
    """Write a row of the log on one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items())


class Ticker:
    """Counts steps down: one moving line on a terminal, nothing in between lines elsewhere.

    Parameters
    ----------
    total, done : int
        Steps in all, and those done before.
    stream : text file
        Where to write; None = nowhere.
    """

    def __init__(self, total: int, done: int = 0, *, stream: TextIO | None = sys.stderr) -> None:
        self._total = total
        self._first = self._done = done
        self._stream = stream
        self._begun = time.monotonic()

    def step(self, text: str, steps: int = 1) -> None:
        """Count steps and show ``text`` with the time that is left."""
        self._done += steps
        if self._stream is None or not self._stream.isatty():
            return
        pace = (time.monotonic() - self._begun) / (self._done - self._first)
        left = duration(pace * (self._total - self._done))
        self._stream.write(f"\r\x1b[K{self._done}/{self._total}  {text}  {left} left")
        self._stream.flush()

    def line(self, text: str) -> None:
        """Write a line that stays."""
        if self._stream is not None:
            clear = "\r\x1b[K" if self._stream.isatty() else ""
            self._stream.write(f"{clear}{text}\n")
            self._stream.flush()


def best_epoch(rows: Sequence[Row]) -> int:
    """Epoch (from 1) with the lowest RMSE on held-out frames, the last of equal ones; 0 = none is judged."""
    judged = [row for row in rows if "rmse" in row]
    return int(min(reversed(judged), key=lambda row: row["rmse"])["epoch"]) if judged else 0


def tensorboard() -> Any:
    """Import TensorBoard's writer, which takes the folder to write to.

    Raises
    ------
    InputError
        Where TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # asked for by its own flag
    except ImportError as error:
        raise InputError("--tensorboard needs TensorBoard: pip install tensorboard") from error
    return SummaryWriter
