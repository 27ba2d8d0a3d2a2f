"""Builds into an object store that are killed at random: finished by the same command, to the same bytes."""

import random
import signal
import subprocess
import sys
import time

import pytest

import rsgt
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.store import objects, replacement
from rsgt.store.places import as_place, sizes_below
from rsgt.store.reader import STAGING, DamageError
from tests.conftest import often, smooth_frames, write_nyu

pytestmark = pytest.mark.slow


def command(path, out, min_size, *more):
    return [sys.executable, "-m", "rsgt", "build", "--nyu", str(path), "--out", out, "--min-size",
            str(min_size), "--shard-frames", "2", "--workers", "2", *more]  # fmt: skip


def state(out):
    """What stands there: "none", "unfinished", or the identity of a store."""
    try:
        return rsgt.open(out).identity
    except DamageError:
        raise
    except InputError as error:
        return "unfinished" if "unfinished" in str(error) else "none"


def test_killed_builds_are_finished_by_the_same_command(bucket, tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(24, shape=(60, 80)))
    old, new = (
        rsgt.build(path, tmp_path / f"{size}.zarr", min_size=size, shard_frames=2).identity
        for size in (4, 40)
    )
    rng, seen = random.Random(0), {"none": 0, "unfinished": 0, "old": 0, "new": 0}
    for turn in range(often(2, 20)):
        out = f"{bucket}/{tmp_path.name}/{turn}.zarr"
        overwrites = turn % 2
        if overwrites:
            subprocess.run(command(path, out, 4), check=True, capture_output=True)
        call = command(path, out, 40, *(["--overwrite"] if overwrites else []))
        for _ in range(2):
            with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                until = rng.randrange(
                    1, 100
                )  # objects that are there: at the shards, the index or the switch
                deadline = time.monotonic() + 60
                while process.poll() is None and time.monotonic() < deadline:
                    names = sizes_below(as_place(out))
                    if sum(name.startswith(STAGING) for name in names) >= until:
                        break
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
            found = state(out)
            assert found in ("none", "unfinished", new, *([old] if overwrites else []))
            seen[{old: "old", new: "new"}.get(found, found)] += 1
        subprocess.run(call, check=True, capture_output=True)
        assert state(out) == new
        assert not verify(out, workers=0).problems
        subprocess.run(command(path, out, 40), check=True, capture_output=True)
        assert not [name for name in sizes_below(as_place(out)) if name.startswith(STAGING)]
    print(f"killed builds: found after the kill {seen}")
    assert seen["unfinished"] or seen["old"], "every build outran its kill: nothing was tested"


def test_stopped_at_every_request_of_the_switch(bucket, tmp_path, monkeypatch):
    """Copies and deletions of the end, one by one: a stop between any two is finished by the same command."""
    path = write_nyu(tmp_path / "a.mat", smooth_frames(4, shape=(12, 16)))
    out = f"{bucket}/{tmp_path.name}/s.zarr"
    made = {size: {"min_size": size, "shard_frames": 2, "workers": 0} for size in (4, 40)}
    whole = {size: rsgt.build(path, tmp_path / f"{size}.zarr", **made[size]).identity for size in made}
    ask, steps = objects.ObjectPath.ask, 0
    while True:
        rsgt.build(path, out, **made[4], overwrite=True)
        switch, calls = replacement.switch, []

        def stop(self, request, calls=calls, steps=steps):
            calls.append(self)
            if len(calls) > steps:
                raise KeyboardInterrupt
            return ask(self, request)

        def switching(*arguments, switch=switch, stop=stop):
            monkeypatch.setattr(objects.ObjectPath, "ask", stop)
            try:
                switch(*arguments)
            finally:
                monkeypatch.setattr(objects.ObjectPath, "ask", ask)

        monkeypatch.setattr(replacement, "switch", switching)
        try:
            rsgt.build(path, out, **made[40], overwrite=True)
            break
        except KeyboardInterrupt:
            monkeypatch.setattr(replacement, "switch", switch)
        found = state(out)
        assert found in ("unfinished", *whole.values())
        again = rsgt.build(path, out, **made[40], overwrite=found == whole[4])
        assert again.identity == whole[40] == state(out)
        assert not [name for name in sizes_below(as_place(out)) if name.startswith(STAGING)]
        steps += often(9, 1)
    print(f"switches stopped: {steps}")
    assert steps > 15
