"""Hypersim: rooms in its layout come back, and so do its traps."""

import pickle
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from rsgt.inputs import DataWarning, InputError
from rsgt.sources import facts, open_source, recognise
from rsgt.sources.cameras import planar_factor as pinhole_factor
from rsgt.sources.cameras import scaled
from rsgt.sources.exports import hypersim as export
from rsgt.sources.exports.hdf5 import write_image
from rsgt.sources.exports.maps import classes40
from rsgt.sources.hypersim.cameras import camera_of, planar_factor, standard_matrix
from rsgt.sources.hypersim.tables import CAMERA_TABLE, SPLIT_TABLE, CameraTable
from rsgt.sources.images import read_array
from tests.rendered import SHAPE, one_line, rooms, same_objects

REAL = Path(__file__).parents[3] / "shared" / "sources" / "hypersim"
CAMERA = scaled(facts.nyu_facts()["intrinsics_rgb"], (480, 640), SHAPE)
SCENES = ["ai_001_001"] * 4 + ["ai_001_002"] * 2 + ["ai_001_003"] * 3
WINDOW = facts.class_names("40").index("window") + 1
COLUMNS = [f"M_cam_from_uv_{row}{column}" for row in range(3) for column in range(3)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("hypersim")
    export.write(out, rooms())
    return out


@pytest.fixture
def copied(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "data"))


def geometry(path, scene="ai_001_001"):
    return path / scene / "images" / "scene_cam_00_geometry_hdf5"


class TestRoundTrip:
    def test_what_was_written_is_read(self, written):
        assert recognise(written) == "hypersim"
        source = open_source(written)
        assert source.shape == SHAPE
        assert source.label_sets == ("40",)
        assert source.class_names() == facts.class_names("40")
        assert source.has_instances
        frames = range(9)
        depth, labels = source.depth(frames), source.semantic(frames)
        objects, colour = source.instance(frames), source.rgb(frames)
        assert any((classes40(room) == WINDOW).any() for room in rooms())
        for k, room in enumerate(rooms()):
            wanted = classes40(room)
            np.testing.assert_array_equal(labels[k], wanted)
            # float16 keeps 11 bits of a distance; NaN is no depth.
            np.testing.assert_allclose(depth[k], np.where(wanted == WINDOW, 0, room.depth_m), rtol=6e-4)
            assert same_objects(objects[k], room)
            assert np.abs(colour[k].astype(int) - room.rgb).mean() < 12

    def test_names_scenes_and_split(self, written):
        source = open_source(written)
        assert source.scenes == SCENES
        assert source.names == [f"{s}/cam_00/{k - SCENES.index(s):04d}" for k, s in enumerate(SCENES)]
        assert source.split == ["train"] * 6 + ["test"] * 3
        assert source.cameras[3] == pytest.approx(CAMERA, abs=1e-6)

    def test_one_scene_alone(self, written):
        scene = written / "ai_001_003"
        assert recognise(scene) == "hypersim"
        source, whole = open_source(scene), open_source(written)
        assert source.names == whole.names[6:]
        np.testing.assert_array_equal(source.depth([1]), whole.depth([7]))
        assert source.split == ["test"] * 3

    def test_several_cameras(self, copied):
        images = copied / "ai_001_001" / "images"
        for kind in ("geometry_hdf5", "final_preview"):
            (images / f"scene_cam_00_{kind}").rename(images / f"scene_cam_10_{kind}")
            shutil.copytree(images / f"scene_cam_10_{kind}", images / f"scene_cam_02_{kind}")
        (copied / SPLIT_TABLE).unlink()
        source = open_source(copied)
        assert len(source.frame_ids) == 13
        assert [name.split("/")[1] for name in source.names[:8]] == ["cam_02"] * 4 + ["cam_10"] * 4

    def test_after_pickling_into_memory(self, written):
        source = pickle.loads(pickle.dumps(open_source(written)))
        out = np.empty((2, *SHAPE), np.float32)
        assert source.depth([3, 8], out=out) is out
        np.testing.assert_array_equal(out, open_source(written).depth(range(9))[[3, 8]])

    def test_without_labels_or_with_objects_alone(self, copied):
        for file in copied.rglob("*.semantic.hdf5"):
            file.unlink()
        source = open_source(copied)
        assert source.label_sets == ("masks",)
        assert same_objects(source.instance([0])[0], rooms()[0])
        np.testing.assert_array_equal(source.semantic([0])[0], rooms()[0].instance > 0)
        for file in copied.rglob("*.semantic_instance.hdf5"):
            file.unlink()
        source = open_source(copied)
        assert source.label_sets == ("none",)
        assert not source.has_instances
        assert not source.semantic([0]).any()


