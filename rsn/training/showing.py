"""When a run is drawn, and which of its held-out frames are kept as pictures on the way."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsn.data.mixture import Portion
from rsn.training import run_page
from rsn.training.start import SAMPLES

BETWEEN_S = 30.0
"""Least seconds between two drawings of a run, each of which takes a third of a second."""

SHOWN = 4
"""Held-out frames whose predictions are kept; of several stores, one of each at least."""


class Showing:
    """The pictures of a run, which follow from its log and from what it predicts: they change nothing of it.

    Parameters
    ----------
    out : Path
        The run's folder.
    portions : sequence of Portion
        What the run takes of each store.
    about : mapping
        What the run is, for its page; ``epochs`` is their number in all.
    """

    def __init__(self, out: Path, portions: Sequence[Portion], about: Mapping[str, Any]) -> None:
        self.out = out
        judged = [part for part in portions if part.validate]
        each = -(-SHOWN // max(1, len(judged)))
        self._chosen = {
            (part.name, part.validate[k * len(part.validate) // each]) for part in judged for k in range(each)
        }
        self.about = {
            **about,
            "stores": ", ".join(part.name for part in portions),
            "training frames": sum(len(part.learn) for part in portions),
            "held-out frames": sum(len(part.validate) for part in portions),
        }
        self._taken: list[tuple[Portion, int, Any, Any]] = []
        self._drawn = time.monotonic()

    def take(self, part: Portion, frame: int, depth: Any, truth: Any) -> None:
        """Look at a predicted frame, and keep it for ``keep`` where it is one of those that are shown."""
        if (part.name, frame) in self._chosen:
            self._taken.append((part, frame, depth, truth))

    def keep(self, epoch: int) -> None:
        """Write what was taken as the pictures of an epoch, from 1."""
        if not self._taken:
            return
        parts, frames, depths, truths = zip(*self._taken, strict=True)
        if not (self.out / SAMPLES / "truth.png").exists():
            pairs = zip(parts, frames, strict=True)
            colours = [part.store.read("rgb", frame, frame + 1)[0] for part, frame in pairs]
            run_page.write_truth(self.out, colours, truths)
        run_page.write_sample(self.out, epoch, depths, truths)
        self._taken = []

    def draw(self, rows: Sequence[Mapping[str, float]], recipe: str) -> None:
        """Draw the run, if there is an epoch in its log."""
        if rows:
            run_page.write_pictures(self.out, rows, self.about, recipe)
            self._drawn = time.monotonic()

    def draw_at_times(self, rows: Sequence[Mapping[str, float]], recipe: str) -> None:
        """Draw the run, unless it was drawn a moment ago."""
        if time.monotonic() - self._drawn > BETWEEN_S:
            self.draw(rows, recipe)
