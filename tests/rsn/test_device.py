"""Where a network runs: what a training does to this process's memory."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import resource, torch
{}
tensors = [torch.ones(300_000) for _ in range(40)]
del tensors
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    tensors = [torch.ones(300_000) for _ in range(40)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first, **environment):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first)], capture_output=True, text=True, check=True,
        env=plain | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory its own way")
def test_freed_memory_is_kept_for_the_next_step():
    """48 MB are freed and taken again twenty times: 234,000 pages, which are asked for once."""
    kept = "from rsn.training.device import keep_freed_memory; keep_freed_memory()"
    assert faults(kept) < 20_000
    assert faults(kept, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536") > 100_000
