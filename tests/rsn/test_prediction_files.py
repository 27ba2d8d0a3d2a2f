"""A photo's way: upright, at its own size, in metres, and into files that other programs read."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import rsgt
from rsgt.inputs import InputError
from rsgt.sources.facts import nyu_facts
from rsn.cli import main
from rsn.config import flat, from_plain
from rsn.models.catalogue import make_model
from rsn.models.generation import GenerationOutput
from rsn.photos import naming, writing
from rsn.photos.camera import focal_length
from rsn.photos.prediction import check_depth
from rsn.photos.reading import open_photo
from rsn.predictor import Predictor
from rsn.training.device import make_fabric
from tests.rooms import write_rooms
from tests.rsn.checkpoints import predict_photos, write_checkpoint


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
        return GenerationOutput(1 + (rgb[:, 1:2] * 0.224 + 0.456) * 255 / 100, None)


def predictor_of(network, size=(480, 640)):
    """A generation module that is the network given."""
    model = make_model(flat(from_plain({})), classes=1)
    return Predictor(
        model,
        network,
        make_fabric("cpu"),
        size=size,
        checkpoint=Path("a.ckpt"),
        settings={},
        contents={"epoch": 0},
    )


def test_exif_orientation_is_honoured(tmp_path):
    upright = photo(tmp_path / "up.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(open_photo(tmp_path / "turned.png").rgb, upright)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5)).save(path)
    assert open_photo(path).rgb.shape == (5, 7, 3)


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
        open_photo(path)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((30, 40), (24, 32)), ((40, 30), (32, 24)), ((1000, 3000), (11, 32)), ((10, 12), (27, 32))],
)
def test_a_photo_is_shown_in_its_own_shape_and_comes_back_at_its_own_size(shape, shown):
    rgb = np.zeros((*shape, 3), np.uint8)
    rgb[..., 1] = np.linspace(0, 200, shape[0])[:, None]
    network = Sees().eval()
    found = predictor_of(network, (24, 32)).predict(rgb)
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
    writing.write_depth(tmp_path / "a.b", depth)
    assert np.array_equal(np.load(tmp_path / "a.b.depth.npy"), depth)
    with Image.open(tmp_path / "a.b.depth.png") as image:
        assert image.mode.startswith("I;16")
        assert np.asarray(image).tolist() == [[0, 1234, 2001], [65535, 65535, 65535]]


def test_the_picture_is_a_picture(tmp_path):
    depth = np.linspace(1, 5, 1200, dtype=np.float32).reshape(30, 40)
    writing.write_picture(tmp_path / "a", np.full((30, 40, 3), 9, np.uint8), depth)
    with Image.open(tmp_path / "a.picture.png") as image:
        assert image.width > 400
        assert len(set(image.convert("RGB").get_flattened_data())) > 100


def test_regions_are_shown_in_their_mean_colour(tmp_path):
    region = np.repeat([[1, 1, 1, 2, 2, 2]], 4, axis=0).astype(np.int32)
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[:, :3] = [[10, 20, 30], [30, 20, 10], [20, 20, 20]]
    rgb[:, 3:] = 200
    writing.write_regions(tmp_path / "a", rgb, region, region.astype(np.float32))
    with Image.open(tmp_path / "a.region.png") as image:
        shown = np.asarray(image)
    assert shown[0].tolist() == [[20] * 3] * 3 + [[80] * 3] + [[200] * 3] * 2
    assert np.array_equal(np.load(tmp_path / "a.region.npy"), region)
    with Image.open(tmp_path / "a.labels.png") as image:
        assert image.mode.startswith("I;16")
        assert np.array_equal(np.asarray(image), region)


def test_more_labels_than_16_bits_are_left_to_the_array(tmp_path):
    region = np.arange(1, 300 * 300 + 1, dtype=np.int32).reshape(300, 300)
    writing.write_regions(
        tmp_path / "a", np.zeros((300, 300, 3), np.uint8), region, region.astype(np.float32)
    )
    assert not (tmp_path / "a.labels.png").exists()
    assert np.load(tmp_path / "a.region.npy").max() == 90_000


def test_shares_are_written_in_16_bits(tmp_path):
    writing.write_share(tmp_path / "a.png", np.array([[0, 0.5, 1]], np.float32))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode.startswith("I;16")
        assert np.asarray(image).tolist() == [[0, 32768, 65535]]


def test_focal_length():
    assert focal_length((300, 400), fov=90) == pytest.approx(200)
    nyu = nyu_facts()["intrinsics_rgb"]["fx"]
    assert focal_length((480, 640)) == pytest.approx(nyu)
    assert focal_length((1280, 960)) == pytest.approx(2 * nyu)
    with pytest.raises(InputError, match="fov: got 180, expected degrees between 0 and 180"):
        focal_length((3, 4), fov=180)


FILES = {
    "depth.npy", "depth.png", "picture.png", "region.npy", "region.png", "labels.png", "support.npy",
    "confidence.png", "ply", "glb",
}  # fmt: skip
FLAT = len(FILES) - 2
"""Files of a photo without those of its scene, and one less without those of the mirrored photo."""


@pytest.mark.parametrize("name", ["generation", "rsn", "clustering"])
def test_a_photo_becomes_every_file(tmp_path, name):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": name})
    photo(tmp_path / "my.room.jpg", (50, 70))
    (result,) = predict_photos(
        path, [tmp_path / "my.room.jpg"], tmp_path / "out", fov=60, flip=True, device="cpu"
    )
    ends = FILES | ({"reliability.png"} if name == "clustering" else set())
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == {f"my.room.{end}" for end in ends} | {"predicted.html"}
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
    with pytest.raises(InputError, match="guided by true region support of a store, which a photo does not"):
        list(predict_photos(true, [tmp_path / "a.png"], tmp_path / "out", device="cpu"))


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt", network={"model": "generation"})


def predict_all(ckpt, photos, out, **options):
    return list(predict_photos(ckpt, photos, out, device="cpu", **{"points": 0, "page": False} | options))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("a.png b/c.png", "a c"),
        ("a.png a.jpg", "a.png a.jpg"),
        ("left/frame.png right/frame.png b.png", "left_frame.png right_frame.png b"),
        ("x/f/a.png y/f/a.png y/f/a.jpg", "x_f_a.png y_f_a.png a.jpg"),
        ("left/a.png right/a.png left_a.png.jpg", "@left_a.png right_a.png left_a.png.jpg"),
        ("a.png A.png", "a A-2"),
        ("a.png b/A.jpg", "a.png A.jpg"),
        ("caf\u00e9.png cafe\u0301.png", "caf\u00e9 cafe\u0301-2"),
        ("a.b.c.png .png a", "a.b.c .png @a"),
    ],
)
def test_names_of_files_are_distinct_and_tell_the_photo(tmp_path, monkeypatch, paths, names):
    monkeypatch.chdir(tmp_path)
    found = naming.output_names([Path(path) for path in paths.split()])
    # "@": preceded by as many folders as it takes, which lead to the temporary one.
    for name, expected in zip(found, names.split(), strict=True):
        assert name.endswith(expected[1:]) if expected[0] == "@" else name == expected


@given(st.lists(st.text("aA_b./", min_size=1, max_size=7), min_size=1, max_size=8))
def test_no_two_photos_ever_share_a_name(texts):
    photos = {naming._absolute(Path("/x") / text.strip("/")): None for text in texts}
    names = naming.output_names([Path(photo) for photo in photos])
    assert len({name.casefold() for name in names}) == len(names)
    assert not any("/" in name for name in names)


def test_photos_of_one_name_are_all_predicted(ckpt, tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        photo(tmp_path / folder / "frame.png")
    photos = [tmp_path / "left" / "frame.png", tmp_path / "right" / "frame.png"]
    found = predict_all(ckpt, photos, tmp_path / "out")
    assert [Path(result["out"]).name for result in found] == ["left_frame.png", "right_frame.png"]
    assert len(list((tmp_path / "out").iterdir())) == 2 * (FLAT - 1)


def test_the_photos_own_folder_may_hold_the_files_and_is_predicted_again(ckpt, tmp_path):
    for name in ("a.png", "b.jpg"):
        photo(tmp_path / name)
    for _ in range(2):
        found = predict_all(ckpt, sorted(tmp_path.iterdir()), tmp_path)
        assert [Path(r["photo"]).name for r in found if "out" in r] == ["a.png", "b.jpg"]
        assert not any("error" in result for result in found)
    assert len(list(tmp_path.iterdir())) == 2 + 2 * (FLAT - 1)
    with pytest.raises(InputError, match="got only the output of earlier predictions"):
        predict_all(ckpt, [tmp_path / "a.picture.png"], tmp_path)


def test_what_was_predicted_of_a_store_s_photos_is_judged_as_it_lies(tmp_path):
    """Not its regions, shares and pictures, nor the photos beside it, which are PNG, too."""
    store = rsgt.open(write_rooms(tmp_path / "s.zarr", train=1, test=2, shape=(24, 32)))
    photos, expected = [], np.zeros((3, 24, 32), np.float32)
    for k, name in enumerate(store.frame_names):
        photos.append(tmp_path / "p" / f"{name}.png")
        photos[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(store.read("rgb", k, k + 1)[0]).save(photos[-1])
    list(predictor_of(Sees().eval()).predict_files(photos, tmp_path / "p", points=0, page=False))
    for k, name in enumerate(store.frame_names):
        expected[k] = np.load(tmp_path / "p" / f"{name}.depth.npy")
    np.save(tmp_path / "expected.npy", expected)
    wanted = rsgt.evaluate(store, tmp_path / "expected.npy", split="all")["metrics"]
    record = rsgt.evaluate(store, tmp_path / "p", split="all")
    assert (record["metrics"], record["prediction"]["matched_by"]) == (wanted, "name")
    assert rsgt.open_prediction(tmp_path / "p", store, np.arange(3), "region")[1](0).max() > 0
    for file in (tmp_path / "p").glob("*.depth.npy"):
        file.unlink()
    millimetres = rsgt.evaluate(store, tmp_path / "p", split="all")
    assert millimetres["prediction"]["form"] == "folder of .png"
    figures = [one["paper"]["image_mean"]["rmse"] for one in (wanted, millimetres["metrics"])]
    assert figures[0] == pytest.approx(figures[1], abs=1e-3)


def test_a_photo_given_twice_is_predicted_once(ckpt, tmp_path, monkeypatch):
    photo(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(predict_all(ckpt, [Path("a.png"), tmp_path / "a.png", Path("./a.png")], tmp_path / "o")) == 1


def test_a_photo_is_never_written_over(ckpt, tmp_path):
    photo(tmp_path / "a.png")
    photo(tmp_path / "a.region.png")
    before = (tmp_path / "a.region.png").read_bytes()
    found = predict_all(ckpt, [tmp_path / "a.png", tmp_path / "a.region.png"], tmp_path)
    assert "would overwrite the photo" in found[0]["error"]
    assert "out" in found[1]
    assert (tmp_path / "a.region.png").read_bytes() == before


BROKEN = {
    "absent": "no such image",
    "empty": "the file is empty",
    "text": "cannot be read as an image",
    "folder": "no photo in this folder",
    "truncated": "truncated",
    "pipe": "not a regular file",
    "depth map": "looks like a depth map",
    "float": "of unknown scale",
    "n" * 250: "not usable as a file name|File name too long",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind[:9])
def test_one_bad_photo_is_named_and_the_others_are_predicted(ckpt, tmp_path, kind):
    bad = tmp_path / (kind + (".tif" if kind == "float" else ".png"))
    if kind == "folder":
        bad.mkdir()
    elif kind == "pipe":
        os.mkfifo(bad)
    elif kind == "depth map":
        Image.fromarray(np.full((9, 9), 2500, np.uint16)).save(bad)
    elif kind == "float":
        Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(bad)
    elif kind == "truncated":
        photo(bad, (400, 300))
        bad.write_bytes(bad.read_bytes()[:900])
    elif kind != "absent":
        photo(bad)
        if kind in ("empty", "text"):
            bad.write_text("" if kind == "empty" else "no image")
    for name in ("a.png", "z.png"):
        photo(tmp_path / name)
    arguments = [str(path) for path in (tmp_path / "a.png", bad, tmp_path / "z.png")]
    common = ["--checkpoint", str(ckpt), "--device", "cpu", "--points", "0"]
    done = CliRunner().invoke(main, ["predict", *arguments, *common, "--out", str(tmp_path / "o")])
    assert done.exit_code == 1, done.output
    assert re.search(BROKEN[kind], done.stderr)
    assert bad.name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.endswith("2 of 3 photos predicted\n")
    assert len(list((tmp_path / "o").iterdir())) == 2 * FLAT + 1
    found = CliRunner().invoke(
        main, ["predict", str(bad), arguments[0], *common, "--out", str(tmp_path / "p"), "--json"]
    )
    assert found.exit_code == 1
    assert found.stderr == ""
    failed, fine = sorted(map(json.loads, found.stdout.splitlines()), key=lambda one: "out" in one)
    assert failed["photo"] == str(bad)
    assert re.search(BROKEN[kind], failed["error"])
    assert fine["out"] == str(tmp_path / "p" / "a")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "1e-3", "1e9"])
@pytest.mark.parametrize("option", ["fx", "fy", "cx", "cy", "fov"])
def test_a_camera_that_cannot_be_is_refused(ckpt, tmp_path, option, value):
    """Before any work where no photo could have it, by the photo where this one cannot."""
    given_ = {"fx": "40"} if option == "fy" else {"cx": "20", "cy": "15"} if option in ("cx", "cy") else {}
    photo(tmp_path / "a.png")
    flags = [text for name, number in (given_ | {option: value}).items() for text in (f"--{name}", number)]
    files = [str(tmp_path / "a.png"), "--checkpoint", str(ckpt), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(main, ["predict", *files, "--device", "cpu", *flags])
    fits = option in ("cx", "cy") and value in ("0", "1e-3")
    later = (value == "1e9" and option != "fov") or (value == "1e-3" and option in ("fx", "fy"))
    assert done.exit_code == (0 if fits else 1 if later else 2), done.output
    if not fits:
        assert re.search(
            rf"{option}: got ({re.escape(value)}|{float(value)}|{float(value):g}),".replace("e+", "e."),
            done.stderr,
        )
        assert len(done.stderr.splitlines()) == 1
        assert (tmp_path / "o").exists() == later


@pytest.mark.parametrize("kind", ["file", "under a file", "points"])
def test_a_useless_output_is_refused_before_a_photo_is_read(ckpt, tmp_path, kind):
    (tmp_path / "file").write_text("")
    out = {"file": tmp_path / "file", "under a file": tmp_path / "file" / "out"}.get(kind, tmp_path)
    with pytest.raises(InputError, match="points: got -1" if kind == "points" else "file"):
        predict_all(ckpt, [tmp_path / "absent.png"], out, points=-1 if kind == "points" else 0)


def test_a_full_disk_ends_at_once_and_leaves_nothing(ckpt, tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        photo(tmp_path / name)

    def full(path, content):
        if path.name.endswith(".support.npy"):
            raise OSError(errno.ENOSPC, "No space left on device")
        with path.open("wb") as file:
            file.write(content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        predict_all(ckpt, [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_earlier_cloud_does_not_stay_beside_another_depth(tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt")
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(tmp_path / "a.png")
    cloud = tmp_path / "out" / "a.ply"
    sure = tmp_path / "out" / "a.confidence.png"
    predict_all(path, [tmp_path / "a.png"], tmp_path / "out", points=100, flip=True)
    assert cloud.exists()
    assert sure.exists()
    predict_all(path, [tmp_path / "a.png"], tmp_path / "out", points=0)
    assert not cloud.exists()
    assert not sure.exists()
    (tmp_path / "out" / "a.depth.npy").unlink()
    cloud.write_text("another program's")  # where no prediction stands, it is nobody's but its owner's
    predict_all(path, [tmp_path / "a.png"], tmp_path / "out", points=0)
    assert cloud.read_text() == "another program's"


@pytest.mark.parametrize("name", ["generation", "rsn", "clustering"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 7), (1, 300), (300, 1), (20, 16), (90, 70)])
def test_photos_of_any_size_have_dense_regions_of_one_support(tmp_path, name, size):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": name})
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(tmp_path / "a.png")
    (result,) = predict_all(path, [tmp_path / "a.png"], tmp_path / "out", flip=True, points=100)
    stem = tmp_path / "out" / "a"
    check_files(stem, size[::-1], result)


def check_files(stem, shape, result):
    """All files are there, of the photo's size, and agree with each other and with what was said."""
    depth, support, region = (np.load(f"{stem}.{name}.npy") for name in ("depth", "support", "region"))
    assert depth.shape == support.shape == region.shape == shape
    assert (depth.dtype, support.dtype, region.dtype) == (np.float32, np.float32, np.int32)
    assert np.isfinite(depth).all()
    assert (depth >= 0).all()
    assert (depth > 0).mean() > 0.5
    labels = np.unique(region)
    assert np.array_equal(labels[labels > 0], np.arange(1, region.max() + 1))
    assert region.max() == result["regions"]
    for label in labels[labels > 0]:
        assert np.ptp(support[region == label]) == 0
    for name in ("depth.png", "region.png", "labels.png"):
        with Image.open(f"{stem}.{name}") as image:
            assert image.size == shape[::-1]
    with Image.open(f"{stem}.picture.png") as image:
        assert max(image.size) <= 3.2 * min(image.size)
    with Image.open(f"{stem}.labels.png") as image:
        assert np.array_equal(np.asarray(image), region)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3000, 2500), (40, 30), (30, 40)])
