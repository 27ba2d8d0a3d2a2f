"""Shards as bytes: what any Zarr reader reads, the same from tensorstore as from zarr-python."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

import rsgt
from rsgt.store import encoding, manifest, reader, schema, writer
from tests.conftest import smooth_frames, write_nyu

ROOT = Path(__file__).parents[2]
SHAPE = (24, 32)
SPECS = [*schema.FRAME_ARRAYS, *schema.PREDICTIONS.values()]


def values_of(spec, frames, kind):
    """Frames of an array: noise, regions, nothing at all, or something in one frame only."""
    shape = (frames, *SHAPE, 3)[: len(spec.axes)]
    noise = np.random.default_rng(frames).integers(0, 2**31 - 1, shape)
    made = {"noise": noise, "regions": noise % 3, "zeros": noise * 0, "one frame": noise * 0}[kind]
    if kind == "one frame":
        made[0] = noise[0] % 7
    return (made / 1000 if spec.dtype == "float32" else made).astype(spec.dtype)


def needs_tensorstore():
    pytest.importorskip("tensorstore", reason="tensorstore is missing: pip install 'region-support[fast]'")


def without_tensorstore(patch):
    patch.setattr(encoding, "_tensorstore", lambda: None)


def shard_of_zarr(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        without_tensorstore(patch)
        return encoding.encode_shard(*arguments)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("kind", ["noise", "regions", "zeros", "one frame"])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_tensorstore_makes_the_same_bytes(monkeypatch, spec, kind, frames):
    needs_tensorstore()
    values = values_of(spec, frames, kind)
    assert encoding.encode_shard(spec, values, 4) == shard_of_zarr(monkeypatch, spec, values, 4)


@pytest.mark.parametrize("library", ["zarr", "tensorstore"])
@pytest.mark.parametrize("kind", ["noise", "zeros"])
def test_zarr_reads_what_was_encoded(monkeypatch, tmp_path, library, kind):
    """Also of zeros each frame has its chunk: a missing one would be read as zeros whatever it was."""
    if library == "zarr":
        without_tensorstore(monkeypatch)
    else:
        needs_tensorstore()
    spec = schema.FRAME_SPECS["depth"]
    values = values_of(spec, 6, kind)
    encoding.create_array(tmp_path / "depth", spec, values.shape, shard=4)
    for k, rows in enumerate((slice(0, 4), slice(4, 6))):
        record = encoding.write_shard_file(tmp_path, spec, k, values[rows], 4)
        file = tmp_path / encoding.shard_file(spec, k)
        assert record == manifest.file_record(file)
        lengths = np.frombuffer(file.read_bytes()[-4 * 16 - 4 : -4], "<u8").reshape(4, 2)[:, 1]
        assert (lengths[: len(values[rows])] < 2**32).all()
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "depth"), mode="r")[:], values)


def test_values_of_another_type_become_the_arrays_own(monkeypatch):
    spec = schema.PREDICTIONS["prediction"]
    values = values_of(spec, 4, "regions")
    others = [values.astype(float), np.asfortranarray(values), values.astype(">f4")]
    assert {encoding.encode_shard(spec, one, 4) for one in [values, *others]} == {
        shard_of_zarr(monkeypatch, spec, values, 4)
    }


@pytest.mark.parametrize("first", ["zarr", "tensorstore"])
def test_a_build_begun_with_one_library_goes_on_with_the_other(monkeypatch, tmp_path, first):
    needs_tensorstore()
    path = write_nyu(tmp_path / "a.mat", smooth_frames(6))
    out, write = tmp_path / "s.zarr", writer.write_shard

    def build(library, **options):
        with monkeypatch.context() as patch:
            if library == "zarr":
                without_tensorstore(patch)
            return rsgt.build(path, out, shard_frames=2, workers=0, **options)

    def stop_after_one(*arguments):
        if [*out.glob(f"{reader.STAGING}/*/shards/*.json")]:
            raise KeyboardInterrupt
        write(*arguments)

    second = {"zarr": "tensorstore", "tensorstore": "zarr"}[first]
    monkeypatch.setattr(writer, "write_shard", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        build(first)
    monkeypatch.setattr(writer, "write_shard", write)
    (begun,) = out.glob(f"{reader.STAGING}/*/store/depth/c/*/0/0")
    number, written = begun.parts[-3], begun.stat().st_mtime_ns
    mixed = build(second)
    assert (out / f"depth/c/{number}/0/0").stat().st_mtime_ns == written
    wholly = [build(library, overwrite=True).identity for library in (first, second)]
    assert wholly == [mixed.identity] * 2
    assert "tensorstore" in mixed.attributes["versions"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_forked_process_encodes_as_well():
    """tensorstore aborts a process that was forked from one that used it."""
    code = """
import os, sys
import numpy as np
from rsgt.store import encoding, schema
spec, values = schema.FRAME_SPECS["depth"], np.ones((2, 8, 8), np.float32)
mine = encoding.encode_shard(spec, values, 2)
child = os.fork()
if not child:
    os._exit(0 if encoding.encode_shard(spec, values, 2) == mine else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
