"""Builds that are killed, or run two at a time: what stands at --out is whole, or can be finished, always."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsgt import builder
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.sources import open_source
from rsgt.store import reader, writer
from rsgt.store.reader import open_store
from tests.conftest import often, smooth_frames, write_nyu

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file, and what two ways to build it come to."""
    folder = tmp_path_factory.mktemp("made")
    path = write_nyu(folder / "a.mat", smooth_frames(40, shape=(60, 80)))
    identities = {
        size: subprocess.run(command(path, folder / f"{size}.zarr", size), check=True, capture_output=True)
        and open_store(folder / f"{size}.zarr").identity
        for size in (4, 40)
    }
    return path, identities


def command(path, out, min_size, *more):
    return [sys.executable, "-m", "rsgt", "build", "--nyu", str(path), "--out", str(out), "--min-size",
            str(min_size), "--shard-frames", "2", "--workers", "2", *more]  # fmt: skip


def state(out):
    """What stands there: "none", "unfinished", or the identity of a store that is found sound."""
    try:
        opened = open_store(out)
    except reader.DamageError:
        raise
    except InputError as error:
        return "unfinished" if "unfinished" in str(error) else "none"
    assert not verify(out, workers=0).problems
    return opened.identity


def files(out):
    return {str(f.relative_to(out)): f.read_bytes() for f in Path(out).rglob("*") if f.is_file()}


def progress_of(out):
    # os.walk and not rglob: the build removes folders while they are listed.
    return sum(name.endswith(".json") for _, _, names in os.walk(out) for name in names)


def test_killed_builds_are_finished_by_the_same_command(made, tmp_path):
    """A kill leaves what stood there, or what the same command finishes to the same bytes."""
    path, identities = made
    rng, seen = random.Random(0), {"none": 0, "unfinished": 0, "old": 0, "new": 0}
    for turn in range(often(4, 40)):
        out = tmp_path / f"{turn}.zarr"
        overwrites = turn % 2
        if overwrites:
            subprocess.run(command(path, out, 4), check=True, capture_output=True)
        call = command(path, out, 40, *(["--overwrite"] if overwrites else []))
        for _ in range(2):
            begun = progress_of(out)
            with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                deadline = time.monotonic() + 60
                while (
                    process.poll() is None and time.monotonic() < deadline and progress_of(out) <= begun + 1
                ):
                    time.sleep(0.002)
                time.sleep(rng.random() * 0.25)
                process.send_signal(signal.SIGKILL)
            found = state(out)
            assert found in ("none", "unfinished", identities[40], *([identities[4]] if overwrites else []))
            seen[{identities[4]: "old", identities[40]: "new"}.get(found, found)] += 1
            if found == identities[40]:
                break
        if found != identities[40]:
            subprocess.run(call, check=True, capture_output=True)
        assert state(out) == identities[40]
        assert not (out / reader.STAGING).exists() or found == identities[40]
        shutil.rmtree(out)
    print(f"killed builds: found after the kill {seen}")
    assert seen["unfinished"] or seen["old"], "every build outran its kill: nothing was tested"


def test_stopped_at_every_step_of_the_switch(made, tmp_path, monkeypatch):
    """The last renames, one by one: a stop between any two of them is finished by the same command."""
    path, identities = made
    source = open_source(path)
    plans = {
        size: builder.plan_build(source, builder.Parameters(min_size=size), shard_frames=2)
        for size in identities
    }
    out, steps = tmp_path / "s.zarr", 0
    while True:
        builder.build_plan(source, out, plans[4], overwrite=True)
        rename, calls = Path.rename, []

        def stop(self, target, rename=rename, calls=calls, steps=steps):
            calls.append(target)
            if len(calls) > steps and self.parent.name in ("store", out.name):
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", stop)
        try:
            builder.build_plan(source, out, plans[40], overwrite=True)
            break
        except KeyboardInterrupt:
            monkeypatch.undo()
        assert state(out) in ("unfinished", identities[4])
        builder.build_plan(source, out, plans[40], overwrite=bool(steps % 2) or state(out) == identities[4])
        assert state(out) == identities[40]
        assert not (out / reader.STAGING).exists()
        steps += 1
    print(f"switches stopped: {steps}")
    assert steps > 15


def damage(file, rng):
    """Cut a file short, flip a bit of it, fill it with something else, or take it away."""
    whole = bytearray(file.read_bytes())
    kind = rng.choice(["short", "flip", "flip", "other", "gone"])
    if kind == "gone" or not whole:
        file.unlink()
    elif kind == "flip":
        whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        file.write_bytes(whole)
    else:
        file.write_bytes(b"[]" if kind == "other" else whole[: rng.randrange(len(whole))])
    return kind


