"""Planes as files: what was written is read again as those do who read it, and gives the store's support."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rsgt
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.store.plane_files import assumed_planes
from tests.conftest import known_camera, smooth_frames, write_nyu


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Five frames of slanted planes, 96x128."""
    folder = tmp_path_factory.mktemp("planes")
    arrays = smooth_frames(5, (96, 128), seed=2)
    with known_camera():
        file = write_nyu(folder / "a.mat", arrays)
        return rsgt.build(file, folder / "s.zarr", surface="plane", regions=30, min_size=8)


def rays(shape, camera):
    y, x = np.indices(shape)
    return np.stack([(x - camera["cx"]) / camera["fx"], (y - camera["cy"]) / camera["fy"], np.ones(shape)])


def test_ids_and_planes_give_the_support(store, tmp_path):
    out = rsgt.export_planes(store, tmp_path / "out", frames=[2, 5])
    about = json.loads((out / "planes.json").read_text())
    assert about["store"] == store.identity
    assert [one["frame"] for one in about["frames"]] == [2, 5]
    for number in (2, 5):
        frame = store.frame(number)
        with Image.open(out / f"planes/{number:06d}.png") as image:
            assert image.mode == "I;16"
            ids = np.array(image)
        assert np.array_equal(ids, frame.region)
        document = json.loads((out / f"planes/{number:06d}.json").read_text())
        assert set(document["planes"][0]) <= {*about["about"], "id", "category"}
        normals = np.array([p["normal"] for p in document["planes"]])
        offsets = np.array([p["offset_m"] for p in document["planes"]])
        along = np.einsum("ayx,yxa->yx", rays(ids.shape, document["camera"]), normals[ids - 1])
        np.testing.assert_allclose(offsets[ids - 1] / along, frame.support, rtol=1e-5)
        for p in document["planes"]:
            off = (frame.support - frame.depth)[ids == p["id"]].astype(float)
            assert p["pixels"] == off.size
            assert p["residual_m"] == pytest.approx(np.sqrt(np.mean(off**2)), abs=1e-5)
            assert p["category"] in [None, *store.class_names]


@pytest.mark.parametrize("layout", ["planarreconstruction", "planerectr"])
def test_the_networks_loaders_find_the_support(store, tmp_path, layout):
    """Their arithmetic: rays of the camera they assume, planes as normal over offset."""
    out = rsgt.export_planes(store, tmp_path / "out", layout=layout)
    y, x = np.indices((192, 256))
    ray = np.stack([(x * 2.5 - 320) / 517.97, (y * 2.5 - 240) / 517.97, np.ones(x.shape)])
    counts = {"train": 0, "val": 0}
    for frame in store:
        part = {"train": "train", "test": "val"}[frame.split]
        place, counts[part] = counts[part], counts[part] + 1
        data = np.load(out / part / f"{place}{'_d2' * (layout == 'planerectr')}.npz")
        planes, count = data["plane"].astype(float), int(data["num_planes"][0])
        assert data["image"].shape == (192, 256, 3)
        ids = data["segmentation"].reshape(192, 256)
        if layout == "planarreconstruction":
            assert planes.shape == (20, 3)
            right, forward, up = planes[:count].T
            planes = np.stack([right, -up, forward], axis=1)
            planes = planes / np.linalg.norm(planes, axis=1)[:, None] ** 2
        assert len(planes) == count == min(20, frame.regions["label"].size)
        on = ids < 20
        assert set(ids[on]) == set(range(count))
        support = frame.support[y * 96 // 192, x * 128 // 256]
        # Two of their pixels lie in one of such small frames: its own ray goes through the first.
        first = on & (y % 2 == 0) & (x % 2 == 0)
        depth = 1 / np.einsum("ayx,yxa->yx", ray, planes[np.minimum(ids, count - 1)])
        np.testing.assert_allclose(depth[first], support[first], rtol=1e-4)
        if layout == "planerectr":
            np.testing.assert_array_equal(data["depth"][0][on], support[on])
            np.testing.assert_array_equal(data["raw_depth"], frame.depth[y // 2, x // 2])
            (file,) = out.glob(f"*_{part}.json")
            (told,) = [
                a for a in json.loads(file.read_text())["annotations"] if a["image_id"] == str(frame.number)
            ]
            assert np.load(told["npz_file_name"])["num_planes"][0] == count
            for segment in told["segments_info"]:
                left, top, width, height = segment["bbox"]
                inside = ids[top : top + height, left : left + width] == segment["id"]
                assert inside.sum() == segment["area"] == (ids == segment["id"]).sum()
    for part, count in counts.items():
        if layout == "planarreconstruction":
            assert (out / f"{part}.txt").read_text().splitlines() == [f"{i}.npz" for i in range(count)]
        else:
            assert (out / f"scannetv1_plane_len{count}_{part}.json").exists()


def test_planes_by_another_camera_keep_their_depth():
    planes = np.array([[1e-3, -2e-3, 0.4]])
    (p,) = assumed_planes(planes, (480, 640))
    for x, y in ((0, 0), (639, 0), (100, 479)):
        by_camera = p @ [(x - 320) / 517.97, (y - 240) / 517.97, 1]
        assert by_camera == pytest.approx(planes[0] @ [x, y, 1])


def _planes(file, tmp_path):
    """Planes of the first frame of a file without a camera."""
    rsgt.build(file, tmp_path / "b.zarr", surface="plane")
    out = rsgt.export_planes(tmp_path / "b.zarr", tmp_path / "blind", frames=[1])
    return json.loads((out / "planes/000001.json").read_text())["planes"]


def test_mistakes(store, nyu_file, tmp_path):
    constant = rsgt.build(nyu_file[0], tmp_path / "c.zarr")
    with pytest.raises(InputError, match="its regions are no planes; build it with surface='plane'"):
        rsgt.export_planes(constant, tmp_path / "out")
    with pytest.raises(InputError, match="exists; choose another folder"):
        rsgt.export_planes(store, tmp_path)
    with pytest.raises(InputError, match="layout: got 'coco'"):
        rsgt.export_planes(store, tmp_path / "out", layout="coco")
    (plane, *_) = _planes(nyu_file[0], tmp_path)
    assert (plane["normal"], plane["offset_m"]) == (None, None)
    assert len(plane["inverse_depth"]) == 3
    wide = write_nyu(tmp_path / "wide.mat", smooth_frames(1, (40, 80)))
    found = rsgt.build(wide, tmp_path / "w.zarr", surface="plane")
    with pytest.raises(InputError, match="frames are 40x80, expected three to four for planerectr"):
        rsgt.export_planes(found, tmp_path / "out", layout="planerectr")
    assert not (tmp_path / "out").exists()


def test_command(store, tmp_path):
    done = CliRunner().invoke(main, ["planes", str(store.path), str(tmp_path / "out"), "--frames", "1"])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out/planes").iterdir()) == ["000001.json", "000001.png"]
    again = CliRunner().invoke(main, ["planes", str(store.path), str(tmp_path / "out")])
    assert again.exit_code == 2
    assert "exists" in again.output
