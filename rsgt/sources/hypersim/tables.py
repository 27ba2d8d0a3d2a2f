"""Hypersim's tables: the camera of each scene, and the split with the frames that are not released."""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from rsgt.inputs import InputError, read_text, shortened
from rsgt.sources.listing import nearby
from rsgt.sources.published_split import PublishedSplit
from rsgt.sources.source import TEST, TRAIN

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]
"""From a pixel's place (u, v, 1) to its ray in the camera's axes, row by row."""

CAMERA_TABLE = "metadata_camera_parameters.csv"
SPLIT_TABLE = "metadata_images_split_scene_v1.csv"
PARTS = {"train": TRAIN, "val": TEST, "test": TEST}
_ENTRIES = [[f"M_cam_from_uv_{row}{column}" for column in range(3)] for row in range(3)]


class CameraTable:
    """``metadata_camera_parameters.csv``: how each scene's pixels become rays.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def matrices(self, scenes: set[str]) -> dict[str, Matrix]:
        """Matrix of each scene that the table has.

        Raises
        ------
        InputError
            Where the file is missing, another one, or has no camera in a row.
        """
        found: dict[str, Matrix] = {}
        for number, row in _rows(self.path, ("scene_name", *chain(*_ENTRIES))):
            if row["scene_name"] in scenes:
                try:
                    one, two, three = ([float(row[name]) for name in names] for names in _ENTRIES)
                except (TypeError, ValueError):
                    one, two, three = [math.nan], [], []
                values = [*one, *two, *three]
                if not all(map(math.isfinite, values)) or min(one[0], two[1], -three[2]) <= 0:
                    raise InputError(
                        f"{self.path}: line {number}: M_cam_from_uv of {row['scene_name']} is no camera; "
                        f"download {CAMERA_TABLE} again"
                    )
                found[row["scene_name"]] = (
                    (one[0], one[1], one[2]),
                    (two[0], two[1], two[2]),
                    (three[0], three[1], three[2]),
                )
        return found

    @staticmethod
    def fingerprint(matrices: Mapping[str, Matrix]) -> str:
        """SHA-256 of the matrices, so that another table of the same name is told from this one."""
        return hashlib.sha256(repr(sorted(matrices.items())).encode()).hexdigest()


def read_split_table(
    path: Path, given: Path | None, names: Sequence[str]
) -> tuple[PublishedSplit | None, list[str]]:
    """Read which frames train and which test, and which are left out of the public release.

    Parameters
    ----------
    path
        The folder of the frames.
    given
        The table, or a folder that has it; None = the one that lies by the frames, if any.
    names
        Frames as ``scene/camera/number``.

    Returns
    -------
    The split of the frames that are not excluded, None without a table; and the names of the excluded ones.

    Raises
    ------
    InputError
        Where the table is missing or another one.
    """
    table = given or nearby(path, (SPLIT_TABLE,), 2)
    if table is None:
        return None, []
    if table.is_dir():
        table = table / SPLIT_TABLE
    known = {_key(name): name for name in names}
    parts: dict[str, str] = {}
    excluded = []
    columns = ("scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name")
    for number, row in _rows(table, columns):
        name = known.get(_key(f"{row['scene_name']}/{row['camera_name']}/{row['frame_id']}"))
        if name is None:
            continue
        if row["included_in_public_release"].strip().lower() not in ("true", "1"):
            excluded.append(name)
        elif row["split_partition_name"] in PARTS:
            parts[name] = PARTS[row["split_partition_name"]]
        else:
            raise InputError(
                f"{table}: line {number}: split_partition_name is {shortened(row['split_partition_name'])}, "
                f"expected train, val or test; download {SPLIT_TABLE} again"
            )
    gone = set(excluded)
    kept = [name for name in names if name not in gone]
    return PublishedSplit(table, parts, kept, asked_for=given is not None), excluded


def _key(name: str) -> tuple[str, ...]:
    """Scene, camera and number without padding."""
    scene, camera, number = name.rsplit("/", 2)
    return scene, camera, number.strip().lstrip("0") or "0"


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table that has these columns, with their lines' numbers."""
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; expected {CAMERA_TABLE} or {SPLIT_TABLE} of Hypersim's code"
        ) from error
    lines = csv.DictReader(text.splitlines(), restval="")
    missing = [name for name in columns if name not in (lines.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}: has no column {missing[0]} (it has {shortened(', '.join(lines.fieldnames or ()))}); "
            f"give {CAMERA_TABLE} for cameras, {SPLIT_TABLE} for the split"
        )
    try:
        yield from enumerate(lines, start=2)
    except csv.Error as error:
        raise InputError(f"{path}: is no table with commas ({error}); download it again") from error
