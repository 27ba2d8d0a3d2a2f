"""The documents' blocks of shell and Python: found, and run in small, in the order of their page.

A page may say, in comments that no reader sees, what its blocks take for granted (``given: nyu.zarr, run``:
made here, small, under these names) and why a block is not run (``not run: needs a GPU``, in the line before
it). Commands of ours run in this process, other lines in a shell. Rooms are small, trainings short.
"""

import doctest
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from click.testing import CliRunner
from PIL import Image

import rsgt.cli.commands
import rsn.cli
from rsgt.sources import synthetic
from tests.rendered import SHAPE

ROOT = Path(__file__).parents[1]
PROGRAMS = {"rsgt": rsgt.cli.commands.main, "rsn": rsn.cli.main}
OUTSIDE = ("README.md", "CONTRIBUTING.md", "pipelines/README.md")
PAGES = sorted([*(ROOT / name for name in OUTSIDE), *ROOT.glob("docs/**/*.md")])
RUN = ("bash", "python", "pycon")
"""Languages of blocks that run."""
SHOWN = ("text", "toml")
SMALL = {
    ("rsn", "fit"): shlex.split(
        "--epochs 1 --size 32x48 --width 16 --batch-size 2 --workers 0 --device cpu --precision 32"
    ),
    ("rsgt", "compare"): ["--sample", "2"],
    ("rsgt", "synth"): ["--size", "x".join(map(str, SHAPE))],
}
"""What makes a command's run small: the last of an option counts. Weights of the package have width 16."""
MOST_ROOMS = 24
"""Frames that ``rsgt synth`` renders at most."""
AT_FULL_SIZE = {"nyu-eigen": "paper"}
"""What is for frames of 480x640 alone, and what stands in for it."""
TINY = {
    "size": (24, 32), "width": 16, "epochs": 1, "workers": 0, "batch_size": 2, "validation": 0.3,
    "device": "cpu", "precision": "32", "stream": None,
}  # fmt: skip


LAYOUTS = {
    "mine": "folder",
    "SUNRGBD": "sunrgbd",
    "scans": "scannet",
    "hypersim": "hypersim",
    "tables": "parquet",
}
"""Folders that pages take for granted, and in whose layout."""


class Block(NamedTuple):
    """A fenced block: where it begins, in what language, why it is not run ("" = it runs)."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self):
        """Page and line of the block's first line."""
        return (
            f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name}:{self.line}"
        )


def blocks(page):
    """Yield the blocks of a page.

    Raises
    ------
    AssertionError
        Where code is not in a fence that says its language, so that nobody would know whether it runs.
    """
    lines, start, before = page.read_text(encoding="utf-8").split("\n"), None, ""
    for i, line in enumerate(lines):
        if line.startswith("```") and start is None:
            start, language = i, line[3:].strip()
            assert language in (*RUN, *SHOWN), f"{page.name}:{i + 1}: a block of {language!r}"
            mark = re.fullmatch(r"<!-- not run: (.+) -->", before)
        elif line.startswith("```"):
            yield Block(
                page, start + 2, language, "\n".join(lines[start + 1 : i]) + "\n", mark[1] if mark else ""
            )
            start = None
        elif start is None:
            assert "```" not in line, f"{page.name}:{i + 1}: a fence that is indented"
            assert not (line.startswith("    ") and before == ""), (
                f"{page.name}:{i + 1}: code without a fence"
            )
        before = line
    assert start is None, f"{page.name}: a fence that does not end"


def given(page):
    """Names of what a page takes for granted."""
    return [
        name for names in re.findall(r"<!-- given: (.+?) -->", page.read_text(encoding="utf-8"))
        for name in names.split(", ")
    ]  # fmt: skip


def rendered_small(monkeypatch):
    """Let ``rsgt synth`` and ``rsgt.write_rooms`` render small rooms, each once."""
    monkeypatch.setattr(synthetic, "render_room", cache(synthetic.render_room))
    monkeypatch.setitem(rsgt.write_rooms.__kwdefaults__, "shape", SHAPE)


def run_page(page, namespace):
    """Run every block of a page that is to be run, in the folder that one is in; return their places."""
    done = []
    for block in blocks(page):
        if block.language in RUN and not block.mark:
            run_block(block, namespace)
            done.append(block.place)
    return done


