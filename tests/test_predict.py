"""A photo's way: upright, at its own size, in metres, and into files that other programs read."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from rsgt.schema import InputError, nyu_facts
from rsn import predict
from rsn.config import from_plain
from rsn.experiment import predict_photos
from rsn.inference import make_fabric, predict_photo
from tests.test_evaluation import write_checkpoint


def photo(path, size=(40, 30), **save):
    """Write a photo (width, height) that is red on the left and brighter towards the bottom."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 4, 0] = 255
    pixels[..., 1] = np.linspace(0, 200, size[1])[:, None]
    Image.fromarray(pixels).save(path, **save)
    return pixels


class Sees(nn.Module):
    """Depth that is the green it sees, in metres; remembers the size of what it was shown."""

    def forward(self, rgb):
        self.size = tuple(rgb.shape[-2:])
        return 1 + (rgb[:, 1:2] * 0.224 + 0.456) * 255 / 100


def test_exif_orientation_is_honoured(tmp_path):
    upright = photo(tmp_path / "up.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(predict.read_photo(tmp_path / "turned.png"), upright)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5)).save(path)
    assert predict.read_photo(path).shape == (5, 7, 3)


@pytest.mark.parametrize("damage", ["absent", "text", "truncated", "folder"])
def test_what_is_no_photo_is_named(tmp_path, damage):
    path = tmp_path / "a.jpg"
    if damage == "text":
        path.write_text("no image")
    elif damage == "folder":
        path.mkdir()
    elif damage == "truncated":
        photo(path, (400, 300))
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"a\.jpg: (no such image|cannot be read as an image)"):
        predict.read_photo(path)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((30, 40), (24, 32)), ((40, 30), (32, 24)), ((1000, 3000), (11, 32)), ((10, 12), (27, 32))],
)
def test_a_photo_is_shown_in_its_own_shape_and_comes_back_at_its_own_size(shape, shown):
    rgb = np.zeros((*shape, 3), np.uint8)
    rgb[..., 1] = np.linspace(0, 200, shape[0])[:, None]
    network, config = Sees().eval(), from_plain({"data": {"size": [24, 32]}})
    found = predict_photo(make_fabric("cpu"), config, network, rgb)
    assert network.size == shown
    assert found.depth.shape == found.region.shape == found.support.shape == shape
    expected = 1 + rgb[..., 1] / 100.0
    inner = slice(shape[0] // 4, 3 * shape[0] // 4)
    assert np.abs(found.depth - expected)[inner].max() < 0.15
    # Region support of the predicted map: ten steps or more of nearly constant depth.
    assert found.region.min() == 1
    assert np.abs(found.support - found.depth).mean() < 0.15


def test_depth_is_written_in_metres_and_millimetres(tmp_path):
    depth = np.array([[0.0, 1.2344, 2.0006], [65.5349, 65.536, 80.0]], np.float32)
    predict.write_depth(tmp_path / "a.b", depth)
    assert np.array_equal(np.load(tmp_path / "a.b.depth.npy"), depth)
    with Image.open(tmp_path / "a.b.depth.png") as image:
        assert image.mode.startswith("I;16")
        assert np.asarray(image).tolist() == [[0, 1234, 2001], [65535, 65535, 65535]]


def test_the_picture_is_a_picture(tmp_path):
    predict.write_picture(tmp_path / "a", np.linspace(1, 5, 1200, dtype=np.float32).reshape(30, 40))
    with Image.open(tmp_path / "a.picture.png") as image:
        assert image.width > 400
        assert len(set(image.convert("RGB").get_flattened_data())) > 100


def test_regions_are_shown_in_their_mean_colour(tmp_path):
    region = np.repeat([[1, 1, 1, 2, 2, 2]], 4, axis=0).astype(np.int32)
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[:, :3] = [[10, 20, 30], [30, 20, 10], [20, 20, 20]]
    rgb[:, 3:] = 200
    predict.write_regions(tmp_path / "a", rgb, region, region.astype(np.float32))
    with Image.open(tmp_path / "a.region.png") as image:
        shown = np.asarray(image)
    assert shown[0].tolist() == [[20] * 3] * 3 + [[80] * 3] + [[200] * 3] * 2
    assert np.array_equal(np.load(tmp_path / "a.region.npy"), region)


def read_ply(path):
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    names = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    points = np.frombuffer(body, names)
    assert f"element vertex {len(points)}" in lines
    return points


def test_points_project_back_to_their_pixels(tmp_path):
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 5, (12, 16)).astype(np.float32)
    depth[3, 4] = 0
    rgb = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    focal, centre = (20.0, 24.0), (7.5, 5.0)
    count = predict.write_points(tmp_path / "a.ply", rgb, depth, focal=focal, centre=centre)
    points = read_ply(tmp_path / "a.ply")
    assert count == len(points) == 12 * 16 - 1
    x = np.rint(points["x"] / points["z"] * focal[0] + centre[0]).astype(int)
    y = np.rint(points["y"] / points["z"] * focal[1] + centre[1]).astype(int)
    assert np.array_equal(np.unique(y * 16 + x), np.delete(np.arange(192), 3 * 16 + 4))
    assert np.array_equal(points["z"], depth[y, x])
    assert np.array_equal(np.stack([points[c] for c in ("red", "green", "blue")], -1), rgb[y, x])