class TestCameras:
    def test_without_the_table_the_standard_camera_is_taken_and_said(self, copied, tmp_path):
        (copied / CAMERA_TABLE).rename(tmp_path / "cameras.csv")
        with pytest.warns(DataWarning, match=r"3 scenes \(ai_001_001, …\).*--camera-table") as told:
            source = open_source(copied)
        assert len(told) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            source = pickle.loads(pickle.dumps(source))
            standard = source.depth([0])[0]
        assert source.identity()["options"]["cameras"]["standard"] == [
            "ai_001_001",
            "ai_001_002",
            "ai_001_003",
        ]
        assert source.details()["cameras"]["exact"] == 0
        radial = read_array(geometry(copied) / "frame.0000.depth_meters.hdf5")
        factor = pinhole_factor(source.cameras[0], SHAPE)
        np.testing.assert_allclose(standard, np.nan_to_num(radial * factor), rtol=1e-6)
        assert source.cameras[0]["fx"] == pytest.approx(886.81 * 64 / 1024, rel=1e-5)
        exact = open_source(copied, camera_table=tmp_path / "cameras.csv")
        assert exact.details()["cameras"]["exact"] == 3
        assert exact.identity()["options"] != source.identity()["options"]

    def test_a_scene_that_the_table_lacks(self, copied):
        table = copied / CAMERA_TABLE
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
        with pytest.warns(DataWarning, match="2 scenes .*are not in metadata_camera_parameters.csv"):
            source = open_source(copied)
        assert source.details()["cameras"]["standard"] == ["ai_001_002", "ai_001_003"]

    def test_a_tilted_image_plane_has_no_pinhole_camera(self, copied):
        table = copied / CAMERA_TABLE
        lines = table.read_text().splitlines()
        cells = lines[1].split(",")
        cells[1 + COLUMNS.index("M_cam_from_uv_21")] = "0.03"
        table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
        source = open_source(copied)
        assert source.cameras[0] == {}
        assert source.cameras[4]
        assert source.details()["cameras"]["tilted"] == ["ai_001_001"]
        assert (source.depth([0]) >= 0).all()

    def test_both_formulas_agree_on_pinhole_cameras(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            (a, b), (c, d), e = rng.uniform(0.3, 1, 2), rng.uniform(-0.5, 0.5, 2), rng.uniform(0.5, 2)
            matrix = ((a, 0.0, c), (0.0, b, d), (0.0, 0.0, -e))
            factor = pinhole_factor(camera_of(matrix, (30, 41)), (30, 41))
            np.testing.assert_allclose(planar_factor(matrix, (30, 41)), factor, rtol=1e-6)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("scene_name,M_cam_from_uv_00\nai_001_001,1\n", "has no column M_cam_from_uv_01"),
            (f"scene_name,{','.join(COLUMNS)}\nai_001_001,1,2\n", "line 2: .*ai_001_001 is no camera"),
            (f"scene_name,{','.join(COLUMNS)}\nai_001_001{',nan' * 9}\n", "is no camera"),
            (f"scene_name,{','.join(COLUMNS)}\nai_001_001{',0' * 9}\n", "is no camera"),
            ("", "has no column scene_name"),
            (None, "No such file"),
        ],
    )
    def test_another_file(self, written, tmp_path, content, expected):
        table = tmp_path / "table.csv"
        if content is not None:
            table.write_text(content)
        with pytest.raises(InputError, match=expected) as caught:
            open_source(written, camera_table=table)
        one_line(caught)


