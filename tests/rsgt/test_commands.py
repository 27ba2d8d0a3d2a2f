"""The command line from outside: what a user types, exit codes, one-line errors, JSON."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from rsgt.cli.commands import main
from tests.conftest import smooth_frames, write_nyu


def rsgt(*arguments, check=None):
    """Run the command in this process: what it prints and its exit code; an unforeseen error is raised."""
    done = CliRunner(catch_exceptions=False).invoke(main, [*map(str, arguments)])
    if check is not None:
        assert done.exit_code == check, done.stderr
    return done


def one_line(done):
    assert done.exit_code == 2, done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def built(nyu_file, tmp_path):
    rsgt("build", "--nyu", nyu_file[0], "--out", tmp_path / "s.zarr", "--json", check=0)
    return tmp_path / "s.zarr"


def test_build_info_stats_verify(nyu_file, tmp_path):
    path, out = nyu_file[0], tmp_path / "s.zarr"
    planned = json.loads(rsgt("build", "--dry-run", "--json", "--out", out, "--nyu", path, check=0).stdout)
    assert not out.exists()
    assert (planned["frames"], planned["test"], planned["split"]) == (10, 2, "by scene, 20% test, seed 0")
    done = rsgt("build", "--workers", 1, "--shard-frames", 4, "--nyu", path, "--out", out, check=0)
    assert "10 frames" in done.stdout
    assert "shards: 3/3" in done.stderr
    again = ("build", "--nyu", path, "--out", out, "--shard-frames", 4)
    assert "nothing to do" in rsgt(*again, check=0).stdout
    planned, told = (
        json.loads(rsgt(*again, *more, "--json", check=0).stdout) for more in (["--dry-run"], [])
    )
    assert told.items() >= planned.items()

    stats = json.loads(rsgt("stats", out, "--json", check=0).stdout)
    assert stats["frames"] == 10
    assert stats["coverage"] == 1.0
    assert set(stats) >= {"regions", "rmse", "region_rmse", "region_variance", "instability"}
    assert "region rmse" in rsgt("stats", out, "--split", "train", check=0).stdout

    of_store = json.loads(rsgt("info", out, "--json", check=0).stdout)
    assert of_store["arrays"]["depth"]["chunks"] == [1, 24, 32]
    assert of_store["parameters"]["variant"] == "default"
    of_file = json.loads(rsgt("info", path, "--json", check=0).stdout)
    assert of_file["arrays"]["images"]["shape"] == [10, 3, 32, 24]
    assert "depths" in rsgt("info", path, check=0).stdout
    assert "sound" in rsgt("verify", out, "--source", path, check=0).stdout


def test_verify_exits_with_1_and_names_the_frame(built):
    file = built / "depth/c/0/0/0"
    data = bytearray(file.read_bytes())
    data[100] ^= 255
    file.write_bytes(data)
    done = rsgt("verify", built, check=1)
    assert "frame 1: depth can't be decoded" in done.stdout
    problems = json.loads(rsgt("verify", built, "--json", check=1).stdout)["problems"]
    assert {"frame": 1, "message": "depth can't be decoded: its checksum does not hold"} in problems
    assert "rsgt verify" in one_line(rsgt("stats", built))


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ("build here.mat --out o.zarr", "(here.mat); a path goes with its option: --nyu, --source, --out"),
        ("report s.zarr page.html", "(page.html); a path goes with its option: --out"),
        (
            "report s.zarr --comparison --out p.html",
            "--comparison: got --out, another option, expected a",
        ),
        (
            "build --source . --out o.zarr --camera 518.9 518.9 325.6 253.7",
            "go with commas, without spaces: --camera 518.9,518.9,325.6,253.7",
        ),
        ("build --source . --out o.zarr --camera 5.5, 5.5, 3, 2", "spaces: --camera 5.5,5.5,3,2"),
    ],
)
def test_what_stands_alone_is_told_where_it_belongs(tmp_path, monkeypatch, arguments, remedy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.mat").touch()
    assert remedy in one_line(rsgt(*arguments.split()))


def test_mistakes_are_one_line(nyu_file, built, tmp_path):
    path, new = nyu_file[0], tmp_path / "new.zarr"
    page = tmp_path / "page.mat"
    page.write_text("<html>not found</html>")
    bad = smooth_frames(4)
    bad["labels"][1, 0, 0] = 1000
    bad = write_nyu(tmp_path / "bad.mat", bad)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for arguments, message in [
        (("build", "--nyu", tmp_path / "none.mat", "--out", new), "no such file"),
        (("build", "--nyu", page, "--out", new), "HTML"),
        (("build", "--nyu", path, "--out", tmp_path / "file"), "is no region-support store"),
        (("build", "--nyu", path, "--out", tmp_path / "file" / "s.zarr"), "Not a directory"),
        (("build", "--nyu", path, "--out", built, "--bins", 4), "bins is 10, asked 4"),
        (("build", "--nyu", path, "--out", new, "--frames", "5-12"), "[11, 12]"),
        (("build", "--nyu", path, "--out", new, "--frames", "9-5"), "'9-5'"),
        (("build", "--nyu", path, "--out", new, "--bins", 0), "bins: got 0"),
        (
            ("build", "--nyu", path, "--out", new, "--variant", "published", "--min-size", 3),
            "default variant",
        ),
        (("build", "--nyu", path, "--out", new, "--shard-frames", 0), "shard-frames: got 0"),
        (("build", "--nyu", bad, "--out", new), "labels of frame 2 holds 1000"),
        (("stats", new), "unfinished"),
        (("info", tmp_path / "empty"), "holds no images"),
        (("stats", tmp_path / "gone.zarr"), "no such store"),
    ]:
        assert message in one_line(rsgt(*arguments)), arguments


@pytest.mark.parametrize(
    "command", [("stats", "--csv"), ("stats", "--plot"), ("compare", "--csv"), ("report", "--out")]
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, command):
    """The store is not even there: the path of the result is looked at first."""
    for path, message in ((tmp_path / "no" / "x.png", "no folder"), (tmp_path, "is a folder")):
        done = rsgt(command[0], tmp_path / "none.zarr", command[1], path, check=2)
        assert message in done.stderr


def test_interrupt_from_the_keyboard(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(60, shape=(240, 320)))
    out = tmp_path / "s.zarr"
    arguments = ["build", "--nyu", path, "--out", out, "--shard-frames", "2"]
    command = [sys.executable, "-m", "rsgt", *map(str, arguments)]
    # Where this runs deaf to interrupts, as a shell's background job does, the child would be too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, before)
        stderr = process.stderr.readline()  # the first of thirty shards is there
        process.send_signal(signal.SIGINT)
        stderr += process.communicate(timeout=60)[1]
    assert stderr.startswith("shards: 1/30")
    assert process.returncode == 130, stderr
    assert "run the same command to finish" in stderr
    assert "Traceback" not in stderr
    assert "unfinished" in one_line(rsgt("stats", out))
    assert "60 frames" in rsgt(*arguments, check=0).stdout
    assert rsgt("verify", out, check=0)


@pytest.mark.parametrize(
    ("interrupted", "status", "said"),
    [
        ("terminal.end_soon(130); sys.exit(130)", 130, ""),
        ("click.command(cls=terminal.Script)(interrupt)([])", 130, "interrupted"),
    ],
)
def test_an_interrupt_ends_a_program_whose_threads_do_not(interrupted, status, said):
    code = f"""
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import click
from rsgt.cli import terminal

