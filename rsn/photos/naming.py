"""Which of the images given are photos, and what the files of each are called."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from rsgt.inputs import InputError
from rsgt.store.photo_files import ENDS, end_of, is_output


def check_output(out: Path, points: int) -> None:
    """Refuse a folder that cannot be written to, and a cloud of less than 0 points."""
    if points < 0:
        raise InputError(f"points: got {points}, expected 0 (no point cloud) or more")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder to write to")
    if (out / "zarr.json").exists():
        raise InputError(f"{out}: is a store; give another folder to write to")
    nearest = next((folder for folder in (out, *out.absolute().parents) if folder.exists()), out)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{out}: cannot write to {nearest}; give another folder")


def choose(photos: Sequence[Path]) -> tuple[dict[Path, str], list[Path]]:
    """Tell photos, each with the name of its files, from what predictions wrote: (photos, the rest).

    Raises
    ------
    InputError
        Where there is no photo.
    """
    # However its path is written, a file is one.
    once: dict[str, Path] = {}
    for photo in photos:
        once.setdefault(_absolute(photo), photo)
    written = [photo for photo in once.values() if is_output(photo)]
    passed_over = set(written)
    chosen = [photo for photo in once.values() if photo not in passed_over]
    if not chosen:
        raise InputError("photos: got only the output of earlier predictions; give the photos themselves")
    return dict(zip(chosen, output_names(chosen), strict=True)), written


def _absolute(path: Path) -> str:
    # Path.resolve() would follow links, whose own names count here.
    return os.path.abspath(path)  # noqa: PTH100


def check_overwrites(stem: Path, photos: Iterable[Path]) -> None:
    """Refuse to write a file over one of the photos."""
    files = {_absolute(end_of(stem, end)) for end in ENDS}
    for photo in photos:
        if _absolute(photo) in files:
            raise InputError(f"its output would overwrite the photo {photo}; give another --out")


def output_names(photos: Sequence[Path]) -> list[str]:
    """Name the files of each photo so that no two photos share one, on any file system.

    The name is the photo's without its ending. Photos that would share one, be it but for case, get the
    whole name of the file, then with its folder before it, and so on: ``a.jpg`` and ``a.png``;
    ``left_frame.png`` and ``right_frame.png``. Names that differ in case alone are numbered.
    """
    paths = [Path(_absolute(photo)) for photo in photos]
    # The parts of a path are taken from its end: "frame", "frame.png", "left_frame.png", …
    parts = [[part.strip(os.sep) for part in path.parts] for path in paths]
    taken = [0] * len(paths)

    def name(i: int) -> str:
        return paths[i].stem if not taken[i] else "_".join(parts[i][-taken[i] :])

    while True:
        sharing = defaultdict(list)
        for i in range(len(paths)):
            sharing[_folded(name(i))].append(i)
        longer = [
            i
            for group in sharing.values()
            if len({_folded(str(paths[i])) for i in group}) > 1
            for i in group
            if taken[i] < len(parts[i])
        ]
        if not longer:
            break
        for i in longer:
            taken[i] += 1
    names = [name(i) for i in range(len(paths))]
    used = {_folded(text) for text in names}
    for group in sharing.values():
        for i in group[1:]:
            number = 2
            while _folded(f"{names[i]}-{number}") in used:
                number += 1
            names[i] += f"-{number}"
            used.add(_folded(names[i]))
    return names


def _folded(text: str) -> str:
    """What a file system that ignores case and the way accents are written takes a name for."""
    return unicodedata.normalize("NFC", text).casefold()
