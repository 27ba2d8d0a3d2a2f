"""Building: the same bytes however it runs, resume, refusals, and stores that never look finished early."""

import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray
from click.testing import CliRunner

from rsgt import builder, inputs
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.regions.algorithm import region_support
from rsgt.sources import facts, open_source, train_test
from rsgt.store import predictions, provenance, reader, schema, writer
from rsgt.store.plan import begun_plan
from tests.conftest import smooth_frames, write_nyu

ROOT = Path(__file__).parents[2]

PARAMETERS = builder.Parameters(min_size=4)


def build(path, out, parameters=PARAMETERS, *, frame_ids=None, shard_frames=3, split_file=None, **options):
    source = open_source(path)
    plan = builder.plan_build(
        source, parameters, frame_ids=frame_ids, shard_frames=shard_frames, split_file=split_file
    )
    return builder.build_plan(source, out, plan, **options)


def array_files(path):
    """Every file of the store's arrays; the root group also names the source file."""
    return {
        str(f.relative_to(path)): f.read_bytes()
        for f in Path(path).rglob("*")
        if f.is_file() and f != Path(path) / "zarr.json"
    }


@pytest.mark.parametrize(
    "parameters",
    [
        builder.Parameters(min_size=4),
        builder.Parameters(min_size=0, instances=True, unlabelled="ignore", depth="raw", bins=4),
        builder.Parameters(variant="published", labels="13", depth="filled"),
        builder.Parameters(surface="plane", regions=6, min_size=4),
    ],
)
def test_the_store_holds_what_the_algorithm_says(nyu_file, tmp_path, parameters):
    path, arrays = nyu_file
    result = build(path, tmp_path / "s.zarr", parameters)
    assert (result.frames, result.shards, result.built) == (10, 4, 4)
    opened = pickle.loads(pickle.dumps(reader.open_store(tmp_path / "s.zarr")))
    assert len(opened) == 10
    assert opened.shape == (24, 32)
    depth = arrays["rawDepths" if parameters.depth == "raw" else "depths"]
    semantic = facts.class_map(parameters.labels or "894")[arrays["labels"]]
    assert np.array_equal(opened.read("rgb", 0, 10), arrays["images"])
    assert np.array_equal(opened.read("depth", 2, 7), depth[2:7])
    assert np.array_equal(opened.read("semantic", 9, 10), semantic[9:])
    assert np.array_equal(opened.read("instance", 0, 10), arrays["instances"])
    for k in range(10):
        expected = region_support(
            depth[k], semantic[k], arrays["instances"][k] if parameters.instances else None,
            variant=parameters.variant, bins=parameters.bins, min_size=parameters.min_size,
            unlabelled=parameters.unlabelled, surface=parameters.surface, regions=parameters.regions,
        )  # fmt: skip
        region = opened.read("region", k, k + 1)[0]
        assert np.array_equal(region, expected.region)
        assert np.array_equal(opened.read("support", k, k + 1)[0], expected.support.astype(np.float32))
        table = opened.region_table(k)
        assert table["area"].sum() == np.count_nonzero(region)
        assert table["label"].tolist() == list(range(1, region.max() + 1))
        for row in (0, -1):
            inside = region == table["label"][row]
            assert table["depth_mean"][row] == pytest.approx(depth[k][inside].mean(dtype=float))
            assert table["depth_variance"][row] == pytest.approx(depth[k][inside].var(dtype=float), abs=1e-9)
            assert table["semantic"][row] in semantic[k][inside]


