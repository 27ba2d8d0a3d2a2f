"""Building a store against a plain h5py loop that only reads the same four arrays.

For the figures on all 1449 frames: ``python -m benchmarks.bench_build nyu_depth_v2_labeled.mat OUT.zarr``.
"""

import json
import resource
import shutil
import sys
import time
from pathlib import Path

import h5py
import pytest

import rsgt
from rsgt import builder


def read_plainly(path, names=("images", "depths", "labels", "instances")):
    """What a script does: frame by frame through h5py."""
    with h5py.File(path) as file:
        for i in range(file["images"].shape[0]):
            for name in names:
                file[name][i]


def build(path, out, workers=None):
    rsgt.build(path, out, overwrite=True, workers=workers)


@pytest.mark.benchmark(group="all frames of a .mat")
@pytest.mark.parametrize("what", ["h5py loop", "build"])
def test_build(benchmark, mat, tmp_path, what):
    out = tmp_path / "s.zarr"
    if what == "build":
        build(mat, out)
        benchmark.pedantic(build, (mat, out), rounds=5, iterations=1)
        assert (out / "zarr.json").exists()
    else:
        benchmark.pedantic(read_plainly, (mat,), rounds=5, iterations=1)


def main(path, out, rounds):
    """Print ratio, wall times, peak memory and size of a whole build, alternating with the plain loop."""
    builder.compile_kernels(builder.Parameters())
    loop, whole = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        read_plainly(path)
        loop.append(time.perf_counter() - started)
        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        build(path, out)
        whole.append(time.perf_counter() - started)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    with h5py.File(path) as file:
        frames = file["images"].shape[0]
    middle = rounds // 2
    print(json.dumps({
        "ratio": round(sorted(b / a for a, b in zip(loop, whole, strict=True))[middle], 3),
        "h5py_loop_s": [round(s, 2) for s in loop],
        "build_s": [round(s, 2) for s in whole],
        "frames": frames,
        "mb_per_frame": round(size / frames / 1e6, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), rounds=int(sys.argv[3]) if len(sys.argv) > 3 else 3)
