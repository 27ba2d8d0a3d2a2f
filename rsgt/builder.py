"""From a source to a finished store: plan the shards, one Dask task a whole shard, resume, provenance."""

import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path
from rsgt.parallel import Progress, default_workers, map_threads, run_on_cluster
from rsgt.regions import kernels
from rsgt.regions.algorithm import (
    DEFAULT_BINS,
    DEFAULT_MIN_SIZE,
    Grouping,
    RegionSupport,
    Unlabelled,
    Variant,
    check_grouping,
    check_options,
    region_support,
)
from rsgt.sources import open_source
from rsgt.sources.facts import LabelSet
from rsgt.sources.source import DepthKind, Source
from rsgt.sources.train_test import draw_split
from rsgt.store import provenance, reader, schema, staging, writer

Array = npt.NDArray[Any]

DEFAULT_SHARD_FRAMES = 32
PACKAGES = ("numpy", "numba", "zarr", "numcodecs", "h5py")
"""Libraries whose versions a store names: they shape its bytes, or could."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What shapes the labels of a store; see ``rsgt.regions.algorithm.region_support`` for the first six."""

    variant: Variant = "default"
    bins: int = DEFAULT_BINS
    min_size: int = DEFAULT_MIN_SIZE
    unlabelled: Unlabelled = "cluster"
    grouping: Grouping = "equal"
    groups: int | None = None
    labels: LabelSet = "894"
    depth: DepthKind = "filled"
    instances: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Parameters":
        """Make parameters of names and values; InputError where there is none of a name."""
        known = [item.name for item in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise InputError(
                    f"parameters: got {name!r}, expected some of {', '.join(known)}"
                    + (f"; {near[0]}?" if near else "")
                )
        return cls(**values)

    def __post_init__(self) -> None:
        """Refuse what no algorithm has (the kernels' own checks would come after the layout)."""
        check_options(self.variant, self.bins, self.min_size, self.unlabelled)
        if self.variant == "published" and self.instances:
            raise InputError("--instances: the published variant knows categories only; omit it")
        check_grouping(self.variant, self.grouping, self.groups)
        for name, choices in (("labels", get_args(LabelSet)), ("depth", get_args(DepthKind))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        for name in ("bins", "min_size", "groups"):  # NumPy's integers are none to JSON
            if getattr(self, name) is not None:
                object.__setattr__(self, name, int(getattr(self, name)))


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
        grouping=parameters.grouping,
        groups=parameters.groups,
    )


def plan_build(
    source: Source,
    parameters: Parameters,
    *,
    frame_ids: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: Path | None = None,
) -> staging.Plan:
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
        raise InputError(f"{source.path}: has no instances; omit --instances")
    frames = [known[number] for number in wanted]
    split, origin = draw_split(source, frames, split_file)
    scenes = [source.scenes[f] for f in frames]
    names = sorted(set(scenes))
    number_of = {name: k for k, name in enumerate(names)}
    return staging.Plan(
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
        versions=provenance.versions(*PACKAGES),
    )


def summary(plan: staging.Plan) -> dict[str, Any]:
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

    def shard(self, spec: schema.ArraySpec, plan: staging.Plan, frames: int) -> Array:
        shape = (plan.shard_frames, *(*plan.shape, 3)[: len(spec.axes) - 1])
        if spec.name not in self.kept or self.kept[spec.name].shape != shape:
            self.kept[spec.name] = np.empty(shape, spec.dtype)
        return self.kept[spec.name][:frames]


_memory = _Memory()


def build_shard(source: Source, path: Path, plan: staging.Plan, k: int) -> int:
    """Read, cluster and write shard ``k``; the unit of parallel work. Returns ``k``."""
    mine = provenance.versions(*PACKAGES)
    for name in ("rsgt", "commit"):
        if mine[name] != plan.versions[name]:
            raise InputError(
                f"worker {platform.node()}: {name} is {mine[name]}, expected {plan.versions[name]} as in the "
                "build's plan; install the same there"
            )
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

    writer.write_shard(path, plan, k, arrays(), iter(table), mine)
    return k


def region_table(region: Array, depth: Array, semantic: Array) -> dict[str, Array]:
    """Columns of ``schema.REGION_ARRAYS`` for one frame of (y, x) maps."""
    n = int(region.max(initial=0))
    columns = kernels.region_statistics(region, depth, semantic, n)
    names = [spec.name for spec in schema.REGION_ARRAYS[1:]]
    return {"label": np.arange(1, n + 1, dtype=np.int32), **dict(zip(names, columns, strict=True))}


def _is_finished(path: Path, plan: staging.Plan, overwrite: bool) -> bool:
    """Whether the very store of ``plan`` stands at ``path``; InputError where another one does.

    Raises
    ------
    InputError
        Where something else is there, or another store without leave to replace it.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: is a link to what is not there; remove it, or choose another --out")
    there = path.exists() and any(path.iterdir() if path.is_dir() else [path])
    if there and not staging.is_ours(path):
        raise InputError(f"{path}: exists and is no region-support store; choose another --out")
    if overwrite or not (path / "zarr.json").exists():
        return False
    opened = reader.open_store(path)
    found = {
        **opened.attributes,
        "frame_ids": opened.frame_id.tolist(),
        "split": opened.split.tolist(),
        "shard_frames": opened.shard_frames,
    }
    _refuse_other(path, found, plan)
    return True


def _begin(path: Path, plan: staging.Plan, overwrite: bool) -> None:
    """Lay out the store of ``plan`` aside, or find it begun; a build of another plan goes with leave."""
    try:
        begun = staging.unfinished_plan(path)
    except InputError:
        if not overwrite:
            raise
        begun = None
    if begun is not None and not overwrite:
        _refuse_other(path, begun, plan)
    same = begun is not None and staging.plan_key(begun) == staging.plan_key(plan.document())
    if not (same and (writer.is_whole(path, plan) or writer.is_begun(path, plan))):
        writer.create(path, plan)


def _refuse_other(path: Path, found: dict[str, Any], plan: staging.Plan) -> None:
    """Raise an InputError that names every way in which what stands at ``path`` differs from ``plan``."""
    asked = plan.document()
    if found["format_version"] != asked["format_version"]:
        raise InputError(
            f"{path}: was begun in format version {found['format_version']}, now {asked['format_version']}; "
            "use another --out, or --overwrite"
        )
    differences = [
        f"{name} is {found[group].get(name)!r}, asked {asked[group].get(name)!r}"
        for group in ("parameters", "source")
        for name in {**found[group], **asked[group]}
        if found[group].get(name) != asked[group].get(name) and (group, name) != ("source", "name")
    ]
    differences += [
        f"{name} is {found['versions'].get(name)}, now {asked['versions'][name]}"
        for name in ("rsgt", "commit")
        if found["versions"].get(name) != asked["versions"].get(name)
    ]
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
    """What ``build_plan`` did: the store, its frames and shards, and how many shards it had to build."""

    store: reader.Store
    frames: int
    shards: int
    built: int

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self.store.path

    @property
    def identity(self) -> str:
        """Hash of the store's content."""
        return self.store.identity


def plan(
    source: str | PathLike[str] | Source,
    *,
    frames: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: str | PathLike[str] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Say what ``build`` would build of a source, as plain JSON types; its arguments are ``build``'s.

    Raises
    ------
    InputError
        As ``build`` does.
    """
    return summary(_plan(as_source(source), frames, shard_frames, split_file, parameters))


def _plan(
    source: Source,
    frames: Sequence[int] | None,
    shard_frames: int,
    split_file: str | PathLike[str] | None,
    parameters: Mapping[str, Any],
) -> staging.Plan:
    return plan_build(
        source, Parameters.of(parameters), frame_ids=frames, shard_frames=shard_frames,
        split_file=None if split_file is None else local_path(split_file),
    )  # fmt: skip


def build(
    source: str | PathLike[str] | Source,
    out: str | PathLike[str],
    *,
    frames: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: str | PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **parameters: Any,
) -> reader.Store:
    """Build the region support of a source's frames, or finish building it, and open the store.

    Parameters
    ----------
    source
        A file of labelled NYU frames, or any object that keeps the protocol ``Source``.
    out
        The store's folder: new, or begun with the same arguments. A finished one is left as it is.
    frames
        Numbers of the frames, from 1, as the source has them; None = all.
    shard_frames
        Frames in one shard file.
    split_file
        ``splits.mat``, or JSON ``{"train": [...], "test": [...]}``; None = the official split where there is
        one, else a fifth of the frames for testing, drawn by scene.
    workers, scheduler
        Threads (None = one a core), or the address of a ``dask.distributed`` scheduler.
    overwrite
        Replace a store of other arguments.
    progress
        Called with (shards done, shards in all).
    **parameters
        What shapes the regions: the fields of ``Parameters``, such as ``grouping="natural"``.

    Raises
    ------
    InputError
        Where an argument is unknown or out of range, ``out`` is something else, or the source is damaged.
    """
    opened = as_source(source)
    planned = _plan(opened, frames, shard_frames, split_file, parameters)
    return build_plan(
        opened, local_path(out), planned, workers=workers, scheduler=scheduler, overwrite=overwrite,
        progress=progress,
    ).store  # fmt: skip


def as_source(source: str | PathLike[str] | Source) -> Source:
    """Open a source by its path; what keeps the protocol is one already."""
    return open_source(source) if isinstance(source, str | PathLike) else source


def build_plan(
    source: Source,
    path: Path,
    plan: staging.Plan,
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
    built = 0
    # A build that was stopped as it tidied up has left its folder: tidied up as well.
    if not _is_finished(path, plan, overwrite) or (path / reader.STAGING).exists():
        with staging.sole_builder(path):
            # Once more, for another process may have finished it since.
            if not _is_finished(path, plan, overwrite):
                _begin(path, plan, overwrite)
                built = _build_rest(source, path, plan, workers, scheduler, progress)
                writer.switch(path, plan)
    store = reader.open_store(path)
    return BuildResult(store=store, frames=len(plan.frames), shards=plan.n_shards, built=built)


def _build_rest(
    source: Source,
    path: Path,
    plan: staging.Plan,
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None,
) -> int:
    """Build the shards that are not there yet, and finish the store aside; returns their number."""
    if writer.is_whole(path, plan):  # stopped between its last write and the switch
        return 0
    todo = [k for k in range(plan.n_shards) if writer.read_record(path, plan, k, whole=True) is None]
    done = plan.n_shards - len(todo)
    if progress:
        progress(done, plan.n_shards)
    if todo:
        compile_kernels(Parameters(**plan.parameters))
        task = partial(build_shard, source, path.absolute(), plan)
        if scheduler:
            run_on_cluster(task, todo, scheduler, progress, done=done)
        else:
            count = default_workers(shard_bytes(plan)) if workers is None else workers
            map_threads(task, [(k,) for k in todo], count, progress, done=done)
    writer.finish(path, plan)
    return len(todo)


def shard_bytes(plan: staging.Plan) -> int:
    """Memory that a thread needs to build one shard: all its arrays, and a third more to pack them."""
    pixels = plan.shard_frames * plan.shape[0] * plan.shape[1]
    channels = {"rgb": 3}
    each = sum(np.dtype(spec.dtype).itemsize * channels.get(spec.name, 1) for spec in schema.FRAME_ARRAYS)
    return pixels * each * 4 // 3


def compile_kernels(parameters: Parameters) -> None:
    """Compile what a build with these parameters runs, once, before workers would do it side by side."""
    tiny, ones = np.ones((2, 2), np.float32), np.ones((2, 2), np.uint16)
    region_table(cluster(tiny, ones, ones, parameters).region, tiny, ones)
