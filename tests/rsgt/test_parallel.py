"""Threads: as many as the process may use and its memory holds, whatever the machine has."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from rsgt import parallel
from tests.conftest import smooth_frames, write_nyu


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups in files: (path, content) of each, and the lines of /proc/self/cgroup."""

    def made(files, own=""):
        for name, content in files.items():
            file = tmp_path / "groups" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}\n")
        (tmp_path / "own").write_text(own)

    monkeypatch.setattr(parallel, "CGROUP", tmp_path / "groups")
    monkeypatch.setattr(parallel, "OWN", tmp_path / "own")
    return made


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("memory.max", ""),
        ("memory.max", "0::/slurm/job_1/step_0\n"),
        ("slurm/job_1/memory.max", "0::/slurm/job_1/step_0\n"),
        ("memory/memory.limit_in_bytes", "4:memory:/\n0::/\n"),
        ("memory/slurm/job_1/memory.limit_in_bytes", "2:cpu:/a b\n4:memory:/slurm/job_1/step_0\n0::/\n"),
    ],
)
def test_memory_is_what_the_container_allows(groups, file, own):
    groups({}, own)
    whole = parallel.available_memory()
    assert whole > 2**28
    groups({file: "max"}, own)
    assert parallel.available_memory() == whole
    groups({file: 2**28}, own)
    assert parallel.available_memory() == 2**28


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "", 12),
        ({"cpu.max": "max 100000"}, "0::/\n", 12),
        ({"cpu.max": "100000 100000"}, "0::/\n", 1),
        ({"cpu.max": "150000 100000"}, "0::/\n", 2),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 3),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "50000 100000"}, "0::/a/b\n", 1),
        ({"other/cpu.max": "100000 100000"}, "0::/a\n", 12),
        ({"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, "1:cpu:/\n", 12),
        ({"cpu,cpuacct/a/cpu.cfs_quota_us": 200000, "cpu,cpuacct/a/cpu.cfs_period_us": 100000},
         "1:cpu,cpuacct:/a/b\n", 2),
    ],
)  # fmt: skip
def test_cores_are_what_the_container_allows(groups, monkeypatch, files, own, expected):
    monkeypatch.setattr(parallel, "cpu_count", lambda: 12)
    groups(files, own)
    assert parallel.available_cores() == parallel.default_workers() == expected


@pytest.mark.parametrize(("bytes_each", "expected"), [(0, 12), (1, 12), (2**27, 4), (2**29, 1), (2**40, 1)])
def test_workers_fit_into_half_of_the_memory(monkeypatch, bytes_each, expected):
    monkeypatch.setattr(parallel, "available_cores", lambda: 12)
    monkeypatch.setattr(parallel, "available_memory", lambda: 2**30)
    assert parallel.default_workers(bytes_each) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity to set")
def test_workers_are_as_many_as_the_process_may_use():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from rsgt.parallel import default_workers; print(default_workers())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@contextmanager
def container(cores, memory):
    """Groups below those of this process that limit who enters; yields what lets a process enter.

    Of version 1 or 2 of control groups, where this process may make some; skips where it may not.
    """
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    name, root, limits = f"rsgt-test-{os.getpid()}", Path("/sys/fs/cgroup"), {}
    if "memory" in own:
        named = next(names for names in own if "cpu" in names.split(","))
        limits[root / "memory" / own["memory"].lstrip("/") / name] = {"memory.limit_in_bytes": memory}
        limits[root / named / own[named].lstrip("/") / name] = {
            "cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": int(100_000 * cores)
        }  # fmt: skip
    elif "" in own:
        files = {"memory.max": memory, "cpu.max": f"{int(100_000 * cores)} 100000"}
        limits[root / own[""].lstrip("/") / name] = files
    made = []
    try:
        try:
            for group, files in limits.items():
                group.mkdir()
                made.append(group)
                for file, content in files.items():
                    (group / file).write_text(str(content))
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        if not made:
            pytest.skip("this system has no control groups")

        def enter():
            for group in made:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        yield enter
    finally:
        for group in made:
            group.rmdir()


BUILD = """
import json, resource, sys, threading
from pathlib import Path
import rsgt

class Counting(type(rsgt.open_source(sys.argv[1]))):
    threads = set()
    def rgb(self, *arguments):
        self.threads.add(threading.get_ident())
        return super().rgb(*arguments)

store = rsgt.build(Counting(Path(sys.argv[1])), sys.argv[2], min_size=64)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([len(store), len(Counting.threads), peak]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="this system has no control groups")
@pytest.mark.parametrize("what", ["one core", "one core's share of time and 2 GB"])
def test_a_build_keeps_to_what_it_may_use(tmp_path, what):
    """Frames of full size, more shards than cores: one thread, and no kill for want of memory."""
    one = smooth_frames(1, shape=(480, 640))
    many = {name: np.broadcast_to(maps, (72, *maps.shape[1:])) for name, maps in one.items()}
    path = write_nyu(tmp_path / "a.mat", many, layout="contiguous")
    command = [sys.executable, "-c", BUILD, path, tmp_path / "s.zarr"]
    with container(1, 2 * 10**9) if "GB" in what else nullcontext(pinned) as enter:
        done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    frames, threads, peak = json.loads(done.stdout)
    assert (frames, threads) == (72, 1)
    assert peak < 2 * 10**9


def pinned():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.parametrize("workers", [0, 1, 3, None])
def test_results_in_order_and_progress_from_where_it_was(workers):
    seen = []
    found = parallel.map_threads(
        lambda a, b: a * b, [(k, 10) for k in range(7)], workers, lambda d, n: seen.append((d, n)), done=2
    )
    assert found == [10 * k for k in range(7)]
    assert seen == [(k, 9) for k in range(3, 10)]


def test_arguments_arrive_as_they_are():
    """Dask would look into lists and mappings for tasks of its own."""
    item = ({"a": [1, (2, 3)]}, [b"x", None])
    assert parallel.map_threads(lambda *arguments: arguments, [item], 2) == [item]


def test_an_error_ends_the_work():
    def fail(k):
        raise KeyError(k)

    with pytest.raises(KeyError):
        parallel.map_threads(fail, [(1,), (2,)], 2)


class Job:
    """Says in each process how often it was packed and unpacked."""

    packed = unpacked = 0

    def __reduce__(self):
        Job.packed += 1
        return Job._again, ()

    @classmethod
    def _again(cls):
        cls.unpacked += 1
        return cls()

    def __call__(self, k):
        if Job.unpacked > 1:
            raise RuntimeError(f"unpacked {Job.unpacked} times")
        return k


@pytest.mark.xdist_group("cluster")
def test_what_the_tasks_of_a_cluster_share_is_sent_once():
    distributed = pytest.importorskip("distributed")
    seen = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        address = cluster.scheduler_address
        parallel.run_on_cluster(Job(), range(20), address, lambda *at: seen.append(at), done=3)
    assert seen == [(k, 23) for k in range(4, 24)]
    assert Job.packed == 1
