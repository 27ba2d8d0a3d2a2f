import json
import sys
from itertools import pairwise
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from rsgt.inputs import InputError
from rsgt.sources import open_source
from rsgt.sources.facts import class_names, nyu_facts
from rsgt.sources.rooms.frame import room_of
from rsgt.sources.rooms.sensor import raw_depth
from rsgt.sources.synthetic import NYU_SHAPE, Layout, Room, render_room, write_rooms

pytest.importorskip("embreex", reason="rendering needs the extra synth")

SHAPE = (48, 64)
SEED = 7
FLOOR, CEILING, WALL, PICTURE = (
    class_names("894").index(n) + 1 for n in ("floor", "ceiling", "wall", "picture")
)

# The README's table of the official file, for n frames of h rows and w columns.
TABLE = {
    "images": (("n", 3, "w", "h"), "uint8"),
    "depths": (("n", "w", "h"), "float32"),
    "rawDepths": (("n", "w", "h"), "float32"),
    "labels": (("n", "w", "h"), "uint16"),
    "instances": (("n", "w", "h"), "uint8"),
    "accelData": ((4, "n"), "float32"),
    "names": ((1, 894), "object"),
    "scenes": ((1, "n"), "object"),
    "sceneTypes": ((1, "n"), "object"),
    "rawRgbFilenames": ((1, "n"), "object"),
    "rawDepthFilenames": ((1, "n"), "object"),
}
STACKS = ("images", "depths", "rawDepths", "labels", "instances")


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return [render_room(SEED, index, SHAPE) for index in range(18)]


def strings(file: h5py.File, name: str) -> list[str]:
    return ["".join(chr(c) for c in file[reference][:, 0]) for reference in file[name][0]]


def rays(shape: tuple[int, int]) -> np.ndarray:
    """K^-1 (x, y, 1) of every pixel, from the published intrinsics scaled about the image's corner."""
    k, (height, width) = nyu_facts()["intrinsics_rgb"], shape
    y, x = np.mgrid[:height, :width]
    sx, sy = width / 640, height / 480
    cx, cy = (k["cx"] + 0.5) * sx - 0.5, (k["cy"] + 0.5) * sy - 0.5
    return np.stack([(x - cx) / (k["fx"] * sx), (y - cy) / (k["fy"] * sy), np.ones(shape)], axis=-1)


def world_from_camera(room: Room) -> np.ndarray:
    """Rotation out of yaw, pitch and roll, one after another (the camera's x right, y down, z ahead)."""
    c = room.camera
    level = np.array(
        [[np.sin(c.yaw), 0, np.cos(c.yaw)], [-np.cos(c.yaw), 0, np.sin(c.yaw)], [0.0, -1.0, 0.0]]
    )
    pitch = np.array(
        [[1, 0, 0], [0, np.cos(c.pitch), np.sin(c.pitch)], [0, -np.sin(c.pitch), np.cos(c.pitch)]]
    )
    roll = np.array([[np.cos(c.roll), -np.sin(c.roll), 0], [np.sin(c.roll), np.cos(c.roll), 0], [0, 0, 1]])
    return level @ pitch @ roll


def world_points(room: Room) -> np.ndarray:
    points = rays(room.depth_m.shape) * room.depth_m[..., None]
    return points @ world_from_camera(room).T + np.array(room.camera[:3])


