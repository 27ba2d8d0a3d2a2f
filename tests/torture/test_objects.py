"""Object stores under deliberate faults: builds and workers that are killed, answers that fail, lost objects.

All is finished by the same command, to the same bytes as in a folder.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

import rsgt
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.store import objects, replacement
from rsgt.store.places import as_place, sizes_below
from rsgt.store.reader import STAGING, DamageError
from tests.conftest import often, smooth_frames, write_nyu
from tests.object_server import be_client, faulty, some_faults

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


@pytest.mark.xdist_group("cluster")
def test_killed_workers_of_a_cluster(bucket, tmp_path):
    """SIGKILL to one of two worker processes, and to every third builder, at any moment of a shard."""
    distributed = pytest.importorskip("distributed")
    path = write_nyu(tmp_path / "a.mat", smooth_frames(24, shape=(60, 80)))
    whole = rsgt.build(path, tmp_path / "whole.zarr", min_size=40, shard_frames=2).identity
    rng, killed, builders = random.Random(1), [], 0

    def kill(workers):
        with suppress(ProcessLookupError, AttributeError, IndexError):
            if process := rng.choice(workers).pid:  # None while it is started again
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        turn = 0
        while len(killed) < often(2, 20):
            out, at = f"{bucket}/{tmp_path.name}/{turn}.zarr", set(rng.sample(range(1, 11), 2))
            call = [*command(path, out, 40), "--scheduler", cluster.scheduler_address]
            if turn % 3 == 2:
                with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                    until, deadline = rng.randrange(10, 90), time.monotonic() + 60
                    while process.poll() is None and time.monotonic() < deadline:
                        if len(sizes_below(as_place(out))) >= until:
                            break
                        time.sleep(0.01)
                    process.kill()
                builders += 1

            def strike(done, total, at=at):
                if done in at:
                    workers = [*cluster.workers.values()]
                    threading.Timer(rng.uniform(0, 0.3), kill, [workers]).start()

            store = rsgt.build(
                path, out, min_size=40, shard_frames=2, scheduler=cluster.scheduler_address, progress=strike
            )
            assert store.identity == whole
            assert not verify(out, workers=0).problems
            assert not [name for name in sizes_below(as_place(out)) if name.startswith(STAGING)]
            turn += 1
    print(f"killed: {len(killed)} workers, {builders} builders, of {turn} builds")


def test_built_through_faults(endpoint, tmp_path, monkeypatch):
    """Answers that fail, come late, end early or get lost, up to a fifth of them, with two threads."""
    path = write_nyu(tmp_path / "a.mat", smooth_frames(12, shape=(24, 32)))
    whole, seen = rsgt.build(path, tmp_path / "whole.zarr", shard_frames=2).identity, 0
    for seed in range(often(1, 10)):
        out = f"s3://bucket/{tmp_path.name}/{seed}.zarr"
        with faulty(endpoint, some_faults(seed, (0.05, 0.1, 0.2)[seed % 3])) as (server, address):
            be_client(address, monkeypatch)
            assert rsgt.build(path, out, shard_frames=2, workers=2).identity == whole
            assert not verify(out, workers=0).problems
            seen += len([kind for *_, kind in server.seen if kind])
    print(f"faults: {seen}")
    assert seen > 5


EXPIRED = (
    (400, "<Error><Code>ExpiredToken</Code></Error>"),
    (403, "<Error><Code>AccessDenied</Code></Error>"),
    (403, "<Error><Code>InvalidAccessKeyId</Code></Error>"),
    (403, ""),
)


class Expires:
    """Answers of credentials that are refused from some request on."""

    def __init__(self, after, answer):
        self.left, self.answer = after, answer

    def __call__(self, request):
        self.left -= 1
        return self.answer if self.left < 0 else None


def test_credentials_that_expire_at_any_request(endpoint, tmp_path, monkeypatch):
    """From the n-th request on nothing is allowed: one line, whatever was under way; then it goes on."""
    path = write_nyu(tmp_path / "a.mat", smooth_frames(6, shape=(12, 16)))
    made = {"shard_frames": 2, "min_size": 4, "workers": 1}
    whole, out = rsgt.build(path, tmp_path / "whole.zarr", **made), f"s3://bucket/{tmp_path.name}/s.zarr"
    told, after, rng, store = [], 0, random.Random(3), None
    while store is None:
        after += rng.randrange(*often((30, 60), (1, 6)))
        with faulty(endpoint, Expires(after, EXPIRED[len(told) % len(EXPIRED)])) as (_, address):
            be_client(address, monkeypatch)
            with suppress(objects.StorageError):
                store = rsgt.build(path, out, **made, overwrite=True)
                found = verify(out, workers=0).problems
                assert not found
        be_client(endpoint, monkeypatch)
        if store is None:
            with faulty(endpoint, Expires(rng.randrange(12), EXPIRED[len(told) % len(EXPIRED)])) as (
                _,
                address,
            ):
                be_client(address, monkeypatch)
                with pytest.raises(objects.StorageError, match=r"have expired|access denied") as stopped:
                    rsgt.build(path, out, **made, overwrite=True)
                told.append(str(stopped.value))
            be_client(endpoint, monkeypatch)
            if len(told) % 2:  # the same command goes on; else the next turn does
                assert rsgt.build(path, out, **made, overwrite=True).identity == whole.identity
    assert store.identity == whole.identity
    assert len(told) > 1
    assert not [text for text in told if "\n" in text]
    print(f"stopped by credentials: {2 * len(told)} builds")


def test_every_damaged_object_is_found(bucket, tmp_path):
    """One after the other: gone, shorter, longer, of another byte; verify names it, and a reader refuses."""
    path = write_nyu(tmp_path / "a.mat", smooth_frames(8, shape=(12, 16)))
    store = rsgt.build(path, f"{bucket}/{tmp_path.name}/s.zarr", shard_frames=2, min_size=4, workers=1)
    names, rng = sorted(name for name in sizes_below(store.path) if name != "zarr.json"), random.Random(2)
    counts = dict.fromkeys(("gone", "shorter", "longer", "changed"), 0)
    for turn in range(often(6, 200)):
        name = names[turn * 7 % len(names)] if turn < len(names) else rng.choice(names)
        file, kind = store.path / name, rng.choice([*counts])
        whole = file.read_bytes()
        place = rng.randrange(len(whole))
        if kind == "gone":
            file.unlink()
        elif kind == "changed":
            file.write_bytes(
                whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :]
            )
        else:
            file.write_bytes(whole[:place] if kind == "shorter" else whole + b"x")
        try:
            found = {str(problem).partition(":")[0] for problem in verify(store.path, workers=0).problems}
        finally:
            file.write_bytes(whole)
        assert name in found, (name, kind)
        counts[kind] += 1
    assert not verify(store.path, workers=0).problems
    print(f"damaged objects: {counts}, each named by verify")
