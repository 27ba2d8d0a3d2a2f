"""How both programs end: whatever happens is one line and an exit code, on any terminal."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress

import click
import pytest
from click.testing import CliRunner

from rsgt.cli import streams, terminal
from rsgt.inputs import InputError, local_path
from tests.rooms import write_rooms

PROGRAM = """
import click
from rsgt.cli import terminal
@click.command(cls=terminal.Script)
def program():
    {}
program()
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "s.zarr")


def ends(error):
    """Run a command that raises: its exit code, and what it says."""

    @click.command(cls=terminal.Script)
    def command():
        raise error

    done = CliRunner(catch_exceptions=False).invoke(command, [])
    assert done.stdout == ""
    return done.exit_code, done.stderr


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


FULL = OSError(errno.ENOSPC, "No space left on device", "x.bin")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("bins: got 0,\n expected 1"), 2, "error: bins: got 0, expected 1"),
        (FULL, 2, "error: x.bin: No space left on device; free some"),
        (chained(InputError("damaged"), FULL), 2, "error: x.bin: No space left on device"),
        (ExceptionGroup("several", [FULL]), 2, "error: x.bin: No space left"),
        (OSError("errno = 28, error message = 'No space left on device'"), 2, "error: No space left"),
        (
            MemoryError("Unable to allocate 9 TiB"),
            2,
            "error: out of memory or threads: Unable",
        ),
        (chained(RuntimeError("worker"), MemoryError("9 TiB")), 2, "error: out of memory"),
        (RuntimeError("can't start new thread"), 2, "error: out of memory or threads: can't start"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2, "error: a: Permission denied"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "error: Broken pipe"),
        (EOFError("no data"), 1, "error: unforeseen EOFError: no data; set RSGT_DEBUG=1"),
        (ValueError("a\nb"), 1, "error: unforeseen ValueError: a b; set RSGT_DEBUG=1"),
        (RecursionError("deep"), 1, "error: unforeseen RecursionError: deep"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 2, "error: rsn needs PyTorch"),
    ],
)
def test_every_error_is_one_line(monkeypatch, error, status, said):
    monkeypatch.delenv("RSGT_DEBUG")
    code, stderr = ends(error)
    assert code == status
    assert stderr.startswith(said)
    assert stderr.count("\n") == 1


def test_what_nobody_foresaw_is_raised_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("RSGT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        ends(ZeroDivisionError())
    monkeypatch.setenv("RSGT_DEBUG", "0")
    assert ends(ZeroDivisionError())[0] == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number, status):
    body = f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(20)"
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{PROGRAM.format(body)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1
    assert done.stderr.strip() == {130: "interrupted", 143: "terminated"}[status]


@pytest.mark.parametrize(("package", "commands"), [("rsgt", "rsgt.cli.commands"), ("rsn", "rsn.cli")])
def test_an_interrupt_while_a_program_loads(package, commands):
    code = f"""
import sys
class Stopping:
    def find_spec(name, path=None, target=None):
        if name == "{commands}":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stopping)
from {package}.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("package", ["rsgt", "rsn"])
def test_an_interrupt_when_a_program_is_over(package):
    code = f"""
import atexit, os, signal, sys
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.argv = ["{package}", "--version"]
from {package}.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")  # all is done: there is nothing to interrupt


def shell(command, **environment):
    """Run through a shell, without ``RSGT_DEBUG``."""
    plain = {name: value for name, value in os.environ.items() if name != "RSGT_DEBUG"} | environment
    line = command.replace("RSGT", f"'{sys.executable}' -m rsgt").replace("RSN", f"'{sys.executable}' -m rsn")
    return subprocess.run(["bash", "-c", line], capture_output=True, env=plain, timeout=120)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("program", ["RSGT --help", "RSGT info STORE", "RSN --help", "RSN evaluate --help"])
@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        (">/dev/full", "cannot write to standard output: No space left on device"),
        (">&-", "cannot write to standard output: it is closed"),
    ],
)
def test_standard_output_that_takes_nothing(store, program, redirected, said):
    done = shell(f"{program.replace('STORE', str(store))} {redirected}")
    assert done.returncode == 1
    assert done.stderr.decode() == f"error: {said}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_standard_error_that_takes_nothing(tmp_path):
    for redirected, said in (("2>/dev/full", "No space left on device"), ("2>&-", "it is closed")):
        done = shell(f"RSGT info {tmp_path}/none {redirected}")
        assert done.returncode == 1
        assert done.stdout.decode() == f"error: cannot write to standard error: {said}\n"


