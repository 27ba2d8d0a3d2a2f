"""Builds on the workers of a cluster: what a worker may lack is one line that names it."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

import rsgt
from rsgt import builder, parallel
from rsgt.inputs import InputError
from rsgt.sources import open_source
from tests.conftest import smooth_frames, write_nyu
from tests.object_server import be_client, faulty

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md"
NAMED = r"worker tcp://127\.0\.0\.1:\d+ on \S+: "


@contextmanager
def local_cluster(workers=1, **options):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
        host="127.0.0.1", **options,
    ) as cluster:  # fmt: skip
        yield cluster


def refused(task, expected, **options):
    with local_cluster(**options) as cluster, pytest.raises(InputError, match=expected) as told:
        parallel.run_on_cluster(task, range(3), cluster.scheduler_address, None, done=0)
    assert "\n" not in str(told.value)


def test_a_worker_without_rsgt_is_named():
    forget = "import sys; [sys.modules.pop(name) for name in [*sys.modules] if name.startswith('rsgt')]; "
    refused(
        abs, rf"{NAMED}has no rsgt .*; install the same there", preload=f"{forget}sys.modules['rsgt'] = None"
    )


class Renamed:
    """A task of a class that workers of another version have not."""

    def __reduce__(self):
        return eval, ("no_such_name",)

    def __call__(self, k):
        return k


def test_a_worker_of_another_version_is_named():
    refused(Renamed(), rf"{NAMED}can't unpack its task \(.*no_such_name.*\); install the same rsgt there")


def die(k):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_die_over_a_shard_are_told(monkeypatch):
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        refused(die, r"workers died over a shard .*smaller --shard-frames")


def test_a_worker_that_does_not_see_the_source_is_named(tmp_path):
    source = open_source(write_nyu(tmp_path / "a.mat", smooth_frames(4)))
    plan = builder.plan_build(source, builder.Parameters(), shard_frames=2)
    assert source.depth([0]).any()  # open here
    (tmp_path / "a.mat").unlink()
    expected = rf"{NAMED}.*a\.mat: not found on this machine; put the file at the same path"
    with local_cluster() as cluster, pytest.raises(InputError, match=expected) as told:
        builder.build_plan(source, tmp_path / "s.zarr", plan, scheduler=cluster.scheduler_address)
    assert "\n" not in str(told.value)


def test_a_worker_that_does_not_see_the_folder_is_named(tmp_path):
    """As where each machine has a disk of its own at the same path."""
    source = open_source(write_nyu(tmp_path / "a.mat", smooth_frames(4)))
    task = partial(builder.build_shard, source, tmp_path / "s.zarr", "the plan's key")
    refused(task, rf"{NAMED}no build at .*s\.zarr; let workers see the same folder")


def test_a_worker_whose_credentials_are_refused_is_named(endpoint, tmp_path, monkeypatch):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(4))
    denied = (403, "<Error><Code>InvalidAccessKeyId</Code></Error>")
    with faulty(endpoint, lambda _: denied) as (_, address):
        be_client(address, monkeypatch)  # the workers' environment
        with local_cluster() as cluster:
            be_client(endpoint, monkeypatch)
            expected = rf"{NAMED}s3://bucket/.*: access denied \(InvalidAccessKeyId\); give credentials"
            with pytest.raises(InputError, match=expected) as told:
                rsgt.build(path, f"s3://bucket/{tmp_path.name}/s.zarr", scheduler=cluster.scheduler_address)
            assert "\n" not in str(told.value)


def examples():
    """Blocks of Python of the page, in their order."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_of_the_page_build(bucket, tmp_path, monkeypatch):
    """Each as it stands, on two processes here in place of its own cluster, to the folder's own bytes."""
    distributed = pytest.importorskip("distributed")
    asked = []

    class Cluster(distributed.LocalCluster):
        """Takes what SLURMCluster takes, or LocalCluster."""

        def __init__(self, **options):
            asked.append(options)
            super().__init__(
                n_workers=0 if "cores" in options else 2, threads_per_worker=1, processes=True,
                dashboard_address="127.0.0.1:0", host="127.0.0.1",
            )  # fmt: skip

        def scale(self, jobs):
            asked.append(jobs)
            return super().scale(min(jobs, 2))

    stand_in = ModuleType("dask_jobqueue")
    stand_in.SLURMCluster = Cluster
    monkeypatch.setitem(sys.modules, "dask_jobqueue", stand_in)
    monkeypatch.setattr("dask.distributed.LocalCluster", Cluster)
    monkeypatch.chdir(tmp_path)
    write_nyu(tmp_path / "nyu_depth_v2_labeled.mat", smooth_frames(40))
    whole = rsgt.build("nyu_depth_v2_labeled.mat", "whole.zarr")
    for code in examples():
        names = {"__name__": "__main__"}
        exec(code.replace("s3://bucket/", f"s3://bucket/{tmp_path.name}/"), names)
        assert names["store"].identity == whole.identity
    assert [one for one in asked if isinstance(one, dict)][1]["cores"] == 4
    assert 16 in asked


def test_slurm_is_given_what_the_page_says(tmp_path):
    """The script that dask-jobqueue makes of the page's settings."""
    jobqueue = pytest.importorskip("dask_jobqueue", reason="pip install dask-jobqueue")
    settings = re.search(r"SLURMCluster\((.*?)\n\)", examples()[-1], re.DOTALL)[1]
    code = (
        f"from dask_jobqueue import SLURMCluster\nwith SLURMCluster({settings}) as c: print(c.job_script())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    script = done.stdout
    assert script.startswith("#!")
    for line in ("#SBATCH --cpus-per-task=4", "#SBATCH --mem=", "#SBATCH -t ", "--nthreads 4"):
        assert line in script, script
    assert jobqueue.__name__ == "dask_jobqueue"
