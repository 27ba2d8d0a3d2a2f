"""Shards to named batches: which frames, in which order, at which size, changed how.

A batch is a dict of tensors that share their first axis:

==========  =============  =======  ===========================================================
frame       (B,)           int64    position of the frame in the store
rgb         (B, 3, H, W)   uint8    colour, sRGB
depth       (B, 1, H, W)   float32  metres; 0 = no depth
support     (B, 1, H, W)   float32  metres; 0 = no region
region      (B, 1, H, W)   int32    region-support label; 0 = no region
semantic    (B, 1, H, W)   int32    category (``guidance_classes``); 0 = unlabelled
superpixel  (B, 1, H, W)   int32    superpixel of the colour image; never 0
==========  =============  =======  ===========================================================

Loader processes only decode and resize; all that is random, but for the order, happens to batches on the
training device (``rsn.data.augmentation``). Order and batches follow from (seed, epoch) alone: neither the
number of loader processes nor an interruption changes them.
"""

import os
import signal
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from rsgt.inputs import InputError
from rsgt.sources.facts import class_map, class_names, label_set
from rsgt.store.reader import Store, open_store
from rsn.data.resize import resize_antialiased, resize_nearest
from rsn.data.superpixels import superpixels

__all__ = [
    "Batch", "EpochBatches", "Frames", "Store", "collate", "epoch_order", "fetched", "guidance_classes",
    "loader", "open_store", "opened",
]  # fmt: skip

Batch = dict[str, Tensor]

_AT_ONCE = 16
"""Frames that a process reads at once from a store by URL."""


