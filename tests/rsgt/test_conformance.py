"""``check_source``: what keeps the protocol passes, and each way of breaking it is named."""

import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import rsgt
from rsgt.sources.nyu import NyuFile
from tests.conftest import smooth_frames, write_nyu
from tests.own_source import Archives

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def archives(tmp_path):
    """Five frames for the documents' example, which has class names for 3 labels."""
    rng = np.random.default_rng(0)
    for k in range(5):
        np.savez(
            tmp_path / f"view_{k}.npz",
            rgb=rng.integers(0, 256, (6, 8, 3), np.uint8),
            depth_mm=rng.integers(500, 5000, (6, 8), np.uint16),
            labels=rng.integers(1, 4, (6, 8), np.uint8),
        )
    return tmp_path


def test_the_documents_example_passes_and_is_what_they_show(archives, tmp_path):
    rsgt.check_source(Archives(archives))
    store = rsgt.build(Archives(archives), tmp_path / "views.zarr", bins=3, min_size=0)
    assert not rsgt.verify(store, source=Archives(archives)).problems
    assert rsgt.diagnose(Archives(archives))["label_ids"] == [1, 2, 3]
    code = (Path(__file__).parents[1] / "own_source.py").read_text(encoding="utf-8")
    assert code.count("\n", code.index("class ")) <= 35
    shown = [path for path in DOCS.glob("*.md") if "class Archives" in path.read_text(encoding="utf-8")]
    for path in shown:
        assert code[code.index("class ") :].strip() in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("frames", [1, 3, 100])
def test_nyu_files_pass(tmp_path, frames):
    rsgt.check_source(NyuFile(write_nyu(tmp_path / "a.mat", smooth_frames(10))), frames=frames)
    rsgt.check_source(NyuFile(write_nyu(tmp_path / "b.mat", smooth_frames(3), layout="block")))


@pytest.mark.parametrize("layout", ["folder", "scannet", "sunrgbd", "hypersim", "parquet"])
@pytest.mark.filterwarnings("ignore:.*standard camera")
def test_rooms_of_every_layout_pass(tmp_path, layout):
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    if layout == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs it: pip install 'region-support[parquet]'")
    from rsgt.sources.rooms.frame import render_room

    rooms = (render_room(2, index, (48, 64)) for index in range(4))
    import_module(f"rsgt.sources.exports.{layout}").write(tmp_path / layout, rooms)
    source = rsgt.open_source(tmp_path / layout)
    assert source.identity()["kind"] == layout
    rsgt.check_source(source)


class Bare(rsgt.Source):
    """The least that a source is: five members."""

    path, frame_ids, shape = Path("bare"), (3, 8), (4, 5)

    def rgb(self, frames, out=None):
        out = self.room(out, frames, np.uint8, 3)
        out[:] = np.reshape([self.frame_ids[f] for f in frames], (-1, 1, 1, 1))
        return out

    def depth(self, frames, kind=None, out=None):
        out = self.room(out, frames, np.float32)
        out[:] = 2
        return out


def test_the_least_source_passes():
    rsgt.check_source(Bare())


class WithoutInstances:
    """An object that derives from nothing, and forgot a member."""

    path, frame_ids, shape, names, scenes, split = Path("x"), [1], (2, 2), ["1"], ["a"], None
    label_sets, depth_kinds, has_instances, cameras, unpaired = ("none",), ("stored",), False, [{}], ()

    def rgb(self, frames, out=None): ...

    depth = semantic = class_names = identity = details = rgb


class Undefined(rsgt.Source):
    path, frame_ids, shape = Path("x"), (1,), (2, 2)


class PathIsText(Bare):
    path = "bare"


class NoFrames(Bare):
    frame_ids = ()


class FromZero(Bare):
    frame_ids = (0, 1)


class Descending(Bare):
    frame_ids = (2, 1)


class ShapeIsList(Bare):
    shape = np.array([4, 5])


class TwoOfAName(Bare):
    names = ("a", "a")


class OneSceneTooFew(Bare):
    scenes = ("a",)


