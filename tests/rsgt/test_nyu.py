"""The labelled NYU file: axes, every chunk layout, label sets, and files that are something else."""

import os
import pickle
import re
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from rsgt.inputs import InputError
from rsgt.sources import chunks, facts, open_source
from tests.conftest import smooth_frames, write_nyu


def check_equal(source, arrays, frames):
    assert np.array_equal(source.rgb(frames), arrays["images"][frames])
    assert np.array_equal(source.depth(frames), arrays["depths"][frames])
    assert np.array_equal(source.depth(frames, "raw"), arrays["rawDepths"][frames])
    assert np.array_equal(source.semantic(frames), arrays["labels"][frames])
    assert np.array_equal(source.instance(frames), arrays["instances"][frames])


@pytest.mark.parametrize("frames", [list(range(10)), [4], [0, 1, 5, 6, 9], [2, 3, 4]])
@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("frame", None),
        ("block", None),
        ("contiguous", None),
        ("block", {"shuffle": True}),
        ("frame", {"compression": "lzf"}),
        ("block", {"compression": None}),
        ("frame", dict(hdf5plugin.Zstd())),
    ],
)
def test_every_layout_gives_the_frames_that_were_written(tmp_path, layout, options, frames):
    arrays = smooth_frames(10)
    source = open_source(write_nyu(tmp_path / "a.mat", arrays, layout=layout, options=options))
    check_equal(source, arrays, frames)
    check_equal(pickle.loads(pickle.dumps(source)), arrays, frames)


