"""A folder of colour and depth files, with labels, objects, cameras and scenes as far as there are any.

Files are found by the words in their names and folders, or by patterns; they are paired by name or by time,
never by their mere order; and how many units are a metre is said, never assumed.
"""

import math
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_args

from rsgt.inputs import InputError, shortened
from rsgt.sources.cameras import read_camera
from rsgt.sources.classes import Classes
from rsgt.sources.folder.camera import look_for_cameras
from rsgt.sources.folder.frames import FolderSource
from rsgt.sources.folder.listing import Listing, list_frames
from rsgt.sources.folder.meaning import Meaning, known_layout
from rsgt.sources.folder.names import DEPTH
from rsgt.sources.options import FLAGS, DepthShape, SourceOptions

OPTIONS = frozenset({
    "size", "colour", "depth_maps", "label_maps", "instance_maps", "depth_scale", "no_depth", "depth_kind",
    "camera", "fov", "classes", "scenes", "pairing", "tolerance", "label_offset",
})  # fmt: skip

_LONGEST_TOLERANCE_S = 10.0


def recognises(path: Path) -> bool:
    """Whether there is a folder: what lies in it is told when it is opened."""
    return path.is_dir()


def open_frames(path: Path, options: SourceOptions) -> FolderSource:
    """Open a folder; a scale of depth that nobody said is asked for when depth is read.

    Raises
    ------
    InputError
        Where there are no frames, or an option has a value that can't be.
    """
    _check(options)
    listing = list_frames(path, options)
    return FolderSource(path, listing.frames, options, listing.unpaired, _meaning(path, listing, options))


def _meaning(path: Path, listing: Listing, options: SourceOptions) -> Meaning:
    base = path.absolute()
    folders = {frame.files[DEPTH].parent for frame in listing.frames}
    cameras = look_for_cameras(path, listing.tree, sorted(
        "" if folder == base else folder.relative_to(base).as_posix() for folder in folders
    ))  # fmt: skip
    scale, origin = options.get("depth_scale"), "options"
    none = tuple(map(float, options.get("no_depth", ())))
    known = known_layout(listing.frames, listing.timed) if listing.frames else None
    if known and "no_depth" not in options:
        none = known[2]
    if scale is None and len(cameras.scales) == 1:
        scale, origin = cameras.scales[0], f"{cameras.files[0]} beside the depth maps"
    elif scale is None and known:
        scale, origin = known[:2]
    elif scale is None:
        origin = "unknown"
    camera = read_camera(options["camera"]) if "camera" in options else {}
    facts = dict(listing.facts)
    for name in ("classes.txt", "classes.json"):
        if "classes" not in options and name in listing.tree.notes.get("", ()):
            facts["hint"] = f"{name} is there: --classes {path / name} gives labels its names"
    return Meaning(
        scale, origin, none, options.get("depth_kind") == "radial", camera, options.get("fov"), cameras,
        Classes(options.get("label_offset", 0), options.get("classes")), facts,
    )  # fmt: skip


def _check(options: SourceOptions) -> None:
    """Refuse values that can't be, in the command line's words."""
    given: dict[str, Any] = {**options}

    def expect(name: str, right: bool, expected: str) -> None:
        if name in given and not right:
            raise InputError(f"{FLAGS[name]}: got {shortened(given[name])}, expected {expected}")

    kind, pairing = given.get("depth_kind"), given.get("pairing")
    tolerance: Any = given.get("tolerance")
    fov: Any = given.get("fov")
    none: Any = given.get("no_depth", ())
    expect("depth_kind", kind in get_args(DepthShape), "planar or radial")
    expect("pairing", pairing in ("name", "time"), "name or time")
    expect(
        "tolerance", _is_real(tolerance) and 0 <= tolerance <= _LONGEST_TOLERANCE_S,
        f"seconds from 0 to {_LONGEST_TOLERANCE_S:g}",
    )  # fmt: skip
    expect("fov", _is_real(fov) and 0 < fov < 180, "degrees between 0 and 180")
    numbers = isinstance(none, (list, tuple)) and all(_is_real(value) for value in none)
    expect("no_depth", numbers, "numbers, such as 65535")
    offset = given.get("label_offset")
    expect("label_offset", isinstance(offset, Integral) and abs(int(offset)) < 2**31, "a whole number")
    if "camera" in given and "fov" in given:
        raise InputError("--fov: got one beside --camera, which says the same; omit one of both")


def _is_real(value: object) -> bool:
    return type(value) is not bool and isinstance(value, Real) and math.isfinite(value)