class ForeignSplit(Bare):
    split = ("train", "val")


class NoLabelSet(Bare):
    label_sets = ()


class NamesWithoutLabels(Bare):
    def class_names(self, labels=None):
        return ["wall"]


class MasksWithoutObjects(Bare):
    label_sets = ("masks",)


class ForeignCamera(Bare):
    cameras = ({}, {"f": 2.0})


class InfiniteCamera(Bare):
    cameras = ({}, {"fx": np.inf, "fy": 1.0, "cx": 0.0, "cy": 0.0})


class TupleInIdentity(Bare):
    def identity(self):
        return {**super().identity(), "shape": (4, 5)}


class RestlessIdentity(Bare):
    calls = 0

    def identity(self):
        self.calls += 1
        return {**super().identity(), "fingerprint": str(self.calls)}


class NoFingerprint(Bare):
    def identity(self):
        return {"kind": "bare", "name": "bare", "frames": 2}


class ArrayInDetails(Bare):
    def details(self):
        return {"range": np.arange(3)}


class Unpicklable(Bare):
    def __init__(self):
        self.lock = threading.Lock()


class ForgetsWhenPickled(Bare):
    def __init__(self):
        self.value = 7

    def __getstate__(self):
        return {"value": 8}

    def rgb(self, frames, out=None):
        out = super().rgb(frames, out)
        out[:] = self.value
        return out


class ColourFirst(Bare):
    def rgb(self, frames, out=None):
        return np.zeros((len(frames), 3, 4, 5), np.uint8)


class DepthInDouble(Bare):
    def depth(self, frames, kind=None, out=None):
        return np.ones((len(frames), 4, 5))


class DepthIsAList(Bare):
    def depth(self, frames, kind=None, out=None):
        return [[2.0]]


class HolesAreNan(Bare):
    def depth(self, frames, kind=None, out=None):
        out = super().depth(frames, kind, out)
        out[:, 0, 0] = np.nan
        return out


class BehindTheCamera(Bare):
    def depth(self, frames, kind=None, out=None):
        out = super().depth(frames, kind, out)
        out[:, 0, 0] = -1
        return out


class IgnoresOut(Bare):
    def depth(self, frames, kind=None, out=None):
        return super().depth(frames, kind)


class ReturnsOutUnfilled(Bare):
    def depth(self, frames, kind=None, out=None):
        return super().depth(frames, kind) if out is None else out


class LeavesHolesInOut(Bare):
    def depth(self, frames, kind=None, out=None):
        out = np.zeros((len(frames), 4, 5), np.float32) if out is None else out
        out[:, 1:] = 2
        return out


class WritesBeyondOut(Bare):
    def depth(self, frames, kind=None, out=None):
        out = super().depth(frames, kind, out)
        if out.base is not None:
            out.base[-1] = 9
        return out


class FirstFrameForAll(Bare):
    def rgb(self, frames, out=None):
        return super().rgb([frames[0]] * len(frames), out)


class Counts(Bare):
    calls = 0

    def rgb(self, frames, out=None):
        out = super().rgb(frames, out)
        self.calls += 1
        out[:] = self.calls
        return out


class OneAtATime(Bare):
    """Keeps what it reads in a place that threads share."""

    def rgb(self, frames, out=None):
        self.now = frames[0]
        threading.Event().wait(0.01)
        return super().rgb([*frames[:-1], self.now] if len(frames) == 1 else frames, out)


class LabelsWithoutSet(Bare):
    def semantic(self, frames, labels=None, out=None):
        out = super().semantic(frames, labels, out)
        out[:] = 1
        return out


class LabelBeyondNames(LabelsWithoutSet):
    label_sets = ("own",)

    def class_names(self, labels=None):
        return ["", "wall"]


class ObjectsUnannounced(Bare):
    def instance(self, frames, out=None):
        out = super().instance(frames, out)
        out[:] = 4
        return out


