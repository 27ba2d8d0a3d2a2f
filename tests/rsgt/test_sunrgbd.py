"""SUN RGB-D: rooms in its layout come back, and so do its traps."""

import pickle
import shutil
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from rsgt.inputs import InputError
from rsgt.sources import facts, open_source, recognise, sunrgbd
from rsgt.sources.cameras import scaled
from rsgt.sources.exports import sunrgbd as export
from rsgt.sources.exports.maps import classes40
from rsgt.sources.sunrgbd.samples import scene_of
from rsgt.sources.sunrgbd.toolbox import key_of, read_split
from tests.rendered import SHAPE, one_line, rooms

REAL = Path(__file__).parents[3] / "shared" / "sources" / "sunrgbd"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("sunrgbd")
    export.write(out, rooms())
    return out


@pytest.fixture
def copied(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "sun"))


def samples(path):
    return sorted(folder.parent for folder in path.rglob("image"))


def depth_file(sample, folder="depth_bfx"):
    return next((sample / folder).iterdir())


def write_depth(file, millimetres):
    stored = millimetres.astype(np.uint16)
    Image.fromarray((stored << 3) | (stored >> 13)).save(file)


class TestRoundTrip:
    def test_what_was_written_is_read(self, written):
        assert recognise(written) == "sunrgbd"
        source = open_source(written)
        assert len(source.frame_ids) == 9
        assert source.shape == SHAPE
        assert source.depth_kinds == ("filled", "raw")
        assert source.label_sets == ("37",)
        assert source.class_names() == facts.class_names("40")[:37]
        assert not source.has_instances
        frames = range(9)
        filled, raw = source.depth(frames), source.depth(frames, "raw")
        labels, colour = source.semantic(frames), source.rgb(frames)
        for k, room in enumerate(rooms()):
            assert np.abs(filled[k] - room.depth_m).max() < 6e-4
            assert np.abs(raw[k] - room.raw_depth_m).max() < 6e-4
            wanted = classes40(room)
            np.testing.assert_array_equal(labels[k], np.where(wanted > 37, 0, wanted))
            assert np.abs(colour[k].astype(int) - room.rgb).mean() < 12

    def test_scenes_and_the_official_split(self, written):
        source = open_source(written)
        assert source.scenes == [f"2014-05-{1 + [0, 0, 0, 0, 1, 1, 2, 2, 2][k]:02d}" for k in range(9)]
        assert source.split == ["train"] * 6 + ["test"] * 3
        assert source.details()["split_source"] == "allsplit.mat"

    def test_camera_of_each_frame(self, written):
        source = open_source(written)
        wanted = scaled(facts.nyu_facts()["intrinsics_rgb"], (480, 640), SHAPE)
        assert len(source.cameras) == 9
        assert source.cameras[3] == pytest.approx(wanted, abs=1e-5)

    def test_parts_of_the_data_set(self, written):
        whole = open_source(written)
        for part in ("kv2", "kv2/kinect2data"):
            assert recognise(written / part) == "sunrgbd"
            source = open_source(written / part)
            assert source.names == whole.names
            np.testing.assert_array_equal(source.semantic([4]), whole.semantic([4]))
        sample = samples(written)[4]
        assert recognise(sample) == "sunrgbd"
        source = open_source(sample)
        assert source.names == [whole.names[4]]
        assert source.split == [whole.split[4]]
        np.testing.assert_array_equal(source.semantic([0]), whole.semantic([4]))

    def test_a_subset_into_memory_by_threads_after_pickling(self, written):
        source = pickle.loads(pickle.dumps(open_source(written)))
        whole = source.depth(range(9), "raw")
        labels = source.semantic(range(9))
        source = pickle.loads(pickle.dumps(source))
        out = np.empty((2, *SHAPE), np.float32)
        assert source.depth([2, 7], "raw", out) is out
        np.testing.assert_array_equal(out, whole[[2, 7]])
        found = {}

        def read(k):
            found[k] = source.semantic([k])[0]

        threads = [threading.Thread(target=read, args=(k,)) for k in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal([found[k] for k in range(9)], labels)

    def test_identity_tells_sources_apart(self, written, copied):
        first, again = open_source(written).identity(), open_source(copied).identity()
        assert first["fingerprint"] == again["fingerprint"]
        shutil.rmtree(samples(copied)[0])
        assert open_source(copied).identity()["fingerprint"] != first["fingerprint"]


class TestDepth:
    def test_beyond_eight_metres_bits_come_round(self, copied):
        file = depth_file(samples(copied)[0])
        write_depth(file, np.full(SHAPE, 8192 + 777))
        assert np.asarray(Image.open(file)).max() < 8192  # what a shift alone would make 0.8 m of
        np.testing.assert_allclose(open_source(copied).depth([0]), 8.969, rtol=1e-6)
        write_depth(file, np.full(SHAPE, 65_535))
        np.testing.assert_allclose(open_source(copied).depth([0]), 65.535, rtol=1e-6)

    def test_one_kind_alone(self, copied):
        for sample in samples(copied):
            shutil.rmtree(sample / "depth_bfx")
        source = open_source(copied)
        assert source.depth_kinds == ("raw",)
        assert len(source.frame_ids) == 9
        with pytest.raises(InputError, match="got 'filled', expected one of raw") as caught:
            source.depth([0], "filled")
        one_line(caught)

    def test_eight_bits_are_refused(self, copied):
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(depth_file(samples(copied)[0]))
        with pytest.raises(InputError, match="depth is uint8, expected 16 bits") as caught:
            open_source(copied).depth([0])
        one_line(caught)

    def test_a_damaged_file(self, copied):
        file = depth_file(samples(copied)[2])
        file.write_bytes(file.read_bytes()[:200])
        source = open_source(copied)
        source.depth([1])
        with pytest.raises(InputError, match=f"{file.name}.*can't be read") as caught:
            source.depth([2])
        one_line(caught)
        assert source.details()["sizes"] == [{"sensor": "kv2", "size": "48x64", "frames": 9}]

    def test_a_damaged_head_does_not_hide_the_rest(self, copied):
        depth_file(samples(copied)[0]).write_bytes(b"nothing")
        assert open_source(copied).details()["sizes"] == [{"sensor": "kv2", "size": "48x64", "frames": 8}]


class TestSizes:
    @pytest.fixture
    def mixed(self, copied):
        """Three frames of another sensor, which are larger."""
        (copied / "xtion").mkdir()
        for sample in samples(copied)[:3]:
            larger = copied / "xtion" / "sun3ddata" / "hotel_a" / "scan1" / sample.name
            larger.parent.mkdir(parents=True, exist_ok=True)
            sample.rename(larger)
            for file in [depth_file(larger), depth_file(larger, "depth")]:
                Image.open(file).resize((80, 60), Image.Resampling.NEAREST).save(file)
            file = next((larger / "image").iterdir())
            Image.open(file).resize((80, 60)).save(file)
        shutil.rmtree(copied / "SUNRGBDtoolbox")
        return copied

    def test_are_named_with_the_remedy(self, mixed):
        source = open_source(mixed)  # opens, so that it can be looked at
        assert source.details()["sizes"] == [
            {"sensor": "kv2", "size": "48x64", "frames": 6},
            {"sensor": "xtion", "size": "60x80", "frames": 3},
        ]
        pattern = r"kv2 48x64 \(6\), xtion 60x80 \(3\).*--size 48x64.*--sensor kv2\|xtion"
        for act in (source.identity, lambda: source.depth(range(9))):
            with pytest.raises(InputError, match=pattern) as caught:
                act()
            one_line(caught)

    def test_one_sensor(self, mixed):
        source = open_source(mixed, sensor="xtion")
        assert source.shape == (60, 80)
        assert source.scenes == ["xtion/sun3ddata/hotel_a"] * 3
        assert source.depth(range(3)).shape == (3, 60, 80)
        with pytest.raises(InputError, match="--sensor: got 'kv3', expected one of kv1, kv2"):
            open_source(mixed, sensor="kv3")
        with pytest.raises(InputError, match="has 0 frames of format sunrgbd"):
            open_source(mixed, sensor="kv1")

    def test_one_size_for_all_and_cameras_with_it(self, mixed):
        source = open_source(mixed, size=(24, 32))
        assert source.rgb(range(9)).shape == (9, 24, 32, 3)
        assert source.depth(range(9)).shape == (9, 24, 32)
        small, large = source.cameras[0], source.cameras[8]  # kv2 comes before xtion
        assert small["fx"] == pytest.approx(large["fx"] * 80 / 64)
        assert source.identity()["options"]["size"] == [24, 32]

    def test_colour_of_another_size_than_depth(self, copied):
        file = next((samples(copied)[0] / "image").iterdir())
        Image.open(file).resize((32, 24)).save(file)
        with pytest.raises(InputError, match="colour of frame .* is 24x32, expected 48x64.*--size") as caught:
            open_source(copied).rgb([0])
        one_line(caught)


class TestLabels:
    def test_a_stack_is_read_as_cells_are(self, written, copied):
        file = copied / "SUNRGBDtoolbox" / "Metadata" / "SUNRGBD2Dseg.mat"
        with h5py.File(file) as stored:
            cells = [stored[ref][()] for ref in stored["SUNRGBD2Dseg/seglabel"][()].ravel()]
        with h5py.File(file, "w") as stored:
            stored["SUNRGBD2Dseg/seglabel"] = np.stack(cells).astype(np.uint8)
        np.testing.assert_array_equal(
            open_source(copied).semantic(range(9)), open_source(written).semantic(range(9))
        )

    def test_labels_without_their_owners_are_refused(self, copied):
        (copied / "SUNRGBDtoolbox" / "Metadata" / "SUNRGBDMeta.mat").unlink()
        with pytest.raises(InputError, match="there is no SUNRGBDMeta.mat beside it") as caught:
            open_source(copied).semantic([0])
        one_line(caught)

    def test_a_frame_without_labels(self, copied):
        sample = samples(copied)[0]
        sample.rename(sample.with_name("another"))
        source = open_source(copied)
        with pytest.raises(InputError, match="has no labels of frame kv2/kinect2data/another") as caught:
            source.semantic([source.names.index("kv2/kinect2data/another")])
        one_line(caught)

    def test_labels_of_another_size(self, copied):
        """That of another frame, as a wrong order would give."""
        for sample in samples(copied):
            for folder in ("depth", "depth_bfx"):
                write_depth(depth_file(sample, folder), np.full((50, 64), 1000))
        with pytest.raises(InputError, match="labels of frame .* is 48x64, expected 50x64"):
            open_source(copied).semantic([0])

    def test_pictures_of_labels(self, copied):
        shutil.rmtree(copied / "SUNRGBDtoolbox")
        assert open_source(copied).label_sets == ("none",)
        assert not open_source(copied).semantic([0]).any()
        first, second = samples(copied)[:2]
        Image.fromarray(np.full(SHAPE, 5, np.uint8)).save(first / "label37.png")
        (second / "label").mkdir()
        Image.fromarray(np.full(SHAPE, 38, np.uint8)).save(second / "label" / "label.png")
        source = open_source(copied)
        assert source.label_sets == ("37",)
        assert (source.semantic([0]) == 5).all()
        with pytest.raises(InputError, match="labels of frame .* hold 38, expected 0 to 37") as caught:
            source.semantic([1])
        one_line(caught)
        assert not source.semantic([2]).any()
        assert source.details()["label_source"] == "pictures of 2 of 9 frames"


class TestSplit:
    def table(self, path):
        return path / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"

    def test_a_frame_in_no_part(self, copied):
        sample = samples(copied)[0]
        sample.rename(sample.with_name("another"))
        source = open_source(copied)
        assert source.split is None
        told = source.details()["split_source"]
        assert "has 1 of 9 frames in no part, such as kv2/kinect2data/another" in told
        with pytest.raises(InputError, match=r"another in no part .*--split-table") as caught:
            _ = open_source(copied, split_table=self.table(copied)).split
        one_line(caught)

    @pytest.mark.parametrize("given", ["SUNRGBDtoolbox", "SUNRGBDtoolbox/traintestSUNRGBD", ""])
    def test_its_folder_is_enough(self, written, copied, given):
        other = open_source(copied, split_table=written / given)
        assert other.split == open_source(written).split

    def test_a_frame_in_both_parts(self, copied):
        file = self.table(copied)
        content = loadmat(file)
        savemat(file, {"alltrain": content["alltrain"], "alltest": content["alltrain"]})
        with pytest.raises(InputError, match="is in both parts") as caught:
            _ = open_source(copied).split
        one_line(caught)

    @pytest.mark.parametrize(
        "content", [b"", b"PK\x03\x04 zip", b"MATLAB 5.0 MAT-file, cut", b"\x89HDF\r\n\x1a\n"]
    )
    def test_another_file(self, copied, content):
        file = self.table(copied)
        file.write_bytes(content)
        with pytest.raises(InputError, match="allsplit.mat|SUNRGBDtoolbox") as caught:
            _ = open_source(copied).split
        one_line(caught)
        assert open_source(copied).details()["split_source"].startswith("none: ")


class TestBadInput:
    def test_a_missing_pair(self, copied):
        first, second, third = samples(copied)[:3]
        depth_file(first).unlink()
        shutil.rmtree(second / "image")
        shutil.copy(depth_file(third), third / "depth_bfx" / "another.png")
        source = open_source(copied)
        assert len(source.frame_ids) == 6
        told = " ".join(source.unpaired)
        assert "depth_bfx/ has no picture" in told
        assert "depth_bfx/ has 2 pictures" in told

    def test_an_empty_folder_a_zip_a_file_and_nothing(self, tmp_path):
        (tmp_path / "kv1").mkdir()
        packed = tmp_path / "SUNRGBD.zip"
        packed.write_bytes(b"PK\x03\x04")
        for path, expected in (
            (tmp_path, "has 0 frames of format sunrgbd"),
            (packed, "is a zip archive.*unpack it"),
            (tmp_path / "absent", "no such folder"),
        ):
            with pytest.raises(InputError, match=expected) as caught:
                open_source(path, format="sunrgbd")
            one_line(caught)

    def test_no_camera_is_unknown_and_a_damaged_one_is_refused(self, copied):
        first, second = samples(copied)[:2]
        (first / "intrinsics.txt").unlink()
        assert open_source(copied).cameras[0] == {}
        (second / "intrinsics.txt").write_text("529.5 0 nonsense")
        with pytest.raises(InputError, match="intrinsics.txt.*expected fx,fy,cx,cy") as caught:
            _ = open_source(copied).cameras
        one_line(caught)

    def test_options_of_other_formats(self, written):
        with pytest.raises(InputError, match="--camera-table: format sunrgbd takes"):
            open_source(written, camera_table=written)


@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("kv1/NYUdata/NYU0001", "NYUdata/from 0001"),
        ("kv1/NYUdata/NYU0005", "NYUdata/from 0003"),
        ("kv1/b3dodata/img_0063", "kv1/b3dodata"),
        ("kv2/kinect2data/002032_2014-06-24_16-37-12_260595134347_rgbf000046-resize", "2014-06-24"),
        ("kv2/align_kv2/2014-12-18_14-11-02_260595134347", "2014-12-18"),
        ("xtion/xtion_align_data/2014_12_18_14_22_2", "2014-12-18"),
        ("realsense/lg/2014_10_24-09_14_34-1311000073", "2014-10-24"),
        ("xtion/sun3ddata/home_ac/home_ac_scan1_2012_aug_22/0000110-000003653244", "xtion/sun3ddata/home_ac"),
    ],
)
def test_what_a_split_must_not_cut(name, scene):
    assert scene_of(name) == scene


