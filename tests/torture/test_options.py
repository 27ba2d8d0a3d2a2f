"""Options and paths of every command of both programs: each odd value is refused in one line, or taken."""

import os
import random
from collections import Counter
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from rsgt.cli.commands import main as rsgt
from rsgt.cli.options import Folder, LocalPath, Output, StorePlace
from rsn.cli import main as rsn
from rsn.cli.loading import Weights
from tests.conftest import often, smooth_frames, write_nyu

LONG = "x" * 300
PATHS = [
    "", " ", "-", "~/x", "s3://bucket/x.zarr", "file:///x", "a\0b", LONG, "none/x", "file.txt/x", "folder",
    "file.txt", "s.zarr", "a.mat", "x.xyz", "x", "\udcff.png", "x\ny.png", "s.zarr/zarr.json",
    "s.zarr/new.png",
]  # fmt: skip
NUMBERS = [
    "", "0", "-1", "nan", "inf", "1e3", "1.5", "x", "9" * 30, "٣", "1_0", " ", "0x10", "-0", str(2**31),
]  # fmt: skip
TEXTS = [
    "", "1-", "-1", "0", "5-3", "1,1", "1-99999999999", "9" * 5000, "a", "١", "1,,2", "x" * 5000, "\0", "²",
]  # fmt: skip

BARE = {
    "build": ["--nyu", "a.mat", "--out", "new.zarr", "--workers", "0"],
    "info": ["s.zarr"],
    "verify": ["s.zarr"],
    "stats": ["s.zarr"],
    "synth": ["--frames", "1", "new.mat"],
    "planes": ["s.zarr", "new"],
    "show": ["s.zarr", "1"],
    "compare": ["s.zarr", "--only", "this store", "--sample", "1"],
    "report": ["s.zarr", "--frames", "1", "--out", "new.html"],
    "rsn compare": ["none.json", "none.json"],
    "rsn report": ["--store", "s.zarr", "--result", "none.json", "none.npy", "--out", "new.html"],
    "fit": ["--store", "s.zarr", "--out", "run", "--dry-run", "--device", "cpu", "--width", "8"],
    "evaluate": ["--store", "s.zarr", "--checkpoint", "none.ckpt"],
    "predict": ["--checkpoint", "none.ckpt", "--out", "out", "none.png"],
    "export": ["--checkpoint", "none.ckpt", "--out", "new.onnx"],
    "publish": ["--checkpoint", "none.ckpt", "--out", "new"],
}


def cases():
    """Yield (program, command, parameter, odd value) for all options and arguments."""
    for program in (rsgt, rsn):
        for command, made in program.commands.items():
            for parameter in made.params:
                if getattr(parameter, "is_flag", False) or parameter.name == "scheduler":
                    continue
                kind = parameter.type
                odd = PATHS if isinstance(kind, LocalPath) else TEXTS
                if kind.name in ("integer", "integer range", "float"):
                    odd = NUMBERS
                elif command == "fit" and not isinstance(kind, LocalPath):
                    odd = [*TEXTS, *NUMBERS]
                for value in odd:
                    yield program, command, parameter, value


def arguments(program, command, parameter, value):
    """Put an odd value into the place of a command's own, beside those that it needs."""
    bare = list(BARE[f"rsn {command}" if program is rsn and f"rsn {command}" in BARE else command])
    if isinstance(parameter, click.Argument):
        own = {"show": {"path": 0, "frames": 1}, "synth": {"out": 2}, "predict": {"photos": 4}}
        bare[own.get(command, {}).get(parameter.name, 0)] = value
        return [command, *bare[:-1], "--", bare[-1]] if value.startswith("-") else [command, *bare]
    option = parameter.opts[0]
    if option in bare:
        at = bare.index(option)
        del bare[at : at + 1 + parameter.nargs]
    if parameter.nargs > 1:
        return [command, *bare, option, *[value] * parameter.nargs]
    return [command, *bare, f"{option}={value}"]


def listing(folder):
    """Every file with its size, and what it was changed last."""
    return {p: (p.lstat().st_size, p.lstat().st_mtime_ns) for p in Path(folder).rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_nyu(Path("a.mat"), smooth_frames(3))
    Path("folder").mkdir()
    Path("file.txt").write_text("x")
    done = CliRunner(catch_exceptions=False).invoke(rsgt, ["build", *BARE["build"][:2], "--out", "s.zarr"])
    assert done.exit_code == 0, done.stderr
    return tmp_path


def clear(folder, keep):
    """Remove what a case made, so that the next one finds what the first one found."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path not in keep:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_odd_options_and_paths(folder):
    every = [*cases()]
    chosen = random.Random(0).sample(every, min(len(every), often(30, 700)))
    keep, before, counted = {*folder.rglob("*")}, listing(folder), Counter()
    plain = {path: path.read_bytes() for path in (folder / "a.mat", folder / "file.txt")}
    for program, command, parameter, value in chosen:
        words = arguments(program, command, parameter, value)
        done = CliRunner(catch_exceptions=False).invoke(program, words)
        assert done.exit_code in (0, 2), (words, done.exit_code, done.stderr)
        after = listing(folder)
        changed = {path for path in before if after.get(path) != before[path]}
        assert changed <= ({folder / value} if done.exit_code == 0 else set()), words
        if done.exit_code:
            assert done.stderr.startswith("error: "), (words, done.stderr)
            assert done.stderr.count("\n") == 1, (words, done.stderr)
            assert len(done.stderr) < 7000
            assert {*after} == {*before}, (words, done.stderr)
        counted["taken" if done.exit_code == 0 else "refused in one line"] += 1
        clear(folder, keep)
        for path in changed & {*plain}:  # a result that was to be written there
            path.write_bytes(plain[path])
            before[path] = listing(folder)[path]
    told = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    print(f"options: {len(chosen)} cases, {told}, 0 unforeseen")
    assert counted["refused in one line"] > len(chosen) / 3


@pytest.mark.parametrize("program", [rsgt, rsn], ids=["rsgt", "rsn"])
def test_every_path_option_says_what_it_is_for(program):
    """What a command writes has a type that is checked before the work."""
    for name, command in program.commands.items():
        for parameter in command.params:
            if parameter.name in ("out", "csv_path", "plot_path", "table", "save"):
                assert isinstance(parameter.type, Output | Folder), (name, parameter.name)
            else:
                assert not isinstance(parameter.type, click.Path) or type(parameter.type) in (
                    LocalPath,
                    StorePlace,
                    Weights,
                )


def test_no_result_is_written_over_what_is_read(folder):
    np.save("p.npy", np.ones((3, 24, 32), np.float32))
    Path("link.npy").symlink_to("p.npy")
    os.link("p.npy", "hard.npy")
    before = listing(folder)
    outputs = ["p.npy", "./p.npy", "link.npy", "hard.npy", "s.zarr/zarr.json", str(folder / "p.npy")]
    for out in outputs:
        words = ["stats", "s.zarr", "--prediction", "p.npy", "--csv", out]
        done = CliRunner(catch_exceptions=False).invoke(rsgt, words)
        assert done.exit_code == 2, out
        assert "would be written" in done.stderr
    same = ["stats", "s.zarr", "--csv", "both.png", "--plot", "both.png"]
    assert "would be written over" in CliRunner(catch_exceptions=False).invoke(rsgt, same).stderr
    assert listing(folder) == before
