"""A sound store passes; every kind of damage is found, and the frame named."""

import json
import os
import re
import shutil
import warnings

import numpy as np
import pytest
import zarr

from rsgt import builder
from rsgt.inputs import InputError
from rsgt.quality.verification import frame_problems, verify
from rsgt.sources import open_source
from rsgt.store import manifest, reader, schema
from tests.conftest import smooth_frames, write_nyu
from tests.version3 import as_version_3


@pytest.fixture
def built(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    plan = builder.plan_build(source, builder.Parameters(min_size=4), shard_frames=4)
    out = tmp_path / "s.zarr"
    builder.build_plan(source, out, plan)
    return source, out


def messages(path, **options):
    return [str(problem) for problem in verify(path, **options).problems]


@pytest.mark.parametrize(
    "parameters",
    [
        builder.Parameters(),
        builder.Parameters(depth="raw", unlabelled="ignore", instances=True, min_size=0),
        builder.Parameters(variant="published"),
        builder.Parameters(surface="plane", min_size=4),
        builder.Parameters(surface="plane", tolerance=0.05, across_labels=True, unlabelled="ignore"),
    ],
)
def test_sound_stores_pass(nyu_file, tmp_path, parameters):
    source = open_source(nyu_file[0])
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, parameters))
    found = verify(tmp_path / "s.zarr", source=source, sample=10)
    assert found.problems == []
    assert (found.frames, found.compared_with_source) == (10, 10)


def test_a_flipped_bit_names_its_frames(built):
    _, out = built
    file = out / "support/c/1/0/0"
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)
    found = messages(out)
    assert "support/c/1/0/0: the file's SHA-256 is not the recorded one (support of frames 5..8)" in found
    assert any(m.startswith("frame 5: support can't be decoded") for m in found)
    with pytest.raises(ValueError, match="support of frames 4..4 can't be read"):
        reader.open_store(out).read("support", 4, 5)


def test_missing_and_short_files(built):
    _, out = built
    (out / "rgb/c/0/0/0/0").unlink()
    with (out / "depth/c/2/0/0").open("r+b") as file:
        file.truncate(50)
    found = messages(out)
    assert "rgb/c/0/0/0/0: the file is missing (rgb of frames 1..4)" in found
    assert any(m.startswith("depth/c/2/0/0: the file has 50 bytes") for m in found)


def rewrite_root(out, change):
    """Change the root's attributes as somebody would who knows the format, its seal included."""
    document = json.loads((out / "zarr.json").read_text())
    change(document["attributes"])
    document["attributes"] = manifest.sealed(document["attributes"])
    (out / "zarr.json").write_text(json.dumps(document))


def test_altered_labels_with_mended_checksums(built):
    """Someone rewrites a frame through Zarr and even the record: the algorithm itself disagrees."""
    _, out = built
    array = zarr.open_array(str(out / "region"), mode="r+")
    array[0:4] = np.where(array[0:4] == 1, 2, array[0:4])
    record = manifest.file_record(out / "region/c/0/0/0")
    at = 0, [*schema.FRAME_SPECS].index("region")
    zarr.open_array(str(out / "shards/bytes"), mode="r+")[at] = record["bytes"]
    digest = np.frombuffer(bytes.fromhex(record["sha256"]), np.uint8)
    zarr.open_array(str(out / "shards/sha256"), mode="r+")[at] = digest
    mended = {
        name: manifest.file_record(out / name) for name in ("shards/bytes/c/0/0", "shards/sha256/c/0/0/0")
    }
    rewrite_root(out, lambda attributes: attributes["files"].update(mended))
    found = messages(out)
    assert any("content hash differs" in m for m in found)
    assert any(m.startswith("frame 1: region labels are not dense") for m in found)


def test_altered_planes(nyu_file, tmp_path):
    out = tmp_path / "s.zarr"
    builder.build(nyu_file[0], out, surface="plane", min_size=4, shard_frames=4)
    for name in ("inverse_depth_0", "support_variance", "support_rmse"):
        column = zarr.open_array(str(out / "regions" / name), mode="r+")
        column[0] = 2 * column[0]
    found = messages(out)
    for name in ("inverse_depth_0", "support_variance", "support_rmse"):
        assert f"frame 1: column {name} of the regions' table disagrees with the maps" in found
    assert any("m off the plane of its region" in m for m in found)
    assert not any(m.startswith("frame 2") for m in found)
    rewrite_root(out, lambda attributes: attributes["parameters"].update(regions=3))
    assert any("region differs from Algorithm 1" in m for m in messages(out))


