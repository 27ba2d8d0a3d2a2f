"""Predicted maps: what is kept of them, what is refused, and that a frame's fault is named."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from rsgt import open_prediction
from rsgt.inputs import InputError
from rsgt.store import manifest, reader
from rsgt.store.predictions import read_prediction, write_prediction
from tests.rooms import write_rooms

SHAPE = (48, 64)


def holding(value, dtype=float):
    def changed(maps):
        maps = maps.astype(dtype)
        maps[3, 5, 7] = value
        return maps

    return changed


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return reader.open_store(write_rooms(tmp_path_factory.mktemp("rooms") / "s.zarr", train=3, test=2))


@pytest.fixture(scope="module")
def depth(opened):
    return np.maximum(opened.read("depth", 0, len(opened)), 0.5)


def kept(path, opened, maps, **attributes):
    frames = ({"prediction": a, "region": (a > 2).astype(np.int32)} for a in maps)
    write_prediction(path, frames, opened.frame_id, SHAPE, attributes)
    return path


def read_all(path, opened, name="prediction"):
    frames, found = open_prediction(path, opened, np.arange(len(opened)), name)
    return np.stack([found(k) for k in frames])


def test_each_file_is_recorded_and_the_root_group_comes_last(opened, depth, tmp_path):
    path = kept(tmp_path / "p.zarr", opened, depth, store=opened.identity)
    records = manifest.group_attributes(path)["files"]
    assert {*records} == {str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()} - {"zarr.json"}
    assert all(
        manifest.file_problem(path / name, record, whole=True) is None for name, record in records.items()
    )
    assert np.array_equal(read_all(path, opened), depth)
    assert [file.name for file in tmp_path.iterdir()] == ["p.zarr"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, InputError])
def test_what_stops_half_way_leaves_nothing_and_can_be_run_again(opened, depth, tmp_path, error):
    def some():
        yield {"prediction": depth[0]}
        raise error

    with pytest.raises(error):
        write_prediction(tmp_path / "p.zarr", some(), opened.frame_id, SHAPE)
    assert [*tmp_path.iterdir()] == []
    kept(tmp_path / "p.zarr", opened, depth)


def test_what_a_kill_left_is_unfinished_and_replaced(opened, depth, tmp_path):
    path = kept(tmp_path / "p.zarr", opened, depth)
    left = path.rename(tmp_path / "p.zarr.unfinished")
    (left / "zarr.json").unlink()
    with pytest.raises(InputError, match="unfinished"):
        read_all(left, opened)
    kept(path, opened, depth)
    assert not left.exists()
    (path / "zarr.json").unlink()  # as an earlier version left one behind
    with pytest.raises(InputError, match="unfinished"):
        read_all(path, opened)


@pytest.mark.parametrize("name", ["prediction", "region"])
def test_every_file_that_is_missing_or_short_is_named(opened, depth, tmp_path, name):
    whole = kept(tmp_path / "p.zarr", opened, depth)
    for file in manifest.group_attributes(whole)["files"]:
        for damage in ("missing", "short", "empty"):
            path = tmp_path / "damaged.zarr"
            shutil.copytree(whole, path)
            data = (path / file).read_bytes()
            (path / file).write_bytes(data[: len(data) // 2] if damage == "short" else b"")
            if damage == "missing":
                (path / file).unlink()
            with pytest.raises(InputError, match=re.escape(file)):
                read_all(path, opened, name)
            shutil.rmtree(path)


def test_a_flipped_byte_is_named_with_its_frame(opened, depth, tmp_path):
    path = kept(tmp_path / "p.zarr", opened, depth)
    file = path / "prediction/c/0/0/0"
    data = bytearray(file.read_bytes())
    data[200] ^= 255
    file.write_bytes(data)
    with pytest.raises(InputError, match="frame 101 can't be read"):
        read_all(path, opened)


@pytest.mark.parametrize(
    "attributes",
    [{"files": 1}, {"files": {}}, {"files": {"prediction/zarr.json": 3}}, {"files": None}, 3, None],
)
def test_a_record_that_is_none(opened, depth, tmp_path, attributes):
    path = kept(tmp_path / "p.zarr", opened, depth)
    document = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps({**document, "attributes": attributes}))
    with pytest.raises(InputError):
        read_all(path, opened)


def test_predictions_of_another_store_are_refused(opened, depth, tmp_path):
    other = reader.open_store(write_rooms(tmp_path / "t.zarr", train=4, test=1))
    path = kept(tmp_path / "p.zarr", opened, depth, store=opened.identity)
    with pytest.raises(InputError) as caught:
        read_all(path, other)
    assert opened.identity[:12] in str(caught.value)
    assert other.identity[:12] in str(caught.value)
    assert np.array_equal(read_all(path, opened), depth)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (lambda d: [{"prediction": a} for a in d[:3]], "end before frame 104"),
        (lambda d: [{"prediction": a[:-1]} for a in d], "frame 101 is"),
        (
            lambda d: [{"prediction": d[0]}, {"region": d[1]}, *[{"prediction": a} for a in d[2:]]],
            "frame 102",
        ),
        (lambda d: [{"depth": a} for a in d], "frame 101"),
        (lambda d: [{"prediction": np.ma.masked_greater(a, 2)} for a in d], "frame 101 has masked pixels"),
        (lambda d: [{"region": a} for a in d], "region of frame 101 is float32, expected whole"),
        (lambda d: [{"region": a > 1} for a in d], "region of frame 101 is bool"),
        (lambda d: [{"region": a.astype(int) - 9} for a in d], "frame 101 has labels from -"),
        (lambda d: [{"prediction": a.astype(complex)} for a in d], "frame 101 is complex128"),
        (lambda d: [{"prediction": a} for a in holding(np.nan)(d)], "frame 104 has values that are NaN"),
        (lambda d: [{"prediction": a} for a in holding(1e30)(d)], "frame 104 has values from .* to 1e.30"),
    ],
)
def test_maps_that_are_not_as_promised_are_not_written(opened, depth, tmp_path, frames, message):
    with pytest.raises(InputError, match=message):
        write_prediction(tmp_path / "p.zarr", frames(depth), opened.frame_id, SHAPE)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "numbers", [[1, 2, 2, 4, 5], [0, 1, 2, 3, 4], [-1, 2, 3, 4, 5], [1.0, 2, 3, 4, 5], [[1, 2, 3, 4, 5]],
                [1, 2, 3, 4, 2**31], [True, False, True, True, True], ["1", "2", "3", "4", "5"]],
)  # fmt: skip
def test_numbers_that_no_frames_have(depth, tmp_path, numbers):
    with pytest.raises(InputError, match="^frame_id: got .*, expected the frames' numbers"):
        write_prediction(tmp_path / "p.zarr", ({"prediction": a} for a in depth), np.array(numbers), SHAPE)
    assert [*tmp_path.iterdir()] == []


DEPTHS = {
    "frame 104 has values that are NaN": holding(np.nan),
    "frame 104 has values that are NaN or inf": holding(np.inf),
    "frame 104 has values that are NaN or infinite": holding(1e300),
    "frame 104 has values from -0.25": holding(-0.25),
    r"frame 104 has values from .* to 1e\+30": holding(1e30),
    "frame 103 is 0 everywhere": lambda m: m * (np.arange(5) != 2)[:, None, None],
    "millimetres. give --prediction-scale 1000, or divide": lambda m: (1000 * m).astype(np.uint16),
    "centimetres. give --prediction-scale 100, or divide": lambda m: 100 * m,
    "inches. give --prediction-scale 39.37, or divide": lambda m: 39.37 * m,
    "decimetres. give --prediction-scale 10, or divide": lambda m: 10 * m,
    "kilometres. give --prediction-scale 0.001, or divide": lambda m: m / 1000,
    "micrometres. give --prediction-scale 1e.06, or divide": lambda m: 1e6 * m,
    "complex128": lambda m: m.astype(complex),
    "bool": lambda m: m > 1,
    "<U8": lambda m: m.astype("<U8"),
    r"\|S8": lambda m: m.astype("S8"),
    "no array here": lambda m: m.astype(object),
    r"got \(48, 64\)": lambda m: m[0],
    r"got \(1, 5, 48, 64\)": lambda m: m[None],
    r"got \(6, 48, 64\)": lambda m: np.concatenate([m, m[:1]]),
    r"maps are \(64, 48\)": lambda m: m.transpose(0, 2, 1),
    r"got \(0, 48, 64\)": lambda m: m[:0],
    "datetime64": lambda m: m.astype("datetime64[s]"),
    r"got \(\)": lambda m: np.float32(1),
    r"maps are \[\('x'": lambda m: m.astype([("x", "f4")]),
}


@pytest.mark.parametrize("message", DEPTHS)
def test_depths_that_are_none(opened, depth, tmp_path, message):
    np.save(tmp_path / "p.npy", DEPTHS[message](depth))
    with pytest.raises(InputError, match=message) as caught:
        read_all(tmp_path / "p.npy", opened)
    assert len(str(caught.value).splitlines()) == 1


REGIONS = {
    "maps are float64, expected whole numbers": lambda m: m,
    "frame 104 has labels from -1": holding(-1, np.int16),
    "frame 104 has labels from 0 to 4294967296": holding(2**32, np.int64),
    "frame 104 has labels from 0 to 18446744073709551615": holding(2**64 - 1, np.uint64),
    "frame 104 has labels from 0 to 3073": holding(48 * 64 + 1, np.int32),
    "complex": lambda m: m.astype(complex),
    "bool": lambda m: m > 1,
}


@pytest.mark.parametrize("message", REGIONS)
def test_regions_that_are_none(opened, tmp_path, message):
    np.save(tmp_path / "p.npy", REGIONS[message](np.zeros((5, *SHAPE))))
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / "p.npy", opened, "region")


@pytest.mark.parametrize("form", ["folder of png", "folder of npy", "npz", "npz by key"])
def test_the_same_maps_in_other_forms(opened, depth, tmp_path, form):
    numbers = opened.frame_id.tolist()
    region = (depth > 2).astype(np.int32) + (depth > 3)
    millimetres = np.rint(1000 * depth).astype(np.uint16)
    for name, maps in (("region", region), ("prediction", depth)):
        path, scale = tmp_path / name, None
        if form.startswith("folder"):
            path.mkdir()
        for number, one, mm in zip(numbers, maps, millimetres, strict=True):
            if form == "folder of png":
                values = one.astype(np.uint8) if name == "region" else mm
                Image.fromarray(values).save(path / f"{number:04d}.png")
                scale = None if name == "region" else 1000
            elif form == "folder of npy":
                np.save(path / f"{number}.npy", one)
        if form == "npz":
            np.savez(path, maps=maps, frame=numbers)
        elif form == "npz by key":
            np.savez(path, **dict(zip(map(str, numbers), maps, strict=True)))
        path = path if path.exists() else path.with_suffix(".npz")
        frames, found = open_prediction(path, opened, np.array([3, 0]), name, scale=scale)
        assert frames.tolist() == [0, 3]
        for k in frames:
            assert found(k).dtype == (np.int32 if name == "region" else np.float32)
            np.testing.assert_allclose(found(k), maps[k], atol=6e-4)
    with pytest.raises(InputError, match="expected whole numbers|labels from"):
        open_prediction(tmp_path / path.name, opened, np.arange(5), "region")[1](0)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "longdouble", "fortran"])
def test_depths_of_any_float_and_order(opened, depth, tmp_path, dtype):
    maps = np.asfortranarray(depth) if dtype == "fortran" else depth.astype(dtype)
    np.save(tmp_path / "p.npy", maps)
    found = read_all(tmp_path / "p.npy", opened)
    assert found.dtype == np.float32
    assert np.allclose(found, depth, rtol=1e-3)


def test_a_poor_network_is_no_other_unit(opened, depth, tmp_path):
    for factor in (0.2, 5):
        np.save(tmp_path / "p.npy", factor * depth)
        assert np.allclose(read_all(tmp_path / "p.npy", opened), factor * depth)


@pytest.mark.parametrize("cut", [0, 1, 5, 9, 10, 40, 127, 128, 1000])
def test_a_file_that_ends_early(opened, depth, tmp_path, cut):
    np.save(tmp_path / "w.npy", depth)
    (tmp_path / "p.npy").write_bytes((tmp_path / "w.npy").read_bytes()[:cut])
    with pytest.raises(InputError, match="no array here"):
        read_all(tmp_path / "p.npy", opened)


@pytest.mark.parametrize("kind", ["folder", "npz", "pickle", "text", "missing", "header"])
def test_what_is_called_npy_and_is_none(opened, depth, tmp_path, kind):
    path = tmp_path / "p.npy"
    if kind == "folder":
        path.mkdir()
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, depth)
    elif kind == "pickle":
        path.write_bytes(depth[0].dumps())
    elif kind == "text":
        path.write_text("depth")
    elif kind == "header":
        np.save(path, depth)
        path.write_bytes(path.read_bytes().replace(b"(5, 48, 64)", b"((((((((5, "))
    with pytest.raises(InputError, match="no array here"):
        read_all(path, opened)


@pytest.mark.parametrize("kind", ["missing", "file", "empty folder", "store"])
def test_what_is_no_prediction(opened, tmp_path, kind):
    path = tmp_path / "p.zarr"
    if kind == "file":
        path.write_text("x")
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "store":
        path = opened.path
    with pytest.raises(InputError, match="no array 'prediction'|unfinished"):
        read_prediction(path)
