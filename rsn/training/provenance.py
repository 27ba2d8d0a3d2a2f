"""Where a result comes from: the commit and the versions that computed it."""

import platform

import numpy as np
import torch

import rsgt
from rsgt.store.provenance import commit

__all__ = ["commit", "versions"]


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "rsn": rsgt.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
