"""The files that a prediction becomes: depth as numbers, pictures and points."""

import errno
import math
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from rsgt.inputs import InputError
from rsn.photos.camera import Camera
from rsn.photos.naming import ENDS, end_of
from rsn.photos.reading import Rgb

Metres = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

MILLIMETRES = 1000
FARTHEST_M = 100_000.0
"""Beyond it there is no depth to speak of, only numbers."""
PICTURE_PIXELS = 2000
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""What is wrong with a name of a file, and not with its folder."""


def check_depth(depth: Metres) -> list[str]:
    """Look at a predicted depth (y, x) before it is written, and say what its reader should know.

    Raises
    ------
    InputError
        Where it is not finite, negative, beyond 100 km, or 0 (no depth) in more than half of its pixels.
    """
    if not np.isfinite(depth).all():
        raise InputError("the predicted depth is not finite; use another checkpoint")
    if depth.min() < 0 or depth.max() > FARTHEST_M:
        raise InputError(
            f"the predicted depth ranges from {depth.min():g} to {depth.max():g} m, expected 0 to "
            f"{FARTHEST_M:g} m; use another checkpoint"
        )
    without = int((depth == 0).sum())
    if 2 * without > depth.size:
        raise InputError(f"{without} of {depth.size} pixels have no depth; use another checkpoint")
    notes = [f"{without} of {depth.size} pixels have no depth (0)"] if without else []
    most = np.iinfo(np.uint16).max
    beyond = int((depth > (most + 0.5) / MILLIMETRES).sum())
    if beyond:
        notes.append(f"{beyond} pixels are beyond {most / MILLIMETRES} m, where depth.png is clipped")
    below = int(((depth > 0) & (depth <= 0.5 / MILLIMETRES)).sum())
    if below:
        notes.append(f"{below} pixels are closer than 0.5 mm, stored as 0 in depth.png")
    return notes


def write_all(
    stem: Path, rgb: Rgb, depth: Metres, support: Metres, region: Labels, camera: Camera, *, points: int
) -> dict[str, Any]:
    """Write all files of a photo, complete or not at all, and say in numbers what they hold.

    ``points`` is how many the cloud has at most; 0 = no cloud. The rest is as for the functions below.

    Raises
    ------
    InputError
        Where one of the files cannot have its name.
    OSError
        Where the folder cannot be written to, or the disk is full.
    """
    try:
        for end in ENDS:
            if end_of(stem, end).is_dir():
                raise InputError(f"{end_of(stem, end)}: is a folder; move it away, or give another --out")
        with tempfile.TemporaryDirectory(prefix=".rsn-predict-", dir=stem.parent) as folder:
            aside = Path(folder) / stem.name
            write_depth(aside, depth)
            write_picture(aside, depth)
            write_regions(aside, rgb, region, support)
            if points:
                cloud = end_of(aside, ".ply")
                write_points(cloud, rgb, depth, focal=camera.focal, centre=camera.centre, most=points)
            # An earlier prediction's cloud beside this one's depth would be taken for its own.
            if not points and end_of(stem, ENDS[0]).is_file():
                end_of(stem, ".ply").unlink(missing_ok=True)
            for path in sorted(Path(folder).iterdir()):
                path.replace(stem.with_name(path.name))
    except OSError as error:
        if error.errno in NAME_ERRORS:
            raise InputError(
                f"{stem.name}: not usable as a file name ({error.strerror}); rename the photo"
            ) from error
        raise OSError(error.errno, error.strerror or str(error), str(stem.parent)) from error
    seen = depth[depth > 0]
    return {
        "out": str(stem),
        "nearest_m": float(seen.min()),
        "median_m": float(np.median(seen)),
        "farthest_m": float(seen.max()),
        "regions": int(region.max()),
        "focal": camera.focal,
        "focal_source": camera.source,
    }


def _write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    # np.save, and Pillow below, write by themselves, and say of a full disk only that less was written.
    content = BytesIO()
    np.save(content, array)
    path.write_bytes(content.getbuffer())


def _write_png(path: Path, array: npt.NDArray[Any]) -> None:
    content = BytesIO()
    Image.fromarray(array).save(content, "PNG")
    path.write_bytes(content.getbuffer())


def write_depth(stem: Path, depth: Metres) -> None:
    """Write depth (y, x) as ``STEM.depth.npy``, float32 metres, and ``STEM.depth.png``, 16-bit millimetres.

    The PNG ends at 65.535 m.
    """
    _write_npy(end_of(stem, ".depth.npy"), depth)
    millimetres = np.clip(np.rint(depth * MILLIMETRES), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    _write_png(end_of(stem, ".depth.png"), millimetres)


def write_picture(stem: Path, depth: Metres) -> None:
    """Write depth (y, x) as ``STEM.picture.png``: viridis, from the nearest to the farthest, with a scale.

    A photo more than three times as long as it is wide, or the reverse, is shown stretched.
    """
    height, width = depth.shape
    shape = min(max(height / width, 1 / 3), 3.0)
    step = math.ceil(max(height, width) / PICTURE_PIXELS)
    figure = Figure(figsize=(8, 8 * shape) if shape <= 1 else (8 / shape + 2, 8), layout="constrained")
    axes = figure.subplots()
    # A step over the longer side alone keeps what the shorter one has.
    thinned = depth[:: step if height >= PICTURE_PIXELS else 1, :: step if width >= PICTURE_PIXELS else 1]
    shown = axes.imshow(thinned, cmap="viridis", extent=(0, width, height, 0), aspect=shape * width / height)
    axes.set_axis_off()
    label = "depth (m)" if shape == height / width else f"depth (m); {width}x{height} pixels, stretched"
    figure.colorbar(shown, ax=axes, label=label, fraction=0.05)
    content = BytesIO()
    figure.savefig(content)
    end_of(stem, ".picture.png").write_bytes(content.getbuffer())


def write_regions(stem: Path, rgb: Rgb, region: Labels, support: Metres) -> None:
    """Write region support: ``STEM.region.npy`` (int32 labels), ``STEM.support.npy`` (float32 metres).

    ``STEM.region.png`` shows each region in its mean colour, with dark borders. All arrays are (y, x).
    """
    _write_npy(end_of(stem, ".region.npy"), region)
    _write_npy(end_of(stem, ".support.npy"), support)
    flat = region.ravel()
    pixels = np.maximum(np.bincount(flat), 1)
    mean = np.stack(
        [np.bincount(flat, channel.ravel()) / pixels for channel in np.moveaxis(rgb, 2, 0)], axis=-1
    )
    border = np.zeros(region.shape, bool)
    border[1:] |= region[1:] != region[:-1]
    border[:, 1:] |= region[:, 1:] != region[:, :-1]
    picture = mean.astype(np.uint8)[region]
    picture[border] = (mean * 0.4).astype(np.uint8)[region[border]]
    _write_png(end_of(stem, ".region.png"), picture)


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
