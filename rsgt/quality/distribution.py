"""Mean and quantiles of many values, exact, in little memory: the values are read several times instead."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Stream = Callable[[], Iterator[Array]]

HELD = 1 << 18
"""Values that are held at once: two megabytes."""

_DIGIT = 16


def mean_and_quantiles(stream: Stream, shares: Sequence[float]) -> tuple[float, list[float]] | None:
    """Mean and quantiles of a stream of values, as ``np.mean`` and ``np.quantile`` have them.

    Parameters
    ----------
    stream
        Yields the values, part by part, with each call anew; any real type, without NaN.
    shares
        From 0 to 1.

    Returns
    -------
    The mean, and a quantile a share; None where there is no value. Up to ``HELD`` values are sorted; of more,
    order statistics are found digit by digit, and the mean is a sum of the parts' sums.
    """
    total, count = 0.0, 0
    held: list[Array] | None = []  # all of them, as long as they are few
    for values in stream():
        total += float(values.sum(dtype=np.float64))
        count += len(values)
        if held is not None:
            held = [*held, values] if count <= HELD else None
    if not count:
        return None
    if held is not None:
        whole = np.concatenate(held)
        return float(whole.mean()), np.quantile(whole, list(shares)).tolist()
    at = np.array(shares) * (count - 1)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, count - 1)
    ranks = np.unique([below, above])
    known = order_statistics(stream, ranks)
    low, high = known[np.searchsorted(ranks, below)], known[np.searchsorted(ranks, above)]
    step, part = high - low, at - below
    return total / count, np.where(part < 0.5, low + step * part, high - step * (1 - part)).tolist()


def order_statistics(stream: Stream, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Values of these ranks (from 0, ascending) among all of a stream's, (rank,) float64.

    A value's bits, in an order that is the values', are found from the first ones on: so that as many values
    lie below as the rank says. Each digit takes one pass over the stream.
    """
    prefix, left = np.zeros(len(ranks), np.uint64), ranks.copy()
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        known = np.unique(prefix)
        counts = np.zeros((len(known), 1 << _DIGIT), np.uint32)
        for values in stream():
            digits = _ordered(values) >> np.uint64(shift)
            before = digits >> np.uint64(_DIGIT)
            for k, one in enumerate(known):
                mine = (digits[before == one] & np.uint64((1 << _DIGIT) - 1)).astype(np.int64)
                counts[k] += np.bincount(mine, minlength=1 << _DIGIT).astype(np.uint32)
        for k, row in enumerate(np.searchsorted(known, prefix)):
            upto = np.cumsum(counts[row], dtype=np.int64)
            digit = int(np.searchsorted(upto, left[k], side="right"))
            left[k] -= upto[digit - 1] if digit else 0
            prefix[k] = (prefix[k] << np.uint64(_DIGIT)) | np.uint64(digit)
    sign = np.uint64(1 << 63)
    return np.where(prefix & sign, prefix ^ sign, ~prefix).view(np.float64)


def _ordered(values: Array) -> npt.NDArray[np.uint64]:
    """Bits of values as float64, as whole numbers in the values' order."""
    bits = (np.asarray(values, np.float64) + 0.0).view(np.uint64)  # -0 becomes 0
    return bits ^ np.where(bits >> np.uint64(63), ~np.uint64(0), np.uint64(1 << 63))
