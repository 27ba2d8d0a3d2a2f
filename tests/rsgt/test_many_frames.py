"""Memory that does not grow with the frames: some dozen bytes are held of each, and of a region nothing."""

import tracemalloc

import numpy as np
import pytest

import rsgt
from rsgt.quality.verification import verify
from rsgt.store import replacement, schema, writer
from rsgt.store.plan import Plan

SHAPE, SHARD, REGIONS = (4, 5), 250, 300
COUNTS = (1_000, 5_000)


def plan_of(count):
    return Plan(
        parameters={"labels": "40", "depth": "filled"},
        source={"kind": "many"},
        shape=SHAPE,
        frames=range(count),
        frame_ids=range(1, count + 1),
        names=(f"frame {k:09d}" for k in range(count)),
        split=np.arange(count) // SHARD % 2,
        split_origin="many",
        scene=np.arange(count) // SHARD,
        scene_names=tuple(f"scene {k}" for k in range(-(-count // SHARD))),
        class_names=("wall",),
        cameras=({"frames": [0, count], "intrinsics": {}},),
        shard_frames=SHARD,
        versions={},
    )


def begin(path, count):
    """All shards of a store of so many frames, with a table of many more regions than pixels."""
    plan = plan_of(count)
    writer.create(path, plan)
    rng = np.random.default_rng(0)
    maps = {spec.name: np.ones((SHARD, *(*SHAPE, 3)[: len(spec.axes) - 1]), spec.dtype)
            for spec in schema.FRAME_ARRAYS}  # fmt: skip
    table = {spec.name: (1 + rng.random(REGIONS)).astype(spec.dtype) for spec in schema.REGION_ARRAYS}
    for k in range(plan.n_shards):
        writer.write_shard(path, plan, k, maps.items(), iter([table] * SHARD))
    return plan


def peak(call):
    """Bytes that a call had at once, above what there was before."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """Peak of each step with few frames and with five times as many; the table of all would be 60 MB more."""
    found = {}
    for count in COUNTS:
        path = tmp_path_factory.mktemp("many") / "s.zarr"
        plan = begin(path, count)
        found.setdefault("finish", []).append(peak(lambda path=path, plan=plan: writer.finish(path, plan)))
        replacement.switch(path, plan)

        def stats(path=path):
            judged = rsgt.statistics(path, workers=0)
            judged.document()
            judged.categories()

        found.setdefault("open", []).append(peak(lambda path=path: rsgt.open(path).describe()))
        found.setdefault("stats", []).append(peak(stats))
    return found


@pytest.mark.parametrize("step", ["finish", "open", "stats"])
def test_memory_is_flat(peaks, step):
    few, many = peaks[step]
    # A chunk of the table has 262,144 rows, which the smaller store has as well.
    assert many - few < 500 * (COUNTS[1] - COUNTS[0]), peaks


def test_what_is_simulated_is_sound(tmp_path):
    """The benchmark in small: the source that it builds, and each of its steps."""
    from benchmarks import bench_frames

    out = tmp_path / "s.zarr"
    rsgt.build(bench_frames.Simulated(70), out, workers=0, **bench_frames.OPTIONS)
    assert verify(out, source=bench_frames.Simulated(70), sample=70, workers=0).problems == []
    bench_frames.stats(out, 70)
    bench_frames.open_(out, 70)


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    from benchmarks import bench_frames

    found = bench_frames.main(tmp_path, [256, 512])
    assert all(found[count]["finish"]["regions"] > count for count in found)
    for key in ("worker_bytes", "task_bytes"):
        assert abs(found[256]["build"][key] - found[512]["build"][key]) < 30
