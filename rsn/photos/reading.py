"""A photo's way in: upright, eight bits of sRGB a channel, and the focal length that its EXIF states."""

import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from rsgt.inputs import InputError
from rsn.photos.camera import Pair, focal_of_exif

Rgb = npt.NDArray[np.uint8]
Photo = str | os.PathLike[str] | Image.Image | Rgb
"""What can be predicted: a path, an image that Pillow opened, or colour (y, x, 3), uint8, sRGB, upright."""

LEAST_PEAK = 1 << 14
"""A 16-bit picture that ends below a quarter of its range states no true scale: millimetres, or 12 bits."""

ORIENTATION, BITS, PHOTOMETRIC, EXIF_IFD = 0x0112, 0x0102, 0x0106, 0x8769
EMPTY_EXIF = 20
"""Bytes of a block without any tag: its name, the head of a TIFF file, and a count of 0 tags."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class OpenedPhoto(NamedTuple):
    """A photo as it was read.

    Attributes
    ----------
    rgb : uint8 array
        (y, x, 3), sRGB, upright.
    focal : (float, float) or None
        fx and fy in pixels of ``rgb``, by its EXIF; None = it states none that can be used.
    notes : list of str
        What was done to the photo, or ignored in it, that its owner should know.
    """

    rgb: Rgb
    focal: Pair | None
    notes: list[str]


def open_photo(photo: Photo) -> OpenedPhoto:
    """Read a photo to its end, and turn it upright as its EXIF orientation says.

    An array is taken as it is.

    16 bits are brought to 8 by their true scale, transparent pixels are shown on white, colours of another
    profile are brought to sRGB, and of several pictures in a file the first is taken.

    Raises
    ------
    InputError
        Where there is no file, it cannot be read as an image to its end, its values have no known scale
        (floats, 32-bit integers, what looks like a depth map), or an array has another shape or type.
    """
    if isinstance(photo, np.ndarray):
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or 0 in photo.shape:
            raise InputError(
                f"photo: got an array of shape {photo.shape} and type {photo.dtype}, expected colour "
                "(height, width, 3) of type uint8"
            )
        return OpenedPhoto(photo, None, [])
    path = Path(getattr(photo, "filename", "") or "photo") if isinstance(photo, Image.Image) else Path(photo)
    try:
        if not isinstance(photo, Image.Image):
            _check_file(path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            # A large photo is no attack; what Pillow takes for one beyond doubt, it refuses itself.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if isinstance(photo, Image.Image):
                opened = _decoded(path, photo)
            else:
                with Image.open(path) as image:
                    opened = _decoded(path, image)
        return opened._replace(notes=[*opened.notes, *dict.fromkeys(f"Pillow: {w.message}" for w in said)])
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(f"{path}: has more pixels than the limit of {most}; downscale it") from error
    except MemoryError as error:
        raise InputError(f"{path}: not enough memory to read it; downscale it") from error
    # Pillow raises SyntaxError, ValueError and others for a broken file, beside OSError.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); give a JPEG or PNG file") from error


def _check_file(path: Path) -> None:
    """Refuse what Pillow would misname, or wait for without end (a pipe)."""
    if not path.exists():
        raise InputError(f"{path}: no such image; give the path of a JPEG or PNG file")
    if path.is_dir():
        raise InputError(f"{path}: cannot be read as an image (it is a folder); give the images in it")
    if not path.is_file():
        raise InputError(f"{path}: cannot be read as an image (not a regular file); give a JPEG or PNG")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: cannot be read as an image (the file is empty); give a JPEG or PNG file")


def _decoded(path: Path, image: Image.Image) -> OpenedPhoto:
    notes: list[str] = []
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":  # a camera's JPEG whose other pictures are previews
        notes.append(f"only the first of its {pictures} images is used")
    image.load()
    orientation, focal = _from_exif(image, notes)
    profile = image.info.get("icc_profile")
    shown = _in_srgb(_on_white(_eight_bits(path, image, notes), notes), profile, notes)
    if orientation in UPRIGHT:
        shown = shown.transpose(UPRIGHT[orientation])
    return OpenedPhoto(np.asarray(shown), focal, notes)


def _eight_bits(path: Path, image: Image.Image, notes: list[str]) -> Image.Image:
    """Bring a picture of one channel and more than 8 bits to 8; Pillow itself does so where there are more.

    Its own conversion would clip: to white what is above 255, to black a picture of floats from 0 to 1.
    """
    # Netpbm's values come scaled to 16 bits, whatever their range in the file.
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode in ("I", "F") and not sixteen:
        kind, values = "float" if image.mode == "F" else "integer", np.asarray(image)
        held = values[np.isfinite(values)]
        what = (
            f"{kind} values from {held.min():g} to {held.max():g}"
            if held.size
            else f"{kind} values, none of them finite"
        )
        raise InputError(
            f"{path}: {what}, of unknown scale (a depth map?); save a photo as a PNG with 8 or 16 bits per "
            "channel"
        )
    if not sixteen:
        return image
    values = np.asarray(image).astype(np.int64)
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(BITS, (16,))[0])
    white, peak = (1 << bits) - 1, int(values.max())
    if 0 < peak < LEAST_PEAK >> (16 - bits) or path.name.lower().endswith(".depth.png"):
        raise InputError(
            f"{path}: looks like a depth map (single channel, {bits} bits, values up to {peak} of {white}); "
            "give the colour photo, or rescale a greyscale photo to the full range or to 8 bits"
        )
    notes.append(
        f"single channel of {bits} bits, treated as a greyscale photo; if it is a depth map, the prediction "
        "is meaningless"
    )
    grey = ((values * 255 + white // 2) // white).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:  # "white is zero"
        grey = 255 - grey
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return Image.fromarray(grey)
    return Image.merge("LA", [Image.fromarray(grey), Image.fromarray(np.uint8(255) * (values != key))])


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    """Lay a picture with transparent pixels on white: what is under them is often black, or anything."""
    if not image.has_transparency_data:
        return image
    whole = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    least, most = whole.getchannel("A").getextrema()
    if least != 255:
        notes.append(f"{'transparent' if most else 'fully transparent image: all'} pixels are shown on white")
        whole = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
    return whole.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Bring colours to sRGB by the picture's ICC profile; without one they are taken for sRGB."""
    if not profile or image.mode == "LAB":
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image.convert("RGB")
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space.strip()]
        if mode != "CMYK":
            image = image.convert(mode)
        srgb = ImageCms.createProfile("sRGB")
        found = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        assert found is not None  # it is where the picture is to be changed in place
        return found
    # A profile is bytes that anybody wrote; Pillow may also have been built without the library for them.
    except (ImageCms.PyCMSError, ImportError, KeyError, OSError, TypeError, ValueError):
        notes.append("its colour profile cannot be applied; assuming sRGB")
        return image.convert("RGB")


def _from_exif(image: Image.Image, notes: list[str]) -> tuple[Any, Pair | None]:
    """Orientation (1-8, or whatever stands there) and focal length of the upright picture in pixels."""
    try:
        exif = image.getexif()
        orientation, tags = exif.get(ORIENTATION), dict(exif.get_ifd(EXIF_IFD))
        if not exif and len(image.info.get("exif", b"")) > EMPTY_EXIF:
            raise ValueError("not EXIF data")
    # As above: a broken EXIF block raises whatever its bytes lead to.
    except Exception as error:
        notes.append(f"its EXIF cannot be read ({error}): orientation and focal length unknown")
        return None, None
    focal = focal_of_exif(image.size, tags, notes)
    if focal is not None and orientation in (5, 6, 7, 8):
        focal = focal[1], focal[0]
    return orientation, focal
