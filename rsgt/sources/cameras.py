"""Pinhole cameras: read, scaled with the image, and rays of a radial depth made planar.

The first pixel's centre is at (0, 0), as in OpenCV: a principal point in the middle of W pixels is
cx = (W - 1) / 2.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path, read_text, shortened
from rsgt.sources import facts

Array = npt.NDArray[Any]
_EXPECTED = "expected fx,fy,cx,cy, or a file with a 3x3 or 4x4 matrix, or JSON with fx, fy, cx, cy"


def pinhole(fx: float, fy: float, cx: float, cy: float) -> dict[str, float]:
    """A camera as a source gives it: focal lengths and principal point in pixels."""
    return {"fx": float(fx), "fy": float(fy), "cx": float(cx), "cy": float(cy)}


def of_field_of_view(degrees: float, shape: tuple[int, int]) -> dict[str, float]:
    """Camera with square pixels and centred axis that sees so many degrees across an image's width."""
    if not 0 < degrees < 180:
        raise InputError(f"field of view: got {degrees:g}, expected degrees between 0 and 180")
    height, width = shape
    focal = width / 2 / math.tan(math.radians(degrees) / 2)
    return pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2)


def scaled(camera: Mapping[str, float], shape: tuple[int, int], to: tuple[int, int]) -> dict[str, float]:
    """Camera of an image of one size, after the image was resized to another one; unknown stays unknown."""
    if not camera or shape == to:
        return dict(camera)
    y, x = to[0] / shape[0], to[1] / shape[1]
    return pinhole(
        camera["fx"] * x,
        camera["fy"] * y,
        (camera["cx"] + 0.5) * x - 0.5,
        (camera["cy"] + 0.5) * y - 0.5,
    )


def nyu_camera(shape: tuple[int, int]) -> dict[str, float]:
    """NYU Depth v2's colour camera, for its frames resized to a height and width."""
    lens = facts.nyu_facts()["intrinsics_rgb"]
    return scaled({name: lens[name] for name in ("fx", "fy", "cx", "cy")}, facts.NYU_SHAPE, shape)


def planar_factor(camera: Mapping[str, float], shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """What the distance from the camera's centre is multiplied with to be depth along the axis, (y, x).

    1 / sqrt(1 + x² + y²) with x and y the pixel's place on the image plane at distance 1.
    """
    x = (np.arange(shape[1]) - camera["cx"]) / camera["fx"]
    y = (np.arange(shape[0]) - camera["cy"]) / camera["fy"]
    return np.asarray(1 / np.sqrt(1 + x**2 + y[:, None] ** 2))


def read_camera(given: str) -> dict[str, float]:
    """Read a camera: four numbers, or a file of a matrix (9 or 16 numbers, row by row), four, or JSON.

    Raises
    ------
    InputError
        Where it is neither, or no pinhole camera.
    """
    numbers = _numbers(given)
    if numbers is not None and len(numbers) == 4:
        return _checked(given, numbers)
    path = local_path(given)
    if numbers is not None and not path.exists():
        raise InputError(f"camera {given}: got {_counted(numbers)}, expected four: fx,fy,cx,cy")
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"camera {given}: {error.strerror or error}; {_EXPECTED}") from error
    if text.lstrip().startswith(("{", "[")):
        return _checked(given, _of_json(given, text))
    numbers = _numbers(text)
    if numbers is not None and len(numbers) in (9, 16):
        side = math.isqrt(len(numbers))
        return _checked(
            given, [numbers[0], numbers[side + 1], numbers[2], numbers[side + 2]], skew=numbers[1]
        )
    if numbers is not None and len(numbers) == 4:
        return _checked(given, numbers)
    raise InputError(f"camera {given}: got {shortened(text, 40)}; {_EXPECTED}")


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in re.split(r"[\s,;]+", text.strip()) if part]
    except ValueError:
        return None


def _counted(numbers: Sequence[float]) -> str:
    return f"{len(numbers)} number{'s' * (len(numbers) != 1)}"


def _of_json(given: str, text: str) -> list[float]:
    """The four numbers of JSON: by their names, also inside "camera" or "intrinsics", or of a matrix."""
    try:
        content = json.loads(text)
        for key in ("camera", "intrinsics", "camera_matrix", "K", "intrinsic_matrix"):
            if isinstance(content, dict) and isinstance(content.get(key), (dict, list)):
                content = content[key]
        if isinstance(content, dict):
            names = [("fx",), ("fy",), ("cx", "ppx"), ("cy", "ppy")]
            return [float(next(content[name] for name in some if name in content)) for some in names]
        values = np.asarray(content, float).ravel().tolist()
        side = math.isqrt(len(values))
        if len(values) not in (9, 16):
            raise ValueError(f"{len(values)} numbers")
        return [values[0], values[side + 1], values[2], values[side + 2]]
    except (ValueError, TypeError, StopIteration, RecursionError) as error:
        raise InputError(f"camera {given}: is JSON without fx, fy, cx, cy ({error}); {_EXPECTED}") from error


def _checked(given: str, numbers: Sequence[float], skew: float = 0.0) -> dict[str, float]:
    fx, fy, cx, cy = numbers
    if not all(map(math.isfinite, numbers)) or fx <= 0 or fy <= 0 or abs(skew) > 1e-3 * fx:
        raise InputError(
            f"camera {given}: got fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}, skew {skew:g}, expected focal "
            f"lengths above 0 and no skew; {_EXPECTED}"
        )
    return pinhole(fx, fy, cx, cy)
