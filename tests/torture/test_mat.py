"""Labelled files that are wrong inside, by the hundred: each is refused in one line, or read as it was.

The mutants run in a child process, batch by batch, under a time limit each and a limit of memory: HDF5 is a
C library, and a crash or a hang in it must be seen as what it is.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

import rsgt
from rsgt import builder
from rsgt.inputs import InputError
from rsgt.sources import open_source
from tests.conftest import often, smooth_frames, write_nyu

FRAMES, SHAPE = 4, (6, 8)
NAMES = [f"class {k}" for k in range(1, 30)]
LAYOUTS = ("frame", "block", "contiguous")
STACKS = ("images", "depths", "labels", "instances", "rawDepths")
SECONDS = 20
GIBIBYTES = 6


def arrays():
    return smooth_frames(FRAMES, SHAPE)


def originals(folder):
    """Write a sound file of each layout, and one that links may point to."""
    for layout in (*LAYOUTS, "other"):
        write_nyu(
            folder / f"{layout}.mat", arrays(), layout="frame" if layout == "other" else layout, names=NAMES
        )


def replace(file, name, **how):
    del file[name]
    return file.create_dataset(name, **how)


def cells(file, name, make):
    """Put a cell array in place of ``name``, its references made by ``make(k)``."""
    count = file[name].size
    data = replace(file, name, shape=(1, count), dtype=h5py.ref_dtype)
    for k in range(count):
        reference = make(k)
        if reference is not None:
            data[0, k] = reference


def odd_items(file, rng):
    """Things that are no array of characters."""
    group = file.require_group("odd")
    n = len(group)
    choice = rng.integers(8)
    if choice == 0:
        return group.create_group(f"{n}")
    if choice == 1:
        group[f"{n}"] = np.dtype("f8")
        return group[f"{n}"]
    values = [
        np.arange(3.0),
        np.zeros((2, 2), [("a", "i4"), ("b", "f8")]),
        np.array([[0xD800]], np.uint16),
        np.array([[7, 0, 10]], np.uint16),
        h5py.Empty("u2"),
        np.array([2**40], np.uint64),
    ]
    return group.create_dataset(f"{n}", data=values[choice - 2])


def other_type(file, rng):
    name = rng.choice(STACKS)
    shape = file[name].shape
    kinds = ["i4", "f2", "c16", "S4", "?", "u8", "i1", [("a", "u1"), ("b", "f4")], ">f8", "f4", "u1", "O"]
    dtype = kinds[rng.integers(len(kinds))]
    replace(file, name, shape=shape, dtype=h5py.string_dtype() if dtype == "O" else dtype)


def other_shape(file, rng):
    name = rng.choice(STACKS)
    shape, dtype = list(file[name].shape), file[name].dtype
    choice = rng.integers(7)
    shapes = [[], shape[:-1], [*shape, 1], shape[::-1], [shape[0] - 1, *shape[1:]], [0, *shape[1:]], None]
    if shapes[choice] is None:
        del file[name]
        file[name] = h5py.Empty(dtype)
    else:
        replace(file, name, shape=shapes[choice], dtype=dtype)


def as_python_writes(file, rng):
    for name in STACKS:
        values = file[name][()]
        replace(file, name, data=values.transpose(0, *range(values.ndim - 1, 0, -1)))


def huge(file, rng):
    frames = int(rng.choice([10**7, 10**12, 2**40]))
    for name in STACKS:
        shape, dtype = file[name].shape, file[name].dtype
        replace(file, name, shape=(frames, *shape[1:]), dtype=dtype, chunks=(1, *shape[1:]))


def huge_frames(file, rng):
    for name in STACKS:
        channels, dtype = file[name].shape[1:-2], file[name].dtype
        replace(file, name, shape=(4, *channels, 10**6, 10**6), dtype=dtype, chunks=(1, *channels, 64, 64))


def no_pixels(file, rng):
    keep = int(rng.integers(3))  # without frames, columns or rows
    for name in STACKS:
        shape, dtype = file[name].shape, file[name].dtype
        cut = {0: (0, *shape[1:]), 1: (*shape[:-2], 0, shape[-1]), 2: (*shape[:-1], 0)}[keep]
        replace(file, name, shape=cut, dtype=dtype)


def link(kind):
    def put(file, rng):
        name = rng.choice([*STACKS, "names", "scenes"])
        other = Path(file.filename).with_name("other.mat")
        if kind == "soft":
            file.move(name, "elsewhere")
            file[name] = h5py.SoftLink("/elsewhere")
            return
        del file[name]
        if kind == "external":
            file[name] = h5py.ExternalLink(other, f"/{name}")
        elif kind == "through a folder":
            file["away"] = h5py.ExternalLink(other, "/")
            file[name] = h5py.SoftLink(f"/away/{name}")
        elif kind == "circle":
            file[name], file["a"] = h5py.SoftLink("/a"), h5py.SoftLink(f"/{name}")
        elif kind == "dangling":
            file[name] = h5py.SoftLink("/nothing/here")
        elif kind == "group":
            file.create_group(name)
        elif kind == "type":
            file[name] = np.dtype("f4")

    return put


def external_storage(file, rng):
    name = rng.choice(STACKS)
    shape, dtype = file[name].shape, file[name].dtype
    other = Path(file.filename).with_name("other.mat")
    replace(file, name, shape=shape, dtype=dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual(file, rng):
    name = rng.choice(STACKS)
    shape, dtype = file[name].shape, file[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    target = rng.choice(["other.mat", "."])
    where = Path(file.filename).with_name("other.mat") if target == "other.mat" else "."
    layout[...] = h5py.VirtualSource(where, name, shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def unknown_filter(file, rng):
    name = rng.choice(STACKS)
    shape, dtype = file[name].shape, file[name].dtype
    data = replace(
        file, name, shape=shape, dtype=dtype, chunks=(1, *shape[1:]), compression=32999,
        allow_unknown_filter=True,
    )  # fmt: skip
    data.id.write_direct_chunk((0,) * len(shape), b"packed")


def packed_wrongly(file, rng):
    """Chunks whose bytes are no gzip, too much, too little, or said to have skipped their filter."""
    name = rng.choice(STACKS)
    values = file[name][()]
    data = replace(
        file, name, shape=values.shape, dtype=values.dtype, chunks=(1, *values.shape[1:]),
        compression="gzip", shuffle=bool(rng.integers(2)),
    )  # fmt: skip
    data[...] = values
    raw = values[1].tobytes()
    packed, mask = [
        (b"0", 0), (b"no gzip at all", 0), (zlib.compress(raw[:-1]), 0), (zlib.compress(raw + raw), 0),
        (zlib.compress(bytes(10**8)), 0), (raw[:-3], 3), (raw[:-3], 2), (zlib.compress(raw)[:-5], 1),
    ][rng.integers(8)]  # fmt: skip
    data.id.write_direct_chunk((1,) + (0,) * (values.ndim - 1), packed, mask)


def bad_value(file, rng):
    name, value = [
        ("depths", np.nan),
        ("depths", np.inf),
        ("rawDepths", -1),
        ("labels", 30),
        ("depths", -0.5),
    ][rng.integers(5)]
    data = file[name]
    data[int(rng.integers(FRAMES)), 2, 3] = value


def millimetres(file, rng):
    for name in ("depths", "rawDepths"):
        file[name][...] = file[name][()] * 1000


def texts_of(file, name):
    return ["".join(map(chr, file[reference][()].ravel())) for reference in file[name][()].ravel()]


def plain_strings(file, rng):
    name = rng.choice(["names", "scenes"])
    texts = texts_of(file, name)
    form = rng.integers(3)
    if form == 0:
        replace(file, name, data=texts, dtype=h5py.string_dtype())
    elif form == 1:
        replace(file, name, data=np.array(texts, "S"))
    else:
        width = max(map(len, texts))
        codes = np.array([[ord(c) for c in text.ljust(width)] for text in texts], np.uint16)
        replace(file, name, data=codes.T)


def no_texts(file, rng):
    name = rng.choice(["names", "scenes"])
    values = [
        np.arange(5), np.zeros((1, 29)), np.zeros(3, [("a", "i4")]), np.float64(3), h5py.Empty("u2"),
        np.zeros((0, 0), np.uint64), np.array([1 + 2j]), np.zeros(4, "?"),
    ]  # fmt: skip
    replace(file, name, data=values[rng.integers(len(values))])


def fewer_scenes(file, rng):
    replace(file, "scenes", shape=(1, int(rng.choice([1, 3, 5, 9]))), dtype=h5py.ref_dtype)
    for k in range(file["scenes"].size):
        file["scenes"][0, k] = file["#refs#/scenes0"].ref


def dangling(file, rng):
    name = rng.choice(["names", "scenes"])
    for k in range(file[name].size):
        if rng.random() < 0.5 or k == 0:
            del file[f"#refs#/{name}{k}"]


def region_references(file, rng):
    name = rng.choice(["names", "scenes"])
    count = file[name].size
    data = replace(file, name, shape=(1, count), dtype=h5py.regionref_dtype)
    for k in range(count):
        data[0, k] = file["depths"].regionref[0, :2, :2]


def attributes(file, rng):
    for name in (*STACKS, "names", "scenes"):
        if rng.random() < 0.5:
            file[name].attrs["MATLAB_empty"] = [np.uint8(1), "yes", np.zeros(3, [("a", "i4")])][
                rng.integers(3)
            ]
    file.attrs["rsgt_synthetic"] = h5py.Empty("f4")


REFUSED = {
    "another type, huge claim": huge,
    "frames of a million pixels a side": huge_frames,
    "no frames or pixels": no_pixels,
    "as Python writes them": as_python_writes,
    "another shape": other_shape,
    "external link": link("external"),
    "external link on the way": link("through a folder"),
    "circle of links": link("circle"),
    "link to nothing": link("dangling"),
    "group": link("group"),
    "committed type": link("type"),
    "external storage": external_storage,
    "virtual data set": virtual,
    "filter that is not installed": unknown_filter,
    "chunk packed wrongly": packed_wrongly,
    "bad value": bad_value,
    "millimetres": millimetres,
    "names that are no texts": no_texts,
    "fewer scenes": fewer_scenes,
    "references to nothing": lambda f, rng: cells(f, rng.choice(["names", "scenes"]), lambda k: None),
    "references to other things": lambda f, rng: cells(
        f, rng.choice(["names", "scenes"]), lambda k: odd_items(f, rng).ref
    ),
    "references in a circle": lambda f, rng: cells(f, "names", lambda k: f["names"].ref),
    "region references": region_references,
}
SAME = {"soft link": link("soft"), "texts in other forms": plain_strings}
EITHER = {"another type": other_type, "dangling references": dangling, "odd attributes": attributes}
STRUCTURES = {**REFUSED, **SAME, **EITHER}


def flips(data, rng):
    for _ in range(rng.choice([1, 4, 40])):
        data[rng.integers(512, len(data))] ^= 1 << rng.integers(8)
    return data


def flips_ahead(data, rng):
    """Hit the superblock, the root group and the first tables."""
    for _ in range(rng.choice([1, 3])):
        data[rng.integers(512, 512 + 2048)] ^= 1 << rng.integers(8)
    return data


def cut(data, rng):
    return data[: rng.integers(len(data))]


def block_of(value):
    def put(data, rng):
        start, size = rng.integers(len(data)), rng.choice([8, 64, 512, 4096])
        length = len(data[start : start + size])
        data[start : start + size] = rng.bytes(length) if value is None else bytes([value]) * length
        return data

    return put


def moved(data, rng):
    a, b = rng.integers(512, len(data) - 64, 2)
    data[a : a + 64], data[b : b + 64] = data[b : b + 64], data[a : a + 64]
    return data


def dropped(data, rng):
    start = rng.integers(len(data))
    return data[:start] + data[start + rng.choice([1, 8, 100]) :]


BYTES = {
    "bit flips": flips, "bit flips ahead": flips_ahead, "truncation": cut, "zeros": block_of(0),
    "ones": block_of(255), "noise": block_of(None), "swapped blocks": moved, "lost bytes": dropped,
}  # fmt: skip


def mutate(folder, path, seed):
    """Write mutant ``seed`` to ``path``; returns its kind."""
    rng = np.random.default_rng(seed)
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    shutil.copyfile(folder / f"{layout}.mat", path)
    if seed % 2:
        kind = list(BYTES)[seed // 2 % len(BYTES)]
        path.write_bytes(BYTES[kind](bytearray(path.read_bytes()), rng))
    else:
        kind = list(STRUCTURES)[seed // 2 % len(STRUCTURES)]
        with h5py.File(path, "r+") as file:
            STRUCTURES[kind](file, rng)
    return kind


def read(path, out):
    """Everything that a build and `rsgt info` take from a file."""
    source = open_source(path)
    told = rsgt.diagnose(source)
    frames = range(len(source.frame_ids))
    found = {
        "images": source.rgb(frames), "depths": source.depth(frames), "labels": source.semantic(frames),
        "instances": source.instance(frames),
    }  # fmt: skip
    if "rawDepths" in told.get("arrays", {}):
        found["rawDepths"] = source.depth(frames, "raw")
    plan = builder.plan_build(source, builder.Parameters(min_size=2))
    builder.build_plan(source, out, plan, workers=0)
    return {**found, "names": source.class_names("894"), "scenes": list(source.scenes)}


def judge(folder, seed, sound):
    path, out = folder / f"mutant{seed}.mat", folder / f"mutant{seed}.zarr"
    kind = mutate(folder, path, seed)
    try:
        found = read(path, out)
        same = all(np.array_equal(found.get(name), value) for name, value in sound.items())
        return kind, "same" if same else "other values", ""
    except InputError as error:
        message = str(error)
        good = str(path) in message and "\n" not in message and len(message) < 700
        return kind, "refused" if good else "refused badly", message
    except OSError as error:
        return kind, "unforeseen", f"OSError: {error}"
    except BaseException as error:
        return kind, "unforeseen", f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(out, ignore_errors=True)
        path.unlink(missing_ok=True)


def child(folder, first, last):
    """Judge mutants one by one; a line is begun before each and ended after it."""
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES * 2**30,) * 2)
    sound = read(folder / "frame.mat", folder / f"sound{first}.zarr")
    with (folder / f"log{first}.jsonl").open("w") as log:
        for seed in range(first, last):
            signal.alarm(SECONDS)  # ends this process, whatever C code it is in
            log.write(json.dumps([seed, *judge(folder, seed, sound)]) + "\n")
            log.flush()


def run(folder, first, last):
    """Judge mutants in child processes, another after each that died: [seed, kind, outcome, message]."""
    while first < last:
        command = [sys.executable, "-m", "tests.torture.test_mat", folder, str(first), str(last)]
        root = Path(__file__).parents[2]
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        log = folder / f"log{first}.jsonl"
        assert log.exists(), done.stderr
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        yield from rows
        first += len(rows)
        if first < last:
            assert done.returncode, done.stderr
            kind = mutate(folder, folder / f"crashed{first}.mat", first)
            yield first, kind, "crashed", f"exit code {done.returncode}: {done.stderr[-300:]}"
            first += 1


@pytest.mark.slow
def test_every_wrong_file_is_refused_in_one_line_or_read_as_it_was(tmp_path, capsys):
    originals(tmp_path)
    mutants = often(2 * (len(STRUCTURES) + 12), 1600)
    rows = list(run(tmp_path, 0, mutants))
    count = Counter(outcome for _, _, outcome, _ in rows)
    with capsys.disabled():
        print(f"\n.mat files: {len(rows)} mutants: {', '.join(f'{n} {k}' for k, n in count.most_common())}")
    wrong = [row for row in rows if row[2] not in {"refused", "same", "other values"}]
    # Uncompressed values and HDF5's own tables have no checksum: after damage to bytes, other values may
    # come. A structure that is wrong is refused, and one that only looks different is read as it was.
    wrong += [row for row in rows if row[1] in REFUSED and row[2] != "refused"]
    wrong += [row for row in rows if row[1] in SAME and row[2] != "same"]
    assert not wrong, "\n".join(map(str, wrong[:20]))


if __name__ == "__main__":
    child(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
