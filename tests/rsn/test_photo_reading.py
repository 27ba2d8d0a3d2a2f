"""A photo's way in: every encoding becomes the eight bits that it stands for, or is refused by name."""

import io
import math
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from rsgt.inputs import InputError
from rsgt.sources.facts import nyu_facts
from rsn.photos.camera import camera_of, focal_of_exif
from rsn.photos.reading import open_photo

RAMP = np.linspace(0, 255, 48).round().astype(np.uint8).reshape(6, 8)
WIDE = (RAMP.astype(np.uint16) * 257)[..., None]


def write_png(path, values, colour, extra=b""):
    """A PNG of 16 bits a channel, which Pillow itself cannot write: colour type 0, 2, 4 or 6."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(height, -1))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + extra + body)


def write_sixteen(path, kind):
    opaque = np.full_like(WIDE, 65535)
    if kind == "grey.png":
        write_png(path, WIDE, 0)
    elif kind == "rgb.png":
        write_png(path, WIDE.repeat(3, 2), 2)
    elif kind == "la.png":
        write_png(path, np.concatenate([WIDE, opaque], 2), 4)
    elif kind == "rgba.png":
        write_png(path, np.concatenate([WIDE.repeat(3, 2), opaque], 2), 6)
    elif kind == "rgb.tif":
        tifffile.imwrite(path, WIDE.repeat(3, 2), photometric="rgb")
    elif kind == "big.tif":
        tifffile.imwrite(path, WIDE[..., 0], byteorder=">")
    elif kind == "inverted.tif":
        tifffile.imwrite(path, 65535 - WIDE[..., 0], photometric="miniswhite")
    elif kind == "plain.pgm":
        path.write_bytes(b"P5 8 6 65535\n" + WIDE.astype(">u2").tobytes())
    elif kind == "twelve.pgm":
        path.write_bytes(b"P5 8 6 4095\n" + (RAMP * 4095.0 / 255).round().astype(">u2").tobytes())
    else:
        Image.fromarray(WIDE[..., 0]).save(path)


@pytest.mark.parametrize(
    "kind",
    [
        "grey.png", "rgb.png", "la.png", "rgba.png", "grey.tif", "big.tif", "rgb.tif", "inverted.tif",
        "plain.pgm", "twelve.pgm", "grey.jp2",
    ],
)  # fmt: skip
def test_sixteen_bits_are_brought_to_eight_by_their_true_scale(tmp_path, kind):
    path = tmp_path / kind
    write_sixteen(path, kind)
    found = open_photo(path)
    assert np.abs(found.rgb.astype(int) - RAMP[..., None]).max() <= 1
    one_channel = kind.partition(".")[0] in ("grey", "big", "inverted", "plain", "twelve")
    assert [note for note in found.notes if "depth map" in note] == found.notes
    assert bool(found.notes) == one_channel


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "a.tif",
            np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8),
            "float values from 0 to 1, of unknown scale",
        ),
        ("a.tif", np.full((6, 8), np.nan, np.float32), "float values, none of them finite, of unknown scale"),
        (
            "a.tif",
            np.arange(48, dtype=np.int32).reshape(6, 8),
            "integer values from 0 to 47, of unknown scale",
        ),
        ("a.tif", np.arange(48, dtype=np.int16).reshape(6, 8) - 9, "integer values from -9 to 38"),
        ("a.png", np.full((6, 8), 2500, np.uint16), "looks like a depth map .* values up to 2500 of 65535"),
        ("a.tif", np.full((6, 8), 16383, np.uint16), "looks like a depth map"),
        ("a.depth.png", np.full((6, 8), 65535, np.uint16), "looks like a depth map"),
    ],
)
def test_values_without_a_known_scale_are_refused(tmp_path, name, values, message):
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        open_photo(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_a_float_map_of_netpbm_is_refused(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf\n8 6\n-1.0\n" + np.ones(48, "<f4").tobytes())
    with pytest.raises(InputError, match="float values from 1 to 1"):
        open_photo(tmp_path / "a.pfm")


def test_black_is_a_photo_of_any_scale(tmp_path):
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(tmp_path / "a.png")
    assert not open_photo(tmp_path / "a.png").rgb.any()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "RGB key", "L key", "16 key", "webp"])
def test_transparent_pixels_are_shown_on_white_and_said(tmp_path, mode):
    """What is under them is black here, as it is in most files."""
    path = tmp_path / {"webp": "a.webp", "PA": "a.tif"}.get(mode, "a.png")
    alpha = Image.new("L", (8, 6), 255)
    alpha.paste(0, (0, 0, 8, 3))
    colour = Image.new("RGB", (8, 6), (200, 200, 200))
    colour.paste((0, 0, 0), (0, 0, 8, 3))
    whole = colour.copy()
    whole.putalpha(alpha)
    if mode == "16 key":
        grey = np.full((6, 8, 1), 51400, np.uint16)
        grey[:3] = 7
        key = b"tRNS\0\7"
        write_png(path, grey, 0, struct.pack(">I", 2) + key + struct.pack(">I", zlib.crc32(key)))
    elif mode == "P":
        palette = colour.quantize(2)
        palette.save(path, transparency=palette.getpixel((0, 0)))
    elif mode.endswith("key"):
        colour.convert(mode[:-4]).save(path, transparency=(0, 0, 0) if mode[:-4] == "RGB" else 0)
    elif mode == "webp":
        whole.save(path, lossless=True, exact=True)
    else:
        whole.convert(mode).save(path)
    found = open_photo(path)
    assert (found.rgb[:3] == 255).all()
    assert np.abs(found.rgb[3:].astype(int) - 200).max() <= 2
    assert any("transparent pixels are shown on white" in note for note in found.notes)


FORMATS = {
    "1": "png tif jpg bmp tga gif ppm",
    "L": "png tif jpg bmp tga gif ppm jp2",
    "P": "png tif bmp tga gif",
    "RGB": "png tif jpg bmp tga gif ppm jp2",
    "RGBX": "tif jpg",
    "CMYK": "tif jpg jp2",
    "YCbCr": "tif jpg jp2",
    "LAB": "tif",
}
PICTURES = [(mode, end) for mode, ends in FORMATS.items() for end in ends.split()]
"""Which format can hold a picture of which mode."""


@pytest.mark.parametrize(("mode", "end"), PICTURES)
def test_every_kind_of_picture_keeps_what_it_shows(tmp_path, mode, end):
    grey = Image.new("L", (8, 6), 255)
    grey.paste(0, (0, 0, 8, 3))
    if mode == "LAB":
        srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
        whole = ImageCms.profileToProfile(grey.convert("RGB"), srgb, lab, outputMode="LAB")
    else:
        whole = grey.convert("RGB").convert(mode)
    whole.save(tmp_path / f"a.{end}")
    found = open_photo(tmp_path / f"a.{end}")
    assert np.abs(found.rgb.astype(int) - np.asarray(grey)[..., None]).max() <= 12
    assert found.notes == []


def test_colours_of_another_profile_become_srgb(tmp_path):
    """A linear profile: half the light is 188 of 255 in sRGB, and 128 in the file."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    profile = icc_profile(curve)
    Image.new("RGB", (8, 6), (128, 128, 128)).save(tmp_path / "a.png", icc_profile=profile)
    found = open_photo(tmp_path / "a.png")
    assert np.abs(found.rgb.astype(int) - 188).max() <= 2
    assert found.notes == []
    Image.new("RGB", (8, 6), (128, 128, 128)).save(tmp_path / "b.png", icc_profile=profile[:150])
    found = open_photo(tmp_path / "b.png")
    assert (found.rgb == 128).all()
    assert found.notes == ["its colour profile cannot be applied; assuming sRGB"]


