"""What a message, a docstring or a document tells its reader to use is there."""

import ast
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import rsgt.cli.commands
import rsn.cli

ROOT = Path(__file__).parents[1]
CODE = sorted([*ROOT.glob("rsgt/**/*.py"), *ROOT.glob("rsn/**/*.py"), *ROOT.glob("pipelines/**/*.py")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *ROOT.glob("docs/**/*.md")]
)
PROGRAMS = {"rsgt": rsgt.cli.commands.main, "rsn": rsn.cli.main}
OF_OTHERS = {
    "--ntasks-per-node",
    "--no-ext-diff",
    "--no-textconv",
    "--help",
    "--version",
    "--exclude-standard",
    "--others",
    "--porcelain",
    "--show-toplevel",
}
"""Flags that every program has, and those of git and srun."""


def texts(path):
    """Every piece of text that a reader may meet: a module's strings, or the whole document."""
    if path.suffix != ".py":
        return [path.read_text(encoding="utf-8")]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def flags_of(command):
    return {flag for option in command.params for flag in [*option.opts, *option.secondary_opts]}


FLAGS = {flag for program in PROGRAMS.values() for c in program.commands.values() for flag in flags_of(c)}


@pytest.mark.parametrize("path", [*CODE, *DOCUMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_extra_that_is_named_exists(path):
    named = {
        extra.strip()
        for text in texts(path)
        for names in re.findall(r"(?:\bregion-support|['\"]\.)\[([a-z][a-z, ]*)\]", text)
        for extra in names.split(",")
    }
    assert named <= set(EXTRAS)


def test_what_tests_need_holds_every_extra():
    """Else the tests of an extra would be passed over everywhere, and nobody would see."""
    (everything,) = EXTRAS["all"]
    named = re.fullmatch(r"region-support\[(.*)\]", everything)
    assert {*named[1].split(",")} == {*EXTRAS} - {"all"}
    assert "-e '.[all]'" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*CODE, *DOCUMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_sent_to_another_project(path):
    """``rsgt`` in the package index is somebody else's, and would take the place of ours."""
    for text in texts(path):
        assert not re.search(r"pip install [^\n]*\brsgt\b", text)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_flag_that_a_message_names_exists(path):
    if path.is_relative_to(ROOT / "pipelines"):
        pytest.skip("a pipeline's flags are its own")
    named = {
        flag for text in texts(path) for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", text)
    }
    assert named - OF_OTHERS <= FLAGS


@pytest.mark.parametrize("path", [*CODE, *DOCUMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_named_exists(path):
    """A command stands in backquotes, begins a line of a block, or is what a message tells to run."""
    for text in texts(path):
        shell = "".join(re.findall(r"(?ms)^```bash\n(.*?)^```", text)).replace("\\\n", " ")
        for program, name, rest in re.findall(
            r"(?m)(?:`|^ {4,}|; run |use |before )(rsgt|rsn) +([a-z][a-z-]*)(?![\w.])([^`\n]*)", text
        ) + re.findall(r"(?m)^(rsgt|rsn) +([a-z][a-z-]*)(.*)$", shell):
            if path.suffix == ".py" and name not in PROGRAMS[program].commands:
                assert f"`{program} {name}" not in text, f"{program} {name}"
                continue  # prose: "the store that rsn reads"
            command = PROGRAMS[program].commands[name]
            flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", rest))
            assert flags - OF_OTHERS <= flags_of(command), f"{program} {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_module_that_a_document_names_exists(path):
    if path.name == "log.md":  # what was tried, by the names of its day
        return
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:rsgt|rsn|tests|docs|pipelines|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`((?:rsgt|rsn)(?:\.[A-Za-z_]\w*)+)`", text):
        assert resolved(name), name


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_page_that_code_names_exists(path):
    for text in texts(path):
        for name in re.findall(r"\bdocs/[\w/-]+\.md\b", text):
            assert (ROOT / name).exists(), name


def resolved(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        if find_module(".".join(parts[:k])):
            found = importlib.import_module(".".join(parts[:k]))
            for part in parts[k:]:
                if not hasattr(found, part):
                    return False
                found = getattr(found, part)
            return True
    return False


def find_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
