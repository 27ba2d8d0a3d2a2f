"""A store held against the source that it was built from."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.sources.options import FLAGS
from rsgt.sources.source import Source
from rsgt.store.reader import Store

Array = npt.NDArray[Any]
Found = tuple[int | None, str]


def _differing_maps(
    opened: Store, source: Source, k: int, position: Sequence[int], depth: str | None, labels: str | None
) -> Iterator[str]:
    stored: dict[str, Array] = {
        "rgb": source.rgb(position),
        "depth": source.depth(position, depth),
        "semantic": source.semantic(position, labels),
        "instance": source.instance(position),
    }
    for name, values in stored.items():
        if not np.array_equal(values, opened.read(name, k, k + 1)):
            yield f"{name} differs from the source"


def _differing_options(opened: Store, source: Source) -> list[Found]:
    """Name the options that the store was built with and the source was opened without, or otherwise."""
    built, now = ({**of.get("options", {})} for of in (opened.attributes["source"], source.identity()))
    now = json.loads(json.dumps(now))
    return [
        (None, f"{flag}: got {_told(now.get(name))}, expected {_told(built.get(name))}, as at build")
        for name, flag in FLAGS.items()
        if built.get(name) != now.get(name)
    ]


def _told(value: Any) -> str:
    """An option's value as it is typed; none where it is not given."""
    if isinstance(value, dict):
        return " ".join(f"{name}={column}" for name, column in value.items())
    if isinstance(value, list):
        return "x".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def source_problems(
    opened: Store, source: Source, depth: str | None, labels: str | None, sample: int, seed: int
) -> tuple[list[Found], int]:
    """Hold a store against its source: what it says of itself, and some frames.

    Parameters
    ----------
    opened, source
        The store, and what it may have been built from.
    depth, labels
        Which of the source's depths and labels the store has.
    sample, seed
        Frames to compare value by value, and what they are drawn with.

    Returns
    -------
    What differs, with the number of the frame (None = the store as a whole); and how many were compared.
    """
    if source.identity()["fingerprint"] != opened.attributes["source"]["fingerprint"]:
        other = [(None, f"{source.path} is another file than the store was built from")]
        return other + _differing_options(opened, source), 0
    wanted = {*opened.frame_id.tolist()}
    place = {number: f for f, number in enumerate(source.frame_ids) if number in wanted}
    positions = [place.get(number) for number in opened.frame_id.tolist()]

    def same(of_store: Iterable[Any], of_source: Sequence[Any]) -> bool:
        pairs = zip(of_store, positions, strict=True)
        return all(position is not None and mine == of_source[position] for mine, position in pairs)

    alike = {
        "class names": opened.class_names == list(source.class_names(labels)),
        "scenes": same((opened.scene_names[k] for k in opened.scene), source.scenes),
        "names": same(opened.frame_names, source.names),
        "cameras": same((opened.intrinsics(k) for k in range(len(opened))), source.cameras),
    }
    problems: list[Found] = [
        (None, f"{name}: differ from the source's") for name, equal in alike.items() if not equal
    ]
    size = min(sample, len(opened))
    picks = sorted(np.random.default_rng(seed).choice(len(opened), size, replace=False).tolist())
    for k in picks:
        number, position = int(opened.frame_id[k]), positions[k]
        if position is None:
            problems.append((number, "is not in the source"))
            continue
        found = _differing_maps(opened, source, k, [position], depth, labels)
        problems += [(number, message) for message in found]
    return problems + (_differing_options(opened, source) if problems else []), len(picks)
