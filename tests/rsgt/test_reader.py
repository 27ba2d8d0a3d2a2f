"""A store as a sequence of frames: by number, by iteration, in xarray, and in one line."""

import pickle

import numpy as np
import pytest

import rsgt
from rsgt.inputs import InputError
from rsgt.store.reader import DamageError
from tests.conftest import smooth_frames, write_nyu


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write_nyu(folder / "a.mat", smooth_frames(7))
    return rsgt.build(folder / "a.mat", folder / "s.zarr", frames=[2, 3, 5, 7], shard_frames=3, min_size=4)


def test_a_frame_goes_by_its_number(store):
    frame = store.frame(5)
    assert frame.number == 5
    assert frame.scene == "scene_0002"
    assert frame.split == ("train", "test")[store.split[2]]
    for name in ("rgb", "depth", "semantic", "instance", "region", "support"):
        assert np.array_equal(getattr(frame, name), store.read(name, 2, 3)[0])
    assert frame.regions["label"].tolist() == list(range(1, frame.region.max() + 1))
    assert np.array_equal(frame.regions["area"], np.bincount(frame.region.ravel())[1:])
    for number in (1, 6, 8, 0, -2):
        with pytest.raises(InputError, match=f"frames: {number} asked for"):
            store.frame(number)


def test_a_store_is_a_sequence_of_frames(store):
    assert [frame.number for frame in store] == [2, 3, 5, 7]
    assert len(store) == len([*store]) == 4
    assert next(iter(pickle.loads(pickle.dumps(store)))).number == 2


def test_each_says_what_it_is(store):
    text = repr(store)
    assert f"{store.path}: 4 frames of 24x32" in text
    assert f"{int(store.region_start[-1])} regions" in text
    frame = store.frame(3)
    assert repr(frame).startswith(f"<Frame 3: 24x32, {frame.region.max()} regions, ")


def test_xarray_finds_a_frame_by_its_number(store):
    dataset = store.to_xarray()
    assert dataset.frame.values.tolist() == [2, 3, 5, 7]
    assert np.array_equal(dataset.depth.sel(frame=5), store.frame(5).depth)
    assert dataset.depth.attrs["units"] == "m"
    with pytest.raises(KeyError):
        dataset.depth.sel(frame=4)


def test_xarray_is_given_no_store_that_lacks_a_file(store, tmp_path):
    copy = rsgt.build(store.path.parent / "a.mat", tmp_path / "s.zarr", frames=[2, 3], min_size=4)
    (copy.path / "depth/c/0/0/0").unlink()
    with pytest.raises(DamageError, match="the file is missing"):
        copy.to_xarray()
