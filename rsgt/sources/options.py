"""What a user can say of a source beside its path: one list for all formats, each of which takes some."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from rsgt.inputs import InputError, shortened

DepthShape = Literal["planar", "radial"]


class SourceOptions(TypedDict, total=False):
    """Options of the formats; an option that is not given is the format's own affair.

    Attributes
    ----------
    size : (int, int)
        Bring all frames to this height and width: colour with anti-aliasing, the rest by nearest neighbour.
    sensor : str
        ``sunrgbd``: only the frames of kv1, kv2, realsense or xtion.
    colour, depth_maps, label_maps, instance_maps : str
        ``folder``: where files are, a pattern from the path such as ``rgb/*.png``.
    depth_scale : float
        Units of the depth files in a metre: 1000 for millimetres.
    no_depth : sequence of float
        Values of the depth files, in their unit, that mean "none", beside 0 and NaN.
    depth_kind : "planar" or "radial"
        Depth along the optical axis, or distance from the camera's centre.
    camera : str
        ``fx,fy,cx,cy`` in pixels of the depth maps, or the path of a file that says so.
    fov : float
        The camera's horizontal field of view in degrees, instead of ``camera``.
    classes : path
        Names of the label numbers: a line a class from 1 on, or JSON.
    scenes : str
        ``folder``: a scene a folder; ``frame``: each frame is its own; or a file (frame name, scene).
    pairing : "name" or "time"
        How colour and depth find each other.
    tolerance : float
        Seconds that a pair may be apart in time.
    label_table : path
        ``scannet``: scannetv2-labels.combined.tsv, from raw ids to classes.
    label_offset : int
        What is added to stored labels to make them 1, 2, … with 0 = unlabelled.
    camera_table : path
        ``hypersim``: metadata_camera_parameters.csv.
    split_table : path
        The publishers' split, where it is no part of the data: a file, or the folder of several.
    columns : mapping of str to str
        ``parquet``: the columns that hold rgb, depth, semantic, instance, where their names do not tell.
    """

    size: tuple[int, int]
    sensor: str
    colour: str
    depth_maps: str
    label_maps: str
    instance_maps: str
    depth_scale: float
    no_depth: Sequence[float]
    depth_kind: DepthShape
    camera: str
    fov: float
    classes: Path
    scenes: str
    pairing: Literal["name", "time"]
    tolerance: float
    label_table: Path
    label_offset: int
    camera_table: Path
    split_table: Path
    columns: Mapping[str, str]


FLAGS = {name: "--" + name.replace("_", "-") for name in SourceOptions.__annotations__} | {
    "columns": "--column"
}
"""What the command line calls an option."""

MOST_SIDE = 16_384


def check_options(given: Mapping[str, object], format_name: str, taken: frozenset[str]) -> None:
    """Refuse an option that a format does not take, and a value that none does.

    Raises
    ------
    InputError
        That names the option as the command line does.
    """
    for name in given:
        if name not in FLAGS:
            raise InputError(f"options: got {name!r}, expected some of {', '.join(FLAGS)}")
        if name not in taken:
            known = ", ".join(FLAGS[one] for one in FLAGS if one in taken)
            raise InputError(f"{FLAGS[name]}: format {format_name} takes {known or 'no option'}; omit it")
    size, scale = given.get("size"), given.get("depth_scale")
    whole = isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(n, int) for n in size)
    if size is not None and not (whole and all(1 <= n <= MOST_SIDE for n in size)):  # type: ignore[attr-defined]
        raise InputError(f"--size: got {shortened(size)}, expected height and width in pixels, as 480x640")
    if scale is not None and not (isinstance(scale, (int, float)) and 0 < scale < float("inf")):
        raise InputError(f"--depth-scale: got {shortened(scale)}, expected units in a metre, such as 1000")


def plain(value: Any) -> Any:
    """What an option is to JSON: a file by its name, for it may lie elsewhere tomorrow."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    return value