class TestReal:
    @pytest.fixture(autouse=True)
    def _there(self):
        if not REAL.exists():
            pytest.skip("the real frames (shared/sources beside the checkout) are not here")

    def test_the_first_official_test_frame(self):
        assert recognise(REAL) == "sunrgbd"
        source = open_source(REAL)
        assert source.shape == (530, 730)
        assert source.split == ["test"]
        filled, raw = source.depth([0]), source.depth([0], "raw")
        assert (filled > 0).all()
        assert (raw == 0).mean() == pytest.approx(0.27, abs=0.01)
        seen = raw > 0
        # In-painting starts from what the sensor saw, in coarser steps.
        assert np.median(np.abs(filled[seen] - raw[seen])) < 0.03
        assert source.cameras[0]["fx"] == 529.5
        assert {*np.unique(source.semantic([0]))} == {0, 1, 2, 4, 17, 18, 19, 22, 32, 35}

    def test_the_official_split_of_every_frame(self):
        file = REAL / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat"
        content = loadmat(file)
        names = {part: [str(cell[0]) for cell in content[part].ravel()] for part in ("alltrain", "alltest")}
        keys = [key_of(name) for part in names.values() for name in part]
        found = read_split(REAL, file, keys)
        assert found.split == ["train"] * 5285 + ["test"] * 5050
        # NYU's frames have kept their official part, which is what their scenes here rest upon.
        train = facts.official_train_frames()
        parts = dict(zip(keys, found.split, strict=True))
        nyu = {int(key[-4:]): part for key, part in parts.items() if "/NYUdata/" in key}
        assert nyu == {number: "train" if number in train else "test" for number in range(1, 1450)}


def test_folders_of_the_same_names_are_not_taken_for_it(tmp_path):
    for name in ("realsense/rgb", "realsense/depth", "sa/rgb", "lg/rgb", "image", "depth"):
        (tmp_path / name).mkdir(parents=True)
    assert not sunrgbd.recognises(tmp_path)
    assert not sunrgbd.recognises(tmp_path / "realsense")
    assert not sunrgbd.recognises(tmp_path / "sa")
    (tmp_path / "SUNRGBD" / "realsense" / "sa").mkdir(parents=True)
    for part in (".", "SUNRGBD", "SUNRGBD/realsense", "SUNRGBD/realsense/sa"):
        assert sunrgbd.recognises(tmp_path / part)
