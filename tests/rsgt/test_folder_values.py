"""Folders of colour and depth: what the numbers in their files become, and what is refused."""

import json
import re
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from rsgt.inputs import InputError
from rsgt.sources import facts, units
from rsgt.sources.cameras import of_field_of_view, planar_factor
from rsgt.sources.classes import Classes
from tests.rsgt.test_folder import SHAPE, colour, lay, opened, ramp, save


@pytest.fixture
def one(tmp_path):
    """A folder with colour of frame 1; its depth is the tests' affair."""
    return lay(tmp_path, "rgb/1.png")


def depth_of(root, **options):
    return opened(root, **{"depth_scale": 1000, **options}).depth([0])[0]


METRES = (ramp() / np.float32(1000)).astype(np.float32)


def write_pfm(path, values):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"Pf\n%d %d\n-1.0\n" % values.shape[::-1] + values[::-1].astype("<f4").tobytes())


def write_exr(path, **channels):
    OpenEXR = pytest.importorskip("OpenEXR", reason="pip install 'region-support[exr]'")
    path.parent.mkdir(exist_ok=True)
    head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(head, channels) as file:
        file.write(str(path))


def as_bytes(metres):
    """Float32 in four channels of 8 bits as OpenCV writes them: its blue is the first byte."""
    blue_first = np.ascontiguousarray(metres).view(np.uint8).reshape(*metres.shape, 4)
    return blue_first[..., [2, 1, 0, 3]]


