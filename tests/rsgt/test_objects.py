"""Stores by URL: built, read and verified as those in folders are, and every mistake in one line."""

import functools
import http.server
import json
import os
import pickle
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from zarr.core.sync import sync

import rsgt
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.store import lease
from rsgt.store.objects import ObjectPath, StorageError
from rsgt.store.places import as_place, sizes_below
from rsgt.store.reader import STAGING, DamageError
from rsgt.store.requests import Requests
from tests.conftest import smooth_frames, write_nyu
from tests.object_server import azure_server, be_client, faulty, some_faults

MADE = {"shard_frames": 3, "min_size": 4, "workers": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store in a folder, and the file that it is of."""
    place = tmp_path_factory.mktemp("folder")
    write_nyu(place / "a.mat", smooth_frames(7, shape=(12, 16)))
    return rsgt.build(place / "a.mat", place / "s.zarr", **MADE)


@pytest.fixture
def url(bucket, tmp_path):
    """Where nothing is yet."""
    return f"{bucket}/{tmp_path.name}/s.zarr"


@pytest.fixture
def store(folder, url):
    """The same store by URL."""
    return rsgt.build(folder.path.parent / "a.mat", url, **MADE)


def test_what_is_a_place(tmp_path):
    assert as_place(tmp_path) == tmp_path
    assert as_place(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    place = as_place(" S3://bucket//a/b.zarr/")
    assert isinstance(place, ObjectPath)
    assert str(place) == os.fspath(place) == "s3://bucket/a/b.zarr"
    assert (place.name, place.stem, str(place / "c")) == ("b.zarr", "b", "s3://bucket/a/b.zarr/c")
    assert pickle.loads(pickle.dumps(place)) == as_place(place) == place
    for odd in ("s3://", "s3:///x", "ftp://h/x", "s3://b/x?y=1", "https://h/x#y", "s3://b/../x", "s3:/b/x",
                Path("s3://b/x"), "file://host/x", "a::s3://b/x"):  # fmt: skip
        with pytest.raises(InputError) as told:
            as_place(odd)
        assert "expected" in str(told.value) or "in full" in str(told.value)


def test_the_same_store_by_url(folder, store, url):
    assert store.identity == folder.identity
    assert sizes_below(store.path) == sizes_below(folder.path)
    opened = pickle.loads(pickle.dumps(rsgt.open(url)))
    assert {**opened.attributes, "seal": 0} == {**folder.attributes, "seal": 0}
    assert opened.describe() == folder.describe()
    for mine, theirs in zip(opened, folder, strict=True):
        assert all(np.array_equal(mine.regions[name], theirs.regions[name]) for name in mine.regions)
        assert all(np.array_equal(getattr(mine, n), getattr(theirs, n)) for n in ("rgb", "depth", "support"))
    assert np.array_equal(opened.read("region", 1, 6), folder.read("region", 1, 6))
    assert rsgt.statistics(opened).summary() == rsgt.statistics(folder).summary()
    checked = verify(url, source=folder.path.parent / "a.mat", workers=1)
    assert checked == verify(folder, source=folder.path.parent / "a.mat", workers=1)
    assert not checked.problems
    assert repr(opened).startswith(f"<Store {url}: 7 frames of 12x16")


def test_xarray_reads_by_url(folder, store):
    pytest.importorskip("xarray")
    data = store.to_xarray()
    assert np.array_equal(data["depth"].sel(frame=3).values, folder.frame(3).depth)


def test_commands_take_urls(folder, store, url, tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(main, [str(one) for one in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert json.loads(run("info", url, "--json"))["identity"] == folder.identity
    assert "sound: 7 frames" in run("verify", url)
    assert run("stats", url, "--json") == run("stats", folder.path, "--json")
    assert "finished before" in run(
        "build", "--nyu", folder.path.parent / "a.mat", "--out", url, "--shard-frames", 3, "--min-size", 4
    )
    run("show", url, 1, 2, "--out", tmp_path / "a.png")
    run("report", url, "--out", tmp_path / "a.html", "--frames", "1")
    assert "this store" in run("compare", f"file://{folder.path}", "--only", "this store", "--sample", 2)
    assert "this store" in run("compare", url, "--only", "this store", "--sample", 2)


class Web(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and parts of them: Python's own server knows no ranges."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not part:
            super().do_GET()
            return
        file, first, last = Path(self.translate_path(self.path)), int(part[1]), int(part[2])
        content = file.read_bytes()
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Last-Modified", self.date_time_string(file.stat().st_mtime))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


def test_a_web_server_is_enough_to_read(folder):
    pytest.importorskip("obstore")
    handler = functools.partial(Web, directory=folder.path.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/s.zarr"
        with pytest.raises(InputError, match="another --out"):
            rsgt.build(folder.path.parent / "a.mat", url, **MADE)
        opened = rsgt.open(url)
        assert opened.identity == folder.identity
        assert np.array_equal(opened.read("depth", 2, 5), folder.read("depth", 2, 5))
        assert np.array_equal(opened.frame(4).rgb, folder.frame(4).rgb)
        assert not verify(url, workers=0).problems
        with pytest.raises(InputError, match="no such store"):
            rsgt.open(url + "x")
        server.shutdown()


def test_every_missing_or_damaged_object_is_found(store):
    """All of them at once, each in another way: verify names every one, and first all but the records."""
    kinds = [
        lambda content: None,
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ]
    files = {name: store.path / name for name in sizes_below(store.path) if name != "zarr.json"}
    records = {name for name in files if name.startswith("shards/")}
    for some in (files.keys() - records, records):
        for k, name in enumerate(sorted(some)):
            damaged = kinds[k % 4](files[name].read_bytes())
            files[name].unlink() if damaged is None else files[name].write_bytes(damaged)
        told = {str(problem).partition(":")[0] for problem in verify(store.path, workers=0).problems}
        assert told >= some
    with pytest.raises(DamageError):
        rsgt.open(store.path)


def test_what_is_missing_is_never_read_as_zeros(store):
    (store.path / "depth/c/1/0/0").unlink()
    (store.path / "rgb/c/0/0/0/0").write_bytes(b"x" * 5000)
    (store.path / "regions/area/c/0").unlink()
    for read in (
        lambda: store.read("depth", 3, 4),
        lambda: store.read("depth", 2, 5),
        lambda: store.read("rgb", 0, 1),
        lambda: store.column("regions/area"),
        lambda: rsgt.open(store.path),
    ):
        with pytest.raises(DamageError, match=r"missing|has 5000 bytes, expected"):
            read()


def test_overwriting_leaves_the_store_whole_until_the_new_one_is(folder, store, monkeypatch):
    source, before = folder.path.parent / "a.mat", store.identity
    with pytest.raises(InputError, match="min_size is 4, asked 40"):
        rsgt.build(source, store.path, shard_frames=2, min_size=40)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rsgt.build(source, store.path, shard_frames=2, min_size=40, overwrite=True, workers=0, progress=stop)
    assert rsgt.open(store.path).identity == before
    new = rsgt.build(source, store.path, shard_frames=4, min_size=40, overwrite=True, workers=0)
    assert not verify(new, workers=0).problems
    assert not [name for name in sizes_below(store.path) if name.startswith(STAGING)]
    assert {name for name in sizes_below(new.path) if name.startswith("depth/c")} == {
        "depth/c/0/0/0", "depth/c/1/0/0"
    }  # fmt: skip


def test_a_build_goes_on_and_builds_only_what_is_missing(folder, url):
    source, seen = folder.path.parent / "a.mat", []

    def stop(done, total):
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rsgt.build(source, url, shard_frames=2, min_size=4, workers=0, progress=stop)
    with pytest.raises(InputError, match=r"unfinished store \([12] shards done\)"):
        rsgt.open(url)
    with pytest.raises(InputError, match="min_size is 4, asked 9"):
        rsgt.build(source, url, shard_frames=2, min_size=9)
    seen.clear()
    done = rsgt.build(source, url, shard_frames=2, min_size=4, workers=0, progress=lambda *n: seen.append(n))
    assert seen[0][0] in (1, 2)
    whole = rsgt.build(source, folder.path.parent / "two.zarr", shard_frames=2, min_size=4)
    assert done.identity == whole.identity


def test_two_builds_exclude_each_other(folder, url, monkeypatch):
    source, lock = folder.path.parent / "a.mat", as_place(url) / STAGING / "lock"
    here = {"machine": lease._machine(), "pid": os.getppid() or 1, "owner": "x"}
    lock.write_bytes(json.dumps(here).encode())
    with pytest.raises(InputError, match="another process builds here"):
        rsgt.build(source, url, **MADE)
    # The lock of a process that died here, and one of elsewhere that nobody renews.
    lock.write_bytes(json.dumps({**here, "pid": 2**22 + 1}).encode())
    assert rsgt.build(source, url, **MADE).identity == folder.identity
    lock.write_bytes(json.dumps({**here, "machine": "elsewhere"}).encode())
    with pytest.raises(InputError, match="elsewhere"):
        rsgt.build(source, url, shard_frames=2, overwrite=True)
    monkeypatch.setattr(lease, "LEASE_S", 0.0)
    monkeypatch.setattr(lease, "_RENEW_S", 0.1)
    rsgt.build(source, url, shard_frames=2, overwrite=True)
    assert not lock.exists()


def test_of_many_builders_one_gets_the_lock(bucket, tmp_path):
    lock = as_place(f"{bucket}/{tmp_path.name}/lock")
    got, start = [], threading.Barrier(8)

    def take():
        mine = lease._Lease(lock)
        start.wait()
        try:
            mine.take()
        except InputError:
            return
        got.append(mine)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    got[0].confirm()
    lock.write_bytes(b"{}")
    with pytest.raises(InputError, match="was lost"):
        got[0].confirm()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((403, "<Error><Code>AccessDenied</Code></Error>"), r"access denied \(AccessDenied\).*AWS_"),
        ((400, "<Error><Code>ExpiredToken</Code></Error>"), r"have expired \(ExpiredToken\); renew"),
        ((404, "<Error><Code>NoSuchBucket</Code></Error>"), "no bucket s3://bucket"),
    ],
)
def test_what_an_object_store_refuses_is_told_in_one_line(
    bucket, endpoint, url, monkeypatch, answer, expected
):
    with faulty(endpoint, lambda _: answer) as (_, address):
        be_client(address, monkeypatch)
        for command in ("info", "verify", "stats"):
            done = CliRunner().invoke(main, [command, url])
            assert done.exit_code == 2
            assert len(done.stderr.splitlines()) == 1
            with pytest.raises(StorageError, match=expected):
                rsgt.open(url)


def test_an_endpoint_that_nobody_answers_at(folder, bucket, monkeypatch):
    monkeypatch.setattr("rsgt.store.objects._RETRIES", {"max_retries": 0})
    be_client("http://127.0.0.1:1", monkeypatch)
    for do in (
        lambda: rsgt.open("s3://bucket/x"),
        lambda: rsgt.build(folder.path.parent / "a.mat", "s3://bucket/x"),
    ):
        with pytest.raises(StorageError, match=r"can't be reached .* mind endpoint"):
            do()


def test_a_wrong_bucket(bucket):
    for do in (rsgt.open, verify):
        with pytest.raises(StorageError, match=r"there is no bucket s3://none \(NoSuchBucket\)"):
            do("s3://none/x.zarr")


def test_without_obstore_it_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InputError, match=r"pip install 'region-support\[object\]'"):
        rsgt.open("s3://bucket/x")


def test_built_and_read_through_faults(folder, endpoint, url, monkeypatch):
    """Answers that fail, come late, end early or get lost: the same store, and nothing read amiss."""
    with faulty(endpoint, some_faults(0, 0.08)) as (server, address):
        be_client(address, monkeypatch)
        store = rsgt.build(folder.path.parent / "a.mat", url, **MADE)
        assert store.identity == folder.identity
        for mine, theirs in zip(store, folder, strict=True):
            assert np.array_equal(mine.depth, theirs.depth)
        assert not verify(url, workers=0).problems
        assert len([kind for *_, kind in server.seen if kind]) > 10


@pytest.mark.parametrize("method", ["list_prefix", "list_dir"])
def test_a_listing_whose_answer_is_cut_off_is_asked_for_again(store, endpoint, monkeypatch, method):
    """A part of the names would be read as the absence of the others."""
    asked = []

    def cuts(request):
        if "list-type" in request.path:
            asked.append(request.path)
            return "cut" if len(asked) < 3 else None
        return None

    async def names(requests):
        return sorted([name async for name in getattr(requests, method)("regions")])

    want = sync(names(Requests(ObjectPath(str(store.path)))))
    assert len(want) > 3
    with faulty(endpoint, cuts) as (_, address):
        be_client(address, monkeypatch)
        assert sync(names(Requests(ObjectPath(str(store.path))))) == want
    assert len(asked) == 3


def test_credentials_that_expire_in_the_midst(folder, endpoint, url, monkeypatch):
    """A build stops in one line, and goes on with new ones."""
    puts = []

    def expires(request):
        if request.command == "PUT":
            puts.append(request.path)
        return (400, "<Error><Code>ExpiredToken</Code></Error>") if len(puts) > 30 else None

    with faulty(endpoint, expires) as (_, address):
        be_client(address, monkeypatch)
        with pytest.raises(StorageError, match="have expired"):
            rsgt.build(folder.path.parent / "a.mat", url, **MADE)
    be_client(endpoint, monkeypatch)
    assert rsgt.build(folder.path.parent / "a.mat", url, **MADE).identity == folder.identity


@pytest.mark.parametrize("granted", [0, 1])
def test_a_lock_that_may_not_be_read_is_told_as_that(folder, endpoint, url, monkeypatch, granted):
    """And not as something that is no lock: whoever removed it would let two builds into one place."""
    (ObjectPath(url) / STAGING / "lock").write_bytes(b"{}")
    seen = []

    def denies(request):
        if request.command == "GET" and request.path.endswith("/lock"):
            seen.append(request.path)
        refused = (403, "<Error><Code>InvalidAccessKeyId</Code></Error>")
        return refused if len(seen) > granted else None

    with faulty(endpoint, denies) as (_, address):
        be_client(address, monkeypatch)
        with pytest.raises(StorageError, match="lock: access denied"):
            rsgt.build(folder.path.parent / "a.mat", url, **MADE)


def test_parts_are_kept_on_this_machine(folder, store, endpoint, tmp_path, monkeypatch):
    """The second reading asks for nothing but the root and the presence of all; and the folder is bounded."""
    kept = tmp_path / "kept"
    monkeypatch.setenv("RSGT_CACHE", str(kept))
    with faulty(endpoint, lambda _: None) as (server, address):
        be_client(address, monkeypatch)
        asked = []
        for _ in range(2):
            opened = rsgt.open(str(store.path))
            server.seen.clear()
            assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(opened, folder, strict=True))
            asked.append(len(server.seen))
        assert asked[0] > 7
        assert asked[1] == 0
        most = sum(file.stat().st_size for file in kept.iterdir()) // 2
        monkeypatch.setenv("RSGT_CACHE_GB", str(most / 1e9))
        for file in kept.iterdir():
            file.unlink()
        assert [frame.number for frame in rsgt.open(str(store.path))] == [*range(1, 8)]
        assert 0 < sum(file.stat().st_size for file in kept.iterdir()) <= most * 1.05 + 2000
    for odd in ("x", "0", "nan"):
        monkeypatch.setenv("RSGT_CACHE_GB", odd)
        with pytest.raises(InputError, match="RSGT_CACHE_GB: got"):
            rsgt.open(store.path).frame(1)


@pytest.fixture(scope="module")
def azure():
    with azure_server() as environment:
        yield environment


def test_the_same_store_on_azure(folder, azure, tmp_path, monkeypatch):
    """What conditional puts, copies, lists, ranges and deletions are for, by the other protocol."""
    for name, value in azure.items():
        monkeypatch.setenv(name, value)
    source, url = folder.path.parent / "a.mat", f"az://bucket/{tmp_path.name}/s.zarr"

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rsgt.build(source, url, **MADE | {"workers": 0}, progress=stop)
    with pytest.raises(InputError, match="unfinished store"):
        rsgt.open(url)
    lock = as_place(url) / STAGING / "lock"
    lock.write_bytes(json.dumps({"machine": "elsewhere", "pid": 1, "owner": "x"}).encode())
    with pytest.raises(InputError, match="another process builds here"):
        rsgt.build(source, url, **MADE)
    lock.unlink()
    store = rsgt.build(source, url, **MADE)
    assert store.identity == folder.identity
    assert sizes_below(store.path) == sizes_below(folder.path)
    assert all(np.array_equal(mine.depth, theirs.depth) for mine, theirs in zip(store, folder, strict=True))
    assert not verify(url, workers=0).problems
    assert rsgt.build(source, url, shard_frames=2, min_size=40, workers=1, overwrite=True)
    assert not verify(url, workers=0).problems
    (store.path / "depth/c/1/0/0").unlink()
    (store.path / "rgb/c/0/0/0/0").write_bytes(b"x" * 50)
    told = {str(problem).partition(":")[0] for problem in verify(url, workers=0).problems}
    assert told >= {"depth/c/1/0/0", "rgb/c/0/0/0/0"}
    with pytest.raises(DamageError, match=r"missing|has 50 bytes"):
        rsgt.open(url)
    with pytest.raises(StorageError, match=r"there is no bucket az://none \(ContainerNotFound\)"):
        rsgt.open("az://none/x.zarr")
