"""Where compiled code is kept, what is not trusted, and that nothing about it stops a run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsgt.regions import compilation

ROOT = Path(__file__).parents[2]
MODULE = """
from rsgt.regions.compilation import jit
@jit(error_model="numpy")
def twice(x):
    return 2 * x
if __name__ == "__main__":
    import sys
    result, stats = twice(21), twice.stats
    print(result, type(twice._cache).__name__, sum(stats.cache_hits.values()), stats.cache_path)
"""


def run(tmp_path, **environment):
    """Run the module in a process of its own: result, kind of cache, hits, and the cache's folder."""
    if not (tmp_path / "twice.py").exists():
        (tmp_path / "twice.py").write_text(MODULE)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, tmp_path / "twice.py"], env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result, kind, hits, folder = done.stdout.split()
    assert result == "42"
    return kind, int(hits), folder


def nowhere(tmp_path):
    """An environment in which Numba finds no place to write to, whoever runs this."""
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "NUMBA_CACHE_DIR": str(tmp_path / "file"),
        "TMPDIR": str(tmp_path / "tmp"),
    }


def test_a_place_of_the_users_own_where_there_is_no_other(tmp_path):
    kind, _, folder = run(tmp_path, **nowhere(tmp_path))
    assert (kind, Path(folder).parents[1]) == ("_Cache", tmp_path / "tmp")
    assert Path(folder).parent.stat().st_mode & 0o777 == 0o700
    assert run(tmp_path, **nowhere(tmp_path))[1] == 1


def test_nothing_is_kept_where_others_can_write(tmp_path):
    environment = nowhere(tmp_path)
    shared = tmp_path / "tmp" / f"rsgt-numba-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    assert run(tmp_path, **environment)[0] == "NullCache"
    assert [*shared.iterdir()] == []


def test_a_change_in_a_module_beside_is_compiled_anew(tmp_path):
    """A function has the code of those that it calls inside, wherever they are written."""
    (tmp_path / "factor.py").write_text(
        "from rsgt.regions.compilation import jit\n@jit()\ndef f():\n    return 2\n"
    )
    (tmp_path / "twice.py").write_text(
        "from factor import f\nfrom rsgt.regions.compilation import jit\n@jit()\ndef times(x):\n"
        "    return f() * x\nprint(times(21), sum(times.stats.cache_hits.values()))\n"
    )
    assert printed(tmp_path) == ["42", "0"]
    assert printed(tmp_path) == ["42", "1"]
    factor = tmp_path / "factor.py"
    factor.write_text(factor.read_text().replace("return 2", "return 3"))
    assert printed(tmp_path) == ["63", "0"]


def test_what_was_kept_of_a_type_that_is_gone_is_compiled_anew(tmp_path):
    """The list of what was kept names types by their classes: an older text's need not be there."""
    text = (
        "from typing import NamedTuple\nfrom rsgt.regions.compilation import jit\n"
        "class Old(NamedTuple):\n    x: float\n@jit()\ndef f(one):\n    return 2 * one.x\n"
        "print(int(f(Old(21.0))), sum(f.stats.cache_hits.values()))\n"
    )
    for name in ("Old", "New"):
        (tmp_path / "twice.py").write_text("from shape import *")
        (tmp_path / "shape.py").write_text(text.replace("Old", name))
        assert printed(tmp_path) == ["42", "0"]
    assert printed(tmp_path) == ["42", "1"]


def printed(tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, tmp_path / "twice.py"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("kind", ["file", "link", "open parent"])
def test_a_private_folder_that_is_not(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(compilation.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"rsgt-numba-{os.getuid()}"
    if kind == "file":
        folder.write_text("")
    elif kind == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "other")
    else:
        tmp_path.chmod(0o777)
    assert compilation.private_folder() is None
    tmp_path.chmod(0o1777)
    if kind == "open parent":
        assert compilation.private_folder() == folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the module, and a cache that has it."""
    folder = tmp_path_factory.mktemp("kept")
    environment = {"NUMBA_CACHE_DIR": str(folder / "cache")}
    assert run(folder, **environment)[:2] == ("_Cache", 0)
    assert run(folder, **environment)[1] == 1
    return folder


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "text", "gone", "folder"])
def test_a_damaged_cache_is_as_good_as_none(tmp_path, kept, suffix, damage):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    shutil.copytree(kept / "cache", tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob(f"*.{suffix}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    if damage in ("gone", "folder"):
        file.unlink()
        if damage == "folder":
            file.mkdir()
    else:
        file.write_bytes({"empty": b"", "short": data[:40], "flipped": data, "text": b"no pickle"}[damage])
    assert run(kept, **environment)[1] == 0
    if damage != "folder":
        assert run(kept, **environment)[1] == 1
