"""Which columns of Parquet files hold what, and what is known of the mirrors of NYU Depth v2 among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rsgt.inputs import InputError
from rsgt.sources import facts
from rsgt.sources.parquet.files import Column

USUAL_NAMES = {
    "rgb": ("rgb", "image", "img", "color", "colour"),
    "depth": ("depth", "depth_map", "depths"),
    "semantic": ("segmentation", "semantic", "label", "labels", "mask"),
    "instance": ("instance", "instances"),
    "id": ("id", "name", "frame"),
    "scene": ("scene", "scene_id", "scene_name"),
}
"""What a column may hold, and the names that tell so; the first that is there is taken."""

MAPS = ("rgb", "depth", "semantic", "instance")


@dataclass(frozen=True)
class Mirror:
    """What is known of a copy of NYU Depth v2 on the Hub, beside what its file says.

    Attributes
    ----------
    columns
        Column of each map.
    kinds
        What the cells of those columns are, in the same order.
    depth_scale
        Units of depth in a metre; None = not known.
    label_offset
        What makes labels 1, 2, … with 0 = none; None = not known.
    labels
        Name of its label set.
    shape
        Size of its frames.
    """

    columns: Mapping[str, str]
    kinds: tuple[str, ...]
    depth_scale: float | None
    label_offset: int | None
    labels: facts.LabelSet
    shape: tuple[int, int]


MIRRORS = {
    "tanganke/nyuv2": Mirror(
        {"rgb": "image", "depth": "depth", "semantic": "segmentation"},
        ("floats", "floats", "integers"), 1.0, 1, "13", (288, 384),
    ),
    "jagennath-hari/nyuv2": Mirror(
        {"rgb": "rgb", "depth": "depth", "semantic": "semantic", "instance": "instance"},
        ("encoded", "encoded", "encoded", "encoded"), 1000.0, 0, "40", (480, 640),
    ),
    "wyrx/NYUDepthv2_seg": Mirror(
        {"rgb": "image", "depth": "depth", "semantic": "label"},
        ("encoded", "encoded", "encoded"), None, None, "40", (480, 640),
    ),
}  # fmt: skip
"""Known by the names and types of their columns."""


def choose_columns(path: Path, columns: Mapping[str, Column], said: Mapping[str, str]) -> dict[str, str]:
    """Find the column of each map, of the frames' names and of their scenes.

    Parameters
    ----------
    path
        The file, for messages.
    columns
        All of its columns.
    said
        The columns that the user named.

    Raises
    ------
    InputError
        Where colour or depth is not found, or a column that was named is none of that kind.
    """
    for role, name in said.items():
        if role not in USUAL_NAMES:
            raise InputError(
                f"--column: got {role}={name}, expected one of {', '.join(USUAL_NAMES)} before the ="
            )
        if name not in columns:
            raise InputError(f"--column: got {role}={name}, {path} has {', '.join(columns)}")
        if not _fits(role, columns[name]):
            wanted = "images or nested lists of numbers" if role in MAPS else "texts or whole numbers"
            raise InputError(
                f"--column: got {role}={name}, whose cells are no {wanted}; {path} has {', '.join(columns)}"
            )
    found = dict(said)
    for role, usual in USUAL_NAMES.items():
        near = {name.lower(): name for name in columns if _fits(role, columns[name])}
        free = [near[one] for one in usual if one in near and near[one] not in found.values()]
        if role not in found and free:
            found[role] = free[0]
    for role, what in (("rgb", "colour"), ("depth", "depth")):
        if role not in found:
            raise InputError(
                f"{path}: no column is known to hold {what}, it has {', '.join(columns) or 'none'}; "
                f"--column {role}=NAME says which does"
            )
    return found


def _fits(role: str, column: Column) -> bool:
    return column.kind in (("encoded", "floats", "integers") if role in MAPS else ("plain",))


def known_mirror(columns: Mapping[str, Column], chosen: Mapping[str, str]) -> str | None:
    """Name of the mirror of NYU Depth v2 that has these columns."""
    maps = {role: name for role, name in chosen.items() if role in MAPS}
    for name, mirror in MIRRORS.items():
        kinds = tuple(columns[one].kind for one in mirror.columns.values() if one in columns)
        if maps == mirror.columns and kinds == mirror.kinds:
            return name
    return None