def run_block(block, namespace):
    """Run one block; AssertionError names its place."""
    if block.language == "bash":
        for line in commands(block.text):
            _run_line(line, block.place)
    elif block.language == "python":
        # So many empty lines before it that a traceback has the page's own lines.
        code = compile("\n" * (block.line - 1) + block.text, block.place, "exec")
        try:
            exec(code, namespace)
        except Exception as error:
            raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error
    else:
        told = []
        example = doctest.DocTestParser().get_doctest(
            block.text, namespace, block.place, block.place, block.line - 1
        )
        example.globs = namespace  # the names of one block are there in the next
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        failed, _ = runner.run(example, out=told.append, clear_globs=False)
        assert not failed, f"{block.place}: {''.join(told)}"


def commands(text):
    """Lines of a shell block, continued ones joined, without comments."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _run_line(line, place):
    words = shlex.split(line, comments=True)
    if words[0] not in PROGRAMS or {"&", "&&", "|", ";"} & {*words} or line.rstrip().endswith("&"):
        _run_in_shell(line, place)
        return
    into = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if into else words
    arguments = [found for k, word in enumerate(words[1:]) for found in _filled_in(word, words[k])]
    small = (
        SMALL.get((words[0], words[1]), []) if "--resume" not in words and "--dry-run" not in words else []
    )
    arguments = [AT_FULL_SIZE.get(word, word) for word in arguments]
    if words[1] == "synth" and "--frames" in arguments:
        at = arguments.index("--frames") + 1
        arguments[at] = str(min(int(arguments[at]), MOST_ROOMS))
    done = CliRunner().invoke(PROGRAMS[words[0]], [*arguments, *small])
    assert done.exit_code == 0, f"{place}: {line}\n{done.output}{done.exception!r}"
    if into:
        Path(into).write_text(done.stdout, encoding="utf-8")


def _filled_in(word, before):
    """Files of a pattern, as the shell fills it in; one that an option takes is in quotes there."""
    return sorted(map(str, Path().glob(word))) if "*" in word and not before.startswith("--") else [word]


def _run_in_shell(line, place):
    programs = "".join(f'{name}() {{ "{sys.executable}" -m {name} "$@"; }}\n' for name in PROGRAMS)
    done = subprocess.run(
        ["bash", "-ec", f"export PYTHONPATH='{ROOT}'\n{programs}{line}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{place}: {line}\n{done.stdout}{done.stderr}"


class Given:
    """Makes what pages take for granted: small, under the name that the page says."""

    def __init__(self, folder):
        self.folder = folder

    def bring(self, name):
        """Make something, or bring what was made before, into the folder that one is in."""
        here = Path(name)
        if here.suffix == ".mat":
            rsgt.write_rooms(here, frames=9, seed=0)
        elif here.suffix == ".zarr":
            here.symlink_to(self._store(name))
        elif here.suffix == ".jpg":
            Image.fromarray(np.full((40, 52, 3), 120, np.uint8)).save(here)
        elif name in LAYOUTS:
            rsgt.write_rooms(here, frames=9, seed=0, layout=LAYOUTS[name])
        elif name == "maps":
            here.mkdir()
            for frame in rsgt.open("nyu.zarr"):
                np.save(here / f"{frame.number}.npy", frame.depth + np.float32(0.1))
        elif name == "views":
            here.mkdir()
            for k in range(3):
                depth, labels = np.full(SHAPE, 1000 + 500 * k, np.uint16), np.ones(SHAPE, np.uint16)
                np.savez(
                    here / f"{k}.npz", rgb=np.zeros((*SHAPE, 3), np.uint8), depth_mm=depth, labels=labels
                )
        elif name == "run":
            shutil.copytree(self._run(), here)
        else:
            raise AssertionError(f"nobody makes {name!r}")

    def _store(self, name):
        """Nine rooms with NYU's 40 classes; ``mine.zarr`` has others than the rest."""
        store, rooms = self.folder / name, self.folder / f"{name}.mat"
        if not store.exists():
            rsgt.write_rooms(rooms, frames=9, seed=int(name == "mine.zarr"))
            rsgt.build(rooms, store, labels="40")
        return store

    def _run(self):
        """Folder of a run that has learnt from ``nyu.zarr``, for a second."""
        run = self.folder / "run"
        if not run.exists():
            rsn.fit(self._store("nyu.zarr"), run, **TINY, model="generation")
        return run