def test_each_chunk_is_inflated_once(tmp_path, monkeypatch):
    arrays = smooth_frames(6)
    source = open_source(write_nyu(tmp_path / "a.mat", arrays, layout="block"))
    inflate, sizes = chunks.deflate.zlib_decompress, []
    monkeypatch.setattr(chunks.deflate, "zlib_decompress", lambda b, n: sizes.append(n) or inflate(b, n))
    source.depth(range(6))
    _, width, height = source._file["depths"].shape
    grid = source._file["depths"].chunks
    assert len(sizes) == 2 * -(-width // grid[1]) * -(-height // grid[2])


def test_unwritten_chunks_and_skipped_filters(tmp_path):
    arrays = smooth_frames(3)
    path = write_nyu(tmp_path / "a.mat", arrays, skip=("depths",))
    with h5py.File(path, "r+") as file:
        stack = arrays["depths"].transpose(0, 2, 1)
        data = file.create_dataset(
            "depths", stack.shape, "f4", chunks=(1, *stack.shape[1:]), compression="gzip"
        )
        data[0] = stack[0]
        data.id.write_direct_chunk((1, 0, 0), np.ascontiguousarray(stack[1]).tobytes(), filter_mask=1)
    depth = open_source(path).depth(range(3))
    assert np.array_equal(depth[:2], arrays["depths"][:2])
    assert not depth[2].any()


def test_label_sets_and_names(tmp_path):
    arrays = smooth_frames(2)
    arrays["labels"][:, 0, :4] = [0, 1, 21, 894]
    source = open_source(write_nyu(tmp_path / "a.mat", arrays))
    published = facts.nyu_facts()
    assert published["names894"][20] == "wall"
    assert source.semantic([0], "894")[0, 0, :4].tolist() == [0, 1, 21, 894]
    forty = source.semantic([0], "40")[0, 0, :4].tolist()
    assert [forty[0], published["names40"][forty[2] - 1]] == [0, "wall"]
    thirteen = source.semantic([0], "13")[0, 0, :4].tolist()
    assert [thirteen[0], published["names13"][thirteen[2] - 1]] == [0, "wall"]
    assert [len(source.class_names(k)) for k in ("894", "40", "13")] == [894, 40, 13]


def test_a_file_with_its_own_classes(tmp_path):
    arrays = {k: v for k, v in smooth_frames(2).items() if k != "instances"}  # as in the v1 file
    arrays["labels"] %= 3
    source = open_source(write_nyu(tmp_path / "v1.mat", arrays, names=["bed", "wall"], skip=("scenes",)))
    assert source.class_names("894") == ["bed", "wall"]
    assert not source.has_instances
    assert not source.instance([0]).any()
    assert source.scenes == ["frame 1", "frame 2"]
    with pytest.raises(InputError, match="use --labels 894"):
        source.semantic([0], "40")


def test_official_split_and_facts():
    train = facts.official_train_frames()
    assert len(train) == 795
    assert {3, 4, 5} <= train
    assert not {1, 2, 9} & train
    assert facts.class_map("13").max() == 13
    assert facts.class_map("40").max() == 40


def test_intrinsics_scale_with_the_frame(nyu_file):
    assert open_source(nyu_file[0]).intrinsics == {}  # nobody stated this file's camera
    with h5py.File(nyu_file[0], "r+") as file:
        file.attrs["rsgt_synthetic"] = "{}"  # rendered through NYU's camera
    camera = open_source(nyu_file[0]).intrinsics
    assert camera["fx"] == pytest.approx(518.8579 * 32 / 640, rel=1e-5)
    assert camera["cy"] == pytest.approx((253.7362 + 0.5) * 24 / 480 - 0.5, rel=1e-5)


def test_identity_tells_files_apart(tmp_path):
    one = open_source(write_nyu(tmp_path / "a.mat", smooth_frames(3, seed=0))).identity()
    same = open_source(write_nyu(tmp_path / "b.mat", smooth_frames(3, seed=0))).identity()
    other = open_source(write_nyu(tmp_path / "c.mat", smooth_frames(3, seed=1))).identity()
    assert one["fingerprint"] == same["fingerprint"] != other["fingerprint"]


@pytest.mark.parametrize("layout", ["frame", "block", "contiguous"])
def test_bad_values_name_their_frame(tmp_path, layout):
    arrays = smooth_frames(5)
    arrays["depths"][3, 2, 2] = np.nan
    arrays["rawDepths"][1, 2, 2] = -1
    arrays["labels"][2, 0, 0] = 900
    source = open_source(write_nyu(tmp_path / "a.mat", arrays, layout=layout))
    with pytest.raises(InputError, match="depths of frame 4 has values that are NaN"):
        source.depth(range(5))
    with pytest.raises(InputError, match="rawDepths of frame 2 "):
        source.depth(range(5), "raw")
    with pytest.raises(InputError, match=r"labels of frame 3 holds 900, expected 0\.\.894"):
        source.semantic([0, 2, 4])
    assert source.depth([0, 1, 2]).shape == (3, 24, 32)


def test_files_that_are_something_else(tmp_path):
    page, old, noise = tmp_path / "p.mat", tmp_path / "splits.mat", tmp_path / "n.mat"
    page.write_text("<!DOCTYPE html><html>404</html>")
    old.write_bytes(b"MATLAB 5.0 MAT-file, Platform".ljust(600))
    noise.write_bytes(bytes(range(256)) * 9)
    whole = write_nyu(tmp_path / "w.mat", smooth_frames(4))
    cut = tmp_path / "cut.mat"
    cut.write_bytes(whole.read_bytes()[:-5000])
    for path, message in [
        (page, "HTML"),
        (old, "MATLAB 5"),
        (noise, "can't be opened as HDF5"),
        (cut, "truncated"),
        (tmp_path / "none.mat", "no such file"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            open_source(path, "nyu")
        assert "\n" not in str(caught.value)


def test_missing_and_misshapen_datasets(tmp_path):
    arrays = smooth_frames(3)
    with pytest.raises(InputError, match="has no labels"):
        open_source(write_nyu(tmp_path / "a.mat", arrays, skip=("labels",)))
    with pytest.raises(InputError, match=r"depths is float32 \(2, 32, 24\), expected float32 \(3, 32, 24\)"):
        open_source(write_nyu(tmp_path / "b.mat", {**arrays, "depths": arrays["depths"][:2]}))
    without_raw = open_source(write_nyu(tmp_path / "c.mat", arrays, skip=("rawDepths",)))
    with pytest.raises(InputError, match="use --depth filled"):
        without_raw.depth([0], "raw")


def test_damaged_chunk(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(4))
    with h5py.File(path) as file:
        info = file["depths"].id.get_chunk_info_by_coord((2, 0, 0))
    data = bytearray(path.read_bytes())
    start = info.byte_offset + info.size // 2
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    source = open_source(path)
    with pytest.raises(InputError, match="depths can't be read"):
        source.depth(range(4))


def test_real_frames_have_the_floor_below(real_mat):
    source = open_source(real_mat)
    assert source.shape == (480, 640)
    names = source.class_names("894")
    semantic = source.semantic(range(24))
    rows = np.arange(480)[None, :, None]
    floor, ceiling = (semantic == names.index(n) + 1 for n in ("floor", "ceiling"))
    assert (rows * floor).sum() / floor.sum() > 300
    assert (rows * ceiling).sum() / ceiling.sum() < 150


@pytest.mark.parametrize("layout", ["block", "contiguous"])
def test_real_frames_are_the_same_in_every_layout(real_mat, real_folder, tmp_path, layout):
    import subprocess
    import sys

    path = tmp_path / "other.mat"
    command = [sys.executable, real_folder / "make_mat.py", path, "--frames", "1-24", "--layout", layout]
    subprocess.run(command, check=True, capture_output=True)
    one, other = open_source(real_mat), open_source(path)
    frames = [3, 4, 20]
    assert np.array_equal(one.rgb(frames), other.rgb(frames))
    assert np.array_equal(one.depth(frames), other.depth(frames))
    assert np.array_equal(one.semantic(frames), other.semantic(frames))
    assert np.array_equal(one.instance(frames), other.instance(frames))


def refusal(path):
    """The one line that says what is wrong with a file, from the first look or from reading it."""
    with pytest.raises(InputError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def read_all(path):
    source = open_source(path)
    frames = range(len(source.frame_ids))
    for kind in ("filled", "raw"):
        source.depth(frames, kind)
    source.details(), source.rgb(frames), source.semantic(frames), source.instance(frames)
    return source


@pytest.mark.parametrize("layout", ["frame", "block", "contiguous"])
@pytest.mark.parametrize("scale", [100, 1000])
def test_a_frame_in_another_unit_is_refused(tmp_path, layout, scale):
    arrays = smooth_frames(4)
    arrays["depths"][2] *= scale
    message = refusal(write_nyu(tmp_path / "a.mat", arrays, layout=layout))
    assert "depths of frame 3 has a median of" in message
    assert "expected metres; millimetres? divide by 1000" in message
    assert open_source(tmp_path / "a.mat").depth([0, 1, 3]).max() < 10


def test_kilometres_are_refused(tmp_path):
    arrays = smooth_frames(3)
    arrays["depths"] /= 1000
    arrays["depths"][0] = 0
    message = refusal(write_nyu(tmp_path / "a.mat", arrays))
    assert re.search("depths of frame 2 has no depth beyond 0.0.*, expected metres; kilometres", message)
    assert not open_source(tmp_path / "a.mat").depth([0]).any()


def test_one_far_pixel_is_no_other_unit(tmp_path):
    arrays = smooth_frames(2)
    arrays["depths"][:, 0] = 65535  # the sky, as many data sets mark it
    assert open_source(write_nyu(tmp_path / "a.mat", arrays)).depth([0, 1]).max() == 65535


@pytest.mark.parametrize("name", ["depths", "rawDepths"])
def test_integer_depth_is_refused(tmp_path, name):
    arrays = smooth_frames(2)
    arrays[name] = (1000 * arrays[name]).astype(np.uint16)
    message = refusal(write_nyu(tmp_path / "a.mat", arrays))
    assert f"{name} is uint16" in message
    assert "millimetres? divide by 1000" in message


@pytest.mark.parametrize("layout", ["frame", "block", "contiguous"])
def test_nan_in_raw_depth_is_a_hole(tmp_path, layout):
    arrays = smooth_frames(3)
    holes = arrays["rawDepths"] == 0
    arrays["rawDepths"][holes] = np.nan
    arrays["rawDepths"][1] = np.nan
    raw = open_source(write_nyu(tmp_path / "a.mat", arrays, layout=layout)).depth(range(3), "raw")
    assert np.array_equal(raw, np.nan_to_num(arrays["rawDepths"], nan=0))
    arrays["rawDepths"][2, 5, 5] = np.inf
    assert "rawDepths of frame 3 has values that are infinite" in refusal(
        write_nyu(tmp_path / "b.mat", arrays, layout=layout)
    )


@pytest.mark.parametrize(
    ("shape", "names", "synthetic", "known"),
    [
        ((480, 640), None, False, True),
        ((480, 640), ["bed", "wall"] * 20, False, False),
        ((24, 32), None, False, False),
        ((24, 32), None, True, True),
    ],
)
def test_the_camera_is_known_of_nyu_and_of_our_rooms_only(tmp_path, shape, names, synthetic, known):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(1, shape), names=names)
    if synthetic:
        with h5py.File(path, "r+") as file:
            file.attrs["rsgt_synthetic"] = "{}"
    source = open_source(path)
    assert bool(source.intrinsics) == known
    assert source.cameras == [source.intrinsics] * len(source.frame_ids)


def test_axes_as_python_writes_them(tmp_path):
    def rewritten(*names, order=None):
        path = write_nyu(tmp_path / "a.mat", smooth_frames(3))
        with h5py.File(path, "r+") as file:
            for name in names:
                values = file[name][()]
                del file[name]
                file[name] = values.transpose(order or (0, *range(values.ndim - 1, 0, -1)))
        return path

    assert "axes look like (frame, y, x, channel), as Python writes them" in refusal(
        rewritten("images", "depths", "labels", "instances", "rawDepths")
    )
    assert "images is uint8 (32, 24, 3, 3), expected uint8 (frame, 3, x, y)" in refusal(
        rewritten("images", order=(2, 3, 1, 0))
    )
    assert (
        "labels is uint16 (3, 24, 32), expected uint16 (3, 32, 24): axes look like (frame, y, x)"
        in refusal(rewritten("labels"))
    )


def test_a_filter_that_is_not_installed_is_named(tmp_path, monkeypatch):
    arrays = smooth_frames(2)
    path = write_nyu(tmp_path / "a.mat", arrays)
    with h5py.File(path, "r+") as file:
        shape = file["depths"].shape
        del file["depths"]
        data = file.create_dataset(
            "depths", shape, "f4", chunks=(1, *shape[1:]), compression=32999, allow_unknown_filter=True
        )
        data.id.write_direct_chunk((0, 0, 0), b"packed")
    assert (
        "depths is packed with HDF5's filter 32999, which is not installed; hdf5plugin does not"
        in refusal(path)
    )
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    assert "pip install hdf5plugin" in refusal(path)


def test_hdf5plugin_is_loaded_where_a_file_needs_it(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(2), options=dict(hdf5plugin.Zstd()))
    code = (
        "import sys; from rsgt.sources import open_source; print(open_source(sys.argv[1]).depth([0]).max())"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_elsewhere_opens_the_same_file_or_says_that_it_has_none(tmp_path, monkeypatch):
    arrays = smooth_frames(2)
    write_nyu(tmp_path / "a.mat", arrays)
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(open_source("a.mat"))
    monkeypatch.chdir("/")
    check_equal(pickle.loads(sent), arrays, [0, 1])
    (tmp_path / "a.mat").unlink()
    with pytest.raises(InputError, match="a.mat: not found on this machine; put the file"):
        pickle.loads(sent).depth([0])
    write_nyu(tmp_path / "a.mat", arrays, skip=("labels",))
    with pytest.raises(InputError, match="has no labels"):
        pickle.loads(sent).depth([0])


def forms_of(texts):
    width = max(map(len, texts))
    codes = np.array([[ord(c) for c in text.ljust(width)] for text in texts], np.uint16)
    return {"strings": texts, "bytes": np.array(texts, "S"), "characters": codes.T}


@pytest.mark.parametrize("form", ["strings", "bytes", "characters"])
def test_texts_in_other_forms(tmp_path, form):
    arrays = smooth_frames(3)
    arrays["labels"] %= 3
    names, scenes = ["bed", "wall lamp"], ["a", "a", "kitchen"]
    path = write_nyu(tmp_path / "a.mat", arrays, skip=("names", "scenes"))
    with h5py.File(path, "r+") as file:
        file["names"], file["scenes"] = forms_of(names)[form], forms_of(scenes)[form]
    source = open_source(path)
    assert source.class_names("894") == names
    assert source.scenes == scenes


def test_texts_beyond_the_basic_plane_and_empty_ones(tmp_path):
    arrays = smooth_frames(3)
    arrays["labels"] %= 3
    path = write_nyu(tmp_path / "a.mat", arrays, names=["Tür", "x"])
    with h5py.File(path, "r+") as file:
        lamp = file.create_dataset("#refs#/lamp", data=np.array([[0xD83D], [0xDCA1]], np.uint16))
        empty = file.create_dataset("#refs#/empty", data=np.zeros(2, np.uint64))
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        file["names"][0, 1] = lamp.ref
        file["scenes"][0, 1] = empty.ref
    source = open_source(path)
    assert source.class_names("894") == ["Tür", "💡"]
    assert source.scenes[1] == ""


def test_sizes_that_no_memory_holds_are_refused_before_any_work(tmp_path):
    for shape, message in [
        ((10**12, 3, 8, 6), "images has 1,000,000,000,000 frames"),
        ((4, 3, 10**6, 10**6), "4 frames of 1,000,000x1,000,000 pixels"),
        ((0, 3, 8, 6), "images has 0 frames"),
        ((4, 3, 0, 6), "4 frames of 6x0 pixels"),
    ]:
        path = write_nyu(tmp_path / "a.mat", smooth_frames(1, (6, 8)))
        with h5py.File(path, "r+") as file:
            for name in ("images", "depths", "rawDepths", "labels", "instances"):
                dtype = file[name].dtype
                del file[name]
                size = shape if name == "images" else (shape[0], *shape[2:])
                how = {"chunks": tuple(min(n, 8) for n in size)} if np.prod(size, dtype=float) else {}
                file.create_dataset(name, size, dtype, **how)
        assert message in refusal(path)


def test_colour_of_16_bits_is_refused(tmp_path):
    arrays = smooth_frames(2)
    arrays["images"] = arrays["images"].astype(np.uint16) * 257
    assert "images is uint16" in refusal(write_nyu(tmp_path / "a.mat", arrays))


def test_other_files_say_what_they_are(tmp_path):
    path = tmp_path / "a.mat"
    for content, message in [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(40), "zip archive"),
        (b"\x1f\x8b" + bytes(40), "gzip; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ]:
        path.write_bytes(content)
        assert message in refusal(path)
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in refusal(path)
    with pytest.raises(InputError, match="with a name of 300 bytes, expected at most 255"):
        open_source(tmp_path / ("n" * 300))
