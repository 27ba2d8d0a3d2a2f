"""What the files of a predicted photo are called: `rsn predict` writes them, and they are maps to judge."""

from collections.abc import Iterable
from pathlib import Path

ENDS = (
    ".depth.npy", ".depth.png", ".picture.png", ".region.npy", ".region.png", ".labels.png", ".support.npy",
    ".confidence.png", ".reliability.png", ".ply", ".glb",
)  # fmt: skip
"""What the files of a photo are called after its name."""

MILLIMETRES = 1000
"""Units of ``.depth.png`` in a metre; ``.depth.npy`` and ``.support.npy`` are in metres."""

_MAPS = {
    "prediction": (".depth.npy", ".depth.png"),
    "support": (".support.npy",),
    "region": (".region.npy", ".labels.png"),
}
"""Files of the arrays of ``schema.PREDICTIONS``, the exact one first."""


def end_of(stem: Path, end: str) -> Path:
    """Path of a file of a photo; the name itself may hold dots."""
    return stem.with_name(stem.name + end)


def stem_of(path: Path) -> Path | None:
    """Path, without an end, of the photo whose prediction a file was written by; None where it was by none.

    The file's name ends so, and the depth stands beside it: as numbers, or, where these were deleted, as a
    PNG with the picture of it.
    """
    for end in ENDS:
        if path.name.endswith(end):
            stem = path.with_name(path.name.removesuffix(end))
            if end_of(stem, ENDS[0]).is_file() or all(end_of(stem, one).is_file() for one in ENDS[1:3]):
                return stem
    return None


def is_output(path: Path) -> bool:
    """Whether a file was written by a prediction."""
    return stem_of(path) is not None


def maps_among(files: Iterable[Path], name: str) -> dict[Path, Path]:
    """Take one map of each predicted photo, and pass over the rest of its files, the photo itself among them.

    Parameters
    ----------
    files
        Files that are maps as far as their suffixes tell.
    name
        Which of ``schema.PREDICTIONS`` the maps are.

    Returns
    -------
    Each file that is a map, and its path without an end: what the map is called by.
    """
    stems = {file: stem_of(file) for file in files}
    photos = {stem for stem in stems.values() if stem}
    found = {
        file: file.with_suffix("")
        for file, stem in stems.items()
        if stem is None and file.with_suffix("") not in photos
    }
    for stem in photos:
        maps = [file for end in _MAPS.get(name, ()) if (file := end_of(stem, end)).is_file()]
        found |= dict.fromkeys(maps[:1], stem)
    return dict(sorted(found.items()))
