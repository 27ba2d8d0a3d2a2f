"""Files of one image each: colour, depth, labels, read to their end as arrays.

PNG, JPEG, TIFF, PFM and what else Pillow knows, ``.npy`` and ``.npz``, HDF5, and OpenEXR with its extra.
Decoding happens outside the interpreter's lock, so that threads read side by side.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from rsgt.inputs import InputError

Array = npt.NDArray[Any]

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pfm", ".webp"})
ARRAYS = frozenset({".npy", ".npz", ".exr", ".hdf5", ".h5"})
SUFFIXES = PICTURES | ARRAYS
"""Suffixes of the files that can be read."""

HDF5 = frozenset({".hdf5", ".h5"})
_REMEDY = "copy the file again, or leave the frame out (--frames, or --on-error skip)"


def read_colour(path: Path) -> npt.NDArray[np.uint8]:
    """Read colour (y, x, 3), uint8, sRGB; grey becomes three equal channels, and alpha is dropped.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or has values of another type or number of channels.
    """
    if path.suffix.lower() not in ARRAYS:
        with _reading(path), _opened(path.read_bytes()) as image:
            return _colour(image, path)
    values = read_array(path)
    if values.ndim == 3 and values.shape[0] in (3, 4) and values.shape[2] not in (3, 4):
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or values.shape[2] not in (3, 4) or values.dtype != np.uint8:
        raise InputError(f"{path}: colour is {values.dtype} {values.shape}, expected uint8 (y, x, 3)")
    return np.ascontiguousarray(values[..., :3])


def decode_colour(content: bytes, place: str) -> npt.NDArray[np.uint8]:
    """Decode colour (y, x, 3), uint8, of an encoded image that is part of a larger file.

    Parameters
    ----------
    content
        The encoded image: PNG, JPEG or what else Pillow knows.
    place
        Where it came from, for messages.

    Raises
    ------
    InputError
        As ``read_colour``.
    """
    with _reading(place), _opened(content) as image:
        return _colour(image, place)


def _colour(image: Image.Image, place: Path | str) -> npt.NDArray[np.uint8]:
    if image.mode not in ("RGB", "RGBA", "L", "P", "CMYK", "YCbCr", "1", "LA"):
        raise InputError(
            f"{place}: colour has pixels of mode {image.mode}, expected 8 bits a channel; "
            "is it the depth map?"
        )
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_map(path: Path, what: str) -> Array:
    """Read a map (y, x) of numbers as they are stored: depth in the file's unit, or labels.

    A PNG's 8 or 16 bits stay what they are, and a palette's picture is its indices.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, for messages: ``depth``, ``labels``.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or has several channels.
    """
    return one_channel(read_array(path), path, what)


def decode_map(content: bytes, place: str, what: str) -> Array:
    """Decode a map (y, x) of numbers of an encoded image that is part of a larger file, as ``read_map``."""
    with _reading(place), _opened(content) as image:
        if image.format == "JPEG":
            raise InputError(
                f"{place}: {what} is a JPEG, which alters values; expected PNG, or another lossless format"
            )
        values = _numbers(image)
    return one_channel(values, place, what)


def one_channel(values: Array, path: Path | str, what: str) -> Array:
    """Check that an array is a map of one number a pixel, and bring it to (y, x)."""
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "uifb" or not values.size:
        hint = "; a coloured picture of it can't be read back" if values.ndim == 3 else ""
        raise InputError(
            f"{path}: {what} is {values.dtype} {values.shape}, expected one number a pixel (y, x){hint}"
        )
    return values.astype(np.uint8) if values.dtype == bool else values


def read_array(path: Path) -> Array:
    """Read whatever array a file holds: (y, x) or (y, x, channel), in the file's own type.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or of a kind that is not known.
    """
    suffix = path.suffix.lower()
    with _reading(path):
        if suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if suffix == ".npz":
            return _only(path, np.load(path, allow_pickle=False))
        if suffix in HDF5:
            return _read_hdf5(path)
        if suffix == ".exr":
            return _read_exr(path)
        with _opened(path.read_bytes()) as image:
            return _numbers(image)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of the image in a file; of a picture, its head alone is read.

    Raises
    ------
    InputError
        As ``read_array``.
    """
    if path.suffix.lower() in ARRAYS:
        shape = read_array(path).shape
        shape = shape[1:] if len(shape) == 3 and shape[0] in (1, 3) else shape
        return int(shape[0]), int(shape[1])
    with _reading(path), Image.open(path) as image:
        return image.height, image.width


