"""Photos by files, folders and patterns."""

import glob
from collections.abc import Sequence
from pathlib import Path

from rsgt.store.photo_files import is_output

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm",
    ".pnm", ".tga", ".jp2", ".avif", ".heic", ".heif",
)  # fmt: skip
"""What is a photo in a folder, by its name; a file that is named itself may be called anything."""


def find_photos(places: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """List photos, and the places where there are none, each with what is wrong there.

    Parameters
    ----------
    places : sequence of Path
        Files, which are taken whatever they are; folders: the photos in them, in the order of their names,
        not those in folders of theirs; patterns (``*``, ``?``, ``[...]``, and ``**`` for any folders), which
        a shell has left alone. In folders and by patterns, what an earlier prediction wrote is passed over.
    """
    photos: list[Path] = []
    barren: dict[Path, str] = {}
    for place in places:
        if place.is_dir():
            found = sorted(path for path in place.iterdir() if _is_photo(path))
            if not found:
                barren[place] = "no photo in this folder; give one with JPEG or PNG files"
        elif glob.has_magic(str(place)) and not place.exists():
            matching = sorted(map(Path, glob.glob(str(place), recursive=True)))  # noqa: PTH207 - any root
            found = [path for path in matching if _is_photo(path)]
            if not found:
                barren[place] = "no photo matches this pattern; give another"
        else:
            found = [place]
        photos += found
    return photos, barren


def _is_photo(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in SUFFIXES and not is_output(path) and path.is_file()
