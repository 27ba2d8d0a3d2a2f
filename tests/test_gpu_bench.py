"""What ``make gpu`` runs on a CUDA machine, here on a processor and as small as it goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_gpu

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_processor(tmp_path):
    command = [sys.executable, "-m", "benchmarks.bench_gpu", tmp_path / "a.json", "--device", "cpu", "--tiny"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "a.json").read_text())
    measured = record["networks"]
    assert len(measured) == 2 * len(bench_gpu.NETWORKS) * len(bench_gpu.WAYS)
    assert all(one.get("error") == bench_gpu.TINY or one["images_per_second"] > 0 for one in measured)
    assert sum("error" in one for one in measured) == 4
    assert {(one["network"], one["mode"]) for one in measured} == {
        (name, mode) for name in ("generation", "refinement", "rsn") for mode in ("training", "inference")
    }
    assert 0 < record["loading"]["busy"] <= 1
    assert record["training"]["learnt"]
    assert len(record["training"]["loss"]) == 4
    assert record["training"]["test_rmse_m"] > 0
    assert record["commit"]


def test_what_there_is_no_time_for_is_named(monkeypatch):
    monkeypatch.setattr(bench_gpu, "measured", None)
    found = bench_gpu.networks(None, "cpu", bench_gpu.Clock(0), tiny=False)
    assert {one["error"] for one in found} == {bench_gpu.NO_TIME}