def _opened(content: bytes) -> Image.Image:
    """Open an encoded image; a PNG's pixels are held against their checksum, which Pillow passes over."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        view, at = memoryview(content), 8
        while at + 12 <= len(content):
            end = at + 8 + int.from_bytes(view[at : at + 4], "big")
            told = int.from_bytes(view[end : end + 4], "big")
            is_pixels = end + 4 <= len(content) and bytes(view[at + 4 : at + 8]) == b"IDAT"
            if is_pixels and zlib.crc32(view[at + 4 : end]) != told:
                raise ValueError("its checksum is another one: damaged")
            at = end + 4
    return Image.open(io.BytesIO(content))


def _numbers(image: Image.Image) -> Array:
    """Pixels as they are stored: Pillow spreads 2 and 4 bits over 0 to 255, as for a picture to look at."""
    tile = getattr(image, "tile", None)
    spread = {"L;2": 85, "L;4": 17}.get(str(tile[0][3]) if tile else "", 1)
    values = np.asarray(image)
    return values // np.uint8(spread) if spread > 1 else values


def _read_hdf5(path: Path) -> Array:
    from rsgt.sources.matlab import read_dataset

    return read_dataset(path)


def _read_exr(path: Path) -> Array:
    try:
        import OpenEXR  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(f"{path}: OpenEXR files need OpenEXR: pip install 'region-support[exr]'") from error
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {name: np.asarray(channel.pixels) for name, channel in file.channels().items()}
    wanted = [name for name in ("Z", "Y", "V", "R", "G", "B") if name in channels]
    if len(channels) == 1 or (wanted and wanted[0] in "ZYV"):
        return np.asarray(channels[wanted[0] if wanted else next(iter(channels))])
    same = len(wanted) == 3 and all(np.array_equal(channels["R"], channels[c]) for c in "GB")
    # Renderers write one value as three equal channels.
    return channels["R"] if same else np.stack([channels[c] for c in wanted or sorted(channels)], axis=-1)


def _only(path: Path, archive: Any) -> Array:
    """The one array of an .npz, or that named depth, labels or arr_0 among several."""
    with archive:
        names = list(archive.files)
        usual = [name for name in ("depth", "labels", "label", "instance", "arr_0") if name in names]
        if len(names) != 1 and not usual:
            raise InputError(f"{path}: holds {', '.join(names) or 'nothing'}, expected one array, or `depth`")
        return np.asarray(archive[names[0] if len(names) == 1 else usual[0]])


@contextmanager
def _reading(path: Path | str) -> Iterator[None]:
    """Turn what libraries raise over a file that is missing, damaged or something else into one message."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {_REMEDY}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is no image, or damaged from its beginning on; {_REMEDY}") from error
    except (
        OSError, ValueError, SyntaxError, RuntimeError, KeyError, IndexError, TypeError, EOFError,
        MemoryError, ArithmeticError, AttributeError, zipfile.BadZipFile,
        Image.DecompressionBombError, Warning,
    ) as error:  # fmt: skip
        # There is no end to what image libraries raise over damaged files.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: can't be read ({reason}); {_REMEDY}") from error


def smooth(image: Array, shape: tuple[int, int]) -> Array:
    """Bring colour (y, x, 3) to another size; Pillow widens the filter where it shrinks: anti-aliasing."""
    return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))


def nearest(values: Array, shape: tuple[int, int]) -> Array:
    """Bring a map (y, x) to another size by taking the pixel at the centre of each new one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
        for old, new in zip(values.shape, shape, strict=True)
    )
    return np.asarray(values[rows[:, None], columns])
