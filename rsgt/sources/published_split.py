"""The publishers' split of a data set's frames, where it is a table beside the frames."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rsgt.inputs import InputError


class PublishedSplit:
    """Who says which frames train and which test, and what they say of some frames.

    Parameters
    ----------
    table
        The file that says so.
    parts
        ``"train"`` or ``"test"`` by key of a frame or scene.
    keys
        Key of each frame.
    asked_for
        Whether the user named the table: then a frame that is missing in it is an error. A table that was
        found beside the frames and does not cover them gives no split at all, for half a split is none.
    """

    def __init__(
        self, table: Path, parts: Mapping[str, str], keys: Sequence[str], *, asked_for: bool
    ) -> None:
        self.table, self.asked_for = table, asked_for
        self._parts = [parts.get(key) for key in keys]
        self._left = [key for key, part in zip(keys, self._parts, strict=True) if part is None]

    @property
    def split(self) -> list[str] | None:
        """Part of each frame.

        Raises
        ------
        InputError
            Where the table that the user named lacks a frame.
        """
        if not self._left:
            return [part for part in self._parts if part is not None]
        if self.asked_for:
            raise InputError(
                f"{self.table}: has {self._left[0]} in no part (and {len(self._left) - 1:,} more), expected "
                "train or test for each; give the table of this version, or omit --split-table"
            )
        return None

    def told(self) -> str:
        """Say in a few words where the split comes from, or why there is none."""
        if self._left:
            return (
                f"none: {self.table.name} has {len(self._left):,} of {len(self._parts):,} frames in no part, "
                f"such as {self._left[0]}"
            )
        return self.table.name


def told_split(read: Callable[[], PublishedSplit | None], missing: str) -> str:
    """Say where the split comes from, for who looks at a source that may have faults.

    Parameters
    ----------
    read
        Reads it; None = there is no table.
    missing
        The table that is not there, for the remedy.
    """
    try:
        found = read()
    except InputError as error:
        return f"none: {error}"
    return found.told() if found else f"none: no {missing} (--split-table)"
