"""Where a result comes from: the commit and the versions that computed it."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def origin(contents: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Say what a record comes from: a checkpoint of that name, its training, and the program that judges.

    ``versions`` of the checkpoint are those of each program that trained it, in turn; None in an old one.
    """
    return {
        "checkpoint": {"name": name}
        | {key: contents.get(key) for key in ("epoch", "rsn", "commit", "versions")},
        "trained_on": contents["store"],
        "seed": contents["config"].get("run", {}).get("seed", 0),
        "config": contents["config"],
        "commit": commit(),
        "versions": versions(),
    }
