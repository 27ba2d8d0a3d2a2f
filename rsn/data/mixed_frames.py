"""The frames of a mixture as one dataset for PyTorch."""

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from rsn.data.dataset import Batch, Frames, fetched
from rsn.data.mixture import Portion


class MixedFrames(Dataset[Batch]):
    """The frames of a mixture at one size: items as ``rsn.data.dataset.Frames`` has them, and ``turn``.

    ``frame`` is the position in the mixture. Item ``turn * len + frame`` is the same frame, drawn again:
    augmentation changes it otherwise then. The rest is as for ``Frames``.
    """

    def __init__(
        self,
        portions: Sequence[Portion],
        arrays: Sequence[str],
        size: tuple[int, int],
        *,
        superpixels: int,
        cache: bool,
    ) -> None:
        self._first = [portion.first for portion in portions]
        self._parts = [
            Frames(
                portion.store,
                arrays,
                size,
                superpixels=superpixels,
                cache=cache,
                classes=portion.classes,
            )
            for portion in portions
        ]

    @property
    def by_url(self) -> bool:
        """Whether it reads over a network."""
        return any(part.by_url for part in self._parts)

    def __len__(self) -> int:
        return self._first[-1] + len(self._parts[-1])

    def __getitems__(self, items: list[int]) -> list[Batch]:
        """Several items, as PyTorch asks for those of a batch."""
        return fetched(self, items)

    def __getitem__(self, item: int) -> Batch:
        turn, position = divmod(item, len(self))
        k = bisect_right(self._first, position) - 1
        found = self._parts[k][position - self._first[k]]
        return {**found, "frame": torch.tensor(position), "turn": torch.tensor(turn)}
