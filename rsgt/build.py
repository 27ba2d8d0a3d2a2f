"""From a source to a finished store: plan the shards, one Dask task a whole shard, resume, provenance."""

import itertools
import json
import os
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from dask.callbacks import Callback

import rsgt
from rsgt import kernels, schema, store, writer
from rsgt.paths import local_path
from rsgt.region_support import (
    DEFAULT_BINS,
    DEFAULT_MIN_SIZE,
    RegionSupport,
    Split,
    Unlabelled,
    Variant,
    check_split,
    region_support,
)
from rsgt.schema import InputError, LabelSet
from rsgt.source import DepthKind, Source

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]

DEFAULT_SHARD_FRAMES = 32
TEST_SHARE = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What shapes the labels of a store; see ``rsgt.region_support.region_support`` for the first six."""

    variant: Variant = "default"
    bins: int = DEFAULT_BINS
    min_size: int = DEFAULT_MIN_SIZE
    unlabelled: Unlabelled = "cluster"
    split: Split = "equal"
    groups: int | None = None
    labels: LabelSet = "894"
    depth: DepthKind = "filled"
    instances: bool = False

    def __post_init__(self) -> None:
        """Refuse what no algorithm has (the kernels' own checks would come after the layout)."""
        if self.bins < 1 or self.min_size < 0:
            raise InputError(f"bins {self.bins}, min-size {self.min_size}: expected bins >= 1, min-size >= 0")
        if self.variant == "published" and self.instances:
            raise InputError("--instances: the published variant knows categories only; leave it out")
        check_split(self.variant, self.split, self.groups)


def cluster(depth: Array, semantic: Array, instance: Array, parameters: Parameters) -> RegionSupport:
    """Region support of one frame of (y, x) maps as ``parameters`` say."""
    return region_support(
        depth,
        semantic,
        instance if parameters.instances else None,
        variant=parameters.variant,
        bins=parameters.bins,
        min_size=parameters.min_size,
        unlabelled=parameters.unlabelled,
        split=parameters.split,
        groups=parameters.groups,
    )


def scene_split(scenes: Sequence[str], share: float = TEST_SHARE, seed: int = SPLIT_SEED) -> list[int]:
    """Draw whole scenes for testing until they hold ``share`` of the frames; 0 = train, 1 = test a frame.

    A single scene is all training. The draw depends on the scenes' names and the seed, not on their order.
    """
    names = sorted(set(scenes))
    counts = dict(zip(*np.unique(np.asarray(scenes), return_counts=True), strict=True))
    test: set[str] = set()
    held = 0
    for k in np.random.default_rng(seed).permutation(len(names)):
        if held >= share * len(scenes) or len(test) == len(names) - 1:
            break
        test.add(names[k])
        held += int(counts[names[k]])
    return [schema.TEST if scene in test else schema.TRAIN for scene in scenes]


def read_split_file(path: Path, frame_ids: Sequence[int]) -> list[int]:
    """Read a split: official ``splits.mat`` (trainNdxs, testNdxs) or JSON {"train": [ids], "test": [ids]}.

    Raises
    ------
    InputError
        Where the file is neither, or a frame is in no part or in both.
    """
    try:
        if path.suffix == ".mat":
            from scipy.io import loadmat  # here: only this file format needs it

            content = loadmat(path)
            parts = {"train": content["trainNdxs"].ravel(), "test": content["testNdxs"].ravel()}
        else:
            content = json.loads(path.read_text(encoding="utf-8"))
            parts = {"train": np.asarray(content["train"]), "test": np.asarray(content["test"])}
        ids = {name: {int(i) for i in part} for name, part in parts.items()}
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"{path}: no split ({type(error).__name__}: {error}); expected splits.mat with trainNdxs and "
            'testNdxs, or JSON {"train": [ids], "test": [ids]}, ids from 1'
        ) from error
    for frame in frame_ids:
        if (frame in ids["train"]) == (frame in ids["test"]):
            where = "both parts" if frame in ids["train"] else "no part"
            raise InputError(f"{path}: frame {frame} is in {where}, expected exactly one of train and test")
    return [schema.TEST if frame in ids["test"] else schema.TRAIN for frame in frame_ids]


def _split(source: Source, frames: Sequence[int], split_file: Path | None) -> tuple[list[int], str]:
    ids = [source.frame_ids[f] for f in frames]
    if split_file is not None:
        return read_split_file(split_file, ids), f"file {split_file.name}"
    if source.is_official:
        train = schema.official_train_frames()
        return [schema.TRAIN if i in train else schema.TEST for i in ids], "official"
    # Drawn over the whole source, so that a frame's part does not depend on the selection.
    whole = scene_split(source.scenes)
    return [whole[f] for f in frames], f"by scene, {TEST_SHARE:.0%} test, seed {SPLIT_SEED}"


