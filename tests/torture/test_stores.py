"""A store with one fault: every flipped bit, changed word and lost file is found, none is read as data."""

import json
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rsgt import builder
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.sources import open_source
from rsgt.store import manifest, schema
from rsgt.store.reader import open_store
from tests.conftest import often, smooth_frames, write_nyu


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A small store with several shards, and every file of it."""
    folder = tmp_path_factory.mktemp("sound")
    source = open_source(write_nyu(folder / "a.mat", smooth_frames(5, shape=(12, 16))))
    plan = builder.plan_build(source, builder.Parameters(min_size=4), shard_frames=2)
    out = builder.build_plan(source, folder / "s.zarr", plan).path
    return out, sorted(file for file in out.rglob("*") if file.is_file())


def meaning(out):
    """All that a reader can get out of a store."""
    opened = open_store(out)
    found = [
        opened.describe(),
        opened.attributes,
        opened.class_names,
        opened.scene_names,
        [*opened.frame_names],
    ]
    found += [opened.read(name, 0, len(opened)).tobytes() for name in schema.FRAME_SPECS]
    found += [opened.frame_id.tobytes(), opened.split.tobytes(), opened.scene.tobytes()]
    table = opened.whole_region_table()
    return [*found, opened.region_start.tobytes(), *(column.tobytes() for column in table.values())]


def outcome(out, expected):
    """How ``verify`` and a reader take a store: (verify, reader), each "refused", "equal" or "other"."""
    try:
        checked = "refused" if verify(out, workers=0).problems else "equal"
    except InputError:
        checked = "refused"
    try:
        read = "equal" if meaning(out) == expected else "other"
    except InputError as error:
        read = "refused" if "\n" not in str(error) else "refused in several lines"
    return checked, read


def count(name, outcomes):
    told = {kind: outcomes.count(kind) for kind in sorted(set(outcomes))}
    print(f"{name}: {len(outcomes)} faults; (verify, reader): {told}")


def test_flipped_bits_over_all_files(sound):
    """A flip that changes nothing that is said may pass; any other is refused by verify, and never read."""
    out, files = sound
    expected, rng, found = meaning(out), random.Random(0), []
    places = [(file, k) for file in files for k in range(file.stat().st_size)]
    small = [place for place in places if place[0].stat().st_size < 3000]
    for turn in range(often(60, 1400)):
        file, k = rng.choice(small if turn % 2 else places)
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[k] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        try:
            result = outcome(out, expected)
        finally:
            file.write_bytes(whole)
        found.append(result)
        assert result[0] == "refused", (file, k)
        assert result[1] in ("refused", "equal"), (file, k)
    count("flipped bits", found)
    assert outcome(out, expected) == ("equal", "equal")


def leaves(value, at=()):
    """Every value of a JSON document that holds no others, with the way to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner:
        yield at, value
    for key, part in inner:
        yield from leaves(part, (*at, key))


def changed(value, rng):
    """Another value that could stand in a value's place."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 480, 10**12])
    if isinstance(value, float):
        return value * rng.choice([0.5, 1.0001, -1, 1000])
    if isinstance(value, str):
        swaps = {
            "filled": "raw",
            "little": "big",
            "m": "mm",
            "equal": "log",
            "default": "published",
            "894": "40",
        }
        return swaps.get(value, value[::-1] + rng.choice(["", "x"]) if value else "x")
    return rng.choice([0, "x", [1], {"a": 1}])


def tampered(document, rng):
    """A document in which one thing is another: a value, a key's name, something gone, something more."""
    copy = json.loads(json.dumps(document))
    way, value = rng.choice([*leaves(copy)])
    holder = copy
    for key in way[:-1]:
        holder = holder[key]
    kind = rng.choice(["value", "value", "value", "gone", "type", "named", "added"])
    if kind == "value":
        holder[way[-1]] = changed(value, rng)
    elif kind == "type":
        holder[way[-1]] = rng.choice([None, "text", 7, [], {}, [[1]], True])
    elif isinstance(holder, list):
        holder.append(changed(value, rng)) if kind == "added" else holder.pop(way[-1])
    elif kind == "added":
        holder[f"{way[-1]}_"] = value
    else:
        del holder[way[-1]]
        if kind == "named":
            holder[str(way[-1]).upper() + "_"] = value
    return copy


