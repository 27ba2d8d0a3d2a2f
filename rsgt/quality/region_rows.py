"""The regions of some frames of a store, read block by block: a million frames have some ten million."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.store.reader import Store

Array = npt.NDArray[Any]

STORED = ("semantic", "area", "depth_mean", "depth_variance")
SUPPORT = ("support_rmse", "support_variance")
"""Columns of a planar store; for a region's own mean depth they follow from the variance of its depth."""


class Block(NamedTuple):
    """Rows of whole frames: of ``frames[first:stop]``; ``owner`` is the place of each row's frame there."""

    first: int
    stop: int
    owner: Array
    columns: dict[str, Array]


class RegionRows:
    """Rows of the regions' table that belong to some frames.

    Parameters
    ----------
    store, frames
        The store, and positions of the frames in it, ascending.
    fitted
        Columns that the store does not have, a row a region of these frames.
    """

    def __init__(self, store: Store, frames: Array, fitted: Mapping[str, Array] | None = None) -> None:
        self.store, self.frames, self.fitted = store, frames, dict(fitted or {})

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that it has."""
        return (*STORED, *SUPPORT, *(("normal_z",) if self.store.planar else ()), *self.fitted)

    @property
    def counts(self) -> Array:
        """Number of regions of each frame, (frame,) int32."""
        start = self.store.region_start
        counts = np.subtract(start[1:], start[:-1], dtype=np.int32, casting="unsafe")
        return counts if len(self.frames) == len(counts) else counts[self.frames]

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Read these columns, some frames at a time."""
        derived = [name for name in names if name in SUPPORT and not self.store.planar]
        stored = {name for name in names if name not in self.fitted and name not in derived}
        if derived:
            stored.add("depth_variance")
        done = 0
        for begin, end in self.store.blocks():
            first, stop = np.searchsorted(self.frames, [begin, end]).tolist()
            if first == stop:
                continue
            read = self.store.region_rows(begin, end, sorted(stored))
            place = np.full(end - begin, -1)
            place[self.frames[first:stop] - begin] = np.arange(first, stop)
            owner = np.repeat(place, np.diff(self.store.region_start[begin : end + 1]))
            wanted = slice(None) if stop - first == end - begin else owner >= 0
            owner, rows = owner[wanted], {name: column[wanted] for name, column in read.items()}
            if "support_variance" in derived:
                rows["support_variance"] = rows["depth_variance"]
            if "support_rmse" in derived:
                rows["support_rmse"] = np.sqrt(rows["depth_variance"])
            part = slice(done, done + len(owner))
            rows |= {name: column[part] for name, column in self.fitted.items()}
            done = part.stop
            yield Block(first, stop, owner, {name: rows[name] for name in names})

    def column(self, name: str) -> Iterator[Array]:
        """Read a column, some frames at a time; rows of a fitted one that are NaN are left out."""
        for block in self.blocks([name]):
            values = block.columns[name]
            yield values[~np.isnan(values)] if name in self.fitted else values

    def means(self, names: Sequence[str]) -> dict[str, Array]:
        """Mean of columns over the rows of each frame that have a value, (frame,) float64; NaN: none has."""
        found = {name: np.empty(len(self.frames)) for name in names}
        for first, stop, part in self._means(names):
            for name, values in part.items():
                found[name][first:stop] = values
        return found

    def mean_of_means(self, name: str) -> float:
        """Mean of a column's ``means`` over the frames that have one, without holding them; NaN: none has."""
        count = 0

        def known() -> Iterator[float]:
            nonlocal count
            for _, _, part in self._means([name]):
                values = part[name][~np.isnan(part[name])]
                count += len(values)
                yield from values.tolist()

        total = math.fsum(known())  # exact, wherever the blocks are cut
        return total / count if count else math.nan

    def _means(self, names: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for first, stop, owner, columns in self.blocks(names) if names else ():
            part = {}
            for name, values in columns.items():
                known = ~np.isnan(values)
                of = owner[known] - first
                with np.errstate(invalid="ignore"):
                    total = np.bincount(of, values[known], stop - first)
                    part[name] = total / np.bincount(of, minlength=stop - first)
            yield first, stop, part

    def whole(self) -> dict[str, Array]:
        """Read all rows at once: ``owner``, and every column."""
        blocks = [*self.blocks(self.names)]
        return {
            "owner": np.concatenate([block.owner for block in blocks]),
            **{name: np.concatenate([block.columns[name] for block in blocks]) for name in self.names},
        }