def plan_build(
    source: Source,
    parameters: Parameters,
    *,
    frame_ids: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: Path | None = None,
) -> writer.Plan:
    """Settle what a store of ``source`` will hold.

    Raises
    ------
    InputError
        Where a frame, label set or option does not exist in the source.
    """
    known = {number: position for position, number in enumerate(source.frame_ids)}
    wanted = list(source.frame_ids) if frame_ids is None else sorted(frame_ids)
    unknown = [number for number in wanted if number not in known]
    if unknown or not wanted:
        raise InputError(
            f"frames: {unknown[:5] or 'none'} asked for, {source.path} has {min(known)}..{max(known)}"
            if known
            else f"{source.path}: has no frames"
        )
    if shard_frames < 1:
        raise InputError(f"shard-frames: got {shard_frames}, expected at least 1")
    if parameters.instances and not source.has_instances:
        raise InputError(f"{source.path}: has no instances; leave out --instances")
    frames = [known[number] for number in wanted]
    split, origin = _split(source, frames, split_file)
    scenes = [source.scenes[f] for f in frames]
    names = sorted(set(scenes))
    number_of = {name: k for k, name in enumerate(names)}
    return writer.Plan(
        parameters=asdict(parameters),
        source=source.identity(),
        shape=source.shape,
        frames=tuple(frames),
        frame_ids=tuple(wanted),
        split=tuple(split),
        split_origin=origin,
        scene=tuple(number_of[name] for name in scenes),
        scene_names=tuple(names),
        class_names=tuple(source.class_names(parameters.labels)),
        intrinsics=source.intrinsics,
        shard_frames=min(shard_frames, len(frames)),
        versions={
            "rsgt": rsgt.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "numba", "zarr", "numcodecs", "h5py")},
        },
    )


def summary(plan: writer.Plan) -> dict[str, Any]:
    """Return what a plan comes to, as plain JSON types: for ``--dry-run`` and for the result's record."""
    test = sum(part == schema.TEST for part in plan.split)
    return {
        "source": plan.source["name"],
        "frames": len(plan.frames),
        "shape": list(plan.shape),
        "train": len(plan.frames) - test,
        "test": test,
        "split": plan.split_origin,
        "scenes": len(plan.scene_names),
        "shards": plan.n_shards,
        "shard_frames": plan.shard_frames,
        "parameters": plan.parameters,
    }


class _Memory(threading.local):
    """A shard's arrays, kept by each thread for its next shard.

    Touching fresh memory costs as much as clustering: the system has to find and clear its pages.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Array] = {}

    def shard(self, spec: schema.ArraySpec, plan: writer.Plan, frames: int) -> Array:
        shape = (plan.shard_frames, *(*plan.shape, 3)[: len(spec.axes) - 1])
        if spec.name not in self.kept or self.kept[spec.name].shape != shape:
            self.kept[spec.name] = np.empty(shape, spec.dtype)
        return self.kept[spec.name][:frames]


_memory = _Memory()


def build_shard(source: Source, path: Path, plan: writer.Plan, k: int) -> int:
    """Read, cluster and write shard ``k``; the unit of parallel work. Returns ``k``."""
    frames = plan.frames[plan.shard(k)]
    parameters = Parameters(**plan.parameters)
    table: list[dict[str, Array]] = []
    maps = {spec.name: _memory.shard(spec, plan, len(frames)) for spec in schema.FRAME_ARRAYS}

    def arrays() -> Iterator[tuple[str, Array]]:
        yield "rgb", source.rgb(frames, maps["rgb"])
        instance = source.instance(frames, maps["instance"])
        yield "instance", instance
        depth = source.depth(frames, parameters.depth, maps["depth"])
        yield "depth", depth
        semantic = source.semantic(frames, parameters.labels, maps["semantic"])
        yield "semantic", semantic
        region, support = maps["region"], maps["support"]
        for i in range(len(frames)):
            result = cluster(depth[i], semantic[i], instance[i], parameters)
            region[i], support[i] = result.region, result.support
            table.append(region_table(region[i], depth[i], semantic[i]))
        yield "region", region
        yield "support", support

    writer.write_shard(path, plan, k, arrays(), iter(table))
    return k


def region_table(region: Array, depth: Array, semantic: Array) -> dict[str, Array]:
    """Columns of ``schema.REGION_ARRAYS`` for one frame of (y, x) maps."""
    n = int(region.max(initial=0))
    columns = kernels.region_statistics(region, depth, semantic, n)
    names = [spec.name for spec in schema.REGION_ARRAYS[1:]]
    return {"label": np.arange(1, n + 1, dtype=np.int32), **dict(zip(names, columns, strict=True))}


def _prepare(path: Path, plan: writer.Plan, overwrite: bool) -> bool:
    """Lay out the store, or find it begun or finished with the same plan; True where it is finished."""
    if path.exists() and any(path.iterdir() if path.is_dir() else [path]):
        if not writer.is_ours(path):
            raise InputError(f"{path}: exists and is no region-support store; choose another --out")
        if overwrite:
            writer.remove(path)
    if (path / "zarr.json").exists():
        found, finished = store.open_store(path).attributes, True
    else:
        begun = writer.unfinished_plan(path)
        if begun is None:
            writer.create(path, plan)
            return False
        found, finished = begun, False
    _refuse_other(path, found, plan, finished)
    return finished


def _refuse_other(path: Path, found: dict[str, Any], plan: writer.Plan, finished: bool) -> None:
    """Raise an InputError that names every way in which the store at ``path`` differs from ``plan``."""
    asked = plan.document()
    if finished:
        opened = store.open_store(path)
        found = {
            **found,
            "frame_ids": opened.frame_id.tolist(),
            "split": opened.split.tolist(),
            "shard_frames": opened.shard_frames,
        }
    differences = [
        f"{name} is {found[group].get(name)!r}, asked {asked[group].get(name)!r}"
        for group in ("parameters", "source")
        for name in {**found[group], **asked[group]}
        if found[group].get(name) != asked[group].get(name) and (group, name) != ("source", "name")
    ]
    if found["versions"]["rsgt"] != asked["versions"]["rsgt"]:
        differences.append(f"rsgt is {found['versions']['rsgt']}, now {asked['versions']['rsgt']}")
    differences += [
        f"{label} differ" if name != "shard_frames" else f"shard-frames is {found[name]}, asked {asked[name]}"
        for name, label in (("frame_ids", "the frames"), ("split", "the splits"), ("shard_frames", ""))
        if found[name] != asked[name]
    ]
    if differences:
        raise InputError(
            f"{path}: holds another build: {'; '.join(differences)}; "
            "use the same options, another --out, or --overwrite"
        )


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What ``build`` did: shards in all, shards it had to build, frames, and the store's identity."""

    path: Path
    frames: int
    shards: int
    built: int
    identity: str


