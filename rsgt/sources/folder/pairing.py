"""Which colour, depth and label files show one frame: by name or by time, never by mere order."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rsgt.inputs import InputError
from rsgt.sources.folder.names import LEVELS, Found, Key, reduced
from rsgt.sources.listing import natural

FLAG_OF = {
    "rgb": "--colour", "depth": "--depth-maps", "labels": "--label-maps", "instances": "--instance-maps",
}  # fmt: skip
TOLERANCE_S = 0.02
"""Seconds between colour and depth of one frame, as TUM RGB-D's own tool takes it."""


class Pairs(NamedTuple):
    """Counterparts, colour first, and the names of files that have none with what they lack."""

    together: list[tuple[Found, Found]]
    unpaired: list[str]
    level: int = 0
    """How much was taken away from names (``names.LEVELS``)."""


def by_name(path: Path, colour: Sequence[Found], depth: Sequence[Found], lacks: tuple[str, str]) -> Pairs:
    """Pair files whose names agree, as they are, or without words such as ``rgb``, ``depth``, ``frame``.

    Parameters
    ----------
    path
        The folder, for messages.
    colour, depth
        Files of the two sides.
    lacks
        What those of the first and of the second side without a counterpart lack.

    Returns
    -------
    Pairs
        In the order of ``colour``; none where no names agree.

    Raises
    ------
    InputError
        Where two files of one side have the same name.
    """
    best: list[tuple[Found, Found]] = []
    best_level = 0
    twins: InputError | None = None
    for level in LEVELS:
        try:
            first, second = _by_key(path, colour, level), _by_key(path, depth, level)
        except InputError as error:
            twins = twins or error
            continue
        together = [(file, second[key]) for key, file in first.items() if key in second]
        if len(together) > len(best):
            best, best_level = together, level
        if len(best) == len(colour):
            break
    if not best and twins:
        raise twins
    return Pairs(best, _alone(best, colour, depth, lacks), best_level)


def _by_key(path: Path, files: Iterable[Found], level: int) -> dict[Key, Found]:
    by_key: dict[Key, Found] = {}
    for file in files:
        key = reduced(file.key, level)
        other = by_key.setdefault(key, file)
        if other.path != file.path:
            raise InputError(
                f"{path}: {other.path} and {file.path} are both of frame {str(key) or path.name}, expected "
                f"one; say which with a pattern ({', '.join(FLAG_OF.values())})"
            )
    return by_key


def _alone(
    together: Iterable[tuple[Found, Found]],
    colour: Iterable[Found],
    depth: Iterable[Found],
    lacks: tuple[str, str],
) -> list[str]:
    """Name each file without a counterpart; a folder of which no file has one is named once."""
    paired = {file.path for pair in together for file in pair}
    told = []
    for files, lack in zip((colour, depth), lacks, strict=True):
        folders: dict[str, list[str]] = defaultdict(list)
        lonely = set()
        for file in files:
            folder = file.path.rpartition("/")[0]
            if file.path in paired:
                lonely.add(folder)
            else:
                folders[folder].append(file.path)
        for folder, names in folders.items():
            if folder in lonely or len(names) < 3:
                told += [f"{name}: {lack}" for name in names]
            else:
                told.append(f"{folder or '.'} ({len(names)} files, such as {names[0]}): {lack}")
    return told


def no_pair(path: Path, colour: Sequence[Found], depth: Sequence[Found]) -> InputError:
    """Say that nothing pairs, with a name of each side."""
    sides = f"{min(colour, key=_order).path} and {min(depth, key=_order).path}"
    return InputError(
        f"{path}: none of the {len(colour):,} colour files has the name of one of the {len(depth):,} depth "
        f"maps (first of each: {sides}); give patterns whose wildcards match the same text (--colour "
        "'rgb/*.png' --depth-maps 'depth/*.png'), or pair by time (--pairing time)"
    )


def _order(file: Found) -> list[tuple[int, int | str]]:
    return natural(file.path)


def by_time(
    colour: Sequence[tuple[float, Found]],
    depth: Sequence[tuple[float, Found]],
    tolerance: float,
    lacks: tuple[str, str],
) -> Pairs:
    """Pair what lies nearest in time, the nearest pair of all first, so that each file is used once.

    Parameters
    ----------
    colour, depth
        Time in seconds and file.
    tolerance
        Seconds that the two may be apart.
    lacks
        As in ``by_name``.
    """
    ordered = sorted(range(len(depth)), key=lambda k: (depth[k][0], k))
    times = [depth[k][0] for k in ordered]
    candidates = []
    for i, (time, _) in enumerate(colour):
        # A millionth of a second: what is apart by the tolerance itself counts, however it is rounded.
        for place in range(
            bisect_left(times, time - tolerance - 1e-6), bisect_right(times, time + tolerance + 1e-6)
        ):
            candidates.append((abs(times[place] - time), i, ordered[place]))
    mate: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, k in sorted(candidates):
        if i not in mate and k not in taken:
            mate[i] = k
            taken.add(k)
    together = [(colour[i][1], depth[mate[i]][1]) for i in sorted(mate)]
    return Pairs(together, _alone(together, [file for _, file in colour], [file for _, file in depth], lacks))
