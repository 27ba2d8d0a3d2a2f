"""Folders of colour and depth: how files are found, paired, named and put into scenes."""

import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rsgt
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.sources import facts, folder, open_source
from rsgt.sources.exports.folder import write
from rsgt.sources.folder import names
from rsgt.sources.rooms.frame import render_room

REAL = Path(__file__).parents[3] / "shared" / "sources"
SHAPE = (24, 32)


def ramp(number=0, shape=SHAPE):
    """Depth in millimetres that no two frames share: 1 to 3 m."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (1000 + 50 * y + 10 * x + number).astype(np.uint16)


def colour(number=0, shape=SHAPE):
    return np.random.default_rng(number).integers(1, 256, (*shape, 3), np.uint8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


def lay(root, *files):
    """Write colour or depth under each name; what depth is, its name says."""
    for number, name in enumerate(files):
        is_depth = "depth" in name
        save(root / name, ramp(number) if is_depth else colour(number))
    return root


def opened(path, **options):
    return open_source(path, "folder", **options)


def seen(path, **options):
    """Frame names, and the files of colour and depth below the path."""
    source = opened(path, **options)
    base = path.absolute()
    return source.names, [
        tuple(frame.files[role].relative_to(base).as_posix() for role in ("rgb", "depth"))
        for frame in source.frames
    ]


LAYOUTS = {
    "sub-folders": (["rgb/1.png", "depth/1.png"], ["1"]),
    "other words": (["colour/a.jpg", "depth_maps/a.png"], ["a"]),
    "words in two": (["rgb_images/a.jpg", "depth_images/a.png"], ["a"]),
    "images": (["images/a.jpg", "depths/a.png"], ["a"]),
    "below scenes": (["s1/rgb/1.png", "s1/depth/1.png", "s2/rgb/1.png", "s2/depth/1.png"], ["s1/1", "s2/1"]),
    "above scenes": (["rgb/s1/1.png", "depth/s1/1.png"], ["s1/1"]),
    "deep": (["a/b/rgb/c/1.png", "a/b/depth/c/1.png"], ["a/b/c/1"]),
    "in a folder of images": (["images/rgb/1.png", "images/depth/1.png"], ["1"]),
    "7-Scenes": (["seq-01/frame-000000.color.png", "seq-01/frame-000000.depth.png"], ["seq-01/frame-000000"]),
    "suffixes": (["x_rgb.png", "x_depth.png"], ["x"]),
    "prefixes": (["rgb_00001.jpg", "sync_depth_00001.png"], ["00001"]),
    "Replica": (["results/frame000000.jpg", "results/depth000000.png"], ["results/frame000000"]),
    "DIODE": (["s/0_indoor.png", "s/0_indoor_depth.npy", "s/0_indoor_depth_mask.npy"], ["s/0_indoor"]),
    "TartanAir": (["P0/image_left/0_left.png", "P0/image_right/0_right.png",
                   "P0/depth_left/0_left_depth.npy"], ["P0/left/0_left"]),
    "Virtual KITTI": (["frames/rgb/Camera_0/rgb_00000.jpg", "frames/depth/Camera_0/depth_00000.png"],
                      ["frames/Camera_0/00000"]),
    "same name in both": (["rgb/rgb_0001.png", "depth/rgb_0001.png"], ["rgb_0001"]),
    "each its word": (["rgb/0001_rgb.png", "depth/0001_depth.png"], ["0001"]),
    "a frame a folder": (["f1/rgb.png", "f1/depth.png", "f2/rgb.png", "f2/depth.png"], ["f1", "f2"]),
    "colour above": (["s/1.jpg", "s/depth/1.png"], ["s/1"]),
    "pictures of depth": (["rgb/1.png", "depth/1.png", "depth_vis/1.png", "depth/preview/1.png"], ["1"]),
    "capitals": (["RGB/1.PNG", "Depth/1.PNG"], ["1"]),
    "hidden files": (["rgb/1.png", "depth/1.png", "rgb/._1.png", ".cache/rgb/1.png"], ["1"]),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_colour_and_depth_without_patterns(tmp_path, layout):
    files, expected = LAYOUTS[layout]
    assert opened(lay(tmp_path, *files)).names == expected


def test_frames_are_in_natural_order_scene_after_scene(tmp_path):
    files = [f"{s}/{m}/{n}.png" for s in ("s10", "s2") for n in (1, 10, 2) for m in ("rgb", "depth")]
    source = opened(lay(tmp_path, *files))
    assert source.names == ["s2/1", "s2/2", "s2/10", "s10/1", "s10/2", "s10/10"]
    assert source.scenes == ["s2"] * 3 + ["s10"] * 3
    assert list(source.frame_ids) == [1, 2, 3, 4, 5, 6]


def test_never_pairs_by_order(tmp_path):
    lay(tmp_path, "rgb/1.png", "rgb/2.png", "rgb/3.png", "depth/2.png", "depth/3.png", "depth/4.png")
    source = opened(tmp_path)
    assert source.names == ["2", "3"]
    assert list(source.unpaired) == ["rgb/1.png: no depth", "depth/4.png: no colour"]


def test_zeros_in_front_are_part_of_a_name(tmp_path):
    with pytest.raises(InputError, match=r"first of each: rgb/1.png and depth/0001.png\); give patterns"):
        opened(lay(tmp_path, "rgb/1.png", "depth/0001.png"))


def test_left_is_not_paired_with_right(tmp_path):
    with pytest.raises(
        InputError, match="none of the 1 colour files has the name of one of the 1 depth maps"
    ):
        opened(lay(tmp_path, "image_left/1.png", "depth_right/1.png"))


def test_a_folder_without_any_counterpart_is_told_once(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png", *[f"depth_bfx/{n}.png" for n in range(1, 6)])
    assert list(opened(tmp_path).unpaired) == ["depth_bfx (5 files, such as depth_bfx/1.png): no colour"]


@pytest.mark.parametrize(
    "files",
    [
        ("rgb/1.png", "rgb/1.jpg", "depth/1.png"),
        ("rgb/1.png", "depth/1.png", "depth/1.npy"),
        ("a_rgb.png", "a_depth_zbuffer.png", "a_depth_euclidean.png"),
    ],
)
def test_two_files_of_one_frame_are_refused_with_both_names(tmp_path, files):
    with pytest.raises(InputError, match="are both of frame .*, expected one; say which with a pattern"):
        opened(lay(tmp_path, *files))


def test_patterns_say_which(tmp_path):
    lay(
        tmp_path,
        "a_rgb.png",
        "a_depth_zbuffer.png",
        "a_depth_euclidean.png",
        "b_rgb.png",
        "b_depth_zbuffer.png",
    )
    found = seen(tmp_path, colour="*_rgb.png", depth_maps="*_depth_zbuffer.png")
    assert found == (["a", "b"], [("a_rgb.png", "a_depth_zbuffer.png"), ("b_rgb.png", "b_depth_zbuffer.png")])


def test_a_pattern_reaches_any_depth(tmp_path):
    lay(tmp_path, "x/s1/left/1.png", "x/s1/d/1-depth.png", "left/2.png", "d/2-depth.png")
    options = {"colour": "**/left/*.png", "depth_maps": "**/d/*-depth.png"}
    assert seen(tmp_path, **options) == (
        ["2", "x/s1/1"],
        [("left/2.png", "d/2-depth.png"), ("x/s1/left/1.png", "x/s1/d/1-depth.png")],
    )
    assert opened(tmp_path, **options).scenes == [tmp_path.name, "x/s1"]


@pytest.mark.parametrize("pattern", ["pictures", "pictures/*", "./pictures/*.png", "{root}/pictures/*.png"])
def test_a_pattern_may_be_a_folder_or_begin_with_the_path(tmp_path, pattern):
    lay(tmp_path, "pictures/1.png", "depth/1.png")
    assert opened(tmp_path, colour=pattern.format(root=tmp_path)).names == ["1"]


@pytest.mark.parametrize("pattern", ["no/*.png", "../x/*.png", "/elsewhere/*.png", ""])
def test_a_pattern_that_leads_nowhere(tmp_path, pattern):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    with pytest.raises(InputError, match="^--colour: .*expected a pattern from"):
        opened(tmp_path, colour=pattern)


def tum(root, shift=0.004, count=6):
    """Colour at 10 Hz, depth a little later, their names being times; one depth map is missing."""
    for what, late in (("rgb", 0.0), ("depth", shift)):
        rows = ["# time file"]
        for k in range(count):
            if (what, k) != ("depth", 3):
                name = f"{what}/{1305031102.1 + 0.1 * k + late:.6f}.png"
                save(root / name, ramp(k) * 5 if what == "depth" else colour(k))
                rows.append(f"{1305031102.1 + 0.1 * k + late:.6f} {name}")
        (root / f"{what}.txt").write_text("\n".join(rows) + "\n")
    return root


def test_pairs_by_time_where_lists_say_so(tmp_path):
    source = opened(tum(tmp_path / "fr1"))
    assert source.names == [f"1305031102.{k}00000" for k in (1, 2, 3, 5, 6)]
    assert source.unpaired == ("rgb/1305031102.400000.png: no depth within 0.02 s",)
    assert source.details()["depth_scale_from"] == "layout of TUM RGB-D (rgb.txt, depth.txt)"
    np.testing.assert_array_equal(source.depth([1])[0], (ramp(1) * 5 / 5000).astype(np.float32))


def test_pairs_by_time_below_scene_folders_and_names_scenes(tmp_path):
    for scene in ("fr1_desk", "fr2_desk"):
        tum(tmp_path / scene, count=3)
    source = opened(tmp_path)
    assert source.scenes == ["fr1_desk"] * 3 + ["fr2_desk"] * 3
    assert source.names[0] == "fr1_desk/1305031102.100000"


def test_each_depth_map_is_used_once_and_the_nearest_pair_goes_first(tmp_path):
    for name in ("rgb/1.000.png", "rgb/1.012.png", "rgb/2.000.png", "depth/1.010.png", "depth/1.030.png"):
        lay(tmp_path, name)
    source = opened(tmp_path, pairing="time")
    assert [frame.files["depth"].name for frame in source.frames] == ["1.010.png"]
    assert source.names == ["1.012"]
    assert len(source.unpaired) == 3
    wider = opened(tmp_path, pairing="time", tolerance=0.031)
    assert [(f.name, f.files["depth"].name) for f in wider.frames] == [
        ("1.000", "1.030.png"), ("1.012", "1.010.png"),
    ]  # fmt: skip


def test_times_in_names_may_be_nanoseconds(tmp_path):
    lay(
        tmp_path,
        "rgb/1403636579763555584.png",
        "depth/1403636579765555584.png",
        "rgb/1403636579963555584.png",
    )
    source = opened(tmp_path, pairing="time")
    assert source.names == ["1403636579763555584"]


def test_times_in_names_may_have_a_counter_beside_them(tmp_path):
    files = ("s/r-1294886360.208-3157.ppm", "s/r-1294886360.308-3158.ppm", "s/d-1294886360.210-99.pgm")
    for number, name in enumerate(files):
        save(tmp_path / name, ramp(number) if "/d-" in name else colour(number))
    source = opened(tmp_path, colour="**/r-*.ppm", depth_maps="**/d-*.pgm", pairing="time")
    assert source.names == ["s/1294886360.208-3157"]
    assert source.scenes == ["s"]


def test_time_that_is_not_there_is_told(tmp_path):
    lay(tmp_path, "rgb/desk.png", "depth/desk.png")
    with pytest.raises(InputError, match="rgb/desk.png has no time in its name.*--pairing name"):
        opened(tmp_path, pairing="time")


def test_lists_can_be_overruled_and_are_checked(tmp_path):
    tum(tmp_path, shift=0.0)
    assert len(opened(tmp_path, pairing="name").names) == 5
    (tmp_path / "rgb.txt").write_text("now rgb/1.png\n")
    with pytest.raises(InputError, match="rgb.txt: line 1 is 'now rgb/1.png', expected a time in seconds"):
        opened(tmp_path)


def test_what_is_far_apart_in_time_is_no_pair(tmp_path):
    with pytest.raises(InputError, match=r"no colour lies within 0\.02 s of a depth map.*--tolerance"):
        opened(tum(tmp_path, shift=0.05))


def test_what_a_list_names_and_is_not_there_is_told(tmp_path):
    tum(tmp_path)
    next((tmp_path / "rgb").iterdir()).unlink()
    assert any(told.endswith("listed, but not there") for told in opened(tmp_path).unpaired)


def test_labels_and_instances_find_their_frames(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png", "rgb/2.png", "depth/2.png")
    save(tmp_path / "labels" / "1.png", np.full(SHAPE, 3, np.uint8))
    source = opened(tmp_path, depth_scale=1000)
    assert source.names == ["1"]
    assert source.unpaired == ("rgb/2.png: no label maps",)
    assert source.label_sets == ("own",)
    assert not source.has_instances
    assert (source.semantic([0]) == 3).all()


def test_labels_that_belong_to_no_frame_are_refused(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    save(tmp_path / "labels" / "0001.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(InputError, match="none of its 1 label maps has the name of a frame.*--label-maps"):
        opened(tmp_path)


def test_scenes_by_frame_and_by_file(tmp_path):
    lay(tmp_path, *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in (1, 2, 3)])
    assert opened(tmp_path).scenes == [tmp_path.name] * 3
    assert opened(tmp_path, scenes="frame").scenes == ["1", "2", "3"]
    table = tmp_path / "scenes.csv"
    table.write_text("1,kitchen\nrgb/2.png,kitchen\n3.png,bath\n")
    assert opened(tmp_path, scenes=str(table)).scenes == ["kitchen", "kitchen", "bath"]
    table.write_text("1 kitchen\n2 kitchen\n")
    with pytest.raises(InputError, match="says no scene of frame 3 .*add the line `3,SCENE`"):
        opened(tmp_path, scenes=str(table))
    with pytest.raises(InputError, match="--scenes: .*expected folder, frame, or a file"):
        opened(tmp_path, scenes=str(tmp_path / "no.txt"))


def test_a_build_of_one_scene_says_that_nothing_tests_and_what_would(tmp_path):
    lay(tmp_path / "own", *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in (1, 2, 3)])
    told = "no frame is in split 'test' (3 in train)"

    def built(*more):
        out = str(tmp_path / f"{len(more)}.zarr")
        command = ["build", "--source", str(tmp_path / "own"), "--depth-scale", "1000", "--out", out, *more]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        return out, done.stderr

    out, one = built()
    assert one.splitlines()[-1].endswith(
        f"{told}: whole scenes are drawn; build it with --scenes frame, or --split-file"
    )
    done = CliRunner().invoke(main, ["stats", out, "--split", "test"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{told}; choose --split train or all, or build it with --scenes frame, or" in done.stderr
    assert told not in built("--scenes", "frame")[1]


def test_verify_names_the_options_that_the_store_was_built_with(tmp_path):
    lay(tmp_path / "own", *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in (1, 2, 3)])
    own, out = tmp_path / "own", tmp_path / "s.zarr"
    rsgt.build(opened(own, depth_scale=1000, camera="30,30,16,12", scenes="frame"), out)

    def told(**options):
        return [str(problem) for problem in rsgt.verify(out, source=opened(own, **options)).problems]

    assert told(depth_scale=1000, camera="30,30,16,12", scenes="frame") == []
    assert told(depth_scale=1000, scenes="frame") == [
        "cameras: differ from the source's", "--camera: got none, expected 30,30,16,12, as at build"
    ]  # fmt: skip
    found = told(depth_scale=1000, camera="30,30,16,12")
    assert found[1:] == ["--scenes: got none, expected frame, as at build"]
    assert told(depth_scale=500, camera="30,30,16,12", scenes="frame")[-1] == (
        "--depth-scale: got 500, expected 1000, as at build"
    )
    with pytest.raises(InputError, match="^camera 30,30,16: got 3 numbers, expected four: fx,fy,cx,cy"):
        opened(own, depth_scale=1000, camera="30,30,16")


def test_a_wrong_unit_is_warned_of_with_the_scale_to_give(tmp_path):
    lay(tmp_path / "own", *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in (1, 2, 3)])
    for scale in (1, 1e5):
        told = f"--depth-scale: got {scale:g}, expected 1000, by the looks of it"
        with pytest.warns(rsgt.DataWarning, match=told):
            store = rsgt.build(opened(tmp_path / "own", depth_scale=scale), tmp_path / f"{scale:g}.zarr")
        assert told in str(rsgt.verify(store).findings[0])
        assert told in rsgt.diagnose(opened(tmp_path / "own", depth_scale=scale))["findings"][0]


def test_folders_called_train_and_val_are_a_split(tmp_path):
    lay(
        tmp_path,
        *[f"{part}/{m}/{n}.png" for part in ("train", "val") for m in ("rgb", "depth") for n in (1, 2)],
    )
    assert opened(tmp_path).split == ["train", "train", "test", "test"]
    assert opened(tmp_path / "train").split is None


BAD = {
    "an empty folder": ([], "holds no images; expected colour and depth files"),
    "a folder of zips": (["x/data.zip"], r"holds packed files \(x/data.zip\); unpack them"),
    "no depth": (["rgb/1.png"], "no depth maps found among its 1 images.*--depth-maps"),
    "no colour": (["depth/1.png"], "no colour images found among its 1 images.*--colour"),
    "other words": (["left/1.png", "right/1.png"], r"folders: left \(1\), right \(1\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_folder_of_frames(tmp_path, what):
    files, message = BAD[what]
    for name in files:
        if name.endswith(".zip"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_bytes(b"PK\3\4")
        else:
            lay(tmp_path, name)
    with pytest.raises(InputError, match=message) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_no_folder(tmp_path):
    packed = tmp_path / "frames.zip"
    packed.write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match="is a packed file, expected a folder; unpack it"):
        opened(packed)
    with pytest.raises(InputError, match="not found; expected a folder"):
        opened(tmp_path / "no")
    assert not folder.recognises(packed)
    assert folder.recognises(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth_kind": "euclidean"}, "^--depth-kind: got 'euclidean', expected planar or radial"),
        ({"pairing": "order"}, "^--pairing: got 'order', expected name or time"),
        ({"tolerance": -1}, "^--tolerance: got -1, expected seconds"),
        ({"tolerance": float("nan")}, "^--tolerance: "),
        ({"fov": 180}, "^--fov: got 180, expected degrees between"),
        ({"no_depth": ["65535"]}, "^--no-depth: .*expected numbers"),
        ({"label_offset": 0.5}, "^--label-offset: got 0.5, expected a whole number"),
        ({"fov": 60, "camera": "1,1,1,1"}, "^--fov: .*beside --camera"),
        ({"camera": "1,2,3"}, "^camera 1,2,3: "),
        ({"classes": Path("no.txt")}, "^--classes: no.txt: No such file"),
        ({"sensor": "kv1"}, "^--sensor: format folder takes "),
    ],
)
def test_options_that_can_not_be(tmp_path, options, message):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    with pytest.raises(InputError, match=message):
        opened(tmp_path, **options)


def test_a_link_to_a_folder_above_ends(tmp_path):
    lay(tmp_path, "s/rgb/1.png", "s/depth/1.png")
    (tmp_path / "s" / "again").symlink_to(tmp_path)
    assert opened(tmp_path).names == ["s/1"]


def test_a_linked_folder_is_followed(tmp_path):
    lay(tmp_path / "elsewhere", "1.png")
    lay(tmp_path / "here", "depth/1.png")
    (tmp_path / "here" / "rgb").symlink_to(tmp_path / "elsewhere")
    assert opened(tmp_path / "here").names == ["1"]


def test_a_store_in_the_folder_is_passed_over(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png", "out.zarr/rgb/1.png", "out.zarr/depth/1.png")
    assert opened(tmp_path).names == ["1"]


def test_listing_opens_no_image(tmp_path):
    for part in ("rgb", "depth"):
        (tmp_path / part).mkdir()
        for number in range(3000):
            (tmp_path / part / f"{number}.png").touch()
    started = time.perf_counter()
    source = opened(tmp_path, depth_scale=1000)
    assert len(source.names) == 3000
    assert source.names[2] == "2"
    assert time.perf_counter() - started < 20  # it takes a tenth of a second


def rooms(count=4):
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    return [render_room(0, index, (48, 64)) for index in range(count)]


def test_rooms_come_back_as_they_were_written(tmp_path):
    written = rooms()
    write(tmp_path, written)
    source = opened(tmp_path, classes=tmp_path / "classes.txt")
    assert source.shape == (48, 64)
    assert source.scenes == sorted(room.scene for room in written)
    assert source.label_sets == ("40",)
    assert list(source.class_names()) == facts.class_names("40")
    assert source.has_instances
    order = sorted(range(len(written)), key=lambda k: (written[k].scene, k))
    for position, room in enumerate(written[k] for k in order):
        np.testing.assert_array_equal(source.rgb([position])[0], room.rgb)
        np.testing.assert_allclose(source.depth([position])[0], room.raw_depth_m, atol=5.1e-4)
        np.testing.assert_array_equal(source.depth([position])[0] == 0, room.raw_depth_m == 0)
        np.testing.assert_array_equal(source.semantic([position])[0], facts.class_map("40")[room.semantic])
        assert (source.instance([position])[0] > 0).sum() == (room.instance > 0).sum()
    camera = facts.nyu_facts()["intrinsics_rgb"]
    assert source.cameras[0]["fx"] == pytest.approx(camera["fx"] / 10)
    details = source.details()
    assert details["depth_scale"] == 1000
    assert details["depth_scale_from"] == "intrinsics.json beside the depth maps"
    json.dumps([details, source.identity()])


def test_several_frames_out_pickling_and_threads(tmp_path, monkeypatch):
    lay(tmp_path / "data", *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in range(6)])
    monkeypatch.chdir(tmp_path)
    source = opened(Path("data"), depth_scale=1000)
    out = np.empty((2, *SHAPE), np.float32)
    assert source.depth([1, 4], out=out) is out
    monkeypatch.chdir("/")  # as a worker that was started elsewhere
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.depth([1, 4]), out)
    assert copy.identity() == source.identity()
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: copy.rgb(range(6)), range(8)):
            np.testing.assert_array_equal(found, source.rgb(range(6)))


def test_identity_tells_what_changed(tmp_path):
    lay(tmp_path, *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in range(3)])
    before = opened(tmp_path, depth_scale=1000).identity()
    assert before == opened(tmp_path, depth_scale=1000).identity()
    assert before != opened(tmp_path, depth_scale=500).identity()
    save(tmp_path / "depth" / "1.png", ramp(1) // 2)
    assert before["fingerprint"] != opened(tmp_path, depth_scale=1000).identity()["fingerprint"]


def test_words_are_taken_from_names_with_their_sign():
    words = frozenset({"rgb", "color", "depth"})
    cases = {
        "frame-000001.color": "frame-000001", "rgb_0001": "0001", "depth0001": "0001", "a_depth_b": "a_b",
        "1305031102.175304": "1305031102.175304", "rgb": "", "x.rgb_y": "x_y", "colorful": "colorful",
        "_depth_1": "1",
    }  # fmt: skip
    assert {name: names.without(name, words) for name in cases} == cases


@pytest.fixture
def real():
    if not REAL.is_dir():
        pytest.skip("the real frames (shared/sources beside the checkout) are not here")
    return REAL


def test_real_kinect_frames(real):
    source = opened(real / "kinect")
    assert source.names == [f"seq-01/frame-{n:06d}" for n in (0, 1, 2, 116, 422)]
    assert source.cameras[0]["fx"] == pytest.approx(570.342205)
    depth = source.depth(range(5))
    assert 0.12 < (depth == 0).mean() < 0.15
    assert 2 < np.median(depth) < 5
    assert source.details()["camera_from"] == "camera-intrinsics.txt"


def test_real_habitat_frame(real):
    with pytest.raises(InputError, match="looks like millimetres, --depth-scale 1000 .a guess"):
        opened(real / "habitat").identity()
    source = opened(real / "habitat", depth_scale=1000)
    assert source.label_sets == ("masks",)
    assert source.class_names() == ("object",)
    assert len(np.unique(source.instance([0]))) == 56
    np.testing.assert_array_equal(source.semantic([0]) == 1, source.instance([0]) > 0)
    assert source.cameras == [{"fx": 320, "fy": 320, "cx": 320, "cy": 240}]


def test_real_taskonomy_frame_planar_from_radial(real):
    told = json.loads(next((real / "taskonomy").glob("*.json")).read_text())
    both = {"colour": "*_rgb.png", "depth_scale": 512, "no_depth": [65535]}
    radial = opened(
        real / "taskonomy", depth_maps="*_depth_euclidean.png", depth_kind="radial",
        fov=np.degrees(told["field_of_view_rads"]), **both,
    )  # fmt: skip
    planar = opened(real / "taskonomy", depth_maps="*_depth_zbuffer.png", **both)
    made, stored = radial.depth([0]), planar.depth([0])
    np.testing.assert_array_equal(made == 0, stored == 0)
    assert np.abs(made - stored).max() < 1 / 512
    with pytest.raises(InputError, match="7.7% of the depth is 65,535.*--no-depth 65535"):
        opened(real / "taskonomy", colour="*_rgb.png", depth_maps="*zbuffer.png", depth_scale=512).depth([0])