def test_large_clouds_are_thinned(tmp_path):
    rgb, depth = np.zeros((100, 100, 3), np.uint8), np.ones((100, 100), np.float32)
    assert (
        predict.write_points(tmp_path / "a.ply", rgb, depth, focal=(1, 1), centre=(0, 0), most=2500) == 2500
    )


def test_focal_length():
    assert predict.focal_length((300, 400), fov=90) == pytest.approx(200)
    nyu = nyu_facts()["intrinsics_rgb"]["fx"]
    assert predict.focal_length((480, 640)) == pytest.approx(nyu)
    assert predict.focal_length((1280, 960)) == pytest.approx(2 * nyu)
    with pytest.raises(InputError, match="fov: got 180, expected degrees between 0 and 180"):
        predict.focal_length((3, 4), fov=180)


FILES = ("depth.npy", "depth.png", "picture.png", "region.npy", "region.png", "support.npy", "ply")


@pytest.mark.parametrize("name", ["generation", "rsn", "clustering"])
def test_a_photo_becomes_every_file(tmp_path, name):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": name})
    photo(tmp_path / "my.room.jpg", (50, 70))
    (result,) = predict_photos(
        path, [tmp_path / "my.room.jpg"], tmp_path / "out", fov=60, flip=True, device="cpu"
    )
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"my.room.{end}" for end in FILES}
    depth = np.load(tmp_path / "out" / "my.room.depth.npy")
    assert depth.shape == (70, 50)
    assert depth.dtype == np.float32
    assert (result["nearest_m"], result["farthest_m"]) == (depth.min(), depth.max())
    assert np.load(tmp_path / "out" / "my.room.region.npy").shape == (70, 50)


def test_an_unguided_refinement_predicts_too_a_guided_one_cannot(tmp_path):
    photo(tmp_path / "a.png")
    none = write_checkpoint(
        tmp_path / "n.ckpt", network={"model": "refinement"}, data={"guidance": "none", "size": [24, 32]}
    )
    assert (
        len(list(predict_photos(none, [tmp_path / "a.png"], tmp_path / "out", device="cpu", points=0))) == 1
    )
    assert not (tmp_path / "out" / "a.ply").exists()
    true = write_checkpoint(tmp_path / "t.ckpt", network={"model": "refinement"})
    with pytest.raises(InputError, match="guided by ground-truth labels of a store, which a photo has not"):
        list(predict_photos(true, [tmp_path / "a.png"], tmp_path / "out", device="cpu"))


def test_two_photos_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="two photos are called 'a'"):
        list(predict_photos(tmp_path / "x.ckpt", [tmp_path / "a.png", tmp_path / "b" / "a.jpg"], tmp_path))


def test_prediction_runs_no_gradient(tmp_path):
    network = Sees().eval()
    network.weight = nn.Parameter(torch.ones(1))
    photo(tmp_path / "a.png")
    found = predict_photo(make_fabric("cpu"), from_plain({}), network, predict.read_photo(tmp_path / "a.png"))
    assert isinstance(found.depth, np.ndarray)
