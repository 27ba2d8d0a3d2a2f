"""Where a result comes from: the commit and the versions of what computed it."""

import hashlib
import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import rsgt
from rsgt.store.manifest import sha256

_SHAPELESS = (":!pipelines/results", ":!*.md")
"""Records and pages, which what runs writes anew: they shape nothing."""


@cache
def commit() -> str:
    """Name the commit of the source tree that this runs from, or was installed from.

    A tree has all digits of it; an installed package has the few that its version holds, and "unknown" where
    it was built without git. Where tracked files but records and Markdown differ from it, or there are new
    ones of Python, ``+changes.`` and a hash of the difference follow, so that two states of a tree that is
    worked on have two names.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        # Variables of git's own may point it elsewhere, or let other programs show differences.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(command, capture_output=True, check=True, env=plain)
        return done.stdout.decode(errors="replace").strip()

    try:
        # An installed package may lie in somebody else's repository, whose commit says nothing of it.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return _installed(rsgt.__version__)
        head = git("rev-parse", "HEAD")
        changes = git("diff", "--no-ext-diff", "--no-textconv", "HEAD", "--", ".", *_SHAPELESS)
        for name in git("ls-files", "--others", "--exclude-standard", "--", "*.py").splitlines():
            changes += name + sha256(root / name)
    except (OSError, subprocess.CalledProcessError):
        return _installed(rsgt.__version__)
    return head + (f"+changes.{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else "")


def _installed(of: str) -> str:
    """Commit in a version such as ``0.1.1.dev4+g056766709.d20260130``; a date says that files differed.

    Of a tree that is run where it lies, the version is that of some earlier state.
    """
    here = Path(__file__).resolve().parents[1]
    try:
        if Path(str(distribution("region-support").locate_file("rsgt"))).resolve() != here:
            return "unknown"
    except PackageNotFoundError:
        return "unknown"
    found = re.search(r"\+g([0-9a-f]{7,40})(\.d[0-9]+)?$", of)
    return found[1] + "+changes" * bool(found[2]) if found else "unknown"


@cache
def versions(*packages: str) -> dict[str, str]:
    """Versions of rsgt (with its ``commit``), of Python, and of packages; "none" for one not installed."""

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "none"

    return {
        "rsgt": rsgt.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: of(name) for name in packages},
    }