@pytest.mark.parametrize("layout", ["frame", "block", "contiguous"])
def test_file_has_the_official_layout(tmp_path, layout: Layout, rooms):
    path, told = tmp_path / "rooms.mat", []
    write_rooms(
        path, frames=5, seed=SEED, shape=SHAPE, layout=layout, workers=2, progress=lambda *a: told.append(a)
    )
    assert told == [(done, 5) for done in range(1, 6)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rooms.mat"]
    header = path.read_bytes()[:512]
    assert header.startswith(b"MATLAB 7.3 MAT-file")
    assert header[124:128] == b"\x00\x02IM"

    size = {"n": 5, "h": SHAPE[0], "w": SHAPE[1]}
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert set(file) == {*TABLE, "namesToIds", "#refs#"}
        for name, (axes, dtype) in TABLE.items():
            assert file[name].shape == tuple(size.get(axis, axis) for axis in axes), name
            assert file[name].dtype == dtype, name
            assert "MATLAB_class" in file[name].attrs
        chunks = {name: file[name].chunks for name in STACKS}
        expected = {
            "frame": {name: (1, *file[name].shape[1:]) for name in STACKS},
            "block": {name: (5, *(1,) * (file[name].ndim - 3), 20, 15) for name in STACKS},
            "contiguous": dict.fromkeys(STACKS),
        }
        assert chunks == expected[layout]
        packing = {(file[name].compression, file[name].compression_opts) for name in STACKS}
        assert packing == ({(None, None)} if layout == "contiguous" else {("gzip", 3)})

        assert strings(file, "names") == class_names("894")
        assert strings(file, "scenes") == [room.scene for room in rooms[:5]]
        assert strings(file, "sceneTypes") == [room.scene_type for room in rooms[:5]]
        assert json.loads(file.attrs["rsgt_synthetic"])["seed"] == SEED
        for index, room in enumerate(rooms[:5]):
            for name, image in zip(
                STACKS,
                (room.rgb, room.depth_m, room.raw_depth_m, room.semantic, room.instance),
                strict=True,
            ):
                np.testing.assert_array_equal(file[name][index].T, image, err_msg=name)
            np.testing.assert_allclose(
                file["accelData"][:, index], [room.camera.roll, 0, room.camera.pitch, 0], rtol=1e-6
            )


def test_the_same_bytes_from_any_number_of_workers(tmp_path):
    for workers in (1, 3):
        write_rooms(tmp_path / f"{workers}.mat", frames=4, seed=SEED, shape=SHAPE, workers=workers)
    assert (tmp_path / "1.mat").read_bytes() == (tmp_path / "3.mat").read_bytes()


def test_a_frame_does_not_depend_on_the_others(rooms):
    again = render_room(SEED, 7, SHAPE)
    other = render_room(SEED + 1, 7, SHAPE)
    assert again.rgb.tobytes() == rooms[7].rgb.tobytes()
    assert again.raw_depth_m.tobytes() == rooms[7].raw_depth_m.tobytes()
    assert other.rgb.tobytes() != rooms[7].rgb.tobytes()


def test_geometry_does_not_depend_on_the_resolution(rooms):
    # Pixel (x, y) of the small image is seen through the middle of a 3x3 block of one three times as large.
    large = render_room(SEED, 3, (SHAPE[0] * 3, SHAPE[1] * 3))
    np.testing.assert_allclose(large.depth_m[1::3, 1::3], rooms[3].depth_m, rtol=1e-4)


def test_rows_run_from_ceiling_to_floor(rooms):
    both = [r for r in rooms if (r.semantic == FLOOR).any() and (r.semantic == CEILING).any()]
    assert len(both) >= 3
    for room in both:
        assert np.nonzero(room.semantic == CEILING)[0].max() < np.nonzero(room.semantic == FLOOR)[0].min()


def test_depth_is_along_the_axis_and_metric(rooms):
    # The floor is a plane at the camera's height below it: its depth has a closed form.
    checked = 0
    for room in rooms:
        floor = room.semantic == FLOOR
        roll, pitch = room.camera.roll, room.camera.pitch
        down = [np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)]
        expected = room.camera.height / (rays(SHAPE)[floor] @ down)
        np.testing.assert_allclose(room.depth_m[floor], expected, rtol=2e-6)
        checked += int(floor.sum())
    assert checked > 5000


def test_depth_has_no_holes_and_an_indoor_range(rooms):
    for room in rooms:
        assert room.depth_m.dtype == np.float32
        assert 0.5 < room.depth_m.min() < room.depth_m.max() < 10