def icc_profile(curve):
    """The smallest display profile: sRGB's primaries, D50, and that curve for each channel."""
    columns = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
    fixed = [struct.pack(">4sI3i", b"XYZ ", 0, *(round(v * 65536) for v in c)) for c in columns]
    white = struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)
    name = b"desc" + bytes(4) + struct.pack(">I", 7) + b"linear\0" + bytes(78 + 3)
    parts = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), fixed, strict=True)) | {b"wtpt": white, b"desc": name}
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 128 + 4 + 12 * len(parts)
    for key, part in parts.items():
        content = part + bytes(-len(part) % 4)
        table += struct.pack(">4sII", key, start + len(body), len(content))
        body += content
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(parts)) + table + body


def test_the_first_of_several_pictures_is_taken_and_said(tmp_path):
    pictures = [Image.new("RGB", (8, 6), (value,) * 3) for value in (10, 200, 90)]
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
        found = open_photo(tmp_path / name)
        assert np.abs(found.rgb.astype(int) - 10).max() <= 3
        assert found.notes == ["only the first of its 3 images is used"]


def test_a_large_photo_is_no_attack_and_an_attack_is_one_line(tmp_path, monkeypatch):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    assert open_photo(tmp_path / "a.png").notes == []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(InputError, match="more pixels than the limit of 40; downscale it"):
        open_photo(tmp_path / "a.png")


