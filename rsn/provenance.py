"""Where a result comes from: the commit and the versions that computed it."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import torch

import rsgt


def commit() -> str:
    """Name the commit of the source tree that this runs from, ``+changes`` where it differs; or "unknown"."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed package may lie in somebody else's repository, whose commit says nothing of it.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "rsn": rsgt.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
