"""The files that a prediction becomes: numbers, pictures, and a scene."""

import errno
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from rsgt.inputs import InputError
from rsgt.store.photo_files import ENDS, MILLIMETRES, end_of
from rsn.photos import scene
from rsn.photos.prediction import MOST_LABELS, Labels, Metres, Prediction
from rsn.photos.reading import Rgb

PANEL_PIXELS = 1000
BESIDE = 0.6
"""Height over width from which on photo and depth stand side by side, and below which one above the other."""
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""What is wrong with a name of a file, and not with its folder."""


def write_all(
    stem: Path, rgb: Rgb, found: Prediction, *, points: int, slant: float = scene.SLANT
) -> dict[str, Any]:
    """Write all files of a photo, complete or not at all, and say in numbers what they hold.

    What an earlier prediction left there and this one does not have, is removed.

    Parameters
    ----------
    stem : Path
        Folder, and name of the photo.
    rgb, found
        The photo (y, x, 3), and what was predicted for it.
    points : int
        Most points of the cloud, and vertices of the surface; 0 = neither.
    slant : float
        Degrees at which surfaces end (``rsn.photos.scene.grid_of``).

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
            write_depth(aside, found.depth)
            write_picture(aside, rgb, found.depth)
            write_regions(aside, rgb, found.region, found.support)
            if found.confidence is not None:
                write_share(end_of(aside, ".confidence.png"), found.confidence)
            if found.reliability is not None:
                write_share(end_of(aside, ".reliability.png"), found.reliability)
            if points:
                how: dict[str, Any] = {"most": points, "slant": slant}
                end_of(aside, ".ply").write_bytes(scene.ply(rgb, found.depth, found.camera, **how))
                surface = scene.glb(rgb, found.depth, found.camera, **how)
                if surface is not None:
                    end_of(aside, ".glb").write_bytes(surface)
            written = sorted(Path(folder).iterdir())
            if end_of(stem, ENDS[0]).is_file():
                for end in ENDS:
                    if end_of(aside, end) not in written:
                        end_of(stem, end).unlink(missing_ok=True)
            for path in written:
                path.replace(stem.with_name(path.name))
    except OSError as error:
        if error.errno in NAME_ERRORS:
            raise InputError(
                f"{stem.name}: not usable as a file name ({error.strerror}); rename the photo"
            ) from error
        raise OSError(error.errno, error.strerror or str(error), str(stem.parent)) from error
    seen = found.depth[found.depth > 0]
    return {
        "out": str(stem),
        "nearest_m": float(seen.min()),
        "median_m": float(np.median(seen)),
        "farthest_m": float(seen.max()),
        "regions": int(found.region.max()),
        "confidence": None if found.confidence is None else float(found.confidence.mean()),
        "focal": found.camera.focal,
        "focal_source": found.camera.source,
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


def write_share(path: Path, share: Metres) -> None:
    """Write a map (y, x) of numbers from 0 to 1 as a 16-bit PNG: 65535 is 1."""
    _write_png(path, np.rint(np.clip(share, 0, 1) * np.iinfo(np.uint16).max).astype(np.uint16))


def write_picture(stem: Path, rgb: Rgb, depth: Metres) -> None:
    """Write photo and depth (y, x) beside each other as ``STEM.picture.png``: viridis, with a scale.

    Of a photo that is much wider than high the depth is below. One more than three times as long as it is
    wide, or the reverse, is shown stretched.
    """
    height, width = depth.shape
    shape = min(max(height / width, 1 / 3), 3.0)
    panel = (5.5, 5.5 * shape) if shape <= 1 else (5.5 / shape + 0.8, 5.5)
    beside = shape > BESIDE
    size = (2 * panel[0] + 0.9, panel[1] + 0.2) if beside else (panel[0] + 0.9, 2 * panel[1] + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(*((1, 2) if beside else (2, 1)), place) for place in (1, 2)]
    # A step over the longer side alone keeps what the shorter one has.
    thinned = tuple(slice(None, None, max(1, side // PANEL_PIXELS)) for side in depth.shape)
    frame: dict[str, Any] = {"extent": (0, width, height, 0), "aspect": shape * width / height}
    for one in axes:
        one.set_axis_off()
    axes[0].imshow(rgb[thinned], **frame)
    shown = axes[1].imshow(depth[thinned], cmap="viridis", **frame)
    label = "depth (m)" if shape == height / width else f"depth (m); {width}x{height} pixels, stretched"
    figure.colorbar(shown, ax=axes, label=label, fraction=0.05, pad=0.02)
    content = BytesIO()
    figure.savefig(content)
    end_of(stem, ".picture.png").write_bytes(content.getbuffer())


def write_regions(stem: Path, rgb: Rgb, region: Labels, support: Metres) -> None:
    """Write region support: ``STEM.region.npy`` (int32 labels), ``STEM.support.npy`` (float32 metres).

    ``STEM.labels.png`` has the labels in 16 bits, and is left out where there are more; ``STEM.region.png``
    shows each region in its mean colour, with dark borders. All arrays are (y, x).
    """
    _write_npy(end_of(stem, ".region.npy"), region)
    _write_npy(end_of(stem, ".support.npy"), support)
    if region.max() <= MOST_LABELS:
        _write_png(end_of(stem, ".labels.png"), region.astype(np.uint16))
    _write_png(end_of(stem, ".region.png"), in_mean_colours(rgb, region))


def in_mean_colours(rgb: Rgb, region: Labels) -> Rgb:
    """Paint each region (y, x) in the mean of its colours, its borders dark: (y, x, 3), uint8."""
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
    return picture