def interrupt():
    raise KeyboardInterrupt

terminal.LAST_SECONDS = 0.5
ThreadPoolExecutor().submit(threading.Event().wait)
{interrupted}
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.strip() == said


@pytest.mark.parametrize("status", [0, 130])
def test_an_interrupt_in_the_last_moment_changes_nothing(status, tmp_path):
    """While Python takes its modules apart, it has no handlers of signals any more."""
    (tmp_path / "late.py").write_text(f"""
import os, signal, sys

class Last:
    def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGINT):
        kill(me, number)

last = Last()

def main():
    sys.exit({status})
""")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from rsgt.__main__ import run; run('late')"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")


def test_a_disk_that_is_full(tmp_path):
    """A small RAM disk, where this user may mount one: the build stops with one line and no store."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        frames = smooth_frames(12, shape=(240, 320))
        frames["images"] = np.random.default_rng(0).integers(0, 256, frames["images"].shape, np.uint8)
        path = write_nyu(tmp_path / "a.mat", frames)
        done = rsgt("build", "--nyu", path, "--out", mount / "s.zarr", "--shard-frames", 2, "--json")
        assert "No space left" in one_line(done)
        assert one_line(rsgt("stats", mount / "s.zarr"))
        subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)
        rsgt("build", "--nyu", path, "--out", mount / "s.zarr", "--shard-frames", 2, "--json", check=0)
        rsgt("verify", mount / "s.zarr", check=0)
    finally:
        subprocess.run(["umount", mount], check=True)
