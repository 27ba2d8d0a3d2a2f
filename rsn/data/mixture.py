"""Several stores as one sequence of frames to train on: whose frames, how often, in which order.

A store alone is a mixture of one. Positions go on from one store to the next: the first frame of the second
store comes after the last one of the first. All follows from (seed, epoch) alone, as for one store.
"""

import math
import os
import warnings
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import DataWarning, InputError
from rsn.data.categories import UNLABELLED, Table, shared_categories
from rsn.data.dataset import Store, epoch_order, opened
from rsn.data.split import hold_out

Indices = npt.NDArray[np.int64]
Place = str | os.PathLike[str]
Stores = Place | Store | Sequence[Place | Store]
"""One store or several: paths, or opened ones."""


class Mixture:
    """Stores that a run learns from, in their order, which is part of the run.

    Attributes
    ----------
    stores : tuple of Store
        They hold different frames.
    names : list of str
        What logs call them: the names of their folders, with a number before them where these are alike.
    first : list of int
        Position of each one's first frame.
    tables, classes, labels
        From each one's categories to those that all share, their number, and what they are
        (``rsn.data.categories``).

    Raises
    ------
    InputError
        Where there is none, or the same one twice.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        if not stores:
            raise InputError("store: got none, expected at least one; give --store")
        self.stores = tuple(stores)
        for k, store in enumerate(stores):
            for other in stores[:k]:
                if store.identity == other.identity:
                    raise InputError(
                        f"store: {other.path} and {store.path} hold the same frames; give one of them, and "
                        "--shares for its weight beside others"
                    )
        names = [os.fsencode(store.path.resolve().name).decode("utf-8", "replace") for store in stores]
        alike = len(set(names)) < len(names)
        self.names = [f"{k}:{name}" if alike else name for k, name in enumerate(names, 1)]
        self.first = [0, *accumulate(map(len, stores))][:-1]
        self.tables, self.classes, self.labels = shared_categories(stores)

    def __len__(self) -> int:
        return self.first[-1] + len(self.stores[-1])

    @property
    def identity(self) -> str:
        """Identities of the stores, joined by ``+``; that of a store alone is its own."""
        return "+".join(store.identity for store in self.stores)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width that no frame exceeds."""
        heights, widths = zip(*(store.shape for store in self.stores), strict=True)
        return max(heights), max(widths)

    def frame_name(self, position: int) -> str:
        """What a message calls a frame: its number, and before it the store, where there are several."""
        k = bisect_right(self.first, position) - 1
        number = str(int(self.stores[k].frame_id[position - self.first[k]]))
        return number if len(self.stores) == 1 else f"{self.names[k]} {number}"

    def check_sizes(self) -> None:
        """Refuse stores of different sizes, where nothing says which one to work at."""
        if len({store.shape for store in self.stores}) > 1:
            sizes = ", ".join("{} of {}x{}".format(store.path, *store.shape) for store in self.stores)
            raise InputError(f"size: got stores of different sizes ({sizes}); give --size HxW to work at")

    def check_labels(self, remedy: str, *, guided: bool) -> None:
        """Refuse stores whose labels a model that reads them can make nothing of.

        Parameters
        ----------
        remedy : str
            The option under which it does not read them.
        guided : bool
            Whether it reads them in use as well.
        """
        if guided and not self.classes:
            paths = ", ".join(str(store.path) for store in self.stores)
            raise InputError(f"{paths}: got no labels to be guided by; give {remedy}, or build with labels")
        for store, table in zip(self.stores, self.tables, strict=True):
            if table is None:
                few = ", ".join(store.class_names[:3])
                raise InputError(
                    f"{store.path}: got unknown classes ({few}, ...), expected names of NYU's 40, to share "
                    f"with the other stores; leave it out, or give {remedy}"
                )


def mixed(stores: Stores | Mixture) -> Mixture:
    """Open one store or several."""
    if isinstance(stores, Mixture):
        return stores
    several = [stores] if isinstance(stores, str | os.PathLike | Store) else stores
    return Mixture([opened(store) for store in several])