class TestSplit:
    def test_excluded_frames_are_left_out_and_counted(self, copied):
        table = copied / SPLIT_TABLE
        table.write_text(
            table.read_text().replace("ai_001_001,cam_00,1,True,,train", "ai_001_001,cam_00,1,False,bad,")
        )
        source = open_source(copied)
        assert len(source.frame_ids) == 8
        assert "ai_001_001/cam_00/0001" not in source.names
        assert source.details()["excluded"] == {"frames": 1, "names": ["ai_001_001/cam_00/0001"]}
        assert source.split == ["train"] * 5 + ["test"] * 3

    def test_a_frame_that_the_table_lacks(self, copied):
        table = copied / SPLIT_TABLE
        table.write_text(table.read_text().replace("ai_001_001,cam_00,1,True,,train\n", ""))
        assert open_source(copied).split is None
        assert "has 1 of 9 frames in no part" in open_source(copied).details()["split_source"]
        with pytest.raises(InputError, match="has ai_001_001/cam_00/0001 in no part") as caught:
            _ = open_source(copied, split_table=table).split
        one_line(caught)

    def test_its_folder_is_enough(self, copied, tmp_path):
        (copied / SPLIT_TABLE).rename(tmp_path / SPLIT_TABLE)
        # Found one folder up, too; and said.
        assert open_source(copied).details()["split_source"] == SPLIT_TABLE
        assert open_source(copied, split_table=tmp_path).split == ["train"] * 6 + ["test"] * 3

    def test_a_part_that_nobody_knows(self, copied):
        table = copied / SPLIT_TABLE
        table.write_text(table.read_text().replace("train", "trian"))
        with pytest.raises(InputError, match="line 2: split_partition_name is 'trian'") as caught:
            open_source(copied)
        one_line(caught)