@pytest.mark.parametrize("number", ["0", "-2", "many"])
def test_a_setting_of_zarr_s_that_would_wait_for_good(store, number):
    done = shell(f"{sys.executable} -m rsgt info {store}", ZARR_ASYNC__CONCURRENCY=number)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ZARR_ASYNC__CONCURRENCY: got ")
    assert b"unset it" in done.stderr


def test_a_pipe_that_ends_is_no_mistake(store):
    body = "[click.echo('x' * 1000) for _ in range(1000)]"
    code = PROGRAM.format(body).replace("'", '"')
    done = shell(f"'{sys.executable}' -c '{code}' | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (streams.BROKEN_PIPE, b"")
    done = shell(f"RSGT info {store} | true; exit ${{PIPESTATUS[0]}}")
    assert done.returncode in (0, streams.BROKEN_PIPE)
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "iso8859-5", "utf-8"])
def test_an_encoding_that_lacks_a_letter(store, encoding):
    done = shell(f"RSGT stats {store}", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    line = next(x for x in done.stdout.decode(encoding).splitlines() if x.startswith("region variance"))
    assert line.endswith(("m²", "m?"))


def test_a_name_that_is_no_text(store, tmp_path):
    name = os.fsdecode(b"s\xff.zarr")
    (tmp_path / name).symlink_to(store)
    for arguments in (["info", tmp_path / name], ["report", tmp_path / name, "--out", tmp_path / "r.html"]):
        done = shell(" ".join(["RSGT", arguments[0], *(f"'{a}'" for a in arguments[1:])]))
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
    done = shell(f"RSGT info '{tmp_path}/no{name}'")
    assert done.returncode == 2
    assert b"no such" in done.stderr


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_a_stream_is_no_file_of_the_user(monkeypatch):
    """Neither a handler of OSError nor one of Exception takes the stream's fault for the store's."""
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.EIO, "Input/output error")))
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    with pytest.raises(SystemExit) as stopped, streams.guarded_streams(), suppress(Exception):
        print("x")
    assert stopped.value.code == 1
    assert told.getvalue() == "error: cannot write to standard output: Input/output error\n"


@pytest.mark.parametrize(
    "path",
    ["", " ", "-", "~/x", "~", "s3://bucket/x.zarr", "https://host/x", "file:///x", "S3:/x", "a::s3://x",
     "gs://b", "a\0b", "x" * 256, "/".join(["long"] * 1000)],
)  # fmt: skip
def test_what_is_no_path_here(path, tmp_path, monkeypatch):
    from rsgt import builder
    from rsgt.sources import open_source
    from rsgt.store import predictions
    from rsgt.store.reader import open_store

    monkeypatch.chdir(tmp_path)
    doors = [
        local_path, open_source, predictions.read_prediction,
        lambda path: predictions.write_prediction(path, [], [], (1, 1)),
    ]  # fmt: skip
    if not re.match(r"[a-zS0-9]+://", path):  # only stores have URLs
        doors += [open_store, lambda path: builder.build_plan(None, path, None)]
    for door in doors:
        with pytest.raises(InputError) as caught:
            door(path)
        assert len(str(caught.value)) < 300
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("path", ["a b", "C:/x", "x.zarr", "./~", "a~", "é²", "-x", ".", "/", "x:y"])
def test_what_is_one(path):
    assert str(local_path(path)) == os.path.normpath(path)
