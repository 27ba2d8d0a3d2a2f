"""The camera of a photo, in pixels of that photo: as given, as its EXIF states it, or as NYU's."""

import math
from typing import Any, Literal, NamedTuple

from rsgt.inputs import InputError
from rsgt.sources.facts import NYU_SHAPE, nyu_facts

Pair = tuple[float, float]
Source = Literal["option", "exif", "assumed"]

FILM_DIAGONAL_MM = math.hypot(36, 24)
"""EXIF's focal length in 35 mm film is defined by the angle of view along the diagonal (CIPA DCG-001)."""
FOCAL_RANGE = (0.05, 100.0)
"""Focal lengths that a camera can have, in longer sides of its picture: 168.6 to 0.57 degrees."""
FOV_RANGE = (0.5, 179)
FOCAL_MM, FOCAL_35MM, STATED_WIDTH, STATED_HEIGHT = 0x920A, 0xA405, 0xA002, 0xA003
PLANE_X, PLANE_Y, PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
MILLIMETRES_OF_UNIT: dict[float, float] = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


class Camera(NamedTuple):
    """Focal lengths fx, fy and centre cx, cy in pixels, and where the former come from.

    The first pixel's centre is (0, 0).
    """

    focal: Pair
    centre: Pair
    source: Source


def focal_length(photo: tuple[int, ...], fov: float | None = None) -> float:
    """Focal length in pixels of the photo.

    Parameters
    ----------
    photo : tuple of int
        Height and width.
    fov : float, optional
        Horizontal field of view in degrees; without it, the photo's longer side is taken to see as much
        as that of NYU's camera (63.3 degrees), whose frames the published recipes learn from.
    """
    if fov is None:
        return nyu_facts()["intrinsics_rgb"]["fx"] * max(photo) / max(NYU_SHAPE)
    if not 0 < fov < 180:
        raise InputError(f"fov: got {fov}, expected degrees between 0 and 180")
    return photo[1] / 2 / math.tan(math.radians(fov) / 2)


def focal_of_exif(size: tuple[int, int], tags: dict[int, Any], notes: list[str]) -> Pair | None:
    """Focal lengths fx, fy in pixels of a picture (width, height), by the 35 mm equivalent or the sensor.

    EXIF speaks of the picture that the camera took. A picture of that shape is taken for the same one at
    another size; one of another shape is a crop of it, of unknown scale.
    """
    film, length = _positive(tags.get(FOCAL_35MM)), _positive(tags.get(FOCAL_MM))
    across, down = _positive(tags.get(PLANE_X)), _positive(tags.get(PLANE_Y))
    # 2, inches, is the standard's own default.
    unit = MILLIMETRES_OF_UNIT.get(_positive(tags.get(PLANE_UNIT, 2)) or 0)
    stated = _positive(tags.get(STATED_WIDTH)), _positive(tags.get(STATED_HEIGHT))
    taken = size if stated[0] is None or stated[1] is None else (stated[0], stated[1])
    if film is not None:
        focal = (film * math.hypot(*size) / FILM_DIAGONAL_MM,) * 2
    elif length is not None and across is not None and unit is not None:
        scale = length / unit * max(size) / max(taken)
        focal = across * scale, (across if down is None else down) * scale
    else:
        return None
    stretch = max(size) / min(size) * min(taken) / max(taken)
    if abs(math.log(stretch)) > 0.01 + 1 / min(size):
        was = f"{taken[0]:.0f}x{taken[1]:.0f}"
        notes.append(f"EXIF focal length ignored: it is for {was} pixels, of which this is a crop")
        return None
    if not all(FOCAL_RANGE[0] <= value / max(size) <= FOCAL_RANGE[1] for value in focal):
        notes.append(f"EXIF focal length ignored: {focal[0]:.3g} pixels is implausible")
        return None
    return focal


def _positive(value: Any) -> float | None:
    """Read a number that EXIF states; None where it is unknown (0), no number, or nonsense."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def check_camera(focal: Pair | None, centre: Pair | None, fov: float | None) -> None:
    """Refuse what no camera has: lengths that are not positive, centres below 0, angles of no photo."""
    if focal is not None and fov is not None:
        raise InputError("intrinsics: got both a focal length and fov; give one of them")
    for name, value in zip(("fx", "fy"), focal or (), strict=False):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: got {value}, expected a positive focal length in pixels of the photo")
    for name, value in zip(("cx", "cy"), centre or (), strict=False):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name}: got {value}, expected a principal point in pixels, 0 or more")
    if fov is not None and not FOV_RANGE[0] <= fov <= FOV_RANGE[1]:
        least, most = FOV_RANGE
        raise InputError(f"fov: got {fov}, expected a field of view of {least} to {most} degrees")


def camera_of(
    shape: tuple[int, ...],
    exif: Pair | None,
    *,
    focal: Pair | None = None,
    centre: Pair | None = None,
    fov: float | None = None,
) -> Camera:
    """Find the camera of a photo of this height and width.

    Parameters
    ----------
    shape : tuple of int
        Height and width.
    exif : (float, float), optional
        fx, fy that the photo states, of ``focal_of_exif``.
    focal, centre, fov
        As for ``check_camera``; either of ``focal`` and ``fov`` counts before ``exif``.

    Raises
    ------
    InputError
        Where a focal length or centre that was given cannot be that of a photo of this size.
    """
    height, width = shape[:2]
    least, most = (share * max(height, width) for share in FOCAL_RANGE)
    for name, value in zip(("fx", "fy"), focal or (), strict=False):
        if not least <= value <= most:
            raise InputError(
                f"{name}: got {value:g}, expected {least:g} to {most:g} pixels for a photo of "
                f"{width}x{height}; give the focal length in pixels of this very photo"
            )
    for name, value, side in zip(("cx", "cy"), centre or (), (width, height), strict=False):
        if value > side:
            raise InputError(
                f"{name}: got {value:g}, expected 0 to {side}; give the photo's own principal point"
            )
    source: Source = "option"
    if focal is None and fov is None:
        focal, source = exif, "exif"
    if focal is None:
        focal = (focal_length((height, width), fov),) * 2
        source = "assumed" if fov is None else "option"
    return Camera(focal, centre or ((width - 1) / 2, (height - 1) / 2), source)
