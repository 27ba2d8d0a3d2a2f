"""A frame straight out of its shard: what Zarr reads there, or a refusal, and never anything else."""

import random

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

import rsgt
from rsgt.store import encoding, packing, schema
from rsgt.store.reader import DamageError, open_store
from tests.conftest import smooth_frames, write_nyu

REFUSED = (ValueError, RuntimeError, OSError)


def stored(folder, spec, values, shard):
    """An array of the schema in a folder, as a build writes it."""
    array = encoding.create_array(folder / spec.name, spec, values.shape, shard=shard)
    for k, first in enumerate(range(0, len(values), shard)):
        encoding.write_shard_file(folder, spec, k, values[first : first + shard], shard)
    return array


@given(
    spec=st.sampled_from([*schema.FRAME_ARRAYS, *schema.PREDICTIONS.values()]),
    frames=st.integers(1, 5),
    shard=st.integers(1, 4),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    most=st.sampled_from([1, 3, 2**31]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_what_zarr_reads(tmp_path_factory, spec, frames, shard, shape, most, seed):
    shape = (frames, *shape, 3)[: len(spec.axes)]
    values = np.random.default_rng(seed).integers(0, most, shape).astype(spec.dtype)
    folder = tmp_path_factory.mktemp("array")
    array = stored(folder, spec, values, shard)
    plain = packing.plain(array)
    for i in range(frames):
        found = plain.read(folder / encoding.shard_file(spec, i // shard), i % shard)
        assert found.dtype == array.dtype
        assert np.array_equal(found, array[i])
        assert np.array_equal(found, values[i])


def sharding(*codecs, **options):
    return ShardingCodec(chunk_shape=(1, 6, 8), codecs=codecs, **options)


LITTLE, PACKED = BytesCodec(endian="little"), BloscCodec(cname="lz4")


@pytest.mark.parametrize(
    "codecs",
    [
        sharding(LITTLE, PACKED, Crc32cCodec(), index_location="start"),
        sharding(LITTLE, PACKED),
        sharding(BytesCodec(endian="big"), PACKED, Crc32cCodec()),
        sharding(LITTLE, ZstdCodec(), Crc32cCodec()),
        sharding(LITTLE, PACKED, Crc32cCodec(), index_codecs=[LITTLE]),
        ShardingCodec(chunk_shape=(2, 6, 8), codecs=(LITTLE, PACKED, Crc32cCodec())),
        ShardingCodec(chunk_shape=(1, 3, 8), codecs=(LITTLE, PACKED, Crc32cCodec())),
    ],
)
def test_what_is_encoded_otherwise_is_left_to_zarr(codecs):
    array = zarr.create(
        store=zarr.storage.MemoryStore(), shape=(4, 6, 8), chunks=(4, 6, 8), dtype="f4", codecs=[codecs],
        zarr_format=3,
    )  # fmt: skip
    assert packing.plain(array) is None


def test_what_is_not_sharded_is_left_to_zarr():
    assert packing.plain(zarr.create_array(zarr.storage.MemoryStore(), shape=(4, 6), dtype="f4")) is None
    assert packing.plain(
        zarr.create_array(zarr.storage.MemoryStore(), shape=(4, 6), dtype="f4", zarr_format=2)
    ) is None  # fmt: skip


def table(folder, values, chunk):
    """An array of rows, as a build lays small arrays out."""
    array = zarr.create(
        store=str(folder), shape=values.shape, chunks=(chunk, *values.shape[1:]), dtype=values.dtype,
        codecs=(LITTLE, PACKED, Crc32cCodec()), zarr_format=3, fill_value=0,
        config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = values
    return array


@given(
    dtype=st.sampled_from(["u1", "i4", "i8", "f4", "f8"]),
    shape=st.one_of(st.tuples(st.integers(1, 60)), st.tuples(st.integers(1, 60), st.integers(1, 5))),
    chunk=st.integers(1, 70),
    ends=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
@settings(max_examples=60)
def test_rows_are_those_that_zarr_reads(tmp_path_factory, dtype, shape, chunk, ends):
    values = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    folder = tmp_path_factory.mktemp("rows")
    array = table(folder, values, chunk)
    first, stop = sorted(min(end, len(values)) for end in ends)
    numbers = range(first // chunk, -(-stop // chunk))
    files = [folder / "c" / "/".join([str(k), *("0" for _ in shape[1:])]) for k in numbers]
    found = packing.rows(array).read(files, first, stop)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values[first:stop])


def test_damaged_rows_are_refused(tmp_path):
    values = np.arange(50, dtype=np.int32)
    lie, file = packing.rows(table(tmp_path, values, 64)), tmp_path / "c" / "0"
    whole = file.read_bytes()
    bits = [
        bytes(b ^ (1 << bit) * (i == at) for i, b in enumerate(whole))
        for at in range(len(whole))
        for bit in (0, 7)
    ]
    for content in [*(whole[:size] for size in range(len(whole))), whole + b"0", *bits]:
        file.write_bytes(content)
        with pytest.raises(REFUSED):
            lie.read([file], 0, 50)


@pytest.mark.parametrize(
    "codecs",
    [(LITTLE, PACKED), (LITTLE, Crc32cCodec()), (BytesCodec(endian="big"), PACKED, Crc32cCodec()),
     (LITTLE, ZstdCodec(), Crc32cCodec()), (sharding(LITTLE, PACKED, Crc32cCodec()),)],
)  # fmt: skip
def test_rows_that_are_encoded_otherwise_are_left_to_zarr(tmp_path, codecs):
    shape = (4, 6, 8)
    chunks = shape if isinstance(codecs[0], ShardingCodec) else (2, 6, 8)
    array = zarr.create(
        store=zarr.storage.MemoryStore(), shape=shape, chunks=chunks, dtype="f4", codecs=codecs, zarr_format=3
    )
    assert packing.rows(array) is None


def test_a_store_reads_single_frames_so(tmp_path, monkeypatch):
    arrays = smooth_frames(7)
    store = rsgt.build(write_nyu(tmp_path / "a.mat", arrays), tmp_path / "s.zarr", shard_frames=3, min_size=4)
    calls = []
    read = packing.Plain.read
    monkeypatch.setattr(packing.Plain, "read", lambda *some: calls.append(some) or read(*some))
    for name in schema.FRAME_SPECS:
        whole = store.array(name)[:]
        assert np.array_equal(store.read(name, 0, 7), whole)
        assert all(np.array_equal(store.read(name, i, i + 1), whole[i : i + 1]) for i in range(7))
    assert len(calls) == 7 * len(schema.FRAME_SPECS)


def test_nothing_damaged_is_read(tmp_path):
    """Every flipped bit and every end: the frame as it was, or a refusal."""
    spec, rng = schema.FRAME_SPECS["depth"], random.Random(0)
    values = np.random.default_rng(0).random((3, 8, 10), np.float32)
    plain = packing.plain(stored(tmp_path, spec, values, 4))
    file = tmp_path / encoding.shard_file(spec, 0)
    whole, refused = file.read_bytes(), 0
    kinds = [whole[:size] for size in range(0, len(whole), 7)]
    for _ in range(500):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        kinds.append(bytes(changed))
    for content in kinds:
        file.write_bytes(content)
        for k in range(3):
            try:
                assert np.array_equal(plain.read(file, k), values[k])
            except REFUSED:
                refused += 1
    assert refused > len(kinds) / 3


def test_a_header_that_lies_is_refused(tmp_path):
    """With a checksum that holds: its sizes say what Blosc would write, and read, without a look."""
    spec = schema.FRAME_SPECS["depth"]
    values = np.random.default_rng(0).random((1, 8, 10), np.float32)
    plain = packing.plain(stored(tmp_path, spec, values, 1))
    file = tmp_path / encoding.shard_file(spec, 0)
    whole = file.read_bytes()
    first, length = np.frombuffer(whole[-20:], "<u8", 2).tolist()
    for at in (4, 12):
        for size in (0, 319, 321, 2**31, 2**32 - 1):
            packed = bytearray(whole[first : first + length - 4])
            packed[at : at + 4] = size.to_bytes(4, "little")
            packed += packing.google_crc32c.value(bytes(packed)).to_bytes(4, "little")
            file.write_bytes(whole[:first] + packed + whole[first + length :])
            with pytest.raises(ValueError, match="expected 320 in"):
                plain.read(file, 0)


def test_a_chunk_that_was_never_written_is_refused(tmp_path):
    """Zarr would read zeros."""
    spec = schema.FRAME_SPECS["depth"]
    array = stored(tmp_path, spec, np.ones((2, 8, 10), np.float32), 4)
    with pytest.raises(ValueError, match="beyond the end"):
        packing.plain(array).read(tmp_path / encoding.shard_file(spec, 0), 2)


def test_a_shard_that_goes_while_it_is_read_is_told(tmp_path, monkeypatch):
    store = rsgt.build(write_nyu(tmp_path / "a.mat", smooth_frames(3)), tmp_path / "s.zarr", min_size=4)
    opened = open_store(store.path)
    opened.read("depth", 0, 1)
    monkeypatch.setattr(type(opened), "_refuse", lambda *_: None)
    (store.path / "depth/c/0/0/0").unlink()
    with pytest.raises(DamageError, match="depth of frames 0..0 can't be read"):
        opened.read("depth", 0, 1)
