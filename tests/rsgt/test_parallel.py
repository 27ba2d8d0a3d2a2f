"""Threads: as many as the process may use and its memory holds, whatever the machine has."""

import os
import subprocess
import sys

import pytest

from rsgt import parallel


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_what_the_container_allows(tmp_path, monkeypatch, file):
    monkeypatch.setattr(parallel, "CGROUP", tmp_path)
    whole = parallel.available_memory()
    assert whole > 2**28
    limit = tmp_path / file
    limit.parent.mkdir(exist_ok=True)
    limit.write_text("max\n")
    assert parallel.available_memory() == whole
    limit.write_text(f"{2**28}\n")
    assert parallel.available_memory() == 2**28


@pytest.mark.parametrize(("bytes_each", "expected"), [(0, 12), (1, 12), (2**27, 4), (2**29, 1), (2**40, 1)])
def test_workers_fit_into_half_of_the_memory(monkeypatch, bytes_each, expected):
    monkeypatch.setattr(parallel, "cpu_count", lambda: 12)
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