@dataclass(frozen=True, kw_only=True)
class Portion:
    """What a run takes from one of its stores.

    Attributes
    ----------
    store, name, first
        The store, what logs call it, and the position of its first frame in the mixture.
    classes : array
        Table from the store's categories to those of the mixture.
    learn, validate : sequence of int
        Positions in the store of the frames to learn from, and of those that are held out.
    drawn, share
        Frames of it in an epoch, and the share of the epoch that they are.
    """

    store: Store
    name: str
    first: int
    classes: Table
    learn: Sequence[int]
    validate: Sequence[int]
    drawn: int
    share: float

    def stream(self, seed: int, start: int, stop: int) -> tuple[Indices, Indices]:
        """Frames ``start`` to ``stop`` of all that a run draws of it: turns, and positions in the mixture.

        One pass over all frames follows another, each in an order of its own: no frame comes a third time
        before each has come twice. ``turn`` counts the passes from that of the first one returned.
        """
        count, turns, positions = len(self.learn), [], []
        for turn in range(start // count, -(-stop // count)):
            order = epoch_order(self.learn, self.store.shard_frames, seed=seed, epoch=turn)
            part = np.asarray(order[max(0, start - turn * count) : stop - turn * count], np.int64)
            turns.append(np.full(len(part), turn - start // count))
            positions.append(self.first + part)
        return np.concatenate(turns), np.concatenate(positions)


def divide(mixture: Mixture, shares: Sequence[float], validation: float, seed: int) -> list[Portion]:
    """Say what a run takes from each of its stores.

    Parameters
    ----------
    mixture
        The stores.
    shares : sequence of float
        How an epoch is divided among them; empty = by their frames. An epoch is as long as all the frames to
        learn from together.
    validation, seed
        As for ``rsn.data.split.hold_out``, store by store.

    Warns
    -----
    DataWarning
        Of each store of which nothing can be held out, as its frames are of one scene: all are learnt from.

    Raises
    ------
    InputError
        Where shares do not fit the stores, a store has nothing to learn from, or nothing can be held out of
        any.
    """
    stores = mixture.stores
    if shares and len(shares) != len(stores):
        raise InputError(
            f"shares: got {len(shares)} for {len(stores)} {'stores' if len(stores) > 1 else 'store'}; give "
            "one number for each --store, in their order"
        )
    if not all(0 < share < math.inf for share in shares):
        raise InputError(
            f"shares: got {', '.join(f'{share:g}' for share in shares)}, expected numbers above 0; leave a "
            "store out that is to have none"
        )
    halves = _halves(stores, validation, seed)
    total = sum(len(learn) for learn, _ in halves)
    drawn = _rounded(shares or [len(learn) for learn, _ in halves], total)
    portions = []
    for k, (store, (learn, validate)) in enumerate(zip(stores, halves, strict=True)):
        if not drawn[k]:
            raise InputError(
                f"shares: got {shares[k]:g} for {store.path}, less than one of an epoch's {total} frames; "
                "give it more, or leave it out"
            )
        table = mixture.tables[k]
        portions.append(
            Portion(
                store=store,
                name=mixture.names[k],
                first=mixture.first[k],
                classes=UNLABELLED if table is None else table,
                learn=learn,
                validate=validate,
                drawn=drawn[k],
                share=drawn[k] / total,
            )
        )
    return portions


def _halves(stores: Sequence[Store], share: float, seed: int) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Split each store's training frames; say where nothing could be held out though it was asked for."""
    halves = [hold_out(store, share, seed) for store in stores]
    whole = [store.path for store, (_, held) in zip(stores, halves, strict=True) if share and not held]
    if len(whole) == len(stores):
        raise InputError(
            f"validation: got {share:g}, but all training frames of {', '.join(map(str, whole))} are of one "
            f"scene{' each' * (len(whole) > 1)}; give --validation 0, or a store of more scenes"
        )
    for path in whole:
        told = f"{path}: its training frames are of one scene, so that none of them is held out"
        warnings.warn(told, DataWarning, stacklevel=4)
    return halves


def _rounded(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers of sum ``total`` in proportion to weights; the largest remainders are rounded up."""
    exact = np.array(weights, np.float64) / max(weights)
    exact *= total / exact.sum()
    whole = np.floor(exact + 1e-9).astype(int)
    for k in np.argsort(whole - exact, kind="stable")[: total - whole.sum()]:
        whole[k] += 1
    return [int(count) for count in whole]


def mixed_order(portions: Sequence[Portion], length: int, *, seed: int, epoch: int) -> Sequence[int]:
    """Shuffle an epoch of a mixture of ``length`` frames: items of ``MixedFrames``.

    Each store gives its frames in its own order, which keeps near reads near in time (``epoch_order``);
    which store is next is drawn. The order of a store alone is ``epoch_order``.
    """
    chosen = np.repeat(np.arange(len(portions)), [portion.drawn for portion in portions])
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(0,)))
    next_of = rng.permutation(chosen)
    items = np.empty(len(chosen), np.int64)
    for k, portion in enumerate(portions):
        own = seed if k == 0 else int(np.random.SeedSequence(seed, spawn_key=(k,)).generate_state(1)[0])
        turns, positions = portion.stream(own, epoch * portion.drawn, (epoch + 1) * portion.drawn)
        items[next_of == k] = turns * length + positions
    return array("q", items.tobytes())


def told(portions: Sequence[Portion]) -> list[dict[str, Any]]:
    """Say of each of several stores what a run takes from it, in plain values; of one alone, nothing."""
    if len(portions) == 1:
        return []
    return [
        {
            "name": portion.name,
            "identity": portion.store.identity,
            "train_frames": len(portion.learn),
            "validation_frames": len(portion.validate),
            "drawn": portion.drawn,
            "share": portion.share,
            "classes": len(portion.store.class_names),
            "known_classes": int(np.count_nonzero(portion.classes[1 : len(portion.store.class_names) + 1])),
        }
        for portion in portions
    ]


def line_of(part: Mapping[str, Any]) -> str:
    """Write what ``told`` says of a store on one line."""
    text = (
        f"store {part['name']}: share {part['share']:.3g}, {part['drawn']} frames an epoch of "
        f"{part['train_frames']} to learn from, {part['validation_frames']} held out"
    )
    known = part["known_classes"]
    return text if known == part["classes"] else f"{text}, {known} of {part['classes']} classes known"
