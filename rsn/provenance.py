"""Where a result comes from: the commit and the versions that computed it."""

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import rsgt
from rsgt.store.provenance import commit

__all__ = ["commit", "origin", "versions"]


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