def build(
    source: Source,
    path: Path,
    plan: writer.Plan,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildResult:
    """Build, or finish building, the store of ``plan`` at ``path``.

    Parameters
    ----------
    source, plan
        Where the frames come from, and what ``plan_build`` settled.
    path
        The store's folder: new, or begun with the same plan. A finished one is left as it is.
    workers
        Threads; default one per core, 0 = none beside the caller's (for debugging).
    scheduler
        Address of a ``dask.distributed`` scheduler whose workers see the same paths, instead of threads.
    overwrite
        Replace a store of another plan.
    progress
        Called with (shards done, shards in all) after each shard.

    Raises
    ------
    InputError
        Where ``path`` is no store or one of another plan, or the source is damaged.
    """
    path = local_path(path)
    finished = _prepare(path, plan, overwrite)
    todo = [] if finished else [k for k in range(plan.n_shards) if writer.read_record(path, plan, k) is None]
    if not finished:
        report = progress or (lambda done, total: None)
        done = plan.n_shards - len(todo)
        report(done, plan.n_shards)
        if todo:
            compile_kernels(Parameters(**plan.parameters))
            task = partial(build_shard, source, path, plan)
            landed = itertools.count(done + 1)

            def advance() -> None:
                report(next(landed), plan.n_shards)

            if scheduler:
                _run_distributed(task, todo, scheduler, advance)
            else:
                _run_threads(task, todo, os.cpu_count() if workers is None else workers, advance)
        writer.finish(path, plan)
    identity = store.open_store(path).identity
    return BuildResult(
        path=path, frames=len(plan.frames), shards=plan.n_shards, built=len(todo), identity=identity
    )


def compile_kernels(parameters: Parameters) -> None:
    """Compile what a build with these parameters runs, once, before workers would do it side by side."""
    tiny, ones = np.ones((2, 2), np.float32), np.ones((2, 2), np.uint16)
    region_table(cluster(tiny, ones, ones, parameters).region, tiny, ones)


def _run_threads(
    task: Callable[[int], int], todo: Sequence[int], workers: int | None, advance: Callable[[], None]
) -> None:
    """Run the tasks on Dask's threaded scheduler, or one after another for 0 workers."""
    tasks = [dask.delayed(task, pure=False)(k) for k in todo]
    with Callback(posttask=lambda *_: advance()):
        if workers:
            dask.compute(*tasks, scheduler="threads", num_workers=workers, optimize_graph=False)
        else:
            dask.compute(*tasks, scheduler="synchronous", optimize_graph=False)


def _run_distributed(
    task: Callable[[int], int], todo: Sequence[int], address: str, advance: Callable[[], None]
) -> None:
    """Run the tasks on a ``dask.distributed`` cluster; a lost worker's tasks go to the others."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise InputError("--scheduler needs dask.distributed: pip install 'rsgt[distributed]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers ({error})") from error
    with client:
        futures = client.map(task, todo, pure=False, retries=2)
        for future in as_completed(futures):
            future.result()
            advance()