def test_tampered_documents(sound):
    """Shapes, byte orders, units, names, camera, parameters, provenance: what another value stands in."""
    out, files = sound
    expected, rng, found = meaning(out), random.Random(1), []
    documents = [file for file in files if file.name == "zarr.json"]
    for turn in range(often(40, 400)):
        file = out / "zarr.json" if turn % 3 == 0 else rng.choice(documents)
        whole = file.read_text()
        document = tampered(json.loads(whole), rng)
        if document == json.loads(whole):
            continue
        file.write_text(json.dumps(document))
        try:
            result = outcome(out, expected)
        finally:
            file.write_text(whole)
        found.append(result)
        assert result == ("refused", "refused"), (file, document)
    count("tampered documents", found)
    assert outcome(out, expected) == ("equal", "equal")


def test_tampered_metadata_with_mended_records(sound):
    """Whoever mends records and seal as well is found by the schema, but for what each store says freely."""
    out, files = sound
    rng, found = random.Random(2), []
    documents = [file for file in files if file.name == "zarr.json" and (file.parent / "c").is_dir()]
    root = out / "zarr.json"
    for _ in range(often(20, 120)):
        file = rng.choice(documents)
        whole, whole_root = file.read_text(), root.read_text()
        before = json.loads(whole)
        document = tampered(before, rng)
        free = {"class_names", "scene_names"}
        if document == before or any(
            document.get("attributes", {}).get(name) != before["attributes"].get(name)
            for name in free & set(before["attributes"])
        ):
            continue
        file.write_text(json.dumps(document))
        attributes = json.loads(whole_root)["attributes"]
        attributes["files"][str(file.relative_to(out))] = manifest.file_record(file)
        root.write_text(json.dumps({**json.loads(whole_root), "attributes": manifest.sealed(attributes)}))
        try:
            problems = verify(out, workers=0).problems
        finally:
            file.write_text(whole)
            root.write_text(whole_root)
        found.append(("refused" if problems else "equal", "-"))
        if not problems:  # what Zarr itself takes for the same
            assert set(document) >= set(before), document
    count("tampered metadata with mended records", found)


def test_lost_and_short_files(sound):
    out, files = sound
    expected, rng, found = meaning(out), random.Random(3), []
    for file in files if often(0, 1) else rng.sample(files, 16):
        whole = file.read_bytes()
        for size in (None, 0, len(whole) // 2, len(whole) - 1, len(whole) + 1):
            file.unlink()
            if size is not None:
                file.write_bytes((whole + b"\0")[:size])
            try:
                result = outcome(out, expected)
            finally:
                file.write_bytes(whole)
            found.append(result)
            assert result == ("refused", "refused"), (file, size)
    count("lost and short files", found)


COMMANDS = (
    "info STORE",
    "stats STORE",
    "show STORE 1 --out PICTURE",
    "compare STORE --only grid",
    "report STORE --out PAGE",
    "verify STORE",
    "build --nyu MAT --out STORE --min-size 4 --shard-frames 2",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "lost", ["region/c/0/0/0", "depth/c/2/0/0", "split/c/0", "regions/area/c/0", "rgb/zarr.json"]
)
def test_no_command_takes_what_is_lost_for_zeros(sound, tmp_path, command, lost):
    out, _ = sound
    copy = shutil.copytree(out, tmp_path / "s.zarr")
    (copy / lost).unlink()
    places = {
        "STORE": copy,
        "PICTURE": tmp_path / "a.png",
        "PAGE": tmp_path / "a.html",
        "MAT": out.parent / "a.mat",
    }
    arguments = [str(places.get(word, word)) for word in command.split()]
    done = CliRunner(catch_exceptions=False).invoke(main, arguments)
    assert done.exit_code == (1 if command.startswith("verify") else 2), done.output
    said = done.stdout if command.startswith("verify") else done.stderr
    assert lost in said
    assert Path(lost).name in said
    if not command.startswith("verify"):
        assert len(done.stderr.strip().splitlines()) == 1
        assert "rsgt verify" in done.stderr