class TestBadInput:
    def test_a_missing_pair(self, copied):
        folder = geometry(copied)
        (folder / "frame.0001.depth_meters.hdf5").unlink()
        (folder / "frame.0002.semantic.hdf5").unlink()
        preview = copied / "ai_001_002" / "images" / "scene_cam_00_final_preview"
        (preview / "frame.0000.tonemap.jpg").unlink()
        (copied / SPLIT_TABLE).unlink()
        source = open_source(copied)
        assert len(source.frame_ids) == 6
        first, second, third = source.unpaired
        assert first == "ai_001_001/cam_00/0001: has no frame.NNNN.depth_meters.hdf5"
        assert second == "ai_001_001/cam_00/0002: has no frame.NNNN.semantic.hdf5"
        assert "ai_001_002/cam_00/0000: has no frame.NNNN.tonemap.jpg" in third

    @pytest.mark.parametrize(
        ("kind", "read"),
        [("depth_meters", "depth"), ("semantic", "semantic"), ("semantic_instance", "instance")],
    )
    def test_one_damaged_file(self, copied, kind, read):
        file = geometry(copied) / f"frame.0001.{kind}.hdf5"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        source = open_source(copied)
        getattr(source, read)([0])
        with pytest.raises(InputError, match=file.name) as caught:
            getattr(source, read)([1])
        one_line(caught)

    def test_an_unknown_label(self, copied):
        write_image(geometry(copied) / "frame.0001.semantic.hdf5", np.full(SHAPE, 41, np.int16))
        with pytest.raises(InputError, match=r"labels hold 41 \(frame ai_001_001/cam_00/0001\)") as caught:
            open_source(copied).semantic([0, 1])
        one_line(caught)

    @pytest.mark.parametrize(
        "values", [np.full(SHAPE, -2, np.int16), np.zeros(SHAPE), np.zeros((2, *SHAPE), int)]
    )
    def test_labels_that_are_none(self, copied, values):
        file = geometry(copied) / "frame.0001.semantic.hdf5"
        file.unlink()
        with h5py.File(file, "w") as stored:
            stored["dataset"] = values
        with pytest.raises(InputError, match="expected whole numbers") as caught:
            open_source(copied).semantic([1])
        one_line(caught)

    def test_depth_of_whole_numbers_and_of_infinity(self, copied):
        file = geometry(copied) / "frame.0001.depth_meters.hdf5"
        write_image(file, np.full(SHAPE, 2000, np.uint16))
        with pytest.raises(InputError, match="depth is uint16, expected metres") as caught:
            open_source(copied).depth([1])
        one_line(caught)
        write_image(file, np.full(SHAPE, np.inf, np.float16))
        assert not open_source(copied).depth([1]).any()

    def test_colour_of_another_size(self, copied):
        file = copied / "ai_001_001" / "images" / "scene_cam_00_final_preview" / "frame.0001.tonemap.jpg"
        Image.open(file).resize((32, 24)).save(file)
        with pytest.raises(InputError, match="colour of frame .* is 24x32, expected 48x64") as caught:
            open_source(copied).rgb([1])
        one_line(caught)
        assert open_source(copied, size=SHAPE).rgb([1]).shape == (1, *SHAPE, 3)

    def test_an_empty_folder_a_tar_and_colour_alone(self, copied, tmp_path):
        packed = tmp_path / "ai_001_001.tar"
        packed.write_bytes(bytes(257) + b"ustar")
        empty = tmp_path / "empty"
        empty.mkdir()
        for path, expected in ((empty, "has 0 frames of format hypersim"), (packed, "a tar archive.*unpack")):
            with pytest.raises(InputError, match=expected) as caught:
                open_source(path, format="hypersim")
            one_line(caught)


class TestReal:
    @pytest.fixture(autouse=True)
    def _there(self):
        if not REAL.exists():
            pytest.skip("the real frames (shared/sources beside the checkout) are not here")

    def test_the_exact_formula_against_the_usual_one(self):
        """Of a scene with a tilted image plane."""
        file = REAL / "ai_037_002" / "images" / "scene_cam_00_geometry_hdf5" / "frame.0000.depth_meters.hdf5"
        radial = read_array(file).astype(np.float64)
        shape = radial.shape
        matrix = CameraTable(REAL / CAMERA_TABLE).matrices({"ai_037_002"})["ai_037_002"]
        exact, usual = (
            radial * planar_factor(matrix, shape),
            radial * planar_factor(standard_matrix(shape), shape),
        )
        difference = np.abs(exact - usual) / exact
        assert np.median(difference) == pytest.approx(0.021, abs=5e-4)
        assert difference.max() == pytest.approx(0.057, abs=5e-4)
        assert camera_of(matrix, shape) == {}

    def test_the_usual_camera_of_a_standard_scene(self):
        matrix = CameraTable(REAL / CAMERA_TABLE).matrices({"ai_001_001"})["ai_001_001"]
        wanted = {"fx": 886.81, "fy": 886.81, "cx": 511.5, "cy": 383.5}
        for camera in (camera_of(matrix, (768, 1024)), camera_of(None, (768, 1024))):
            assert camera == pytest.approx(wanted, abs=1e-3)

    def test_a_frame_of_an_unknown_scene(self):
        with pytest.warns(DataWarning, match=r"scene ai_999_001 is not in"):
            source = open_source(REAL)
        assert source.names == ["ai_999_001/cam_00/0000"]
        assert "ai_037_002/cam_00/0000" in source.unpaired[0]
        depth = source.depth([0])
        assert (depth == 0).mean() == pytest.approx(0.019, abs=1e-3)
        assert 1 < depth[depth > 0].min() < depth.max() < 6.8
        assert {*np.unique(source.semantic([0]))} >= {0, 1, 2, 40}
