"""ScanNet: rooms in its layouts come back, and so do their traps."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsgt.inputs import InputError
from rsgt.sources import facts, open_source, recognise
from rsgt.sources.cameras import scaled
from rsgt.sources.exports import scannet as export
from rsgt.sources.exports.maps import classes40
from rsgt.sources.scannet.tables import TABLE, LabelTable
from tests.rendered import SHAPE, one_line, rooms, same_objects

CAMERA = scaled(facts.nyu_facts()["intrinsics_rgb"], (480, 640), SHAPE)
SCANS = ["scene0000_00"] * 4 + ["scene0001_00"] * 2 + ["scene0002_00"] * 3


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("scannet")
    export.write(out, rooms())
    return out


@pytest.fixture
def copied(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture
def frames_25k(tmp_path):
    out = tmp_path / "scannet_frames_25k"
    export.write_25k(out, rooms())
    return out


class TestRoundTrip:
    def test_what_was_written_is_read(self, written):
        assert recognise(written) == "scannet"
        source = open_source(written)
        assert source.shape == SHAPE
        assert source.depth_kinds == ("stored",)
        assert source.label_sets == ("40", "raw")
        assert source.class_names() == facts.class_names("40")
        assert source.has_instances
        frames = range(9)
        depth, labels, raw = source.depth(frames), source.semantic(frames), source.semantic(frames, "raw")
        objects, colour = source.instance(frames), source.rgb(frames)
        for k, room in enumerate(rooms()):
            assert np.abs(depth[k] - room.raw_depth_m).max() < 6e-4
            assert ((depth[k] == 0) == (room.raw_depth_m < 5e-4)).all()
            np.testing.assert_array_equal(labels[k], classes40(room))
            np.testing.assert_array_equal(raw[k], room.semantic)
            assert same_objects(objects[k], room)
            # Colour went up by 2.02 and came down again: blurred, but in its place.
            assert np.abs(colour[k].astype(int) - room.rgb).mean() < 12

    def test_frames_go_by_their_number(self, written):
        source = open_source(written)
        wanted = [f"{scan}/{8 + k - SCANS.index(scan)}" for k, scan in enumerate(SCANS)]
        assert source.names == wanted
        assert source.names[1:3] == ["scene0000_00/9", "scene0000_00/10"]

    def test_names_of_raw_ids_come_from_the_table(self, written):
        assert list(open_source(written).class_names("raw")) == facts.class_names("894")

    def test_camera_is_that_of_depth(self, written):
        source = open_source(written)
        assert source.cameras[5] == pytest.approx(CAMERA, abs=1e-5)
        half = open_source(written, size=(24, 32))
        assert half.cameras[5] == pytest.approx(scaled(CAMERA, SHAPE, (24, 32)), abs=1e-5)
        assert half.semantic([0]).shape == half.depth([0]).shape == (1, 24, 32)

    def test_one_scan_alone(self, written):
        scan = written / "scans" / "scene0002_00"
        assert recognise(scan) == "scannet"
        source, whole = open_source(scan), open_source(written)
        assert source.names == whole.names[6:]
        assert source.scenes == whole.scenes[6:]
        np.testing.assert_array_equal(source.semantic([1]), whole.semantic([7]))

    def test_after_pickling_into_memory(self, written):
        source = pickle.loads(pickle.dumps(open_source(written)))
        out = np.empty((2, *SHAPE), np.uint16)
        assert source.semantic([3, 8], "raw", out) is out
        np.testing.assert_array_equal(out, np.stack([rooms()[k].semantic for k in (3, 8)]))

    def test_rescans_of_a_space_are_one_scene(self, copied):
        scans = copied / "scans"
        (scans / "scene0001_00").rename(scans / "scene0000_01")
        source = open_source(copied)
        assert source.scenes == ["scene0000"] * 6 + ["scene0002"] * 3
        assert len({*source.names}) == 9

    def test_identity_has_the_table(self, copied):
        first = open_source(copied).identity()
        table = copied / TABLE
        assert first["options"]["label_table"]["name"] == TABLE
        table.write_text(table.read_text() + "1\tx\tx\t1\twall\n")
        assert open_source(copied).identity()["options"] != first["options"]


class TestFrames25k:
    def test_what_was_written_is_read(self, frames_25k):
        assert recognise(frames_25k) == "scannet"
        source = open_source(frames_25k)
        assert source.label_sets == ("40",)
        assert source.names[0] == "scene0000_00/000800"
        assert source.details()["label_source"] == "NYU's 40 classes (8 bits)"
        assert source.cameras[0] == pytest.approx(CAMERA, abs=1e-5)
        labels, objects = source.semantic(range(9)), source.instance(range(9))
        for k, room in enumerate(rooms()):
            np.testing.assert_array_equal(labels[k], classes40(room))
            assert same_objects(objects[k], room)

    def test_a_table_changes_nothing(self, written, frames_25k):
        source = open_source(frames_25k, label_table=written / TABLE)
        assert source.label_sets == ("40",)
        assert source.details()["label_source"] == "NYU's 40 classes (8 bits)"
        np.testing.assert_array_equal(source.semantic([0])[0], classes40(rooms()[0]))

    def test_a_label_that_is_no_class(self, frames_25k):
        file = frames_25k / "scene0000_00" / "label" / "000900.png"
        Image.fromarray(np.full(SHAPE, 41, np.uint8)).save(file)
        with pytest.raises(InputError, match=r"labels hold 41 \(frame scene0000_00/000900\)") as caught:
            open_source(frames_25k).semantic([1])
        one_line(caught)

    def test_labels_of_both_kinds(self, frames_25k):
        file = frames_25k / "scene0000_00" / "label" / "000900.png"
        Image.fromarray(np.full(SHAPE, 7, np.uint16)).save(file)
        with pytest.raises(InputError, match="labels are uint16, expected 8 bits") as caught:
            open_source(frames_25k).semantic([1])
        one_line(caught)


class TestLabelTable:
    def test_without_it_ids_stay_and_the_way_to_classes_is_said(self, copied):
        (copied / TABLE).unlink()
        source = open_source(copied)
        assert source.label_sets == ("raw",)
        assert list(source.class_names()) == []
        np.testing.assert_array_equal(source.semantic([0])[0], rooms()[0].semantic)
        assert f"--label-table {TABLE} gives NYU's 40 classes" in source.details()["label_source"]
        with pytest.raises(InputError, match=f"got '40'.*--label-table {TABLE}") as caught:
            source.semantic([0], "40")
        one_line(caught)

    def test_it_may_lie_elsewhere(self, copied, tmp_path):
        elsewhere = tmp_path / "labels.tsv"
        (copied / TABLE).rename(elsewhere)
        source = open_source(copied, label_table=elsewhere)
        np.testing.assert_array_equal(source.semantic([0])[0], classes40(rooms()[0]))

    def test_the_last_row_of_an_id_counts(self, tmp_path):
        table = tmp_path / TABLE
        table.write_text('id\traw_category\tnyu40id\n107\tone\t7\n107\ttwo\t38\n3\tthree\t\n5\t"bed"\t4\n')
        read = LabelTable(table)
        assert read.names[106] == "two"
        assert read.to40[107] == 38
        assert read.to40[3] == 0
        assert read.names[4] == '"bed"'
        assert len(read.names) == 107

    def test_an_unknown_id_is_named(self, copied):
        file = copied / "scans" / "scene0000_00" / "label-filt" / "9.png"
        values = np.asarray(Image.open(file)).copy()
        values[3, 4] = 1358
        Image.fromarray(values).save(file)
        for labels in ("40", "raw"):
            with pytest.raises(
                InputError, match="has no id 1358, which frame scene0000_00/9 holds"
            ) as caught:
                open_source(copied).semantic([0, 1], labels)
            one_line(caught)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("id,raw_category,nyu40id\n1,wall,1\n", "expected id, nyu40id and raw_category"),
            ("id\traw_category\tnyu40id\n", "has no rows"),
            ("id\traw_category\tnyu40id\n1\twall\tone\n", "line 2 has id '1' and nyu40id 'one'"),
            ("id\traw_category\tnyu40id\n1\twall\t41\n", "a class from 0 to 40"),
            ("id\traw_category\tnyu40id\n1\n", "line 2"),
            (None, "no such file; expected scannetv2-labels"),
        ],
    )
    def test_another_file(self, copied, tmp_path, content, expected):
        table = tmp_path / "table.tsv"
        if content is not None:
            table.write_text(content)
        with pytest.raises(InputError, match=expected) as caught:
            open_source(copied, label_table=table).semantic([0])
        one_line(caught)


class TestScans:
    def test_lost_poses_are_counted_and_stay(self, written):
        source = open_source(written)
        assert source.details()["lost_poses"] == {"frames": 3, "numbers": "1,5,7"}
        assert len(source.frame_ids) == 9

    def test_units_may_be_told_by_the_scan(self, copied):
        (copied / "scans" / "scene0001_00" / "_info.txt").write_text(
            "m_versionNumber = 4\nm_depthShift = 2000.000\n"
        )
        depth = open_source(copied).depth([3, 4])
        assert np.abs(depth[0] - rooms()[3].raw_depth_m).max() < 6e-4
        assert np.abs(2 * depth[1] - rooms()[4].raw_depth_m).max() < 6e-4
        (copied / "scans" / "scene0001_00" / "_info.txt").write_text("m_depthShift = none")
        with pytest.raises(InputError, match="m_depthShift is none, expected") as caught:
            open_source(copied).depth([4])
        one_line(caught)

    def test_without_a_camera(self, copied):
        shutil.rmtree(copied / "scans" / "scene0000_00" / "intrinsic")
        cameras = open_source(copied).cameras
        assert cameras[0] == {}
        assert cameras[4]

    def test_a_damaged_camera(self, copied):
        (copied / "scans" / "scene0000_00" / "intrinsic" / "intrinsic_depth.txt").write_text("1 2 3")
        with pytest.raises(InputError, match="intrinsic_depth.txt: got .*expected fx,fy,cx,cy") as caught:
            _ = open_source(copied).cameras
        one_line(caught)

    def test_without_labels_or_with_objects_alone(self, copied):
        for scan in (copied / "scans").iterdir():
            shutil.rmtree(scan / "label-filt")
        source = open_source(copied)
        assert source.label_sets == ("masks",)
        assert list(source.class_names()) == ["object"]
        assert same_objects(source.instance([0])[0], rooms()[0])
        np.testing.assert_array_equal(source.semantic([0])[0], rooms()[0].instance > 0)
        for scan in (copied / "scans").iterdir():
            shutil.rmtree(scan / "instance-filt")
        source = open_source(copied)
        assert source.label_sets == ("none",)
        assert not source.has_instances
        assert not source.semantic([0]).any()


class TestSplit:
    def test_lists_beside_the_scans(self, written):
        source = open_source(written)
        assert source.split == ["train"] * 6 + ["test"] * 3

    @pytest.mark.parametrize("name", ["", "scannetv2_val.txt"])
    def test_a_folder_or_one_of_the_lists(self, copied, tmp_path, name):
        lists = tmp_path / "Tasks"
        lists.mkdir()
        for file in copied.glob("scannetv2_*.txt"):
            file.rename(lists / file.name)
        assert open_source(copied).split is None
        assert "--split-table" in open_source(copied).details()["split_source"]
        assert open_source(copied, split_table=lists / name).split == ["train"] * 6 + ["test"] * 3

    def test_a_scan_in_no_list(self, copied):
        (copied / "scannetv2_val.txt").write_text("")
        source = open_source(copied)
        assert source.split is None
        assert "has 3 of 9 frames in no part, such as scene0002_00" in source.details()["split_source"]
        with pytest.raises(InputError, match="has scene0002_00 in no part") as caught:
            _ = open_source(copied, split_table=copied).split
        one_line(caught)

    def test_a_scan_in_two_lists(self, copied):
        (copied / "scannetv2_test.txt").write_text("scene0000_00\n")
        with pytest.raises(InputError, match="scene0000_00 is in another list") as caught:
            _ = open_source(copied).split
        one_line(caught)

    def test_no_lists(self, copied, tmp_path):
        with pytest.raises(InputError, match="has no scannetv2_train.txt") as caught:
            _ = open_source(copied, split_table=tmp_path).split
        one_line(caught)


class TestBadInput:
    def test_a_missing_pair(self, copied):
        scan = copied / "scans" / "scene0000_00"
        (scan / "depth" / "9.png").unlink()
        (scan / "color" / "10.jpg").unlink()
        (scan / "label-filt" / "11.png").unlink()
        shutil.rmtree(copied / "scans" / "scene0001_00" / "label-filt")
        source = open_source(copied)
        assert source.names == ["scene0000_00/8", *(f"scene0002_00/{k}" for k in (8, 9, 10))]
        assert [*source.unpaired] == [
            "scene0000_00/9: has no depth",
            "scene0000_00/10: has no color",
            "scene0000_00/11: has no label-filt",
            "scene0001_00: has no label-filt/ or label/, as other scans have",
        ]

    def test_labels_of_all_frames_of_which_few_were_exported(self, copied):
        scan = copied / "scans" / "scene0000_00"
        for number in (0, 1, 100):
            shutil.copy(scan / "label-filt" / "8.png", scan / "label-filt" / f"{number}.png")
        source = open_source(copied)
        assert len(source.frame_ids) == 9
        assert not source.unpaired

    def test_two_files_of_one_frame(self, copied):
        scan = copied / "scans" / "scene0000_00"
        shutil.copy(scan / "color" / "9.jpg", scan / "color" / "0009.jpg")
        with pytest.raises(InputError, match="color: two files are of frame 9, expected one") as caught:
            open_source(copied)
        one_line(caught)

    def test_eight_bits_of_depth(self, copied):
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(copied / "scans" / "scene0000_00" / "depth" / "9.png")
        with pytest.raises(InputError, match="depth is uint8, expected 16 bits") as caught:
            open_source(copied).depth([0, 1])
        one_line(caught)

    def test_depth_of_another_size(self, copied):
        file = copied / "scans" / "scene0000_00" / "depth" / "9.png"
        Image.fromarray(np.ones((24, 32), np.uint16)).save(file)
        with pytest.raises(InputError, match="depth of frame scene0000_00/9 is 24x32.*--size") as caught:
            open_source(copied).depth([0, 1])
        one_line(caught)

    @pytest.mark.parametrize(
        ("folder", "read"), [("color", "rgb"), ("depth", "depth"), ("label-filt", "semantic")]
    )
    def test_one_damaged_file(self, copied, folder, read):
        file = next((copied / "scans" / "scene0000_00" / folder).glob("9.*"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        source = open_source(copied)
        getattr(source, read)([0])
        with pytest.raises(InputError, match=f"{folder}/9.* can't be read") as caught:
            getattr(source, read)([1])
        one_line(caught)

    def test_an_empty_folder_and_a_zip(self, tmp_path):
        packed = tmp_path / "scans.zip"
        packed.write_bytes(b"PK\x03\x04")
        for path, expected in ((tmp_path, "has 0 frames of format scannet"), (packed, "zip archive.*unpack")):
            with pytest.raises(InputError, match=expected) as caught:
                open_source(path, format="scannet")
            one_line(caught)

    def test_no_pair_at_all(self, copied):
        for scan in (copied / "scans").iterdir():
            for file in (scan / "color").iterdir():
                file.unlink()
        with pytest.raises(InputError, match="has 0 frames .*9 files have no counterpart") as caught:
            open_source(copied)
        one_line(caught)

    def test_an_option_of_another_format(self, written):
        with pytest.raises(InputError, match="--sensor: format scannet takes --size, --label-table"):
            open_source(written, sensor="kv1")
