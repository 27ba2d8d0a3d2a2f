"""The cameras of a folder: told by options, or found in files beside and above the depth maps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rsgt.inputs import InputError, read_text
from rsgt.sources.cameras import read_camera
from rsgt.sources.folder.scanning import CAMERA_FILES, Tree

_SCALES = {"depth_scale": 1.0, "png_depth_scale": 1.0, "scale": 100.0}
"""Names of a scale, and the least that counts: a bare ``scale`` of 1 rather is the image's."""


class Cameras(NamedTuple):
    """What is known of cameras.

    Attributes
    ----------
    of_folder
        Camera of the depth maps in a folder, in their pixels.
    files
        The files that said so, as paths below the source.
    scales
        Units of depth in a metre that the same files state.
    troubles
        Files of that name that are no camera, and why.
    """

    of_folder: Mapping[str, Mapping[str, float]]
    files: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    troubles: tuple[str, ...] = ()


def look_for_cameras(path: Path, tree: Tree, folders: Sequence[str]) -> Cameras:
    """Find for each folder of depth maps the nearest file that names a camera, in it or above.

    Files are ``intrinsics.json``, ``intrinsics.txt``, ``camera-intrinsics.txt`` and the like; JSON may state
    the depth's scale, too, as Replica's ``cam_params.json`` does.
    """
    read: dict[str, dict[str, float]] = {}
    scales: dict[str, float] = {}
    troubles: dict[str, str] = {}
    found: dict[str, Mapping[str, float]] = {}
    for folder in folders:
        for file in _candidates(tree, folder):
            if file not in read and file not in troubles:
                try:
                    read[file] = read_camera(str(path / file))
                except InputError as error:
                    troubles[file] = str(error)
                if scale := _scale_in(path / file):
                    scales[file] = scale
            if file in read:
                found[folder] = read[file]
                break
    return Cameras(found, tuple(read), tuple(sorted(set(scales.values()))), tuple(troubles.values()))


def _candidates(tree: Tree, folder: str) -> Iterator[str]:
    parts = folder.split("/") if folder else []
    for count in range(len(parts), -1, -1):
        here = "/".join(parts[:count])
        for name in CAMERA_FILES:
            if name in tree.notes.get(here, ()):
                yield f"{here}/{name}" if here else name


def _scale_in(file: Path) -> float | None:
    """Units in a metre that a JSON camera states; below 1 it is metres in a unit, and passed over."""
    if file.suffix != ".json":
        return None
    try:
        content: Any = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError):
        return None
    parts = [content, content.get("camera")] if isinstance(content, dict) else []
    for part in (part for part in parts if isinstance(part, dict)):
        for name, least in _SCALES.items():
            value = part.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < 1e6:
                return float(value)
    return None


def misplaced(camera: Mapping[str, float], shape: tuple[int, int]) -> str | None:
    """Say so where a camera's axis meets the depth map far from its middle: it is of another size."""
    height, width = shape
    if 0.2 * width < camera["cx"] < 0.8 * width and 0.2 * height < camera["cy"] < 0.8 * height:
        return None
    return (
        f"the camera's axis meets the image at ({camera['cx']:g}, {camera['cy']:g}), the depth maps are "
        f"{height}x{width}; is it the camera of larger colour images? say --camera fx,fy,cx,cy in pixels of "
        "the depth maps"
    )
