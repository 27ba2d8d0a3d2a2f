"""Names of many frames in little memory: one text, and where each name begins in it."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

_LONE = "surrogatepass"
"""Names of files that are no UTF-8 have such characters, and stay what they are."""


class Names(Sequence[str]):
    """A sequence of names, equal to any other sequence of the same ones.

    Parameters
    ----------
    start
        (name + 1,) int64: name *i* is ``text[start[i]:start[i + 1]]``.
    text
        (byte,) uint8, UTF-8.
    """

    def __init__(self, start: npt.NDArray[Any], text: npt.NDArray[Any]) -> None:
        self.start, self.text = start, text

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Pack names, one after another; such as are packed are themselves."""
        if isinstance(names, Names):
            return names
        text, start = bytearray(), array("q", [0])
        for name in names:
            text += name.encode("utf-8", _LONE)
            start.append(len(text))
        return cls(np.frombuffer(start, np.int64), np.frombuffer(text, np.uint8))

    def __len__(self) -> int:
        return len(self.start) - 1

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> list[str]: ...
    def __getitem__(self, k: int | slice) -> str | list[str]:
        if isinstance(k, slice):
            return [self[one] for one in range(len(self))[k]]
        k = range(len(self))[k]
        return self.text[self.start[k] : self.start[k + 1]].tobytes().decode("utf-8", _LONE)

    def __iter__(self) -> Iterator[str]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Names):
            return np.array_equal(self.start, other.start) and np.array_equal(self.text, other.text)
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Names({self[:3] + (['…'] if len(self) > 3 else [])})"
