"""Sources of any kind: what a build takes from them, what it warns of, leaves out, and keeps."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rsgt
from rsgt.cli.commands import main
from rsgt.sources.plausibility import gathered, implausible
from rsgt.store import writer
from tests.conftest import smooth_frames, write_nyu


class Room(rsgt.Source):
    """Frames in memory: colour, and depth in metres; the rest is what the protocol says by default."""

    frame_ids, shape = (3, 4, 8, 9), (12, 16)

    def __init__(self, path="room", **changed):
        self.path = Path(path)
        self.changed = changed

    def rgb(self, frames, out=None):
        out = self.room(out, frames, np.uint8, 3)
        out[:] = np.arange(48, dtype=np.uint8).reshape(16, 3)
        return out

    def depth(self, frames, kind=None, out=None):
        out = self.room(out, frames, np.float32)
        for row, position in zip(out, frames, strict=True):
            number = self.frame_ids[position]
            if number == self.changed.get("unread"):
                raise rsgt.InputError(f"{number}.png: is damaged")
            row[:] = np.linspace(1, 3, 16) * self.changed.get("scale", {}).get(number, 1)
        return out


class Named(Room):
    """With labels, names, cameras, a split and scenes of its own."""

    names = ("a", "b", "c", "d")
    scenes = ("hall", "hall", "attic", "attic")
    split = ("train", "test", "train", "test")
    label_sets = ("own",)
    has_instances = True

    @property
    def cameras(self):
        first = {"fx": 10.0, "fy": 10.0, "cx": 7.5, "cy": 5.5}
        return [first, first, {}, first]

    def class_names(self, labels=None):
        return ["wall", "floor"]

    def semantic(self, frames, labels=None, out=None):
        out = self.room(out, frames, np.uint16)
        out[:] = 1
        out[:, 6:] = self.changed.get("label", 2)
        return out


def test_a_source_without_labels_is_split_by_depth_alone(tmp_path):
    store = rsgt.build(Room(), tmp_path / "s.zarr", bins=4, min_size=0)
    held = store.attributes["parameters"]
    assert (held["labels"], held["depth"], held["instances"]) == ("none", "stored", False)
    assert not store.class_names
    assert [frame.region.max() for frame in store] == [2] * 4
    assert [frame.name for frame in store] == ["3", "4", "8", "9"]
    assert store.attributes["cameras"] == [{"frames": [0, 4], "intrinsics": {}}]
    assert store.attributes["split_origin"] == "by scene, 20% test, seed 0"
    assert not rsgt.verify(store, source=Room()).problems
    for options in ({"unlabelled": "ignore"}, {"variant": "published"}):
        with pytest.raises(
            rsgt.InputError, match=r"has no labels, so that no pixel .* use --variant default"
        ):
            rsgt.build(Room(), tmp_path / "t.zarr", **options)


def test_names_cameras_split_and_scenes_come_from_the_source(tmp_path):
    store = rsgt.build(Named(), tmp_path / "s.zarr", bins=4, min_size=0, frames=[3, 8, 9])
    assert store.frame_names == ["a", "c", "d"]
    assert store.attributes["split_origin"] == "official"
    assert store.split.tolist() == [0, 0, 1]
    assert [frame.scene for frame in store] == ["hall", "attic", "attic"]
    runs = store.attributes["cameras"]
    assert [run["frames"] for run in runs] == [[0, 1], [1, 2], [2, 3]]
    assert store.frame(8).intrinsics == {}
    assert store.frame(9).intrinsics == Named().cameras[3]
    assert not rsgt.verify(store, source=Named()).problems

    class Renamed(Named):
        names = ("a", "b", "x", "d")
        cameras = ({},) * 4

    class Same(Renamed):
        def identity(self):
            return Named().identity()

    assert "another file" in str(rsgt.verify(store, source=Renamed()).problems[0])
    found = [str(problem) for problem in rsgt.verify(store, source=Same()).problems]
    assert found == ["names: differ from the source's", "cameras: differ from the source's"]


def test_a_split_may_name_frames(tmp_path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["a", "d"], "test": ["b", 8, "elsewhere"]}))
    store = rsgt.build(Named(), tmp_path / "s.zarr", split_file=split)
    assert store.split.tolist() == [0, 1, 1, 0]
    split.write_text(json.dumps({"train": ["a"], "test": ["b", "c"]}))
    with pytest.raises(rsgt.InputError, match="frame 9 is in no part"):
        rsgt.build(Named(), tmp_path / "t.zarr", split_file=split)


def test_labels_depth_and_instances_that_are_not_there(tmp_path):
    for options, told in (
        ({"labels": "40"}, r"--labels: got '40', room has own"),
        ({"depth": "raw"}, r"--depth: got 'raw', room has stored"),
        ({"labels": 40}, r"labels: got 40, expected a name"),
        ({"on_error": "ignore"}, r"--on-error: got 'ignore', expected one of stop, skip"),
    ):
        with pytest.raises(rsgt.InputError, match=told):
            rsgt.plan(Named(), **options)
    with pytest.raises(rsgt.InputError, match="has no instances; omit --instances"):
        rsgt.plan(Room(), instances=True)


def test_masks_alone_are_the_segments(tmp_path):
    class Masks(Room):
        label_sets, has_instances = ("masks",), True

        def class_names(self, labels=None):
            return ["object"]

        def instance(self, frames, out=None):
            out = self.room(out, frames, np.uint16)
            out[:] = np.repeat([0, 1, 2, 2], 4)
            return out

        def semantic(self, frames, labels=None, out=None):
            out = self.room(out, frames, np.uint16)
            out[:] = self.instance(frames) > 0
            return out

    store = rsgt.build(Masks(), tmp_path / "s.zarr", bins=1, min_size=0)
    assert store.attributes["parameters"]["instances"]
    assert np.array_equal(store.frame(3).region, np.tile(np.repeat([1, 2, 3, 3], 4), (12, 1)))
    apart = rsgt.build(Masks(), tmp_path / "t.zarr", bins=1, min_size=0, instances=False)
    assert apart.frame(3).region.max() == 2


def test_frames_that_cannot_be_read_stop_or_are_skipped_and_named(tmp_path):
    damaged = Room(unread=4)
    with pytest.raises(rsgt.InputError, match="4.png: is damaged"):
        rsgt.build(damaged, tmp_path / "s.zarr")
    store = rsgt.build(damaged, tmp_path / "t.zarr", on_error="skip")
    assert store.frame_id.tolist() == [3, 8, 9]
    assert store.attributes["source"]["skipped"] == ["4.png: is damaged"]
    assert rsgt.plan(damaged, on_error="skip")["skipped"] == ["4.png: is damaged"]
    assert not rsgt.verify(store, source=damaged).problems
    again = rsgt.build(damaged, tmp_path / "t.zarr", on_error="skip")
    assert again.identity == store.identity
    with pytest.raises(rsgt.InputError, match="no frame can be read: 4.png"):
        rsgt.build(damaged, tmp_path / "u.zarr", on_error="skip", frames=[4])


def test_files_without_a_counterpart_stop_or_are_skipped_and_named(tmp_path):
    class Unpaired(Room):
        unpaired = ("x.png has no depth map", "y.png has no depth map")

    with pytest.raises(rsgt.InputError, match=r"room: x.png has no depth map, and 1 more; --on-error skip"):
        rsgt.plan(Unpaired())
    store = rsgt.build(Unpaired(), tmp_path / "s.zarr", on_error="skip")
    assert store.attributes["source"]["skipped"] == list(Unpaired.unpaired)


def test_what_is_implausible_is_warned_of_and_found_again(tmp_path):
    odd = Named(scale={3: 1000, 4: 0, 8: 1e-3}, label=7)
    with pytest.warns(rsgt.DataWarning) as said:
        store = rsgt.build(odd, tmp_path / "s.zarr", shard_frames=2)
    told = [str(one.message).removeprefix(f"{store.path}: ") for one in said]
    assert told == [
        "frame 3 (1 in all): depth is above 100 m for the most part: its unit is no metre (millimetres?)",
        "frames 3, 4, 8, 9 (4 in all): labels go beyond the 2 class names",
        "frame 4 (1 in all): there is no depth",
        "frame 8 (1 in all): depth is below 0.1 m everywhere: its unit is no metre (kilometres?)",
    ]
    found = rsgt.verify(store, source=odd)
    assert not found.problems
    assert [str(one) for one in found.findings] == told
    again = CliRunner().invoke(main, ["verify", str(store.path)])
    assert again.exit_code == 0
    assert all(one in again.output for one in told)
    diagnosed = rsgt.diagnose(odd)
    assert diagnosed["findings"] == told
    assert diagnosed["unnamed_labels"] == [7]


def test_findings_come_from_records_read_once_and_outlast_a_stop(tmp_path, monkeypatch):
    odd, out, read = Room(scale={4: 0}), tmp_path / "s.zarr", []
    read_record, rename = writer._read_record, Path.rename

    def counted(folder, k, **how):
        read.append(k)
        return read_record(folder, k, **how)

    def stopped(self, to):
        if self.name == "region":  # half of the arrays have moved
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(writer, "_read_record", counted)
    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        rsgt.build(odd, out, shard_frames=2, min_size=0)
    assert sorted(read) == [0, 0, 1, 1]  # to see what is there, and to finish
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.warns(rsgt.DataWarning, match="frame 4 .*there is no depth"):
        rsgt.build(odd, out, shard_frames=2, min_size=0)


def test_each_doubt_about_a_frame():
    rgb, depth = np.arange(48, dtype=np.uint8).reshape(4, 4, 3), np.linspace(1, 2, 16).reshape(4, 4)
    labels = np.ones((4, 4), np.uint16)
    assert not [*implausible(rgb, depth, labels, 1)]
    assert not [*implausible(rgb, depth, labels + 9, 0)]
    assert [*implausible(rgb * 0, depth, labels, 1)] == ["colour is all black"]
    assert [*implausible(rgb * 0 + 9, depth, labels, 1)] == ["colour is all one value"]
    assert [*implausible(rgb, depth * 0 + 2, labels, 1)] == ["depth is the same everywhere"]
    far = depth.copy()
    far[0, 0] = 5000  # one far pixel is no other unit
    assert not [*implausible(rgb, far, labels, 1)]
    assert [*gathered([(k, "x") for k in range(9)])] == ["frames 0, 1, 2, 3, 4, … (9 in all): x"]


def test_info_of_a_source(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(3))
    found = json.loads(CliRunner().invoke(main, ["info", str(path), "--json"]).output)
    assert found["labels"] == ["894", "40", "13"]
    assert found["sample"] == 3
    assert found["depth_m"] == sorted(found["depth_m"])
    assert not found["findings"]
    assert found["shape"] == [24, 32]
    assert found["arrays"]["images"]["shape"] == [3, 3, 32, 24]
    seen = rsgt.diagnose(Room(unread=4))
    assert seen["findings"] == ["frame 4 (4): 4.png: is damaged"]
    assert seen["sample"] == 4


def test_info_shows_what_can_be_known_where_depth_can_not(tmp_path):
    source = Named(label=7)
    whole = rsgt.diagnose(source)
    source.depth = lambda *_: (_ for _ in ()).throw(rsgt.InputError("depth has no unit; give --depth-scale"))
    found = rsgt.diagnose(source)
    known = ("sample", "label_ids", "unnamed_labels", "objects_a_frame")
    assert {name: found[name] for name in known} == {name: whole[name] for name in known}
    assert (found["label_ids"], found.get("depth_m"), found.get("holes")) == ([1, 7], None, None)
    assert [line.partition("): ")[2] for line in found["findings"]] == [
        *["depth has no unit; give --depth-scale"] * 4, "labels go beyond the 2 class names",
    ]  # fmt: skip


def test_one_way_to_say_what_is_read(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(3))
    run = CliRunner().invoke
    for given, told in (
        ([], "give --nyu FILE, or --source PATH"),
        (["--nyu", path, "--source", path], "give --nyu FILE, or --source PATH"),
        (["--nyu", path, "--format", "folder"], "--nyu says what lies there"),
        (["--nyu", path, "--depth-scale", 1000], "--depth-scale: format nyu takes no option; omit it"),
        (["--source", path, "--size", "4by5"], "expected height and width, such as 480x640"),
        (["--source", path, "--column", "depth"], "--column: got depth, expected NAME=COLUMN"),
    ):
        done = run(main, ["build", "--out", str(tmp_path / "s.zarr"), *map(str, given)])
        assert done.exit_code == 2, done.output
        assert told in done.output
        assert not (tmp_path / "s.zarr").exists()
    done = run(main, ["build", "--source", str(path), "--out", str(tmp_path / "s.zarr"), "--dry-run"])
    assert f"{path}: format nyu" in done.output
    with pytest.raises(rsgt.InputError, match="--format: got 'mat', expected one of nyu"):
        rsgt.open_source(path, "mat")
    with pytest.raises(rsgt.InputError, match="options: got 'scale', expected some of size"):
        rsgt.open_source(path, scale=3)