class Raises(Bare):
    def depth(self, frames, kind=None, out=None):
        raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WithoutInstances, "instance: got nothing, expected it to be there"),
        (Undefined, r"rgb\(\[0\]\): is not defined"),
        (PathIsText, "path: got 'bare', expected a pathlib.Path"),
        (NoFrames, r"frame_ids: got \(\), expected at least one number"),
        (FromZero, r"frame_ids: got \(0, 1\), expected .*ascending from 1"),
        (Descending, r"frame_ids: got \(2, 1\), expected .*ascending"),
        (ShapeIsList, r"shape: got array.*, expected \(height, width\)"),
        (TwoOfAName, "names: got 'a' 2 times, expected names, no two of them equal"),
        (OneSceneTooFew, "scenes: got 1 of them, expected 2"),
        (ForeignSplit, "split: got 'val', expected 'train' or 'test'"),
        (NoLabelSet, r"label_sets: got \(\), expected at least one name"),
        (NamesWithoutLabels, r"class_names\('none'\): got \['wall'\], expected none"),
        (MasksWithoutObjects, "has_instances: got False, expected True"),
        (ForeignCamera, "cameras: got {'f': 2.0}, expected fx, fy, cx, cy"),
        (InfiniteCamera, "cameras: got {'fx': inf.*, expected finite pixels"),
        (TupleInIdentity, r"identity\(\): got .*, expected a dict of plain JSON types"),
        (RestlessIdentity, r"identity\(\): got .*, expected the same each time"),
        (NoFingerprint, r"identity\(\)\['fingerprint'\]: got None, expected a str"),
        (ArrayInDetails, r"details\(\): got .*, expected a dict of plain JSON types"),
        (Unpicklable, "does not pickle .*lock.*, as workers need it"),
        (ForgetsWhenPickled, r"rgb\(\[0, 1\]\): got other values after pickling"),
        (ColourFirst, r"rgb\(\[0\]\): got uint8 \(1, 3, 4, 5\), expected uint8 \(1, 4, 5, 3\)"),
        (DepthInDouble, r"depth\(\[0\]\): got float64 \(1, 4, 5\), expected float32 \(1, 4, 5\)"),
        (DepthIsAList, r"depth\(\[0\]\): got \[\[2.0\]\], expected an array, float32"),
        (HolesAreNan, r"depth\(\[0\]\): got values from nan to nan, expected finite metres"),
        (BehindTheCamera, r"depth\(\[0\]\): got values from -1.0 to 2.0, expected finite metres"),
        (IgnoresOut, r"depth\(\[0, 1\]\): got other memory than out"),
        (ReturnsOutUnfilled, r"depth\(\[0, 1\]\): got other values in out"),
        (LeavesHolesInOut, r"depth\(\[0, 1\]\): got other values in out"),
        (WritesBeyondOut, r"depth\(\[0, 1\]\): got memory beyond out changed"),
        (FirstFrameForAll, r"rgb\(\[0, 1\]\): got other values for several frames"),
        (Counts, r"rgb\(\[0, 1\]\): got other values"),
        (OneAtATime, r"rgb\(\[\d\]\): got other values while 4 threads read"),
        (LabelsWithoutSet, r"semantic\(\[0\]\): got values from 1 to 1, expected 0 alone"),
        (LabelBeyondNames, r"semantic\(\[0\]\): got values from 1 to 1, expected .*in class_names"),
        (ObjectsUnannounced, r"instance\(\[0\]\): got values from 4 to 4, expected 0 alone"),
        (Raises, r"depth\(\[0\]\): raised ZeroDivisionError \('division by zero'\), expected a result"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)  # fmt: skip
def test_each_fault_is_found(broken, message):
    with pytest.raises(rsgt.InputError, match=f"^{broken.__name__}.*{message}") as caught:
        rsgt.check_source(broken())
    assert "\n" not in str(caught.value)


def test_what_a_source_says_of_its_files_stays_as_it_is(archives):
    (archives / "view_4.npz").write_bytes(b"")
    with pytest.raises(rsgt.InputError, match=r"view_4.npz: no rgb .*copy the file again"):
        rsgt.check_source(Archives(archives))