def test_the_picture_of_any_size_can_be_looked_at(tmp_path, size):
    depth = np.linspace(1, 5, size[0] * size[1], dtype=np.float32).reshape(size)
    writing.write_picture(tmp_path / "a", np.zeros((*size, 3), np.uint8), depth)
    with Image.open(tmp_path / "a.picture.png") as image:
        assert 350 <= min(image.size) <= max(image.size) <= 1300


@pytest.mark.parametrize(
    ("depth", "outcome"),
    [
        ([[1, np.nan]], "not finite"),
        ([[1, np.inf]], "not finite"),
        ([[1, -1]], "ranges from -1 to 1 m"),
        ([[1, 1e6]], "ranges from 1 to 1e\\+06 m"),
        ([[0, 0, 1]], "2 of 3 pixels have no depth"),
        ([[0, 1, 1]], ["1 of 3 pixels have no depth (0)"]),
        ([[65.535, 65.6, 70]], ["2 pixels are beyond 65.535 m, where depth.png is clipped"]),
        ([[1, 0.0004]], ["1 pixels are closer than 0.5 mm, stored as 0 in depth.png"]),
        ([[1, 2]], []),
    ],
)
def test_a_prediction_is_looked_at_before_it_is_written(depth, outcome):
    depth = np.array(depth, np.float32)
    if isinstance(outcome, list):
        assert check_depth(depth) == outcome
    else:
        with pytest.raises(InputError, match=outcome):
            check_depth(depth)


def test_a_network_that_says_nan_fails_the_photo(tmp_path, ckpt, monkeypatch):
    class Nan(Sees):
        def forward(self, rgb):
            return GenerationOutput(super().forward(rgb).depth * torch.nan, None)

    photo(tmp_path / "a.png")
    monkeypatch.setattr("rsn.experiment.assembly.rebuild", lambda *_, **__: Nan().eval())
    (found,) = predict_all(ckpt, [tmp_path / "a.png"], tmp_path / "out")
    assert "not finite" in found["error"]
    assert list((tmp_path / "out").iterdir()) == []


def test_prediction_runs_no_gradient(tmp_path):
    network = Sees().eval()
    network.weight = nn.Parameter(torch.ones(1))
    photo(tmp_path / "a.png")
    found = predictor_of(network).predict(tmp_path / "a.png")
    assert isinstance(found.depth, np.ndarray)
