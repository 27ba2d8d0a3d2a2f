"""Parquet files: the schemas of NYU's mirrors, columns by name and option, the split, faults, memory."""

import pickle
import tracemalloc

import numpy as np
import pytest

from rsgt import InputError, build, check_source
from rsgt.sources import open_source, parquet
from rsgt.sources.facts import class_map, class_names
from tests.conftest import smooth_frames
from tests.parquet_files import encoded, jagennath, nested, tanganke, write_table, wyrx

pa = pytest.importorskip("pyarrow", reason="Parquet needs it: pip install 'region-support[parquet]'")

FIVE = smooth_frames(5)
FIVE["depths"] = np.rint(FIVE["depths"] * 1000).astype(np.float32) / 1000


def part(arrays, rows):
    return {name: values[rows] for name, values in arrays.items()}


def opened(path, **options):
    return open_source(path, "parquet", **options)


def columns(**other):
    """A schema that nobody knows, with one usual name a map, unless other columns are given."""
    usual = {
        "rgb": encoded(FIVE["images"]),
        "depth": encoded(np.rint(FIVE["depths"] * 1000).astype(np.uint16)),
        "labels": nested(FIVE["labels"].astype(np.int32)),
    }
    return {name: column for name, column in (usual | other).items() if column is not None}


def test_the_mirror_of_nested_lists(tmp_path):
    write_table(tmp_path / "data" / "val-00000-of-00001.parquet", tanganke(part(FIVE, slice(3, 5))))
    write_table(tmp_path / "data" / "train-00000-of-00002.parquet", tanganke(part(FIVE, slice(0, 2))))
    write_table(tmp_path / "data" / "train-00001-of-00002.parquet", tanganke(part(FIVE, slice(2, 3))))
    source = opened(tmp_path)
    check_source(source, frames=5)
    assert source.frame_ids == range(1, 6)
    assert source.names == ["train/0", "train/1", "train/2", "val/0", "val/1"]
    assert source.split == ["train"] * 3 + ["test"] * 2
    assert source.label_sets == ("13",)
    assert source.class_names() == class_names("13")
    every = [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(source.rgb(every), FIVE["images"])
    np.testing.assert_array_equal(source.depth(every), FIVE["depths"])
    np.testing.assert_array_equal(source.semantic(every), class_map("13")[FIVE["labels"]])
    assert not source.instance(every).any()
    assert source.details()["mirror"] == "tanganke/nyuv2"
    assert source.details()["parts"] == {"train": 3, "val": 2}
    assert source.identity()["options"]["label_offset"] == 1
    assert source.cameras == [{}] * 5


def test_the_camera_of_a_mirror_at_its_size(tmp_path):
    frame = smooth_frames(1, (288, 384))
    source = opened(write_table(tmp_path / "train.parquet", tanganke(frame)))
    assert source.cameras[0]["fx"] == pytest.approx(518.8579 * 0.6)
    full = opened(write_table(tmp_path / "full.parquet", jagennath(smooth_frames(1, (480, 640)))))
    assert full.cameras[0] == pytest.approx({"fx": 518.8579, "fy": 519.4696, "cx": 325.5824, "cy": 253.7362})
    small = opened(source.path, size=(144, 192), camera="300,300,191.5,143.5")
    assert small.cameras[0] == {"fx": 150, "fy": 150, "cx": 95.5, "cy": 71.5}
    assert opened(source.path, fov=90).cameras[0]["fx"] == pytest.approx(192)


@pytest.mark.parametrize("stretched", [True, False])
def test_the_mirror_with_ids_and_instances(tmp_path, stretched):
    write_table(
        tmp_path / "train-00000-of-00001.parquet", jagennath(part(FIVE, slice(0, 3)), stretched=stretched)
    )
    write_table(
        tmp_path / "test-00000-of-00001.parquet",
        jagennath(part(FIVE, slice(3, 5)), first=3, stretched=stretched),
    )
    source = opened(tmp_path)
    check_source(source)
    assert source.names == ["0", "1", "2", "3", "4"]
    assert source.split == ["train"] * 3 + ["test"] * 2
    np.testing.assert_array_equal(source.rgb(range(5)), FIVE["images"])
    np.testing.assert_array_equal(source.depth(range(5)), FIVE["depths"])
    wanted = class_map("40")[FIVE["labels"]] if stretched else FIVE["labels"]
    np.testing.assert_array_equal(source.semantic(range(5)), wanted)
    assert source.label_sets == (("40",) if stretched else ("own",))
    assert source.class_names() == (class_names("40") if stretched else ())
    instance = source.instance(range(5))
    for one, two in zip(instance, FIVE["instances"], strict=True):
        assert len(np.unique(one)) == len(np.unique(two)) == len(np.unique(one * 40 + two))


def test_names_that_are_not_unique_are_counted(tmp_path):
    write_table(tmp_path / "train.parquet", jagennath(FIVE))
    write_table(tmp_path / "test.parquet", jagennath(FIVE))
    assert opened(tmp_path).names[4:6] == ["train/4", "test/0"]


def test_the_mirror_of_encoded_images(tmp_path):
    path = write_table(tmp_path / "train-00000-of-00001.parquet", wyrx(FIVE))
    with pytest.raises(InputError, match=r"column depth is not known, .*millimetres, --depth-scale 1000"):
        opened(path).identity()
    source = opened(path, depth_scale=1000)
    check_source(source)
    np.testing.assert_array_equal(source.depth(range(5)), FIVE["depths"])
    np.testing.assert_array_equal(source.semantic(range(5)), class_map("40")[FIVE["labels"]])


def test_what_0_means_is_asked_for_where_nobody_says(tmp_path):
    unsaid = write_table(tmp_path / "a.parquet", wyrx(FIVE, none=39))
    source = opened(unsaid, depth_scale=1000)
    for call in (source.identity, lambda: source.semantic([0])):
        with pytest.raises(
            InputError, match="are from 0 to 39, expected to be told .*--label-offset 0.*--label-offset 1"
        ):
            call()
    assert source.depth([0]).any()
    assert opened(unsaid, depth_scale=1000, label_offset=1).semantic([0]).max() == 40
    with pytest.raises(InputError, match="--label-offset"):
        opened(write_table(tmp_path / "b.parquet", columns()), depth_scale=1000).semantic([0])


def test_minus_1_says_that_0_is_a_class(tmp_path):
    labels = nested(FIVE["labels"].astype(np.int32) - 1)
    source = opened(write_table(tmp_path / "a.parquet", columns(labels=labels)), depth_scale=1000)
    np.testing.assert_array_equal(source.semantic(range(5)), FIVE["labels"])
    assert source.label_sets == ("own",)
    check_source(source)


@pytest.mark.parametrize(
    ("names", "offset"), [(class_names("40"), 1), (["Background", *class_names("40")], 0)]
)
def test_class_names_that_the_file_has(tmp_path, names, offset):
    stored = class_map("40")[FIVE["labels"]].astype(np.int64) - offset
    feature = {"feature": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
    path = write_table(tmp_path / "a.parquet", columns(labels=nested(stored)), features={"labels": feature})
    source = opened(path, depth_scale=1000)
    assert source.label_sets == ("40",)
    assert source.class_names() == class_names("40")
    np.testing.assert_array_equal(source.semantic(range(5)), class_map("40")[FIVE["labels"]])


def test_columns_by_option_and_of_other_kinds(tmp_path):
    import pyarrow.types

    large = nested(FIVE["depths"].astype(np.float64)).cast(pa.large_list(pa.large_list(pa.float64())))
    path = write_table(tmp_path / "a.parquet", {
        "key": [7, 8, 9, 10, 11], "room": ["a", "a", "b", "b", "b"],
        "photo": nested(FIVE["images"]), "z": large, "things": nested(FIVE["instances"].astype(np.int64) - 1),
        "image": [1, 2, 3, 4, 5],
    })  # fmt: skip
    assert pyarrow.types.is_large_list(large.type)
    with pytest.raises(
        InputError, match="no column is known to hold colour, it has key, .*--column rgb=NAME"
    ):
        opened(path)
    with pytest.raises(InputError, match="no column is known to hold depth.*--column depth=NAME"):
        opened(path, columns={"rgb": "photo"})
    named = {"rgb": "photo", "depth": "z", "instance": "things", "id": "key", "scene": "room"}
    source = opened(path, columns=named, depth_scale=1)
    check_source(source)
    assert source.names == ["7", "8", "9", "10", "11"]
    assert source.scenes == ["a", "a", "b", "b", "b"]
    assert source.split is None
    assert source.label_sets == ("masks",)
    np.testing.assert_array_equal(source.rgb(range(5)), FIVE["images"])
    np.testing.assert_array_equal(source.instance(range(5)), FIVE["instances"])
    np.testing.assert_array_equal(source.semantic(range(5)), FIVE["instances"] > 0)
    for wrong, message in [
        ({"colour": "photo"}, "got colour=photo, expected one of rgb, depth"),
        ({"rgb": "foto"}, "got rgb=foto, .* has key, room"),
        ({"rgb": "image"}, "got rgb=image, whose cells are no images"),
        ({"id": "photo"}, "got id=photo, whose cells are no texts"),
    ]:
        with pytest.raises(InputError, match=f"--column: {message}"):
            opened(path, columns=wrong)


def test_tensors_and_plain_bytes(tmp_path):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(FIVE["depths"])
    table = columns(rgb=encoded(FIVE["images"], plain=True), depth=tensors, labels=None)
    source = opened(write_table(tmp_path / "a.parquet", table), depth_scale=1)
    np.testing.assert_array_equal(source.depth([1, 4]), FIVE["depths"][[1, 4]])
    np.testing.assert_array_equal(source.rgb([1, 4]), FIVE["images"][[1, 4]])
    assert source.label_sets == ("none",)
    check_source(source)


def test_values_that_mean_none_and_sizes(tmp_path):
    depth = FIVE["depths"] * 100
    depth[:, :2], depth[:, 2], depth[:, 3] = -7, np.nan, np.inf
    path = write_table(tmp_path / "a.parquet", columns(depth=nested(depth), labels=None))
    source = opened(path, depth_scale=100, no_depth=(-7,), size=(12, 16))
    assert source.depth([0]).shape == (1, 12, 16)
    assert source.rgb([0]).shape == (1, 12, 16, 3)
    assert (opened(path, depth_scale=100, no_depth=(-7,)).depth([0])[0, :4] == 0).all()
    with pytest.raises(InputError, match=r"depth below 0 \(frame a/0\).*--no-depth"):
        opened(path, depth_scale=100).depth([0])


def test_empty_cells(tmp_path):
    table = columns()
    for name in table:
        table[name] = pa.array([*table[name].to_pylist()[:4], None], table[name].type)
    source = opened(write_table(tmp_path / "a.parquet", table), depth_scale=1000, label_offset=0)
    assert not source.semantic([4]).any()
    for read in (source.rgb, source.depth):
        read([0, 3])
        with pytest.raises(InputError, match="of frame a/4: is empty; leave the frame out"):
            read([3, 4])
    store = build(source, tmp_path / "s.zarr", on_error="skip", workers=1)
    assert [frame.number for frame in store] == [1, 2, 3, 4]


def wrong_tables():
    depth8 = encoded((FIVE["depths"] * 20).astype(np.uint8))
    garbage = pa.array([{"bytes": b"no image", "path": None}] * 5)
    ragged = pa.array([[[1.0, 2.0], [3.0]]] * 5)
    holed = pa.array([[[1.0, 2.0], None]] * 5)
    yield "8 bits", {"depth": depth8}, "has 8 bits, expected 16 or floats"
    yield "JPEG depth", {"depth": encoded((FIVE["depths"] * 20).astype(np.uint8), "JPEG")}, "depth is a JPEG"
    yield "picture of depth", {"depth": encoded(FIVE["images"])}, "expected one number a pixel"
    yield "damaged", {"rgb": garbage}, "frame a/0: is no image, or damaged"
    yield "ragged", {"depth": ragged}, "its lists have different lengths"
    yield "null", {"depth": holed}, "lists have different lengths|has null"
    yield "colour as depth", {"rgb": encoded(np.ones((5, 24, 32), np.uint16))}, "is it the depth map"
    yield (
        "colour to 255 as floats",
        {"rgb": nested(FIVE["images"].astype(np.float32))},
        "expected floats from 0 to 1",
    )
    yield "colour of two channels", {"rgb": nested(FIVE["images"][..., :2])}, "expected colour as"
    yield (
        "another size",
        {"rgb": encoded(FIVE["images"][:, :12])},
        "colour of frame a/0 is 12x32, expected 24x32.*--size",
    )
    yield "float labels", {"labels": nested(FIVE["depths"])}, "labels are float32, expected whole numbers"
    yield "label", {"labels": nested(FIVE["labels"].astype(np.int64) * 9000)}, "holds label .*--label-offset"


@pytest.mark.parametrize(("table", "message"), [pytest.param(*one[1:], id=one[0]) for one in wrong_tables()])
def test_wrong_cells(tmp_path, table, message):
    path = write_table(tmp_path / "a.parquet", columns(**table))
    scale = {} if "8 bits" in message else {"depth_scale": 1000}

    def read():
        source = opened(path, label_offset=0, **scale)
        return source.rgb([0]), source.depth([0]), source.semantic([0])

    with pytest.raises(InputError, match=message) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert "a.parquet" in str(caught.value)


def test_an_8_bit_depth_is_taken_where_the_user_says_its_unit(tmp_path):
    path = write_table(tmp_path / "a.parquet", columns(depth=encoded((FIVE["depths"] * 20).astype(np.uint8))))
    assert opened(path, depth_scale=20).depth([0]).max() > 1


def test_unknown_label_of_a_mirror(tmp_path):
    table = tanganke(FIVE)
    labels = np.full((5, 24, 32), 13)
    path = write_table(tmp_path / "a.parquet", table | {"segmentation": nested(labels)})
    with pytest.raises(
        InputError,
        match=r"column segmentation of frame a/0: holds label 13, with an offset of 1 expected in 1 to 13",
    ):
        opened(path).semantic([0])


def test_where_there_is_nothing_or_something_else(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PK\x03\x04" + bytes(1000))
    (tmp_path / "empty").mkdir()
    whole = write_table(tmp_path / "whole" / "a.parquet", columns()).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    write_table(tmp_path / "none" / "a.parquet", {"rgb": encoded([]), "depth": encoded([])})
    for name, message in [
        ("a.parquet", "is no Parquet file, or damaged"),
        ("cut.parquet", "is no Parquet file, or damaged"),
        ("empty", "holds no Parquet file"),
        ("missing", "no such file or folder"),
        ("none", "has 0 frames of format parquet"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            opened(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_damage_inside(tmp_path):
    """Of any altered byte, frames come out, or one line does."""
    path = write_table(tmp_path / "a.parquet", tanganke(FIVE), write_page_checksum=True)
    whole, rng, told = path.read_bytes(), np.random.default_rng(0), []
    for place in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            source = opened(path)
            source.rgb([0, 4]), source.depth([0, 4]), source.semantic([0, 4])
        except InputError as error:
            told.append(str(error))
    assert len(told) > 40
    assert all("a.parquet" in message for message in told)


def test_files_of_another_layout_or_without_a_part(tmp_path):
    write_table(tmp_path / "train.parquet", tanganke(FIVE))
    write_table(tmp_path / "other.parquet", tanganke(FIVE))
    source = opened(tmp_path)
    assert len(source.frame_ids) == 5
    assert source.unpaired == (
        "other.parquet: its name says no part of a split (train, val, test), others' do",
    )
    write_table(tmp_path / "test.parquet", wyrx(FIVE))
    with pytest.raises(InputError, match="test.parquet: column image is missing, or of another type"):
        opened(tmp_path)


def test_parts_by_folders_and_recognition(tmp_path):
    for name in ("test", "train"):
        write_table(tmp_path / "default" / name / "0000.parquet", tanganke(part(FIVE, slice(0, 2))))
    assert parquet.recognises(tmp_path)
    assert opened(tmp_path).split == ["train", "train", "test", "test"]
    assert not parquet.recognises(tmp_path / "default" / "nowhere")
    (tmp_path / "pictures" / "rgb").mkdir(parents=True)
    assert not parquet.recognises(tmp_path / "pictures")
    assert parquet.recognises(tmp_path / "default" / "test" / "0000.parquet")


def test_order_is_natural(tmp_path):
    for number in (10, 9, 100):
        write_table(tmp_path / f"train-{number}.parquet", tanganke(part(FIVE, [0])) | {"id": [f"f{number}"]})
    assert opened(tmp_path).names == ["f9", "f10", "f100"]


def test_identity_tells_files_apart(tmp_path):
    path = write_table(tmp_path / "a" / "train.parquet", tanganke(FIVE))
    source = opened(path.parent)
    assert pickle.loads(pickle.dumps(source)).identity() == source.identity()
    first = source.identity()
    other = {name: values[::-1].copy() for name, values in FIVE.items()}
    write_table(path, tanganke(other))
    assert opened(path.parent).identity()["fingerprint"] != first["fingerprint"]
    path.rename(path.with_name("gone"))
    with pytest.raises(InputError, match="no such file|no Parquet"):
        source.rgb([0])


def test_memory_does_not_grow_with_row_groups(tmp_path):
    """A row group of 60 frames, of which a few are held at a time."""
    count, shape = 60, (96, 128)
    table = {
        "image": nested(np.zeros((count, 3, *shape), np.float32)),
        "depth": nested(np.ones((count, 1, *shape), np.float32)),
    }
    source = opened(write_table(tmp_path / "a.parquet", table, group=count), depth_scale=1)
    out = np.empty((2, *shape, 3), np.uint8)
    source.rgb([0, 1], out)
    before = pa.default_memory_pool().max_memory()
    tracemalloc.start()
    source.rgb([50, 59], out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    frame = np.prod(shape) * 3 * 4
    assert peak < 5 * frame
    assert pa.default_memory_pool().max_memory() < before + 20 * frame


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write_table(tmp_path / "a.parquet", columns())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'region-support\[parquet\]'"):
        opened(path)


def test_rooms(tmp_path):
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    from rsgt.sources.exports.parquet import write
    from rsgt.sources.rooms.frame import render_room

    rooms = [render_room(1, index, (48, 64)) for index in range(10)]
    write(tmp_path / "rooms", iter(rooms))
    source = opened(tmp_path / "rooms")
    check_source(source)
    assert {*source.split} == {"train", "test"}
    for f, name in enumerate(source.names):
        room = rooms[int(name) - 1]
        assert source.scenes[f] == room.scene
        np.testing.assert_array_equal(source.rgb([f])[0], room.rgb)
        np.testing.assert_array_equal(source.semantic([f])[0], class_map("40")[room.semantic])
        np.testing.assert_allclose(source.depth([f])[0], room.depth_m, atol=5.01e-4)
        objects = np.unique(room.semantic.astype(int) * 256 + room.instance, return_inverse=True)[1]
        instance = source.instance([f])[0].ravel()
        assert (
            len(np.unique(instance)) == objects.max() + 1 == len(np.unique(instance * 999 + objects.ravel()))
        )
