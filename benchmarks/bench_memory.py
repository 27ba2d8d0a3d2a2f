"""Peak memory and wall time of whole commands, each in a process of its own.

``python -m benchmarks.bench_memory nyu_depth_v2_labeled.mat OUT.zarr [1,2,8,12]`` builds with so many
workers, then runs ``stats`` and ``verify`` with the default number: the README's figures.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


def measure(*arguments):
    """Seconds and peak resident memory (MB) of one command of rsgt."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "rsgt", *map(str, arguments)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"rsgt {arguments[0]} failed")
    return {"seconds": round(time.perf_counter() - started, 1), "memory_mb": round(usage.ru_maxrss / 1e3)}


def main(path, out, workers):
    """Print one JSON object: a figure for each command."""
    found = {"cores": len(os.sched_getaffinity(0))}
    for count in workers:
        shutil.rmtree(out, ignore_errors=True)
        found[f"build --workers {count}"] = measure(
            "build", "--nyu", path, "--out", out, "--workers", count, "--json"
        )
    found["stats"] = measure("stats", out, "--json")
    found["verify"] = measure("verify", out, "--json")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    counts = sys.argv[3] if len(sys.argv) > 3 else "1,2,8,12"
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(count) for count in counts.split(",")])