def test_schema_and_xarray(nyu_file, tmp_path):
    build(nyu_file[0], tmp_path / "s.zarr")
    data = xarray.open_zarr(tmp_path / "s.zarr", consolidated=False)
    for spec in schema.FRAME_ARRAYS:
        assert data[spec.name].dims == spec.axes
        assert data[spec.name].dtype == spec.dtype
    assert data["depth"].attrs["units"] == "m"
    assert data["split"].attrs["flag_meanings"] == "train test"
    assert data.attrs["parameters"]["min_size"] == 4
    assert set(data.attrs["versions"]) >= {"rsgt", "numpy", "numba", "zarr"}
    table = xarray.open_zarr(tmp_path / "s.zarr", group="regions", consolidated=False)
    assert table.sizes["region"] == int(table["start"][-1])
    assert [d["class_names"][20] for d in [data["semantic"].attrs]] == ["wall"]


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1}, {"workers": 3}])
@pytest.mark.parametrize("layout", ["block", "contiguous"])
def test_same_bytes_from_any_number_of_workers_and_layout(nyu_file, tmp_path, options, layout):
    path, arrays = nyu_file
    one = build(path, tmp_path / "one.zarr", workers=1)
    other = write_nyu(tmp_path / "other.mat", arrays, layout=layout)
    two = build(other, tmp_path / "two.zarr", **options)
    assert array_files(one.path) == array_files(two.path)
    assert one.identity == two.identity


def test_identity_follows_the_content(nyu_file, tmp_path):
    one = build(nyu_file[0], tmp_path / "one.zarr")
    assert build(nyu_file[0], tmp_path / "two.zarr", builder.Parameters(min_size=40)).identity != one.identity
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [1, 2, 3], "test": list(range(4, 11))}))
    assert build(nyu_file[0], tmp_path / "three.zarr", split_file=split).identity != one.identity