def test_two_views_show_one_room(rooms):
    # Every point of one view must lie on or behind what another view of the same room sees there.
    compared = 0
    for first, second in pairwise(rooms):
        if first.scene != second.scene:
            continue
        assert first.camera != second.camera
        points = (world_points(first) - np.array(second.camera[:3])) @ world_from_camera(second)
        points = points[points[..., 2] > 0.3]
        k = rays(SHAPE)
        x = np.rint((points[:, 0] / points[:, 2] - k[0, 0, 0]) / (k[0, 1, 0] - k[0, 0, 0])).astype(int)
        y = np.rint((points[:, 1] / points[:, 2] - k[0, 0, 1]) / (k[1, 0, 1] - k[0, 0, 1])).astype(int)
        inside = (x >= 1) & (x < SHAPE[1] - 1) & (y >= 1) & (y < SHAPE[0] - 1)
        x, y, z = x[inside], y[inside], points[inside, 2]
        around = np.stack([second.depth_m[y + i, x + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        if z.size > 100:
            compared += 1
            # Slivers thinner than a pixel of the other view are the only exception.
            assert np.mean(z < 0.97 * around.min(axis=0)) < 0.02
    assert compared >= 3


def test_views_come_in_rooms_of_two_to_four(rooms):
    views = [room_of(3, index) for index in range(90)]
    numbers = np.array([number for number, _ in views])
    assert set(np.bincount(numbers)) == {2, 3, 4}
    assert all(b - a in (0, 1) for a, b in pairwise(numbers))
    assert [room.scene.rsplit("_", 1)[1] for room in rooms] == [
        f"{room_of(SEED, index)[0]:04d}" for index in range(18)
    ]
    assert all(room.scene.startswith(room.scene_type) for room in rooms)


def test_labels_are_raw_nyu_categories_partly_missing(rooms):
    names = {class_names("894")[label - 1] for room in rooms for label in np.unique(room.semantic) if label}
    assert {"wall", "floor", "ceiling", "table", "chair", "picture", "lamp", "window", "door"} <= names
    assert len(names) > 30
    share = np.array([np.mean(room.semantic == 0) for room in rooms])
    assert 0.03 < share.mean() < 0.3
    assert share.max() < 0.5


def test_instances_count_the_objects_of_each_category(rooms):
    for room in rooms:
        assert np.array_equal(room.instance == 0, room.semantic == 0)
        for label in np.unique(room.semantic[room.semantic > 0]):
            seen = np.unique(room.instance[room.semantic == label])
            assert np.array_equal(seen, np.arange(1, len(seen) + 1))
        assert room.instance[room.semantic == FLOOR].max(initial=0) <= 1


def test_an_instance_is_one_object(rooms):
    # Pictures are flat and at most 0.8 m wide and 0.7 m high, and each hangs alone.
    depths = []
    for room in rooms:
        points = world_points(room)
        found = []
        for instance in np.unique(room.instance[room.semantic == PICTURE]):
            mine = points[(room.semantic == PICTURE) & (room.instance == instance)]
            assert np.ptp(mine, axis=0).max() < 0.85
            if len(mine) > 3:
                assert np.linalg.svd(mine - mine.mean(axis=0), compute_uv=False)[2] / len(mine) ** 0.5 < 0.02
            found.append(np.linalg.norm(mine.mean(axis=0) - np.array(room.camera[:3])))
        depths.append(np.ptp(found) if found else 0.0)
    # One category at clearly different depths: what makes semantic labels ambiguous.
    assert sum(spread > 1 for spread in depths) >= 3


def test_raw_depth_is_depth_with_noise_and_holes(rooms):
    for room in rooms:
        seen = room.raw_depth_m > 0
        error = (room.raw_depth_m - room.depth_m)[seen] / room.depth_m[seen] ** 2
        assert np.abs(error).max() < 0.02
        assert 5e-4 < error.std() < 4e-3
        assert not seen[[0, -1]].any()
        assert not seen[:, [0, -1]].any()
    assert 0.1 < np.mean([room.raw_depth_m == 0 for room in rooms]) < 0.6


def measured(depth_m: float, hard: float = 0.0) -> np.ndarray:
    plane, none = np.full((240, 320), depth_m, np.float32), np.zeros((240, 320), bool)
    return raw_depth(plane, np.ones_like(plane), none, np.full_like(plane, hard), np.random.default_rng(0))[
        4:-4, 4:-4
    ]


def test_sensor_noise_grows_with_the_square_of_depth():
    noise = {z: np.std(measured(z)[measured(z) > 0]) for z in (2.0, 6.0)}
    assert noise[6.0] / noise[2.0] == pytest.approx(9, rel=0.15)
    levels = np.unique(measured(4.0))
    assert len(levels) < 20  # quantised: eighths of a pixel of disparity


def test_sensor_loses_what_is_far_dark_or_glowing():
    assert np.mean(measured(2.0) == 0) < 0.01
    assert np.mean(measured(2.0, hard=2.0) == 0) > 0.99
    assert (measured(8.1) == 0).all()


def test_semantic_labels_alone_are_poor_guidance():
    # On real NYU frames the mean depth of each category leaves 0.66 m, and explains half of the variance.
    error, explained = [], []
    for index in range(0, 48, 3):
        room = render_room(11, index, (96, 128))
        label, depth = room.semantic.ravel(), room.depth_m.ravel().astype(float)
        mean = np.bincount(label, depth) / np.bincount(label).clip(1)
        error.append(np.sqrt(np.mean((mean[label] - depth) ** 2)))
        explained.append(1 - error[-1] ** 2 / depth.var())
    assert np.mean(error) > 0.45
    assert np.mean(explained) < 0.75


def test_pictures_are_exposed(rooms):
    for room in rooms:
        assert room.rgb.shape == (*SHAPE, 3)
        assert 50 < room.rgb.mean() < 215
        assert room.rgb.std() > 15


def test_default_shape_is_that_of_nyu():
    assert NYU_SHAPE == (480, 640)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "0 frames"),
        ({"seed": -1}, "seed -1"),
        ({"shape": (8, 640)}, r"shape \(8, 640\)"),
        ({"layout": "rows"}, "'rows', expected one of frame, block, contiguous, folder, sunrgbd"),
        ({"workers": -2}, "-2 workers"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong, message):
    arguments = {"frames": 1, "seed": 1, "shape": SHAPE} | wrong
    with pytest.raises(InputError, match=message):
        write_rooms(tmp_path / "rooms.mat", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*rooms\.mat"):
        write_rooms(tmp_path / "missing" / "rooms.mat", frames=1, seed=1, shape=SHAPE)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(InputError, match=r"^cannot write .*rooms\.mat: No space left on device; .*$"):
        write_rooms(tmp_path / "rooms.mat", frames=1, seed=1, shape=SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_the_old_file(tmp_path):
    path = tmp_path / "rooms.mat"
    write_rooms(path, frames=1, seed=0, shape=SHAPE)
    old = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rooms(path, frames=3, seed=1, shape=SHAPE, progress=stop)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_without_embreex_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(InputError, match=r"pip install 'region-support\[synth\]'"):
        render_room(1, 0, SHAPE)


def test_the_data_set_is_not_replaced(tmp_path):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    path.write_bytes(b"two days of downloading")
    with pytest.raises(InputError, match="is no file of rendered rooms"):
        write_rooms(path, frames=1, seed=0, shape=(24, 32))
    assert path.read_bytes() == b"two days of downloading"


@pytest.mark.parametrize("layout", ["folder", "sunrgbd", "scannet", "hypersim", "parquet"])
def test_rooms_in_the_layout_of_another_data_set(tmp_path, layout):
    if layout == "parquet":
        pytest.importorskip("pyarrow")
    out, told = tmp_path / "rooms", []
    write_rooms(out, frames=3, seed=SEED, shape=SHAPE, layout=layout, progress=lambda *a: told.append(a))
    assert told == [(1, 3), (2, 3), (3, 3)]
    source = open_source(out)
    assert len(source.frame_ids) == 3
    room = render_room(SEED, 0, SHAPE)
    depth = source.depth([0])[0]
    there = (depth > 0) & (room.raw_depth_m > 0)
    assert there.mean() > 0.3
    with pytest.raises(InputError, match="rooms: exists; choose another name"):
        write_rooms(out, frames=3, seed=SEED, shape=SHAPE, layout=layout)
    assert not list(tmp_path.glob(".rooms*"))
