"""Photos of every kind, whole and damaged: predicted completely, or named as failed; never anything else."""

import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from rsn.cli import main
from tests.conftest import often
from tests.rsn.checkpoints import write_checkpoint
from tests.rsn.test_photo_reading import photo_with, write_png
from tests.rsn.test_prediction_files import check_files

SIZES = [
    (40, 30),
    (30, 40),
    (64, 48),
    (1, 1),
    (2, 7),
    (5, 3),
    (1, 90),
    (90, 1),
    (400, 2),
    (3, 300),
    (200, 150),
]
PLAIN = [
    ("RGB", "png"), ("RGB", "jpg"), ("RGB", "tif"), ("RGB", "webp"), ("RGB", "bmp"), ("RGB", "gif"),
    ("RGB", "ppm"), ("RGB", "tga"), ("RGB", "jp2"), ("RGB", "avif"), ("L", "png"), ("L", "jpg"), ("1", "png"),
    ("1", "tif"),
    ("P", "png"), ("P", "gif"), ("RGBA", "png"), ("RGBA", "webp"), ("RGBA", "tif"), ("LA", "png"),
    ("PA", "tif"), ("CMYK", "jpg"), ("CMYK", "tif"), ("YCbCr", "tif"), ("I;16", "png"), ("I;16", "tif"),
    ("I", "tif"), ("F", "tif"), ("16 RGB", "png"), ("16 LA", "png"), ("16 depth", "png"), ("EXIF", "jpg"),
]  # fmt: skip
DAMAGE = ["none", "none", "none", "cut", "byte", "bytes", "empty", "doubled", "renamed"]
NAMES = [
    "photo",
    "my photo",
    "a.b.c",
    "Zürich",
    "写真",
    ".hidden",
    "photo.depth",
    "-x",
    "a\nb",
    "%s{}",
    "x" * 80,
    "PHOTO",
]
MODELS = ["generation", "rsn", "clustering"]


def write_photo(path, mode, size, rng):
    """A photo of noise in that mode; of some kinds the format's own writer knows nothing."""
    width, height = size
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    if mode == "EXIF":
        tags = {"film": int(rng.integers(0, 200)), "orientation": int(rng.integers(0, 10))}
        photo_with(path, size, **tags, **({"w": 4000, "h": 3000} if rng.random() < 0.3 else {}))
    elif mode.startswith("16"):
        colour, channels = {"16 RGB": (2, 3), "16 LA": (4, 2), "16 depth": (0, 1)}[mode]
        most = 9000 if mode == "16 depth" else 65536
        write_png(path, rng.integers(0, most, (height, width, channels)), colour)
    elif mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        Image.fromarray((rng.random((height, width)) * 65535).astype(kind)).save(path)
    else:
        image = Image.fromarray(rgb)
        if mode.endswith("A"):
            image.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), np.uint8)))
        image.convert(mode).save(path)


def damage(path, kind, rng):
    data = bytearray(path.read_bytes())
    if kind == "cut":
        data = data[: int(rng.integers(1, len(data)))]
    elif kind == "byte":
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    elif kind == "bytes":
        for place in rng.integers(0, min(len(data), 200), 6):
            data[int(place)] = int(rng.integers(256))
    elif kind == "empty":
        data = bytearray()
    elif kind == "doubled":
        data = data * 2
    path.write_bytes(data)
    return path.rename(path.with_suffix(".jpeg")) if kind == "renamed" else path


@pytest.mark.slow
def test_every_photo_is_predicted_or_named(tmp_path):
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    checkpoints = [write_checkpoint(tmp_path / f"{name}.ckpt", network={"model": name}) for name in MODELS]
    count = often(24, 240)
    done = failed = 0
    for batch in range(count // 12):
        folder = tmp_path / f"photos{batch}"
        photos = []
        for i in range(12):
            mode, end = PLAIN[(batch * 12 + i) % len(PLAIN)]
            place = folder / rng.choice(["left", "right", "."])
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"{rng.choice(NAMES)}.{end}"
            write_photo(path, mode, SIZES[int(rng.integers(len(SIZES)))], rng)
            photos.append(damage(path, str(rng.choice(DAMAGE)), rng))
        found = predict(checkpoints[batch % 3], photos, tmp_path / f"out{batch}", rng)
        given = list(dict.fromkeys(map(str, photos)))
        assert [result["photo"] for result in found] == given
        stems = [result["out"] for result in found if "out" in result]
        assert len({stem.casefold() for stem in stems}) == len(stems)
        for result in found:
            failed += "error" in result
            done += "out" in result
            if "out" in result:
                check_prediction(result)
        assert not list((tmp_path / f"out{batch}").glob(".rsn*"))
    print(f"\nphotos: {done + failed}, {done} predicted, {failed} named as failed, 0 unforeseen")
    assert done > failed > 0


def predict(checkpoint, photos, out, rng):
    """Run the program as a user does; what it says of each photo."""
    flags = [[], ["--flip"], ["--fov", "60"], ["--points", "0"]][int(rng.integers(4))]
    arguments = ["predict", "--checkpoint", checkpoint, "--out", out, "--device", "cpu", "--json", *flags]
    result = CliRunner().invoke(main, [*map(str, arguments), "--", *map(str, photos)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found = [*map(json.loads, result.stdout.splitlines())]
    assert result.exit_code == any("error" in one for one in found)
    assert all(one["error"] and "\n" not in one["error"] for one in found if "error" in one)
    return found


def check_prediction(result):
    """Files of the photo's own size, as its header says, be it turned by its EXIF."""
    stem = Path(result["out"])
    shape = np.load(f"{stem}.depth.npy").shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damage that the result has noted
        with Image.open(result["photo"]) as image:
            assert sorted(image.size) == sorted(shape)
    check_files(stem, shape, result)
    assert result["focal_source"] in ("option", "exif", "assumed")
    cloud = stem.with_name(stem.name + ".ply")
    if cloud.exists():
        header, _, body = cloud.read_bytes().partition(b"end_header\n")
        (points,) = (int(line.split()[2]) for line in header.splitlines() if line.startswith(b"element"))
        assert len(body) == points * struct.calcsize("<3f4B")
