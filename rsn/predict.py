"""A photo in; depth as numbers, pictures and points out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from rsgt.schema import InputError, nyu_facts

Rgb = npt.NDArray[np.uint8]
Metres = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

MILLIMETRES = 1000
NYU_SIZE = (480, 640)


def read_photo(path: Path) -> Rgb:
    """Read a photo upright, as its EXIF orientation says: (y, x, 3), sRGB.

    Raises
    ------
    InputError
        Where there is no file, or it cannot be read as an image to its end.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    # Pillow raises SyntaxError, ValueError and others for a broken file, beside OSError.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); give a JPEG or PNG file") from error


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
        return nyu_facts()["intrinsics_rgb"]["fx"] * max(photo) / max(NYU_SIZE)
    if not 0 < fov < 180:
        raise InputError(f"fov: got {fov}, expected degrees between 0 and 180")
    return photo[1] / 2 / math.tan(math.radians(fov) / 2)


def write_depth(stem: Path, depth: Metres) -> None:
    """Write depth (y, x) as ``STEM.depth.npy``, float32 metres, and ``STEM.depth.png``, 16-bit millimetres.

    The PNG ends at 65.535 m.
    """
    np.save(stem.with_name(stem.name + ".depth.npy"), depth)
    millimetres = np.clip(np.rint(depth * MILLIMETRES), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    Image.fromarray(millimetres).save(stem.with_name(stem.name + ".depth.png"))


def write_picture(stem: Path, depth: Metres) -> None:
    """Write depth (y, x) as ``STEM.picture.png``: viridis, from the nearest to the farthest, with a scale."""
    height, width = depth.shape
    figure = Figure(figsize=(8, 8 * height / width), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(depth, cmap="viridis")
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes, label="depth (m)", fraction=0.05)
    figure.savefig(stem.with_name(stem.name + ".picture.png"))


def write_regions(stem: Path, rgb: Rgb, region: Labels, support: Metres) -> None:
    """Write region support: ``STEM.region.npy`` (int32 labels), ``STEM.support.npy`` (float32 metres).

    ``STEM.region.png`` shows each region in its mean colour, with dark borders. All arrays are (y, x).
    """
    np.save(stem.with_name(stem.name + ".region.npy"), region)
    np.save(stem.with_name(stem.name + ".support.npy"), support)
    flat = region.ravel()
    pixels = np.maximum(np.bincount(flat), 1)
    mean = np.stack(
        [np.bincount(flat, channel.ravel()) / pixels for channel in np.moveaxis(rgb, 2, 0)], axis=-1
    )
    picture = mean[region]
    border = np.zeros(region.shape, bool)
    border[1:] |= region[1:] != region[:-1]
    border[:, 1:] |= region[:, 1:] != region[:, :-1]
    picture[border] *= 0.4
    Image.fromarray(picture.astype(np.uint8)).save(stem.with_name(stem.name + ".region.png"))


def write_points(
    path: Path,
    rgb: Rgb,
    depth: Metres,
    *,
    focal: tuple[float, float],
    centre: tuple[float, float],
    most: int = 1_000_000,
) -> int:
    """Write a binary PLY point cloud: metres, x to the right, y down, z ahead of the camera, with colours.

    Parameters
    ----------
    path : Path
        File to write.
    rgb, depth : array
        (y, x, 3) and (y, x); pixels without depth give no point.
    focal, centre : (float, float)
        fx, fy and cx, cy in pixels, of this very photo; the first pixel's centre is (0, 0).
    most : int
        Where there are more pixels, every n-th row and column is taken.

    Returns
    -------
    int
        Number of points.
    """
    step = math.ceil(math.sqrt(depth.size / most))
    y, x = np.mgrid[0 : depth.shape[0] : step, 0 : depth.shape[1] : step]
    z = depth[y, x]
    kept = np.isfinite(z) & (z > 0)
    points = np.empty(
        int(kept.sum()),
        dtype=[(name, "<f4") for name in ("x", "y", "z")]
        + [(name, "u1") for name in ("red", "green", "blue")],
    )
    points["z"] = z[kept]
    points["x"] = (x[kept] - centre[0]) / focal[0] * z[kept]
    points["y"] = (y[kept] - centre[1]) / focal[1] * z[kept]
    for channel, name in enumerate(("red", "green", "blue")):
        points[name] = rgb[y, x, channel][kept]
    kinds: dict[Any, str] = {"<f4": "float", "|u1": "uchar"}
    properties = "".join(
        f"property {kinds[points.dtype[name].str]} {name}\n" for name in points.dtype.names or ()
    )
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}end_header\n"
    path.write_bytes(header.encode("ascii") + points.tobytes())
    return len(points)
