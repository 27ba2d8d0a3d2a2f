"""A store built, or finished: what stands at its place, the lock, the shards in parallel, the switch."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

from rsgt.builder.parameters import Parameters
from rsgt.builder.planning import DEFAULT_SHARD_FRAMES, OnError, plan_build, summary
from rsgt.builder.shards import build_shard, compile_kernels, shard_bytes
from rsgt.inputs import DataWarning, InputError, local_path
from rsgt.parallel import Progress, default_workers, run_on_cluster, stream_threads
from rsgt.sources import open_source
from rsgt.sources.plausibility import gathered
from rsgt.sources.source import Source
from rsgt.store import reader, replacement, schema, staging, writer
from rsgt.store.objects import ObjectPath
from rsgt.store.places import Place, as_place
from rsgt.store.plan import Plan, column_hash, plan_key, unfinished_plan, write_columns


def _is_finished(path: Place, plan: Plan, overwrite: bool) -> bool:
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
    columns = {"frame_ids": column_hash(opened.frame_id), "split": column_hash(opened.split)}
    found = {**opened.attributes, "format_version": schema.FORMAT_VERSION, "columns": columns}
    _refuse_other(path, {**found, "shard_frames": opened.shard_frames}, plan)
    return True


def _begin(path: Place, plan: Plan, overwrite: bool) -> None:
    """Lay out the store of ``plan`` aside, or find it begun; a build of another plan goes with leave."""
    try:
        begun = unfinished_plan(path)
    except InputError:
        if not overwrite:
            raise
        begun = None
    if begun is not None and not overwrite:
        _refuse_other(path, begun, plan)
    same = begun is not None and plan_key(begun) == plan.key
    if same and writer.is_whole(path, plan):
        return
    if same and writer.is_begun(path, plan):
        write_columns(path, plan)  # once more: nobody has looked whether they are sound
    else:
        writer.create(path, plan)


def _refuse_other(path: Place, found: dict[str, Any], plan: Plan) -> None:
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
        f"{label} differ"
        for name, label in (("frame_ids", "the frames"), ("split", "the splits"))
        if found["columns"][name] != asked["columns"][name]
    ]
    if found["shard_frames"] != asked["shard_frames"]:
        differences.append(f"shard-frames is {found['shard_frames']}, asked {asked['shard_frames']}")
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
    def path(self) -> Place:
        """The store's folder, or its URL."""
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
    on_error: OnError = "stop",
    **parameters: Any,
) -> dict[str, Any]:
    """Say what ``build`` would build of a source, as plain JSON types; its arguments are ``build``'s.

    Raises
    ------
    InputError
        As ``build`` does.
    """
    return summary(_plan(as_source(source), frames, shard_frames, split_file, on_error, parameters))


def _plan(
    source: Source,
    frames: Sequence[int] | None,
    shard_frames: int,
    split_file: str | PathLike[str] | None,
    on_error: OnError,
    parameters: Mapping[str, Any],
) -> Plan:
    return plan_build(
        source, Parameters.of(parameters), frame_ids=frames, shard_frames=shard_frames,
        split_file=None if split_file is None else local_path(split_file), on_error=on_error,
    )  # fmt: skip


def build(
    source: str | PathLike[str] | Source,
    out: str | PathLike[str],
    *,
    frames: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: str | PathLike[str] | None = None,
    on_error: OnError = "stop",
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
        The file or folder of a known format (``open_source`` takes options of it), or any object that keeps
        the protocol ``Source``.
    out
        The store's folder or URL: new, or begun with the same arguments. A finished one is left as it is.
    frames
        Numbers of the frames, from 1, as the source has them; None = all.
    shard_frames
        Frames in one shard file.
    split_file
        ``splits.mat``, or JSON ``{"train": [...], "test": [...]}`` of numbers or names; None = the official
        split where there is one, else a fifth of the frames for testing, drawn by scene.
    on_error
        What to do about frames that cannot be read, or lack a file: ``"stop"``, or ``"skip"``, which reads
        every frame once before and names those left out in the store's attribute ``source``.
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

    Warns
    -----
    DataWarning
        Where frames are implausible: of another unit than the metre, without depth, all black.
    """
    opened = as_source(source)
    planned = _plan(opened, frames, shard_frames, split_file, on_error, parameters)
    return build_plan(
        opened, as_place(out), planned, workers=workers, scheduler=scheduler, overwrite=overwrite,
        progress=progress,
    ).store  # fmt: skip


def as_source(source: str | PathLike[str] | Source) -> Source:
    """Open a source by its path; what keeps the protocol is one already."""
    return open_source(source) if isinstance(source, str | PathLike) else source


def build_plan(
    source: Source,
    path: Place,
    plan: Plan,
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
        The store's folder or URL: new, or begun with the same plan. A finished one is left as it is.
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
    path = as_place(path)
    if isinstance(path, ObjectPath) and not path.listed:
        raise InputError(
            f"{path}: stores are built in folders and at s3://, gs:// and az://; choose another --out"
        )
    built, findings = 0, list[tuple[int, str]]()
    # A build that was stopped as it tidied up has left its folder: tidied up as well.
    if not _is_finished(path, plan, overwrite) or (path / reader.STAGING).exists():
        with staging.sole_builder(path) as confirm:
            # Once more, for another process may have finished it since.
            if not _is_finished(path, plan, overwrite):
                _begin(path, plan, overwrite)
                built, findings = _build_rest(source, path, plan, workers, scheduler, progress)
                confirm()
                replacement.switch(path, plan)
    store = reader.open_store(path)
    for finding in gathered(findings):
        warnings.warn(f"{path}: {finding}", DataWarning, stacklevel=3)
    return BuildResult(store=store, frames=len(plan.frames), shards=plan.n_shards, built=built)


def _build_rest(
    source: Source,
    path: Place,
    plan: Plan,
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None,
) -> tuple[int, list[tuple[int, str]]]:
    """Build the shards that are not there yet, and finish the store aside.

    Returns their number, and what is implausible about frames, with the number of each.
    """
    if writer.is_whole(path, plan):  # stopped between its last write and the end of the switch
        return 0, writer.findings(path, plan)
    records = writer.read_records(path, plan, whole=True)
    todo = [k for k, record in enumerate(records) if record is None]
    done = plan.n_shards - len(todo)
    if progress:
        progress(done, plan.n_shards)
    if todo:
        compile_kernels(Parameters(**plan.parameters))
        task = partial(build_shard, source, path.absolute(), plan.key if scheduler else plan)
        if scheduler:
            run_on_cluster(task, todo, scheduler, progress, done=done)
        else:
            count = default_workers(shard_bytes(plan)) if workers is None else workers
            for _ in stream_threads(
                task, ((k,) for k in todo), count, progress, total=plan.n_shards, done=done
            ):
                pass
    return len(todo), writer.finish(path, plan)