def test_wrong_parameters_and_table(built):
    _, out = built
    rewrite_root(out, lambda attributes: attributes["parameters"].update(bins=3))
    assert any("differs from Algorithm 1" in m for m in messages(out))
    zarr.open_array(str(out / "regions/area"), mode="r+")[0] = 1
    found = messages(out)
    assert any("column area" in m and m.startswith("frame 1:") for m in found)
    assert any(m.startswith("regions/area/c/0: the file") for m in found)


def test_wrong_metadata_is_found_though_all_records_are_mended(built):
    _, out = built
    file = out / "split/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["dimension_names"] = ["image"]
    file.write_text(json.dumps(metadata))
    record = manifest.file_record(file)
    rewrite_root(out, lambda attributes: attributes["files"].update({"split/zarr.json": record}))
    (found,) = messages(out)
    assert found == "array split: dimension_names is ('image',), expected ('frame',)"


RESEALED = {
    "parameters is None, expected a dict": {"parameters": None},
    "its parameters are none": {"parameters": {"bins": 10, "colour": "blue"}},
    "its parameters are none .*bins": {"parameters": {"bins": -3}},
    "shards is .., expected a dict": {"shards": []},
    "its shards are {}": {"shards": {}},
    "its shards are {'frames': 0": {"shards": {"frames": 0, "shard_frames": 0}},
    "its shards are {'frames': 10, 'shard_frames': '4'": {"shards": {"frames": 10, "shard_frames": "4"}},
    "its cameras are those of 10 frames, expected 9": {"shards": {"frames": 9, "shard_frames": 4}},
    "records of shards are none": {"shards": {"frames": 10, "shard_frames": 2}},
    "got format version 5": {"format_version": 5},
    "source is 7, expected a dict": {"source": 7},
    "versions is '1', expected a dict": {"versions": "1"},
    "has no record of the array rgb, depth": {"files": {}},
    "content_sha256 is None, expected a str": {"content_sha256": None},
    "cameras is {}, expected a list": {"cameras": {}},
    "its cameras have 3 after frame 0": {"cameras": [3]},
    "its cameras are those of 0 frames": {"cameras": []},
}


@pytest.mark.parametrize("message", RESEALED)
def test_attributes_that_are_none_though_they_are_sealed(built, message):
    _, out = built
    rewrite_root(out, lambda attributes: attributes.update(RESEALED[message]))
    if "format version" in message:
        with pytest.raises(InputError, match=message):
            verify(out)
        return
    (found,) = messages(out)
    assert re.search(message, found), found
    if "parameters are" not in message:
        with pytest.raises(reader.DamageError, match=message):
            reader.open_store(out)


LISTED = {
    "shards is {}, expected a list": {},
    "it has no shards": [],
    "its shard 0 holds frames .3, 4. after 0": [{"frames": [3, 4], "files": {}}],
    "its shard 0 holds frames None": ["all"],
    "is not of the arrays rgb": [{"frames": [0, 4], "files": {}}],
    "records of shards are none": [
        {"frames": [0, 10], "files": {name: {"bytes": 1, "sha256": "x"} for name in schema.FRAME_SPECS}}
    ],
}


@pytest.mark.parametrize("message", LISTED)
def test_records_of_shards_in_attributes_that_are_none(built, message):
    _, out = built
    as_version_3(out)
    assert messages(out) == []
    rewrite_root(out, lambda attributes: attributes.update(shards=LISTED[message]))
    (found,) = messages(out)
    assert re.search(message, found), found
    with pytest.raises(reader.DamageError, match=message):
        reader.open_store(out)


def test_a_chunk_without_a_record_is_named(built):
    """Readers hold chunks against records: one that has none could go missing unseen."""
    _, out = built
    rewrite_root(out, lambda attributes: attributes["files"].pop("regions/area/c/0"))
    assert messages(out) == ["regions/area/c/0: has no record in zarr.json"]


