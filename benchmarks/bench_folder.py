"""Ten thousand small frames in folders: to list, to plan and to build them, against a plain Pillow loop.

``python -m benchmarks.bench_folder FOLDER [FRAMES]`` writes so many frames of 120x160 below FOLDER where they
are not there yet (colour and labels as PNG of 8 bits, depth as PNG of 16), and prints times and, of processes
of their own, the peak memory with a tenth of the frames and with all.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsgt
from rsgt import builder

SHAPE = (120, 160)
A_SCENE = 500
OPTIONS = {"format": "folder", "depth_scale": 1000.0}


def write_frames(root, count):
    """Slanted planes behind boxes, with noise of a sensor, so that files are about as large as real ones."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number in range(count):
        rng = np.random.default_rng(number)
        labels = rng.integers(1, 41, (4, 4), np.uint8).repeat(30, 0).repeat(40, 1)
        depth = 1500 + 40 * labels.astype(float) + 5 * x + rng.normal(0, 4, SHAPE)
        depth[rng.random(SHAPE) < 0.02] = 0
        shade = (4 * labels[..., None] + y[..., None] / 3 + rng.normal(0, 6, (*SHAPE, 3))).clip(0, 255)
        maps = {"rgb": shade.astype(np.uint8), "depth": depth.astype(np.uint16), "labels": labels}
        for name, values in maps.items():
            file = root / f"scene{number // A_SCENE:03d}" / name / f"{number % A_SCENE}.png"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(file, compress_level=1)
    return root


def read_plainly(root):
    """What a script does: every image, one after another, through Pillow."""
    for file in sorted(root.rglob("*.png")):
        with Image.open(file) as image:
            np.asarray(image)


def read_frames(root):
    """Every map of every frame, as a build reads them, in one thread."""
    source = rsgt.open_source(root, **OPTIONS)
    for position in range(len(source.frame_ids)):
        for read in (source.rgb, source.depth, source.semantic):
            read([position])


def build(root, out):
    rsgt.build(rsgt.open_source(root, **OPTIONS), out, overwrite=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """Frames for measuring, a few where timing is off."""
    option = request.config.getoption
    timing = option("benchmark_enable") or not option("benchmark_disable")
    return write_frames(tmp_path_factory.mktemp("bench") / "frames", 400 if timing else 4)


@pytest.mark.benchmark(group="all frames of a folder")
@pytest.mark.parametrize("what", ["Pillow loop", "source", "build"])
def test_folder(benchmark, folder, tmp_path, what):
    if what == "build":
        builder.compile_kernels(builder.Parameters())
        benchmark.pedantic(build, (folder, tmp_path / "s.zarr"), rounds=3, iterations=1)
        assert (tmp_path / "s.zarr" / "zarr.json").exists()
    else:
        function = read_frames if what == "source" else read_plainly
        benchmark.pedantic(function, (folder,), rounds=3, iterations=1)


def timed(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def memory_of(root, out):
    """Peak resident memory (MB) of a process that builds."""
    code = (
        "import resource, sys; from pathlib import Path; from benchmarks.bench_folder import build; "
        "build(Path(sys.argv[1]), Path(sys.argv[2])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code, root, out], check=True, capture_output=True, text=True)
    return int(done.stdout)


def main(folder, frames):
    """Print one JSON object."""
    builder.compile_kernels(builder.Parameters())
    few, all_of_them = (write_frames(folder / f"{count}", count) for count in (max(1, frames // 10), frames))
    out = folder / "out.zarr"
    found = {"frames": frames}
    found["list_s"], source = timed(lambda: rsgt.open_source(all_of_them, **OPTIONS))
    found["identity_s"], _ = timed(source.identity)
    found["plan_s"], _ = timed(rsgt.plan, source)
    loops, builds = [], []
    for _ in range(3):
        loops.append(timed(read_plainly, few)[0])
        builds.append(timed(build, few, out)[0])
    found["ms_a_frame_few"] = {
        name: round(1000 * sorted(times)[1] / max(1, frames // 10), 2)
        for name, times in (("Pillow loop", loops), ("build", builds))
    }
    loop, whole = timed(read_plainly, all_of_them)[0], timed(build, all_of_them, out)[0]
    found |= {"Pillow_loop_s": loop, "build_s": whole, "ratio": whole / loop}
    found["memory_mb"] = {root.name: memory_of(root, out) for root in (few, all_of_them)}
    shutil.rmtree(out)
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