WRITERS = {
    "16-bit PNG": lambda root: save(root / "depth/1.png", ramp()),
    "16-bit TIFF": lambda root: save(root / "depth/1.tiff", ramp()),
    "16-bit PGM": lambda root: save(root / "depth/1.pgm", ramp()),
    "32-bit TIFF": lambda root: save(root / "depth/1.tif", ramp().astype(np.int32)),
    "float TIFF": lambda root: save(root / "depth/1.tif", ramp().astype(np.float32)),
    "uint16 npy": lambda root: save(root / "depth/1.npy", ramp()),
    "float64 npy": lambda root: save(root / "depth/1.npy", ramp().astype(float)),
    "npy with an axis more": lambda root: save(root / "depth/1.npy", ramp()[..., None]),
    "npz": lambda root: [
        (root / "depth").mkdir(),
        np.savez(root / "depth/1.npz", depth=ramp(), pose=np.eye(4)),
    ],
    "PFM": lambda root: write_pfm(root / "depth/1.pfm", ramp().astype(np.float32)),
    "RGBA PNG": lambda root: save(root / "depth/1.png", as_bytes(ramp().astype(np.float32))),
    "EXR": lambda root: write_exr(root / "depth/1.exr", Z=ramp().astype(np.float32)),
    "EXR of three": lambda root: write_exr(
        root / "depth/1.exr", RGB=np.stack([ramp().astype(np.float32)] * 3, axis=-1)
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_depth_is_read_from(one, kind):
    WRITERS[kind](one)
    np.testing.assert_array_equal(depth_of(one), METRES)


def test_exr_without_its_library_says_what_to_install(one, monkeypatch):
    (one / "depth").mkdir()
    (one / "depth/1.exr").write_bytes(b"v/1\x01")
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(
        InputError, match=r"1.exr: OpenEXR files need OpenEXR: pip install 'region-support\[exr\]'"
    ):
        depth_of(one)


def test_a_damaged_exr_is_told(one):
    write_exr(one / "depth/1.exr", Z=ramp().astype(np.float32))
    whole = (one / "depth/1.exr").read_bytes()
    (one / "depth/1.exr").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="1.exr: can't be read"):
        depth_of(one)


def test_metres_are_said_too(one):
    save(one / "depth/1.npy", METRES)
    with pytest.raises(
        InputError, match=r"a median of 1\.\d+ \(float32\) looks like metres, --depth-scale 1 \(a guess"
    ):
        opened(one).depth([0])
    np.testing.assert_array_equal(depth_of(one, depth_scale=1), METRES)


@pytest.mark.parametrize(
    ("unit", "name"),
    [(1000, "millimetres, --depth-scale 1000"), (5000, "5000 units a metre, --depth-scale 5000")],
)
def test_a_missing_scale_is_asked_for_with_a_guess(one, unit, name):
    save(one / "depth/1.png", (ramp() * (unit / 1000) * 2.2).astype(np.uint16))
    for method in (lambda source: source.depth([0]), lambda source: source.identity()):
        with pytest.raises(InputError, match=f"depth has no unit: a median of .*{name} ?.*a guess") as caught:
            method(opened(one))
        assert "\n" not in str(caught.value)
    assert opened(one).details()["depth_scale"] is None
    assert name.split(",")[0] in opened(one).details()["depth_guess"]


@pytest.mark.parametrize(
    ("median", "is_float", "first"),
    [(2314, False, 1000), (12_000, False, 5000), (45_000, False, 5000), (300, False, 256), (2.3, True, 1),
     (2300, True, 1000), (3, False, 1)],
)  # fmt: skip
def test_the_most_usual_scale_that_makes_a_room(median, is_float, first):
    assert units.guessed(median, is_float)[0] == first


def test_no_usual_scale_makes_a_room(one):
    save(one / "depth/1.npy", np.full(SHAPE, 3e6, np.float32))
    with pytest.raises(InputError, match="is no room's in any usual unit; say how many units are a metre"):
        opened(one).depth([0])


def test_a_camera_file_may_say_the_scale(one):
    save(one / "depth/1.png", ramp())
    replica = {"camera": {"w": 32, "h": 24, "fx": 30.0, "fy": 30.0, "cx": 15.5, "cy": 11.5, "scale": 6553.5}}
    (one / "cam_params.json").write_text(json.dumps(replica))
    source = opened(one)
    assert source.details()["depth_scale_from"] == "cam_params.json beside the depth maps"
    np.testing.assert_allclose(source.depth([0])[0], ramp() / 6553.5, rtol=1e-6)
    assert source.identity()["options"]["depth_scale"] == 6553.5
    np.testing.assert_array_equal(depth_of(one), METRES)  # what was said counts
    replica["camera"]["scale"] = 0.001
    (one / "cam_params.json").write_text(json.dumps(replica))
    with pytest.raises(InputError, match="depth has no unit"):
        opened(one).depth([0])


def grey(bits, values):
    """A PNG of grey with 1, 2, 4, 8 or 16 bits a pixel."""
    rows = []
    for row in values:
        text = "".join(f"{int(value):0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(b"\0" + int(text, 2).to_bytes(len(text) // 8, "big"))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )  # fmt: skip


PICTURES = {
    "JPEG": (lambda root: save(root / "depth/1.jpg", colour()), "depth as JPG"),
    "8 bits": (
        lambda root: save(root / "depth/1.png", (ramp() // 16).astype(np.uint8)),
        "depth has 8 bits a pixel",
    ),
    "colours": (lambda root: save(root / "depth/1.png", colour()), "depth has 3 channels of 8 bits"),
    "opaque colours": (
        lambda root: save(root / "depth/1.png", np.dstack([colour(), np.full(SHAPE, 255, np.uint8)])),
        "depth has 4 channels of 8 bits",
    ),
    "4 bits": (
        lambda root: [(root / "depth").mkdir(), (root / "depth/1.png").write_bytes(grey(4, ramp() % 16))],
        "depth has 8 bits a pixel",
    ),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_of_depth_is_refused(one, kind):
    writer, message = PICTURES[kind]
    writer(one)
    with pytest.raises(InputError, match=f"{message}.*give the depth maps themselves"):
        depth_of(one)


def test_no_depth_zero_nan_and_the_sentinel_are_none(one):
    values = ramp().astype(np.float32)
    values[0, :4] = [0, np.nan, 4500, np.inf]
    save(one / "depth/1.npy", values)
    depth = depth_of(one, no_depth=[4500])
    assert (depth[0, :4] == 0).all()
    np.testing.assert_array_equal(depth[1:], METRES[1:])


def test_depth_below_zero_is_refused(one):
    values = ramp().astype(np.float32)
    values[3, 3] = -1
    save(one / "depth/1.npy", values)
    with pytest.raises(InputError, match=r"has depth below 0 .frame 1.*--no-depth"):
        depth_of(one)
    assert depth_of(one, no_depth=[-1])[3, 3] == 0


def test_the_largest_number_far_from_the_rest_is_asked_about(one):
    values = ramp()
    values[:6] = 65_535
    save(one / "depth/1.png", values)
    for method in (lambda source: source.depth([0]), lambda source: source.identity()):
        with pytest.raises(
            InputError, match=r"25.0% of the depth is 65,535.*--no-depth 65535, or .*--no-depth 0"
        ):
            method(opened(one, depth_scale=1000))
    assert opened(one).details()["depth_sample"][0]["is_65535"] == 0.25
    assert (depth_of(one, no_depth=[65535])[:6] == 0).all()
    assert (depth_of(one, no_depth=[0])[:6] == np.float32(65.535)).all()


def test_the_largest_number_of_depth_that_reaches_it_is_a_distance(one):
    save(
        one / "depth/1.png", np.linspace(10_000, 65_535, SHAPE[0] * SHAPE[1]).astype(np.uint16).reshape(SHAPE)
    )
    assert depth_of(one, depth_scale=6553.5).max() == 10


def test_seven_scenes_brings_its_scale_and_its_none(tmp_path):
    lay(tmp_path, "chess/seq-01/frame-000000.color.png")
    values = ramp()
    values[0, :2] = [65_535, 0]
    save(tmp_path / "chess/seq-01/frame-000000.depth.png", values)
    with pytest.raises(InputError, match="depth has no unit"):
        opened(tmp_path).depth([0])
    (tmp_path / "chess/seq-01/frame-000000.pose.txt").write_text("1 0 0 0\n")
    source = opened(tmp_path)
    assert source.details()["depth_scale_from"].startswith("layout of 7-Scenes")
    depth = source.depth([0])[0]
    assert (depth[0, :2] == 0).all()
    np.testing.assert_array_equal(depth[1:], METRES[1:])


CAMERA = of_field_of_view(70, SHAPE)
TEXT = ",".join(str(value) for value in CAMERA.values())


def test_radial_depth_becomes_planar_by_any_word_of_the_camera(one):
    radial = METRES / planar_factor(CAMERA, SHAPE)
    save(one / "depth/1.npy", radial)
    radial_options = {"depth_scale": 1, "depth_kind": "radial"}
    with pytest.raises(
        InputError, match="radial depth of frame 1 has no camera; say --camera .*--fov"
    ) as caught:
        depth_of(one, **radial_options)
    with pytest.raises(InputError) as told:
        opened(one, **radial_options).identity()
    assert str(told.value) == str(caught.value)
    for options in ({"fov": 70}, {"camera": TEXT}):
        np.testing.assert_allclose(depth_of(one, **radial_options, **options), METRES, rtol=1e-6)
    (one / "intrinsics.json").write_text(json.dumps(CAMERA))
    np.testing.assert_allclose(depth_of(one, **radial_options), METRES, rtol=1e-6)
    assert opened(one, **radial_options).details()["camera_from"] == "intrinsics.json"


def test_the_nearest_camera_file_counts(tmp_path):
    lay(tmp_path, *[f"{s}/{m}/1.png" for s in ("a", "b") for m in ("rgb", "depth")])
    (tmp_path / "camera-intrinsics.txt").write_text("30 0 15.5\n0 30 11.5\n0 0 1\n")
    (tmp_path / "b/intrinsics.txt").write_text("40 0 15.5 0\n0 40 11.5 0\n0 0 1 0\n0 0 0 1\n")
    source = opened(tmp_path, depth_scale=1000)
    assert [camera["fx"] for camera in source.cameras] == [30, 40]
    assert source.details()["camera_from"] == "camera-intrinsics.txt, b/intrinsics.txt"
    assert [c["fx"] for c in opened(tmp_path, size=(48, 64)).cameras] == [60, 80]
    (tmp_path / "b/intrinsics.txt").write_text("41 0 15.5\n0 41 11.5\n0 0 1\n")
    assert opened(tmp_path, depth_scale=1000).identity() != source.identity()


def test_a_camera_of_larger_images_is_told(one):
    save(one / "depth/1.png", ramp())
    (one / "intrinsics.txt").write_text("1000 0 640\n0 1000 360\n0 0 1\n")
    source = opened(one, depth_scale=1000)
    message = r"axis meets the image at \(640, 360\), the depth maps are 24x32; is it .*--camera"
    assert source.cameras == [{}]
    assert re.search(f"^intrinsics.txt: .*{message}", source.details()["notes"][0])
    with pytest.raises(InputError, match=f"has no camera .intrinsics.txt: .*{message}"):
        depth_of(one, depth_kind="radial")
    with pytest.raises(InputError, match=f"^--camera 1000,1000,640,360: .*{message}"):
        _ = opened(one, camera="1000,1000,640,360").cameras


def test_a_damaged_first_map_leaves_the_rest(tmp_path):
    lay(tmp_path, *[f"{m}/{n}.png" for m in ("rgb", "depth") for n in (1, 2)])
    (tmp_path / "depth/1.png").write_bytes(b"nothing")
    source = opened(tmp_path, depth_scale=1000)
    assert source.shape == SHAPE
    assert source.depth([1]).shape == (1, *SHAPE)
    assert len(source.details()["depth_sample"]) == 1
    assert source.identity()["frames"] == 2


def test_a_file_that_is_no_camera_is_told_and_passed_over(one):
    save(one / "depth/1.png", ramp())
    (one / "intrinsics.txt").write_text("ask Bob\n")
    source = opened(one, depth_scale=1000)
    assert source.cameras == [{}]
    assert "ask Bob" in source.details()["notes"][0]


def test_colour_of_another_size_is_refused_unless_one_is_asked_for(one):
    save(one / "depth/1.png", ramp(shape=(12, 16)))
    with pytest.raises(InputError, match="colour of frame 1 is 24x32, expected 12x16.*--size 12x16"):
        opened(one, depth_scale=1000).rgb([0])
    source = opened(one, depth_scale=1000, size=(12, 16))
    assert source.rgb([0]).shape == (1, 12, 16, 3)


def test_a_damaged_png_is_found_wherever_the_damage_is(one):
    save(one / "depth/1.png", np.random.default_rng(0).integers(500, 4000, SHAPE).astype(np.uint16))
    whole, intact = (one / "depth/1.png").read_bytes(), depth_of(one)
    said = []
    for place in range(0, len(whole) - 12, 17):
        torn = bytearray(whole)
        torn[place] ^= 0x10
        (one / "depth/1.png").write_bytes(torn)
        try:  # what says how long the pixels are may be wrong without harm
            np.testing.assert_array_equal(depth_of(one), intact)
        except InputError as error:
            said.append(str(error))
    assert len(said) > 50
    assert all("1.png: " in message and "\n" not in message for message in said)
    (one / "depth/1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="1.png.*copy the file again, or leave the frame out"):
        depth_of(one)
    (one / "depth/1.png").write_bytes(b"")
    with pytest.raises(InputError, match="is no image, or damaged from its beginning on"):
        depth_of(one)


def test_a_file_that_vanishes_is_told(one):
    save(one / "depth/1.png", ramp())
    source = opened(one, depth_scale=1000)
    (one / "rgb/1.png").unlink()
    with pytest.raises(InputError, match="rgb/1.png: no such file"):
        source.rgb([0])
    with pytest.raises(InputError, match="rgb/1.png: No such file"):
        source.identity()


def test_depth_in_the_place_of_colour_is_refused(one):
    save(one / "depth/1.png", ramp())
    save(one / "rgb/1.png", ramp())
    with pytest.raises(InputError, match="colour has pixels of mode I;16.*is it the depth map"):
        opened(one, depth_scale=1000).rgb([0])


@pytest.fixture
def labelled(one):
    """A folder and the function that gives it a label map, and opens it."""
    save(one / "depth/1.png", ramp())

    def give(values, name="1.png", **options):
        if isinstance(values, bytes):
            (one / "labels").mkdir(exist_ok=True)
            (one / "labels" / name).write_bytes(values)
        else:
            save(one / "labels" / name, values)
        return opened(one, depth_scale=1000, **options)

    return give


def ids(*values, dtype=np.uint8):
    return np.array(values, dtype).repeat(SHAPE[0] * SHAPE[1] // len(values)).reshape(SHAPE)


def found(source):
    """Different labels in the order of a map whose values run from its top to its bottom."""
    values = source.semantic([0])[0].ravel()
    return values[np.sort(np.unique(values, return_index=True)[1])].tolist()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_labels_are_the_numbers_of_a_png_of_any_depth(labelled, bits):
    values = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % min(2**bits, 500)
    np.testing.assert_array_equal(labelled(grey(bits, values)).semantic([0])[0], values)


def test_labels_of_a_palette_and_of_equal_channels(labelled, one):
    values = ids(0, 7, 3, 200)
    picture = Image.fromarray(values).convert("P")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    (one / "labels").mkdir()
    picture.save(one / "labels/1.png")
    assert found(opened(one)) == [0, 7, 3, 200]
    assert found(labelled(np.stack([values] * 3, axis=-1))) == [0, 7, 3, 200]
    with pytest.raises(InputError, match="labels is uint8 .24, 32, 3., expected one number a pixel"):
        labelled(colour()).semantic([0])
    with pytest.raises(InputError, match="are both of frame 1"):
        labelled(values, "1.jpg")


def test_labels_as_jpeg_are_refused(labelled):
    with pytest.raises(InputError, match="labels as JPEG, whose numbers change in packing"):
        labelled(ids(1, 2), "1.jpg").semantic([0])


def test_labels_as_floats_are_numbers_where_they_are_whole(labelled):
    assert found(labelled(ids(0, 5, 70_000 // 2, dtype=np.float32), "1.npy")) == [0, 5, 35_000]
    with pytest.raises(InputError, match="labels are float32 with parts of numbers"):
        labelled(ids(0, 5.5, dtype=np.float32), "1.npy").semantic([0])


def test_labels_above_16_bits_need_names(labelled, one):
    values = ids(0, 70_001, 2_000_000_000, 70_001, dtype=np.int32)
    with pytest.raises(InputError, match=r"labels of frame 1 go from 0 to 2000000000.*--classes with JSON"):
        labelled(values, "1.npy").semantic([0])
    names = one / "classes.json"
    names.write_text('{"70001": "chair", "2000000000": "table", "-5": "lamp"}')
    source = labelled(values, "1.npy", classes=names)
    assert source.class_names() == ("lamp", "chair", "table")
    assert found(source) == [0, 2, 3]


def test_numbers_up_to_16_bits_are_kept(labelled, one):
    names = one / "names.json"
    names.write_text('{"3": "chair", "60000": "table"}')
    source = labelled(ids(0, 3, 60_000, dtype=np.uint16), classes=names)
    assert found(source) == [0, 3, 60_000]
    assert source.class_names()[2] == "chair"
    assert source.class_names()[3] == ""
    assert len(source.class_names()) == 60_000


LISTS = {
    "a line a class": "wall\nfloor\n\nchair\n",
    "numbers and names": "1 wall\n2\tfloor\n4 chair\n",
    "CSV with a head": "id,name\n1,wall\n2,floor\n4,chair\n",
    "CSV with more": '1,wall,red\n2,"floor, wooden",x\n4,chair,y\n',
    "JSON of names": '["wall", "floor", "", "chair"]',
    "JSON of numbers": '{"1": "wall", "2": "floor", "4": "chair"}',
    "0 named": '{"0": "unlabelled", "1": "wall", "2": "floor", "4": "chair"}',
}


@pytest.mark.parametrize("kind", LISTS)
def test_names_of_classes(labelled, one, kind):
    (one / "list").write_text(LISTS[kind])
    source = labelled(ids(0, 1, 2, 4), classes=one / "list")
    floor = "floor, wooden" if kind == "CSV with more" else "floor"
    assert source.class_names() == ("wall", floor, "", "chair")
    assert source.label_sets == ("own",)
    assert found(source) == [0, 1, 2, 4]
    if kind in ("a line a class", "JSON of names"):  # the third has a line without a name
        assert found(labelled(ids(1, 3), classes=one / "list")) == [1, 0]
    else:
        with pytest.raises(InputError, match="label 3 of frame 1 has no name in .*list.*add `3 its name`"):
            labelled(ids(0, 3), classes=one / "list").semantic([0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("[1, 2]", "is JSON of another shape"),
        ('{"a": "b"}', "invalid literal"),
        ('{"1": "a", "1": "b"}', "names 1 twice"),
        ("1 a\n1 b\n", "names 1 twice"),
        ("1 a\n2 b\nthree c\n4 d\n", "has numbers before most names, but 'three c'"),
        ("0 wall\n1 floor\n", "names 0 'wall', which means unlabelled; --label-offset 1"),
    ],
)
def test_what_is_no_list_of_names(tmp_path, text, message):
    (tmp_path / "names").write_text(text)
    with pytest.raises(InputError, match=message):
        Classes(0, tmp_path / "names")


@pytest.mark.parametrize("labels", ["40", "13", "894"])
def test_nyu_classes_are_known_by_their_names(tmp_path, labels):
    names = [name.replace("-", "_").upper() for name in facts.class_names(labels)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    classes = Classes(0, tmp_path / "names.txt")
    assert classes.label_set == labels
    assert list(classes.names) == facts.class_names(labels)


def test_an_offset_brings_labels_from_0_on_to_1(labelled, one):
    assert found(labelled(ids(0, 1, 255), label_offset=1)) == [1, 2, 0]
    (one / "labels/1.png").unlink()
    assert found(labelled(ids(0, -1, 4, dtype=np.int16), "1.npy", label_offset=1)) == [1, 0, 5]


def test_an_offset_with_names(labelled, one):
    (one / "plain").write_text("wall\nfloor\n")
    (one / "numbered").write_text("0 wall\n1 floor\n")
    for name in ("plain", "numbered"):
        source = labelled(ids(0, 1, 255), classes=one / name, label_offset=1)
        assert source.class_names() == ("wall", "floor")
        assert found(source) == [1, 2, 0]
        with pytest.raises(InputError, match="label 2 of frame 1 has no name"):
            labelled(ids(0, 2), classes=one / name, label_offset=1).semantic([0])


def test_255_means_ignore_where_classes_have_names(labelled, one):
    (one / "names").write_text("wall\n")
    assert found(labelled(ids(1, 255), classes=one / "names")) == [1, 0]
    assert found(labelled(ids(1, 65_535, dtype=np.uint16), classes=one / "names")) == [1, 0]
    assert found(labelled(ids(1, 255))) == [1, 255]
    (one / "names").write_text("1 wall\n255 lamp\n")
    assert found(labelled(ids(1, 255), classes=one / "names")) == [1, 255]
    (one / "names").write_text("wall\n")
    with pytest.raises(InputError, match="label 255 of frame 1 has no name"):
        labelled(ids(1, 255, dtype=np.uint16), classes=one / "names").semantic([0])


def test_the_class_list_is_part_of_the_identity(labelled, one):
    (one / "names").write_text("wall\nfloor\n")
    before = labelled(ids(1, 2), classes=one / "names").identity()
    (one / "names").write_text("floor\nwall\n")
    assert labelled(ids(1, 2), classes=one / "names").identity() != before


def test_another_label_set_is_refused(labelled):
    with pytest.raises(InputError, match="labels: got .40., expected own"):
        labelled(ids(1, 2)).semantic([0], "40")


def disc(y, x, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (((rows - y) ** 2 + (columns - x) ** 2 <= radius**2) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pattern", ["masks/{frame}/{k}.png", "masks/{frame}_{k}.png", "{frame}_mask_{k}.png"]
)
def test_masks_of_one_object_a_file_become_instances(tmp_path, pattern):
    flat = pattern.startswith("{")
    for frame in ("0001", "0002"):
        lay(
            tmp_path,
            *(
                [f"{frame}_rgb.png", f"{frame}_depth.png"]
                if flat
                else [f"rgb/{frame}.png", f"depth/{frame}.png"]
            ),
        )
    shapes = {1: disc(12, 16, 4), 2: disc(12, 16, 9), 10: disc(3, 3, 2)}
    for k, shape in shapes.items():
        save(tmp_path / pattern.format(frame="0001", k=k), shape)
    source = opened(tmp_path, depth_scale=1000)
    assert source.names == ["0001", "0002"]
    assert source.label_sets == ("masks",)
    assert source.class_names() == ("object",)
    assert source.details()["masks"] == 3
    assert source.details()["frames_without_masks"] == 1
    expected = np.zeros(SHAPE, np.uint16)
    for number, k in ((2, 2), (1, 1), (3, 10)):  # the large one first, so that the small one stays visible
        expected[shapes[k] > 0] = number
    np.testing.assert_array_equal(source.instance([0])[0], expected)
    np.testing.assert_array_equal(source.semantic([0])[0], expected > 0)
    assert not source.instance([1]).any()
    assert not source.semantic([1]).any()


def test_masks_below_scenes_and_of_frames_whose_names_begin_alike(tmp_path):
    lay(tmp_path, *[f"s/{m}/{n}.png" for m in ("rgb", "depth") for n in ("1", "1_2")])
    for name in ("1_1", "1_3", "1_2_1"):
        save(tmp_path / f"s/masks/{name}.png", disc(5, 5, 3))
    source = opened(tmp_path)
    assert [sum(key.startswith("object") for key in frame.files) for frame in source.frames] == [2, 1]


def test_masks_of_other_sizes_are_refused(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    save(tmp_path / "masks/1/1.png", disc(5, 5, 3))
    save(tmp_path / "masks/1/2.png", disc(5, 5, 2)[:12])
    with pytest.raises(InputError, match="masks/1/2.png: mask of frame 1 is 12x32, the first one 24x32"):
        opened(tmp_path).instance([0])
    (tmp_path / "masks/1/1.png").unlink()
    with pytest.raises(InputError, match="instances of frame 1 is 12x32, expected 24x32"):
        opened(tmp_path).instance([0])


def test_instance_maps_of_numbers_of_any_size(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    values = ids(0, 9_000_000_001, 7, 9_000_000_002, dtype=np.int64)
    save(tmp_path / "instances/1.npy", values)
    given = opened(tmp_path).instance([0])[0]
    assert given.max() == 3
    np.testing.assert_array_equal(given == 0, values == 0)
    assert len(np.unique(given)) == 4


def test_labels_and_masks_together(tmp_path):
    lay(tmp_path, "rgb/1.png", "depth/1.png")
    save(tmp_path / "labels/1.png", ids(1, 2))
    save(tmp_path / "masks/1/0.png", disc(5, 5, 3))
    source = opened(tmp_path)
    assert source.label_sets == ("own",)
    assert source.has_instances
    np.testing.assert_array_equal(source.instance([0])[0] == 1, disc(5, 5, 3) > 0)


def test_without_labels_there_are_none(one):
    save(one / "depth/1.png", ramp())
    source = opened(one)
    assert source.label_sets == ("none",)
    assert source.class_names() == ()
    assert not source.has_instances
    assert not source.semantic([0]).any()
    assert not source.instance([0]).any()