def test_interrupted_build_goes_on(nyu_file, tmp_path, monkeypatch):
    path, out = nyu_file[0], tmp_path / "s.zarr"
    whole = build(path, tmp_path / "whole.zarr")
    write, calls = writer.write_shard, []

    def fail_at_third(*arguments):
        calls.append(arguments[2])
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(writer, "write_shard", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        build(path, out, workers=0)
    with pytest.raises(InputError, match="unfinished store"):
        reader.open_store(out)
    with pytest.raises(FileNotFoundError):
        xarray.open_zarr(out, consolidated=False)
    monkeypatch.setattr(writer, "write_shard", write)
    (staged,) = out.glob(f"{reader.STAGING}/*/store")
    done = {k: f.stat().st_mtime_ns for k in (0, 1) if (f := staged / f"depth/c/{calls[k]}/0/0").exists()}
    assert len(done) == 2
    with pytest.raises(InputError, match="min_size is 4, asked 7"):
        build(path, out, builder.Parameters(min_size=7))
    steps = []
    result = build(path, out, progress=lambda d, n: steps.append((d, n)))
    assert result.built == 2
    assert steps == [(2, 4), (3, 4), (4, 4)]
    assert done == {k: (out / f"depth/c/{calls[k]}/0/0").stat().st_mtime_ns for k in done}
    assert array_files(out) == array_files(whole.path)
    assert build(path, out).built == 0


def test_a_shard_file_that_shrank_is_built_again(nyu_file, tmp_path, monkeypatch):
    path, out = nyu_file[0], tmp_path / "s.zarr"
    monkeypatch.setattr(writer, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(path, out)
    monkeypatch.undo()
    (shard,) = out.glob(f"{reader.STAGING}/*/store/rgb/c/1/0/0/0")
    with shard.open("r+b") as file:
        file.truncate(100)
    assert build(path, out).built == 1
    assert array_files(out) == array_files(build(path, tmp_path / "whole.zarr").path)


def test_full_disk_leaves_no_store_and_goes_on(nyu_file, tmp_path, monkeypatch):
    path, out = nyu_file[0], tmp_path / "s.zarr"
    write = writer.write_text

    def full(file, *arguments):
        if file.name == "00002.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        write(file, *arguments)

    monkeypatch.setattr(writer, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        build(path, out)
    with pytest.raises(InputError, match="unfinished"):
        reader.open_store(out)
    monkeypatch.undo()
    assert build(path, out).built >= 1
    assert array_files(out) == array_files(build(path, tmp_path / "whole.zarr").path)


def test_another_source_or_selection_is_refused(nyu_file, tmp_path):
    out = tmp_path / "s.zarr"
    build(nyu_file[0], out)
    other = write_nyu(tmp_path / "other.mat", smooth_frames(10, seed=5))
    with pytest.raises(InputError, match="fingerprint is"):
        build(other, out)
    with pytest.raises(InputError, match="the frames differ"):
        build(nyu_file[0], out, frame_ids=[1, 2])
    with pytest.raises(InputError, match="shard-frames is 3, asked 5"):
        build(nyu_file[0], out, shard_frames=5)
    with pytest.raises(InputError, match="bins is 10, asked 3.*overwrite"):
        build(nyu_file[0], out, builder.Parameters(min_size=4, bins=3))
    assert build(nyu_file[0], out, frame_ids=[1, 2], overwrite=True).frames == 2
    moved = nyu_file[0].rename(tmp_path / "renamed.mat")
    assert build(moved, out, frame_ids=[1, 2]).built == 0


def test_foreign_folders_are_left_alone(nyu_file, tmp_path):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("x")
    for target in (out, out / "thesis.txt"):
        with pytest.raises(InputError, match="is no region-support store"):
            build(nyu_file[0], target, overwrite=True)
    assert (out / "thesis.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    assert build(nyu_file[0], tmp_path / "empty").frames == 10


def test_open_refuses_what_is_no_store(tmp_path):
    with pytest.raises(InputError, match="no such store"):
        reader.open_store(tmp_path / "none.zarr")
    with pytest.raises(InputError, match="no region-support store"):
        reader.open_store(tmp_path)
    group = {"zarr_format": 3, "node_type": "group"}
    (tmp_path / "zarr.json").write_text(
        json.dumps({"attributes": {"format": "region-support", "format_version": 9}, **group})
    )
    with pytest.raises(InputError, match="version 9"):
        reader.open_store(tmp_path)


def test_scene_split_is_whole_scenes_and_seeded():
    scenes = [f"s{i // 3}" for i in range(90)]
    split = train_test.scene_split(scenes)
    assert 18 <= sum(split) <= 20
    assert all(len({split[i] for i in range(90) if scenes[i] == s}) == 1 for s in set(scenes))
    assert split == train_test.scene_split(scenes)
    assert split != train_test.scene_split(scenes, seed=1)
    assert train_test.scene_split(["a", "a"]) == [0, 0]


def test_split_files(nyu_file, tmp_path):
    from scipy.io import savemat

    savemat(
        tmp_path / "splits.mat",
        {"trainNdxs": np.arange(1, 8)[:, None], "testNdxs": np.array([[8], [9], [10]])},
    )
    build(nyu_file[0], tmp_path / "s.zarr", split_file=tmp_path / "splits.mat", frame_ids=[9, 2, 5])
    opened = reader.open_store(tmp_path / "s.zarr")
    assert opened.frame_id.tolist() == [2, 5, 9]
    assert opened.split.tolist() == [0, 0, 1]
    assert opened.attributes["split_origin"] == "file splits.mat"
    bad = tmp_path / "bad.json"
    for text, message in [
        ('{"train": [1], "test": [1]}', "frame 1 is in both parts"),
        ('{"train": [2], "test": [3]}', "frame 1 is in no part"),
        ("[1]", "no split"),
        ("{", "no split"),
    ]:
        bad.write_text(text)
        with pytest.raises(InputError, match=message):
            build(nyu_file[0], tmp_path / "n.zarr", split_file=bad)
    with pytest.raises(InputError, match="no split"):
        build(nyu_file[0], tmp_path / "n.zarr", split_file=tmp_path / "absent.mat")
    assert not (tmp_path / "n.zarr").exists()


def test_frames_must_exist(nyu_file, tmp_path):
    with pytest.raises(InputError, match=r"\[11\] asked for.*has 1\.\.10"):
        build(nyu_file[0], tmp_path / "s.zarr", frame_ids=[1, 11])
    with pytest.raises(InputError, match="names a frame twice"):
        inputs.parse_frames("1-3,2")
    with pytest.raises(InputError, match="expected a number or a range"):
        inputs.parse_frames("1-x")
    assert inputs.parse_frames("7,1-3") == [7, 1, 2, 3]


def test_a_damaged_frame_stops_the_build_unfinished(tmp_path):
    arrays = smooth_frames(6)
    arrays["depths"][4, 0, 0] = -2
    path = write_nyu(tmp_path / "a.mat", arrays)
    with pytest.raises(InputError, match="depths of frame 5"):
        build(path, tmp_path / "s.zarr")
    with pytest.raises(InputError, match="unfinished"):
        reader.open_store(tmp_path / "s.zarr")


def test_what_a_kill_left_aside_is_tidied_up(tmp_path):
    """A plan that was being written leaves a file of a name that nobody else has."""
    path = write_nyu(tmp_path / "a.mat", smooth_frames(2, shape=(12, 16)))
    out = tmp_path / "s.zarr"
    (out / reader.STAGING / "another").mkdir(parents=True)
    (out / reader.STAGING / ".plan.json.0123abcd.tmp").write_text("{")
    build(path, out)
    assert not (out / reader.STAGING).exists()


def _json_files(folder):
    # os.walk and not rglob: the build removes folders while they are listed.
    return sum(name.endswith(".json") for _, _, names in os.walk(folder) for name in names)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    path = write_nyu(tmp_path / "a.mat", smooth_frames(96, shape=(120, 160)))
    whole = build(path, tmp_path / "whole.zarr", shard_frames=2)
    out = tmp_path / "s.zarr"
    command = [sys.executable, "-m", "rsgt", "build", "--nyu", path, "--out", out, "--min-size", "4",
               "--shard-frames", "2", "--workers", "2"]  # fmt: skip
    rng = random.Random(3)
    unfinished = 0
    for _ in range(20):
        seen = _json_files(out)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline and _json_files(out) <= seen:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.2)
            process.send_signal(signal.SIGKILL)
        unfinished += (out / reader.STAGING).exists()
    assert unfinished, "every build outran its kill: nothing was tested"
    subprocess.run(command, check=True, capture_output=True)
    assert array_files(out) == array_files(whole.path)


@pytest.mark.xdist_group("cluster")
def test_distributed_survives_a_killed_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    path = write_nyu(tmp_path / "a.mat", smooth_frames(24, shape=(120, 160)))
    whole = build(path, tmp_path / "whole.zarr", shard_frames=2)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        killed = []

        def kill_one(done, total):
            if done >= 3 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        result = build(
            path, tmp_path / "s.zarr", shard_frames=2, scheduler=cluster.scheduler_address, progress=kill_one
        )
    assert killed
    assert result.built == 12
    assert array_files(result.path) == array_files(whole.path)


@pytest.mark.xdist_group("cluster")
def test_what_travels_with_a_task_does_not_grow_with_the_frames(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    few, many = (
        builder.plan_build(source, PARAMETERS, frame_ids=frames, shard_frames=1) for frames in ([1], None)
    )
    sizes = [len(pickle.dumps(partial(builder.build_shard, source, tmp_path, p.key))) for p in (few, many)]
    assert sizes[0] == sizes[1]
    writer.create(tmp_path / "s.zarr", many)
    assert begun_plan(tmp_path / "s.zarr", many.key) == many
    assert builder.build_shard(source, tmp_path / "s.zarr", many.key, 3) == 3
    with pytest.raises(InputError, match="another build at"):
        begun_plan(tmp_path / "s.zarr", few.key)
    with pytest.raises(InputError, match="no build at .*same folder"):
        begun_plan(tmp_path / "none.zarr", few.key)


def test_the_table_is_written_chunk_by_chunk(nyu_file, tmp_path, monkeypatch):
    """Chunks that begin and end within shards, and a hash that knows nothing of chunks."""
    whole = build(nyu_file[0], tmp_path / "whole.zarr").store
    for size in (1, 7, 64):
        monkeypatch.setattr("rsgt.store.encoding.TABLE_CHUNK", size)
        monkeypatch.setattr("rsgt.store.reader.TABLE_CHUNK", size)
        cut = build(nyu_file[0], tmp_path / f"{size}.zarr").store
        assert cut.identity == whole.identity == reader.content_hash_of(cut)
        assert cut.array("regions/area").chunks == (size,)
        for name, column in whole.whole_region_table().items():
            assert np.array_equal(cut.whole_region_table()[name], column)
        assert all(np.array_equal(cut.region_tables(2, 5)[1][n], c) for n, c in whole.region_table(3).items())


def test_a_lost_scheduler_is_said_and_the_build_goes_on(tmp_path):
    distributed = pytest.importorskip("distributed")
    path = write_nyu(tmp_path / "a.mat", smooth_frames(24, shape=(60, 80)))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        address = cluster.scheduler_address

        def lose(done, total):
            if done == 3:
                cluster.close()

        with pytest.raises(InputError, match=r"was lost.*run the same command again"):
            build(path, tmp_path / "s.zarr", shard_frames=2, scheduler=address, progress=lose)
    with pytest.raises(InputError, match="unfinished"):
        reader.open_store(tmp_path / "s.zarr")
    assert 0 < build(path, tmp_path / "s.zarr", shard_frames=2).built < 12


@pytest.mark.xdist_group("cluster")
def test_workers_in_another_folder_see_the_same_paths(tmp_path, monkeypatch):
    """A relative path means another place to a process that runs elsewhere."""
    distributed = pytest.importorskip("distributed")
    write_nyu(tmp_path / "a.mat", smooth_frames(6))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        monkeypatch.chdir(tmp_path)
        result = build(Path("a.mat"), Path("s.zarr"), scheduler=cluster.scheduler_address)
    assert (result.built, result.path) == (2, Path("s.zarr"))


def test_a_worker_of_another_version_is_refused(nyu_file, tmp_path, monkeypatch):
    source = open_source(nyu_file[0])
    plan = builder.plan_build(source, PARAMETERS)
    mine = provenance.versions(*builder.PACKAGES)
    monkeypatch.setattr(provenance, "versions", lambda *_: mine | {"commit": "another"})
    with pytest.raises(InputError, match="commit is another, expected"):
        builder.build_shard(source, tmp_path, plan, 0)


def test_versions_that_were_mixed_are_named(nyu_file, tmp_path, monkeypatch):
    """A build that goes on under another numpy says both; under another state of rsgt it does not go on."""
    path, out = nyu_file[0], tmp_path / "s.zarr"
    mine = provenance.versions(*builder.PACKAGES)
    monkeypatch.setattr(writer, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(path, out)
    monkeypatch.undo()
    (shard,) = out.glob(f"{reader.STAGING}/*/store/depth/c/1/0/0")
    shard.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "versions", lambda *_: mine | {"commit": "another"})
        with pytest.raises(InputError, match="commit is .*, now another"):
            build(path, out)
    monkeypatch.setattr(provenance, "versions", lambda *_: mine | {"numpy": "9.9"})
    assert build(path.rename(tmp_path / "renamed.mat"), out).built == 1
    assert reader.open_store(out).attributes["versions"]["numpy"] == ", ".join(sorted([mine["numpy"], "9.9"]))


def test_a_beginning_on_another_disk_is_refused_before_the_work(nyu_file, tmp_path):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system is at hand")
    with tempfile.TemporaryDirectory(dir=elsewhere) as other:
        (tmp_path / "s.zarr").mkdir()
        (tmp_path / "s.zarr" / ".rsgt-build").symlink_to(other)
        with pytest.raises(InputError, match="lies on another disk"):
            build(nyu_file[0], tmp_path / "s.zarr")
        assert [*Path(other).iterdir()] == []


def test_reading_what_is_not_there_is_refused(nyu_file, tmp_path):
    build(nyu_file[0], tmp_path / "s.zarr")
    opened = reader.open_store(tmp_path / "s.zarr")
    for name, start, stop in (("split", 0, 1), ("colour", 0, 1), ("depth", -1, 1), ("depth", 9, 11),
                              ("depth", 3, 3), ("depth", 4, 2)):  # fmt: skip
        with pytest.raises(InputError, match=f"^read: got .*{name if name != 'depth' else 'within 0 to 10'}"):
            opened.read(name, start, stop)
    with pytest.raises(InputError, match="no array 'colour'"):
        opened.column("colour")


def test_each_state_of_the_source_tree_has_a_name_of_its_own(tmp_path):
    shutil.copytree(ROOT / "rsgt", tmp_path / "tree" / "rsgt", ignore=shutil.ignore_patterns("__pycache__"))

    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(
            command, cwd=tmp_path / "tree", check=True, capture_output=True, text=True
        ).stdout

    def named():
        code = "from rsgt.store import provenance; print(provenance.commit())"
        command = [sys.executable, "-B", "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path / "tree", check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "tree")},
        )  # fmt: skip
        return done.stdout.strip()

    assert named() == "unknown"
    record = tmp_path / "tree" / "pipelines" / "results" / "a.json"
    record.parent.mkdir(parents=True)
    page = tmp_path / "tree" / "pipelines" / "README.md"
    page.write_text("1")
    record.write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    record.write_text("2")  # made anew by what runs
    page.write_text("2")
    names = [named()]
    for name, text in (
        ("new.py", "a = 1\n"),
        ("new.py", "a = 2\n"),
        ("jit.py", "broken\n"),
        ("note.txt", "-"),
    ):
        (tmp_path / "tree" / "rsgt" / name).write_text(text)
        names.append(named())
    assert names[0] == head
    assert all(name.startswith(f"{head}+changes.") for name in names[1:])
    assert len({*names}) == 4  # a note is no program
    assert names[3] == names[4]


def test_no_scheduler_there(nyu_file, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        build(nyu_file[0], tmp_path / "s.zarr", scheduler="tcp://127.0.0.1:9")
    done = CliRunner().invoke(main, ["build", "--nyu", str(nyu_file[0]), "--out", str(tmp_path / "s.zarr"),
                                     "--scheduler", " "])  # fmt: skip
    assert done.exit_code == 2
    assert "--scheduler: got an empty one" in done.stderr


def test_planes_of_a_store(nyu_file, tmp_path):
    store = build(nyu_file[0], tmp_path / "s.zarr", builder.Parameters(surface="plane", min_size=4)).store
    frame = store.frame(1)
    rows = frame.regions
    off = [(frame.support - frame.depth)[frame.region == r].astype(float) for r in rows["label"]]
    np.testing.assert_allclose(rows["support_rmse"], [np.sqrt((e**2).mean()) for e in off], atol=1e-5)
    np.testing.assert_allclose(rows["support_variance"], [e.var() for e in off], atol=1e-5)
    names = {f"regions/{spec.name}" for spec in schema.PLANE_ARRAYS}
    assert names <= set(store.describe()["arrays"])
    assert store.array("support").attrs["description"].startswith("depth of the region's plane")
    assert np.isnan(rows["normal_x"]).all()  # the file is no camera's
    assert np.isnan(rows["plane_distance"]).all()
    assert np.isfinite(rows["inverse_depth_0"]).all()


def test_planes_lie_where_the_camera_sees_the_support(nyu_file):
    source = open_source(nyu_file[0])
    found = region_support(source.depth([0])[0], source.semantic([0])[0], surface="plane", min_size=4)
    rows = builder.plane_table(found, {"fx": 30.0, "fy": 31.0, "cx": 15.0, "cy": 12.5})
    y, x = np.indices(found.region.shape)
    z = found.support.astype(float)
    points = np.stack([(x - 15) / 30 * z, (y - 12.5) / 31 * z, z])
    normals = np.stack([rows[f"normal_{axis}"] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    inside = found.region > 0
    of_pixel = found.region[inside] - 1
    along = np.einsum("pk,kp->p", normals[of_pixel], points[:, inside])
    np.testing.assert_allclose(along, rows["plane_distance"][of_pixel], rtol=1e-5)


def test_planes_leave_no_trace_in_other_stores(nyu_file, tmp_path):
    store = build(nyu_file[0], tmp_path / "s.zarr").store
    assert not {"surface", "regions", "tolerance", "across_labels"} & set(store.attributes["parameters"])
    assert set(store.describe()["arrays"]) == {*schema.ARRAYS, *schema.RECORDED}
    with pytest.raises(InputError, match="surface is None, asked 'plane'"):
        build(nyu_file[0], tmp_path / "s.zarr", builder.Parameters(surface="plane", min_size=4))


def test_planes_from_the_command_line(nyu_file, tmp_path):
    common = ["build", "--nyu", str(nyu_file[0]), "--out", str(tmp_path / "s.zarr"), "--json", "--dry-run"]
    options = ["--surface", "plane", "--plane-tolerance", "0.05", "--across-labels"]
    done = CliRunner().invoke(main, [*common, *options])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["parameters"]
    assert (found["surface"], found["tolerance"], found["across_labels"]) == ("plane", 0.05, True)
    assert json.loads(CliRunner().invoke(main, [*common, *options[:2], "--regions", "60"]).stdout)[
        "parameters"
    ]["regions"] == 60  # fmt: skip
    refused = CliRunner().invoke(main, [*common, "--regions", "60"])
    assert refused.exit_code == 2
    assert "regions: is for planes" in refused.stderr


def test_attributes_are_those_of_the_documentation(nyu_file, tmp_path):
    text = (ROOT / "docs" / "reference" / "format.md").read_text()
    section = text.partition("## Attributes of the root group")[2].partition("## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    attributes = json.loads((build(nyu_file[0], tmp_path / "s.zarr").path / "zarr.json").read_text())
    assert set(attributes["attributes"]) == documented == set(schema.ATTRIBUTES)
    parameters = next(row[2] for row in rows if "parameters" in row[1])
    assert set(attributes["attributes"]["parameters"]) == set(
        parameters.partition(":")[0].strip().split(", ")
    )


def test_predictions_round_trip(tmp_path):
    maps = np.random.default_rng(0).random((70, 6, 8), np.float32)
    ids = np.arange(3, 73, dtype=np.int32)
    region = np.random.default_rng(1).integers(0, 9, maps.shape, np.int32)

    def write(path):
        found = ({"prediction": a, "region": b} for a, b in zip(maps, region, strict=True))
        predictions.write_prediction(path, found, ids, (6, 8), {"checkpoint": "x"})

    write(tmp_path / "p.zarr")
    array, frame_id = predictions.read_prediction(tmp_path / "p.zarr")
    assert np.array_equal(array[:], maps)
    assert np.array_equal(frame_id, ids)
    assert np.array_equal(predictions.read_prediction(tmp_path / "p.zarr", "region")[0][:], region)
    with pytest.raises(InputError, match="exists"):
        write(tmp_path / "p.zarr")
    with pytest.raises(InputError, match="no array 'prediction'"):
        predictions.read_prediction(tmp_path)


def test_a_renamed_split_file_is_the_same_split(nyu_file, tmp_path, monkeypatch):
    split = tmp_path / "one.json"
    split.write_text(json.dumps({"train": [1, 2, 3], "test": list(range(4, 11))}))
    monkeypatch.setattr(writer, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(nyu_file[0], tmp_path / "s.zarr", split_file=split)
    monkeypatch.undo()
    moved = split.rename(tmp_path / "two.json")
    assert build(nyu_file[0], tmp_path / "s.zarr", split_file=moved).built == 0


def test_another_default_format_changes_nothing(nyu_file, tmp_path):
    """Zarr takes defaults from the environment, which must not shape what a store is."""
    whole = build(nyu_file[0], tmp_path / "whole.zarr")
    command = [sys.executable, "-m", "rsgt", "build", "--nyu", nyu_file[0], "--out", tmp_path / "s.zarr",
               "--min-size", "4", "--shard-frames", "3"]  # fmt: skip
    environment = {**os.environ, "ZARR_DEFAULT_ZARR_FORMAT": "2"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert reader.open_store(tmp_path / "s.zarr").identity == whole.identity


@pytest.mark.parametrize(
    ("version", "commit"),
    [
        ("0.1.1.dev439+g056766709", "056766709"),
        ("0.1.1.dev439+g056766709.d20260130", "056766709+changes"),
        ("0.1.0", "unknown"),
    ],
)
def test_without_git_the_commit_is_the_one_of_the_version(monkeypatch, version, commit):
    """Only where this is what was installed: beside a tree that is run where it lies may be any version."""

    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance.subprocess, "run", no_git)
    monkeypatch.setattr(provenance.rsgt, "__version__", version)
    for folder, said in ((ROOT, commit), (ROOT / "elsewhere", "unknown")):
        there = SimpleNamespace(locate_file=folder.joinpath)
        monkeypatch.setattr(provenance, "distribution", lambda name, there=there: there)
        assert provenance.commit.__wrapped__() == said