def photo_with(path, size=(40, 30), orientation=None, **tags):
    """A JPEG with these tags of the EXIF block, by the standard's numbers."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    names = {"film": 0xA405, "mm": 0x920A, "x": 0xA20E, "y": 0xA20F, "unit": 0xA210, "w": 0xA002, "h": 0xA003}
    exif.get_ifd(0x8769).update({names[name]: value for name, value in tags.items()})
    Image.new("RGB", size).save(path, exif=exif)


DIAGONAL = math.hypot(40, 30) / math.hypot(36, 24)


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({"film": 26}, (26 * DIAGONAL,) * 2),
        ({"film": 26, "w": 4000, "h": 3000}, (26 * DIAGONAL,) * 2),
        ({"film": 26, "w": 3000, "h": 4000}, (26 * DIAGONAL,) * 2),
        ({"film": 26, "mm": 4.2, "x": 1.0}, (26 * DIAGONAL,) * 2),
        ({"film": 0}, None),
        ({"film": 26, "w": 4000, "h": 4000}, None),
        ({"film": 65000}, None),
        ({"mm": 4.2}, None),
        ({"mm": 5.0, "x": 100.0, "unit": 3}, (50, 50)),
        ({"mm": 5.0, "x": 100.0, "y": 120.0, "unit": 3}, (50, 60)),
        ({"mm": 5.0, "x": 100.0, "y": 120.0, "unit": 3, "orientation": 6}, (60, 50)),
        ({"mm": 5.0, "x": 10000.0, "unit": 3, "w": 4000, "h": 3000}, (50, 50)),
        ({"mm": 25.4, "x": 60.0}, (60, 60)),
        ({"mm": 5.0, "x": 100.0, "unit": 1}, None),
        ({"mm": 0.0, "x": 100.0, "unit": 3}, None),
        ({"mm": IFDRational(1, 0), "x": 100.0, "unit": 3}, None),
        ({}, None),
    ],
)
def test_the_focal_length_that_exif_states(tmp_path, tags, focal):
    photo_with(tmp_path / "a.jpg", **tags)
    found = open_photo(tmp_path / "a.jpg")
    assert found.focal == (None if focal is None else pytest.approx(focal))
    ignored = tags.get("film") == 65000 or (tags.get("h") == 4000 and tags["w"] == 4000)
    assert any("ignored" in note for note in found.notes) == ignored


@pytest.mark.parametrize(
    "value", ["26", b"26", (26, 1), None, float("nan"), -3, IFDRational(0, 0), [], 10**400]
)
def test_nonsense_in_exif_is_no_focal_length(value):
    assert focal_of_exif((40, 30), {0xA405: value}, []) in (None, pytest.approx((26 * DIAGONAL,) * 2))
    assert focal_of_exif((40, 30), {0x920A: 4.0, 0xA20E: 9.0, 0xA210: value}, []) is None


def test_broken_exif_is_said_and_the_photo_read(tmp_path):
    photo_with(tmp_path / "a.jpg", film=26, orientation=6)
    data = (tmp_path / "a.jpg").read_bytes()
    start = data.index(b"Exif\0\0") + 6
    for place in range(48):
        broken = bytearray(data)
        broken[start + place : start + place + 6] = b"\xff\xf0\xff\xfe\xff\x7f"
        (tmp_path / "b.jpg").write_bytes(broken)
        found = open_photo(tmp_path / "b.jpg")
        assert sorted(found.rgb.shape) == [3, 30, 40]
        if place < 8:  # the head of the block
            assert found.notes
            assert found.focal is None


def test_the_camera_says_where_it_comes_from():
    assert camera_of((30, 40), (50, 51)) == ((50, 51), (19.5, 14.5), "exif")
    assert camera_of((30, 40), (50, 51), focal=(60, 61), centre=(1, 2)) == ((60, 61), (1, 2), "option")
    assert camera_of((30, 40), (50, 51), fov=90).focal == pytest.approx((20, 20))
    found = camera_of((30, 40), None)
    assert found.source == "assumed"
    assert found.focal == pytest.approx((nyu_facts()["intrinsics_rgb"]["fx"] / 16,) * 2)


def test_bytes_of_any_kind_are_a_photo_or_an_input_error(tmp_path):
    """Each byte of small files of each format overwritten in turn, in steps."""
    rng = np.random.default_rng(0)
    for end in ("png", "jpg", "tif", "gif", "bmp", "webp", "ppm", "tga", "jp2"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(
            buffer, Image.registered_extensions()[f".{end}"]
        )
        data = buffer.getvalue()
        for place in range(0, min(len(data), 400), 17):
            broken = bytearray(data)
            broken[place] = rng.integers(256)
            (tmp_path / f"a.{end}").write_bytes(broken)
            try:
                found = open_photo(tmp_path / f"a.{end}")
            except InputError as error:
                assert str(error).startswith(str(tmp_path))  # noqa: PT017
            else:
                assert found.rgb.dtype == np.uint8
                assert found.rgb.ndim == 3
