"""Records of shards and names of frames in arrays: as strong as in attributes, and the root stays small."""

import json

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import rsgt
from rsgt.quality.verification import verify
from rsgt.store import reader, schema
from rsgt.store.names import Names
from rsgt.store.records import ShardRecords
from tests.conftest import smooth_frames, write_nyu
from tests.version3 import as_version_3


@pytest.fixture(scope="module")
def mat(tmp_path_factory):
    return write_nyu(tmp_path_factory.mktemp("mat") / "a.mat", smooth_frames(7, shape=(12, 16)))


@pytest.fixture
def store(mat, tmp_path):
    return rsgt.build(mat, tmp_path / "s.zarr", min_size=4, shard_frames=2)


HASHES = st.binary(min_size=32, max_size=32)


@given(st.data(), st.integers(1, 30), st.integers(1, 9))
def test_records_are_a_list_packed(data, frames, each):
    """Their text is what a store's identity was a hash over when they were a list in attributes."""
    each = min(each, frames)
    shards = [
        {
            "frames": [first, min(first + each, frames)],
            "files": {
                name: {"bytes": data.draw(st.integers(0, 2**40)), "sha256": data.draw(HASHES).hex()}
                for name in schema.FRAME_SPECS
            },
        }
        for first in range(0, frames, each)
    ]
    records = ShardRecords.of_list(shards)
    assert b"".join(records.texts()) == json.dumps(shards, sort_keys=True).encode()
    assert [records.frames_of(k) for k in range(len(records))] == [tuple(one["frames"]) for one in shards]
    assert dict(records.files())["rgb/c/0/0/0/0"] == shards[0]["files"]["rgb"]
    assert records.bytes_of("depth") == sum(one["files"]["depth"]["bytes"] for one in shards)


@given(st.lists(st.text(st.characters(), max_size=9), max_size=9), st.data())
def test_names_are_a_list_packed(names, data):
    packed = Names.of(iter(names))
    assert packed == names
    assert [*packed] == names
    assert len(packed) == len(names)
    assert Names.of(packed) is packed
    assert packed == Names(packed.start, packed.text)
    cut = data.draw(st.slices(len(names)))
    assert packed[cut] == names[cut]
    for k in range(-len(names), len(names)):
        assert packed[k] == names[k]
    with pytest.raises(IndexError):
        packed[len(names)]
    assert packed != [*names, "more"]
    assert packed != 3
    if names:
        assert packed != [*names[:-1], names[-1] + "x"]


def test_the_root_does_not_grow_with_the_shards(mat, tmp_path):
    sizes = []
    for frames, folder in (([1], "one"), (None, "all")):
        out = rsgt.build(mat, tmp_path / folder, frames=frames, shard_frames=1).path
        sizes.append([(out / name / "zarr.json").stat().st_size for name in (".", "frame")])
    assert np.abs(np.subtract(*sizes)).max() < 50


def test_any_reader_of_zarr_finds_the_records(store):
    sizes, hashes = (zarr.open_array(str(store.path / "shards" / name)) for name in ("bytes", "sha256"))
    assert sizes.shape == (4, 6)
    for column, (name, spec) in enumerate(schema.FRAME_SPECS.items()):
        file = store.path / reader.shard_file(spec, 3)
        assert sizes[3, column] == file.stat().st_size
        assert bytes(hashes[3, column]).hex() == store.records.record(3, name)["sha256"]


@pytest.mark.parametrize("file", ["shards/bytes/c/0/0", "shards/sha256/c/0/0/0"])
@pytest.mark.parametrize("checked", [False, True])
def test_an_altered_record_is_found_when_the_store_is_opened(store, file, checked):
    """Whether by a flipped bit, or by somebody who writes through Zarr and its checksums."""
    if checked:
        array = zarr.open_array(str(store.path / file.partition("/c/")[0]), mode="r+")
        array[1, 1] = array[1, 1] + np.ones_like(array[1, 1])
    else:
        content = bytearray((store.path / file).read_bytes())
        content[-10] ^= 1
        (store.path / file).write_bytes(content)
    with pytest.raises(rsgt.DamageError, match=f"{file}: the file"):
        rsgt.open(store.path)
    assert any(file in str(problem) for problem in verify(store.path).problems)


def test_a_store_of_version_3_is_read_as_it_was(store, mat):
    expected = {name: store.read(name, 0, 7) for name in schema.FRAME_SPECS}
    names, told = [*store.frame_names], store.describe()
    as_version_3(store.path)
    opened = rsgt.open(store.path)
    assert opened.attributes["format_version"] == 3
    assert opened.identity == store.identity == reader.content_hash_of(opened)
    assert opened.frame_names == names
    assert all(np.array_equal(opened.read(name, 0, 7), values) for name, values in expected.items())
    assert told["arrays"].keys() - opened.describe()["arrays"].keys() == schema.RECORDED.keys()
    assert verify(store.path, source=mat).problems == []
    assert rsgt.statistics(opened).summary() == rsgt.statistics(store.path).summary()
    # The same build finds it finished.
    assert rsgt.build(mat, store.path, min_size=4, shard_frames=2).attributes == opened.attributes
    (store.path / "depth/c/3/0/0").unlink()
    with pytest.raises(
        rsgt.DamageError, match=r"depth/c/3/0/0: the file is missing \(depth of frames 7..7\)"
    ):
        rsgt.open(store.path)
