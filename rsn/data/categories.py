"""Categories of several stores, brought to those that they share: NYU's 40, where they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.sources.facts import class_map, class_names, label_set, nyu_facts
from rsn.data.dataset import Store, guidance_classes

Table = npt.NDArray[np.uint16]
"""From a store's categories 0, 1, ... to those that a network sees; 0 = unlabelled."""

FORTY = "40"
"""What checkpoints say of labels that were brought to the 40 classes."""

UNLABELLED: Table = np.zeros(2**16, np.uint16)
"""Whatever it was, it counts as unlabelled."""


def shared_categories(stores: Sequence[Store]) -> tuple[list[Table | None], int, str | None]:
    """Tables that bring the categories of stores to the same ones.

    Stores whose class lists are equal keep them, as one store alone does (``guidance_classes``); else all are
    brought to the 40. A store without labels is unlabelled everywhere, beside any others.

    Returns
    -------
    tables : list
        One for each store; None where no class of it is known.
    count : int
        Number of the categories.
    labels : str, optional
        ``FORTY`` where they were brought to these.
    """
    labelled = [store for store in stores if store.class_names]
    if len({tuple(store.class_names) for store in labelled}) <= 1:
        own, count = guidance_classes(labelled[0] if labelled else stores[0])
        tables = [own if store.class_names or len(stores) == 1 else UNLABELLED for store in stores]
        return [*tables], count, None
    return [to_forty(store.class_names) for store in stores], len(class_names("40")), FORTY


def learnt_categories(store: Store, contents: Mapping[str, Any]) -> tuple[Table, int]:
    """Table and number of a store's categories, for a network whose checkpoint has these entries."""
    if contents.get("labels") != FORTY:
        return guidance_classes(store)
    table = to_forty(store.class_names)
    return (table, len(class_names("40"))) if table is not None else guidance_classes(store)


def to_forty(names: Sequence[str]) -> Table | None:
    """Table from categories of these names to NYU's 40, 0 for those without a counterpart; None: all are.

    The raw 894 go by NYU's own map, and of the 13 those that stand for one of the 40 alone. Other classes go
    by their names: the 37 of SUN RGB-D are the first of the 40.
    """
    if not names:
        return UNLABELLED
    known = label_set(names)
    if known == "894":
        return class_map("40")
    if known == "13":
        to13 = nyu_facts()["map40to13"]
        table = [to13.index(own) + 1 if to13.count(own) == 1 else 0 for own in range(1, len(names) + 1)]
    else:
        forty = {name: number for number, name in enumerate(class_names("40"), 1)}
        table = [forty.get(_plain(name), 0) for name in names]
    return np.array([0, *table], np.uint16) if any(table) else None


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