def test_a_root_that_is_no_file(built):
    _, out = built
    (out / "zarr.json").unlink()
    os.mkfifo(out / "zarr.json")
    (found,) = messages(out)
    assert "it is no file" in found


@pytest.mark.parametrize("name", ["rgb", "region", "frame", "split", "scene", "regions", "names", "shards"])
def test_a_lost_array_is_named(built, name):
    _, out = built
    shutil.rmtree(out / name)
    assert any(m.startswith(f"{name}/") and "the file is missing" in m for m in messages(out))
    with pytest.raises(reader.DamageError, match="the file is missing.*rsgt verify"):
        reader.open_store(out)


def test_another_source_is_told_apart(built, tmp_path):
    _, out = built
    other = open_source(write_nyu(tmp_path / "other.mat", smooth_frames(10, seed=3)))
    assert any("another file" in m for m in messages(out, source=other))


def test_source_that_changed_since(built, monkeypatch):
    source, out = built
    depth = type(source).depth
    monkeypatch.setattr(type(source), "depth", lambda self, f, kind="filled": depth(self, f, kind) + 1)
    found = messages(out, source=source, sample=2)
    assert len(found) == 2
    assert all("depth differs from the source" in m for m in found)


def maps(region, depth=None, semantic=None):
    region = np.array(region, np.int32)
    depth = np.full(region.shape, 2, np.float32) if depth is None else np.array(depth, np.float32)
    semantic = np.ones(region.shape, np.uint16) if semantic is None else np.array(semantic, np.uint16)
    table = builder.region_table(region, depth, semantic)
    support = np.concatenate([[0], table["depth_mean"]]).astype(np.float32)[region]
    frame = {"depth": depth, "semantic": semantic, "instance": semantic, "region": region, "support": support}
    return frame, table


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ([[1, 1], [1, 0]], "1 pixels have a region and should not"),
        ([[1, 2], [2, 1]], "region differs from Algorithm 1"),
        ([[1, 2, 1]], "2 regions fall into 3 connected pieces"),
        ([[2, 1, 1]], "not in raster order"),
        ([[1, 3, 3]], "not dense"),
    ],
)
def test_each_invariant_is_checked(region, expected):
    found = [*frame_problems(*maps(region), builder.Parameters(min_size=0), {})]
    assert any(expected in m for m in found), found


def test_support_off_its_mean():
    frame, table = maps([[1, 1, 1]])
    frame["support"] = frame["support"] + np.float32(0.01)
    found = [*frame_problems(frame, table, builder.Parameters(min_size=0), {})]
    assert any("0.01 m off the mean depth" in m for m in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(foo=1),
        lambda document: document.update(zarr_format=3.0),
        lambda document: document["consolidated_metadata"]["metadata"]["depth"]["attributes"].update(
            units="mm"
        ),
        lambda document: document.update(consolidated_metadata={}),
    ],
)
def test_all_that_the_root_says_is_checked(built, change):
    """Some readers take the copies of the arrays' metadata that a root may hold."""
    _, out = built
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is no part of Zarr's specification yet
        zarr.consolidate_metadata(str(out))
    assert messages(out) == []
    document = json.loads((out / "zarr.json").read_text())
    change(document)
    (out / "zarr.json").write_text(json.dumps(document))
    assert messages(out)
    with pytest.raises(reader.DamageError):
        reader.open_store(out)


def test_a_name_that_is_there_twice(built):
    _, out = built
    text = (out / "zarr.json").read_text()
    (out / "zarr.json").write_text(text.replace("{", '{"attributes": {"title": "another"},', 1))
    assert messages(out)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_lost_root_is_damage_and_can_be_built_anew(built, kind):
    source, out = built
    (out / "zarr.json").unlink()
    if kind == "folder":
        (out / "zarr.json").mkdir()
    assert messages(out)
    plan = builder.plan_build(source, builder.Parameters(min_size=4), shard_frames=4)
    builder.build_plan(source, out, plan, overwrite=True)
    assert messages(out) == []
