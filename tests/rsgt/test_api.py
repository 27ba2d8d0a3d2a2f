"""The public API: what it names is there, typed, light to import, and what the commands call."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rsgt
from tests.conftest import smooth_frames, write_nyu


def test_every_name_is_there_and_documented():
    assert sorted(rsgt.__all__) == sorted(rsgt._HOMES)
    for name in rsgt.__all__:
        assert getattr(rsgt, name).__doc__, name
    assert set(rsgt.__all__) <= set(dir(rsgt))
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        rsgt.colour  # noqa: B018


def test_it_is_light_to_import():
    heavy = ("numpy", "numba", "zarr", "dask", "h5py", "matplotlib", "torch", "click")
    code = f"import sys, rsgt; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_typed():
    assert (Path(rsgt.__file__).parent / "py.typed").is_file()


class Ramp(rsgt.Source):
    """Somebody's own source: two frames, one wall that falls away."""

    path = Path("ramp")
    frame_ids, shape, scenes, label_sets = (5, 9), (8, 12), ("a", "b"), ("own",)

    def class_names(self, labels=None):
        return ["wall"]

    def identity(self):
        return {"name": "ramp", "fingerprint": "1"}

    def rgb(self, frames, out=None):
        out = self.room(out, frames, np.uint8, 3)
        out[:] = 0
        out[..., 0, :] = 9
        return out

    def depth(self, frames, kind=None, out=None):
        out = self.room(out, frames, np.float32)
        out[:] = np.linspace(1, 3, 12)
        return out

    def semantic(self, frames, labels=None, out=None):
        out = self.room(out, frames, np.uint16)
        out[:] = 1
        return out


def test_any_object_that_keeps_the_protocol_is_a_source(tmp_path):
    store = rsgt.build(Ramp(), tmp_path / "s.zarr", bins=4, min_size=0)
    assert [frame.number for frame in store] == [5, 9]
    assert store.frame(9).region.max() == 2
    assert not rsgt.verify(store, source=Ramp()).problems
    assert rsgt.plan(Ramp(), bins=4)["frames"] == 2


def test_parameters_by_their_names(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(2))
    with pytest.raises(rsgt.InputError, match="got 'groupings', expected some of variant.*; grouping"):
        rsgt.build(path, tmp_path / "s.zarr", groupings="log")
    assert not (tmp_path / "s.zarr").exists()
    store = rsgt.build(str(path), str(tmp_path / "s.zarr"), grouping="log", frames=[2])
    assert store.attributes["parameters"]["grouping"] == "log"
    again = rsgt.build(path, tmp_path / "s.zarr", grouping="log", frames=[2])
    assert again.identity == store.identity
    with pytest.raises(rsgt.InputError, match="holds another build"):
        rsgt.build(path, tmp_path / "s.zarr", grouping="natural", frames=[2])


def test_each_takes_a_store_or_its_path(tmp_path):
    store = rsgt.build(write_nyu(tmp_path / "a.mat", smooth_frames(4)), tmp_path / "s.zarr", min_size=4)
    np.save(tmp_path / "p.npy", np.maximum(store.read("depth", 0, 4), 0.5))
    for one in (store, tmp_path / "s.zarr", str(tmp_path / "s.zarr")):
        found = rsgt.statistics(one, prediction=str(tmp_path / "p.npy"))
        assert found.document() == rsgt.statistics(store, prediction=tmp_path / "p.npy").document()
        assert rsgt.verify(one, source=str(tmp_path / "a.mat")).compared_with_source == 4
        compared = rsgt.compare(one, frames=[1, 3], only=("grid", "this store"))
        assert len(compared.frame) == 2
        assert len(rsgt.compare(one, sample=None, only=("this store",)).frame) == 4
        assert rsgt.show(one, [1], tmp_path / "p.png").stat().st_size
        page = rsgt.report(one, str(tmp_path / "r.html"), comparison=compared.document(), frames=[2])
        assert "grid" in page.read_text(encoding="utf-8")
    found.plot(tmp_path / "f.png"), compared.plot(tmp_path / "c.png")
    assert (tmp_path / "f.png").stat().st_size
    assert (tmp_path / "c.png").stat().st_size
