"""Shards as bytes: those of zarr-python, which any Zarr reader reads."""

import numpy as np
import pytest
import zarr

from rsgt.store import encoding, manifest, schema

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


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("kind", ["noise", "regions", "zeros", "one frame"])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_shards_have_the_bytes_of_zarr(spec, kind, frames):
    values = values_of(spec, frames, kind)
    assert encoding.encode_shard(spec, values, 4) == encoding.encoded_by_zarr(spec, values, 4)


def test_what_is_not_packed_as_ours_zarr_encodes(monkeypatch):
    spec = schema.FRAME_SPECS["rgb"]
    values = values_of(spec, 3, "regions")
    mine = encoding.encode_shard(spec, values, 4)
    monkeypatch.setattr(encoding, "_packing", lambda *arguments: None)
    assert encoding.encode_shard(spec, values, 4) == mine


@pytest.mark.parametrize("kind", ["noise", "zeros"])
def test_zarr_reads_what_was_encoded(tmp_path, kind):
    """Also of zeros each frame has its chunk: a missing one would be read as zeros whatever it was."""
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


def test_values_of_another_type_become_the_arrays_own():
    spec = schema.PREDICTIONS["prediction"]
    values = values_of(spec, 4, "regions")
    others = [values.astype(float), np.asfortranarray(values), values.astype(">f4")]
    assert {encoding.encode_shard(spec, one, 4) for one in [values, *others]} == {
        encoding.encoded_by_zarr(spec, values, 4)
    }