class Frames(Dataset[Batch]):
    """The frames of a store, by their position in it, at the working size: a dataset for PyTorch.

    An item is a dict of tensors: ``frame`` (), int64; ``rgb`` (3, H, W), uint8; every other array (1, H, W),
    of the type and unit in the table above. PyTorch's own ``DataLoader`` and collate put them into batches.

    Parameters
    ----------
    store : path or Store
        Where it is, or an opened one; it travels to loader processes as its path.
    arrays : sequence of str
        What to read beside ``rgb``: names of the store's arrays, or ``superpixel``.
    size : (int, int), optional
        Height and width; by default the store's. Colour is shrunk with anti-aliasing, every other array by
        nearest neighbour: a mean of two depths, or of two labels, exists nowhere in the scene.
    full_size : sequence of str
        What to give at the store's own size as well, with ``full_`` before its name.
    superpixels : int
        Superpixels of a frame, where they are asked for.
    cache : bool
        Keep what was decoded; for loaders without processes, which would each keep their own.
    classes : uint16 array, optional
        Table from the store's categories to those of ``semantic``; by default ``guidance_classes``.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        arrays: Sequence[str] = ("depth", "support", "region"),
        size: tuple[int, int] | None = None,
        *,
        full_size: Sequence[str] = (),
        superpixels: int = 100,
        cache: bool = False,
        classes: npt.NDArray[np.uint16] | None = None,
    ) -> None:
        self.store = store = opened(store)
        self.arrays = tuple(arrays)
        self.full_size = tuple(full_size)
        self.size = store.shape if size is None else size
        self.superpixels = superpixels
        self._cached: dict[int, Batch] | None = {} if cache else None
        self._classes = (guidance_classes(store)[0] if classes is None else classes).astype(np.int32)

    @property
    def by_url(self) -> bool:
        """Whether it reads over a network."""
        return self.store.by_url

    def __len__(self) -> int:
        return len(self.store)

    def __getitems__(self, frames: list[int]) -> list[Batch]:
        """Several frames, as PyTorch asks for those of a batch."""
        return fetched(self, frames)

    def __getitem__(self, frame: int) -> Batch:
        """One frame, by its position in the store: the entries of a batch without their first axis."""
        frame = range(len(self))[frame]  # IndexError ends a loop over the frames
        if self._cached is None:
            return self._decoded(frame)
        if frame not in self._cached:
            self._cached[frame] = self._decoded(frame)
        return self._cached[frame]

    def _decoded(self, frame: int) -> Batch:
        rgb = torch.from_numpy(self.store.read("rgb", frame, frame + 1)).permute(0, 3, 1, 2)
        item = {"frame": torch.tensor(frame), "rgb": resize_antialiased(rgb, self.size)[0]}
        for name in dict.fromkeys((*self.arrays, *self.full_size)):
            if name == "superpixel":
                item[name] = superpixels(item["rgb"].permute(1, 2, 0).numpy(), self.superpixels)
                continue
            values = self.store.read(name, frame, frame + 1)
            if values.dtype == np.uint16:
                values = values.astype(np.int32)  # PyTorch has hardly an operation on uint16
            if name == "semantic":
                values = self._classes[values]
            if name in self.arrays:
                item[name] = resize_nearest(torch.from_numpy(values), self.size)
            if name in self.full_size:
                item["full_" + name] = torch.from_numpy(values)
        return item


def fetched(frames: Any, items: Sequence[int]) -> list[Batch]:
    """Read several items of a dataset of this module; at once where each has to wait for a network."""
    if not frames.by_url:
        return [frames[item] for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return [*threads.map(frames.__getitem__, items)]


def opened(store: str | os.PathLike[str] | Store) -> Store:
    """Open the store at a path; one that is open already is itself."""
    return store if isinstance(store, Store) else open_store(store)


def guidance_classes(store: Store) -> tuple[npt.NDArray[np.uint16], int]:
    """Table from a store's categories to those that guide a refinement, and the number of the latter.

    A label over the number of labels is all that the network sees of it. Over NYU's 894 raw labels, of which
    few are frequent, most pixels lie below 0.1: they are brought to the 40 classes that the field reports.
    Other categories stay as they are; numbers without names, which may be any, count as unlabelled.
    """
    names = store.class_names
    if not names:
        return np.zeros(2**16, np.uint16), 0
    if label_set(names) == "894":
        return class_map("40"), len(class_names("40"))
    return np.arange(len(names) + 1, dtype=np.uint16), len(names)


def collate(items: list[Batch]) -> Batch:
    """Put frames into a batch; ``rgb`` keeps its channels last in memory, as it was stored: no transpose."""
    batch: Batch = default_collate([{**item, "rgb": item["rgb"].permute(1, 2, 0)} for item in items])
    batch["rgb"] = batch["rgb"].permute(0, 3, 1, 2)
    return batch


def epoch_order(
    frames: Sequence[int], shard_frames: int, *, seed: int, epoch: int, window: int = 16
) -> Sequence[int]:
    """Shuffle frames so that near reads are near in time.

    Shards are shuffled, and frames within each ``window`` of shards. A batch then mixes frames of many
    scenes, yet a slow disk sees few files at a time. The result depends on the arguments alone; it is an
    ``array``, which takes a fifth of a list's memory.
    """
    rng = np.random.default_rng((seed, epoch))
    given = np.asarray(frames, np.int64)
    of = given // shard_frames
    by_shard = np.argsort(of, kind="stable")
    keys, first = np.unique(of[by_shard], return_index=True)
    ends = np.append(first[1:], len(given))
    shuffled = np.searchsorted(keys, rng.permutation(keys))
    order = array("q")
    for k in range(0, len(shuffled), window):
        near = [given[by_shard[first[shard] : ends[shard]]] for shard in shuffled[k : k + window]]
        order.frombytes(rng.permutation(np.concatenate(near)).tobytes())
    return order


class EpochBatches:
    """Batches of this process, as lists of frames, for one epoch after another.

    One step takes ``batch_size`` frames of the epoch's order: process 0 takes the first
    ``batch_size / processes`` of them, and so on, each in ``accumulate`` equal parts. Frames that fill
    no step are left out; they are others in each epoch. ``order`` (epoch=) draws it, by default
    ``epoch_order``: as many items as there are frames.

    Attributes
    ----------
    epoch, first_step : int
        Where the next iteration starts; set them before it.
    """

    def __init__(
        self,
        frames: Sequence[int],
        batch_size: int,
        *,
        shard_frames: int = 1,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
        accumulate: int = 1,
        order: Callable[..., Sequence[int]] | None = None,
    ) -> None:
        if len(frames) < batch_size:
            raise InputError(
                f"batch_size: got {batch_size} with {len(frames)} frames to learn from; "
                "give a smaller --batch-size or a larger store"
            )
        self.epoch = 0
        self.first_step = 0
        self._count = len(frames)
        self._batch_size = batch_size
        self._order = order or partial(epoch_order, frames, shard_frames, seed=seed)
        self._process = process
        self._parts = processes * accumulate
        self._accumulate = accumulate

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return self._count // self._batch_size

    def __len__(self) -> int:
        return (self.steps - self.first_step) * self._accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order(epoch=self.epoch)
        part = self._batch_size // self._parts
        for step in range(self.first_step, self.steps):
            start = step * self._batch_size + self._process * self._accumulate * part
            for turn in range(self._accumulate):
                yield [*order[start + turn * part : start + (turn + 1) * part]]


def loader(
    frames: Dataset[Batch], batches: EpochBatches | list[list[int]], *, workers: int, pin: bool = False
) -> DataLoader[Batch]:
    """Load batches in ``workers`` processes; it draws nothing from PyTorch's own random numbers."""
    return DataLoader(
        frames,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        # What makes requests has threads of its own, which a fork would leave behind.
        multiprocessing_context="spawn" if workers and getattr(frames, "by_url", False) else None,
        persistent_workers=workers > 0,
        pin_memory=pin,
        generator=torch.Generator(),
        worker_init_fn=_leave_interrupts_to_the_parent,
    )


def _leave_interrupts_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains decides when loading ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