def test_what_an_unfinished_build_left_is_damaged(made, tmp_path, monkeypatch):
    """The same command, or at worst with --overwrite, ends in the same store; no damage is taken over."""
    path, identities = made
    source = open_source(path)
    plan = builder.plan_build(source, builder.Parameters(min_size=40), shard_frames=2)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            builder.build_plan(source, tmp_path / "begun.zarr", plan)
    rng, told = random.Random(4), {}
    for turn in range(often(10, 80)):
        out = shutil.copytree(tmp_path / "begun.zarr", tmp_path / f"{turn}.zarr")
        left = sorted(f for f in (out / reader.STAGING).rglob("*") if f.is_file() and f.name != "lock")
        small = [f for f in left if f.stat().st_size < 5000]
        file = rng.choice(small if turn % 2 else left)
        kind = damage(file, rng)
        end = "finished"
        try:
            builder.build_plan(source, out, plan)
        except InputError as error:
            end = "finished with --overwrite" if "--overwrite" in str(error) else str(error)
            builder.build_plan(source, out, plan, overwrite=True)
        assert state(out) == identities[40], (file, kind)
        told[end] = told.get(end, 0) + 1
        shutil.rmtree(out)
    print(f"damaged beginnings: {told}")
    assert set(told) <= {"finished", "finished with --overwrite"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("same", [True, False])
def test_two_builds_at_one_place(made, tmp_path, overwrite, same):
    """One of them is told so, or both end well one after the other; what stands there is whole."""
    path, identities = made
    rng, ends = random.Random(1), {}
    for turn in range(often(2, 20)):
        out = tmp_path / f"{turn}.zarr"
        if overwrite:
            subprocess.run(command(path, out, 4), check=True, capture_output=True)
        more = ["--overwrite"] if overwrite else []
        sizes = (40, 40) if same else (40, 4)
        processes = []
        for size in sizes:
            call = command(path, out, size, *more)
            pipe = subprocess.PIPE
            processes.append(subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True))
            time.sleep(rng.random() * often(0.6, 2.5))
        told = [process.communicate(timeout=120) for process in processes]
        codes = [process.returncode for process in processes]
        for code, (_, stderr) in zip(codes, told, strict=True):
            assert code in (0, 2), stderr
            assert "Traceback" not in stderr
            if code:
                (line,) = [line for line in stderr.splitlines() if not line.startswith("shards:")]
                assert "another process builds here" in line or "holds another build" in line
        assert 0 in codes
        allowed = {identities[size] for size, code in zip(sizes, codes, strict=True) if code == 0}
        assert state(out) in allowed
        assert not (out / reader.STAGING).exists()
        ends[tuple(codes)] = ends.get(tuple(codes), 0) + 1
        shutil.rmtree(out)
    print(f"two builds, {'the same' if same else 'different'}, overwrite {overwrite}: exit codes {ends}")


def test_what_cannot_be_replaced_stays(made, tmp_path):
    """A link to a store is replaced where it leads; a deletion that fails costs space and nothing else."""
    path, identities = made
    real, link = tmp_path / "real.zarr", tmp_path / "link.zarr"
    subprocess.run(command(path, real, 4), check=True, capture_output=True)
    link.symlink_to(real, target_is_directory=True)
    (real / "notes.txt").write_text("mine")
    subprocess.run(command(path, link, 40, "--overwrite"), check=True, capture_output=True)
    assert link.is_symlink()
    assert state(real) == state(link) == identities[40]
    assert (real / "notes.txt").read_text() == "mine"
    nowhere = tmp_path / "nowhere.zarr"
    nowhere.symlink_to(tmp_path / "absent")
    done = subprocess.run(command(path, nowhere, 4), capture_output=True, text=True)
    assert done.returncode == 2
    assert "is a link to what is not there" in done.stderr


def test_a_deletion_that_fails(made, tmp_path, monkeypatch):
    path, identities = made
    source, out = open_source(path), tmp_path / "s.zarr"
    builder.build_plan(
        source, out, builder.plan_build(source, builder.Parameters(min_size=4), shard_frames=2)
    )
    plan = builder.plan_build(source, builder.Parameters(min_size=40), shard_frames=2)

    remove = shutil.rmtree

    def refuse(place, ignore_errors=False, **options):
        if not ignore_errors:  # what the new store's own layout needs
            remove(place, **options)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    builder.build_plan(source, out, plan, overwrite=True)
    assert state(out) == identities[40]
    monkeypatch.undo()
    assert builder.build_plan(source, out, plan).built == 0
    assert not (out / reader.STAGING).exists()
    assert state(out) == identities[40]
