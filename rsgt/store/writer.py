"""Writing a store: lay out, one whole shard at a time in any order by any process, finish, switch.

Everything is built aside, in ``.rsgt-build`` in the store's own folder, and moved to its place when it is
whole; a store that stands there stays until then. The root group is the very last move: until then no Zarr
reader finds the new store. In a folder a move is a rename, in an object store a copy that its server makes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.core import codec_pipeline

from rsgt.inputs import InputError, shortened
from rsgt.store import schema
from rsgt.store.encoding import create_array, encoding_problems, location, shard_file, write_shard_file
from rsgt.store.manifest import file_problem, file_record, read_sealed, sealed, sha256
from rsgt.store.objects import ObjectPath, StorageError
from rsgt.store.places import Place, each, remove, remove_tree, replacing, sizes_below, write_text
from rsgt.store.plan import Plan, write_columns
from rsgt.store.records import ShardRecords, content_hash
from rsgt.store.root import STAGING

Array = npt.NDArray[Any]

GROUPS = ("regions", "names", "shards")
"""Groups of the small arrays, but for those of the root itself."""

# A shard's chunks go through zarr's pipeline together: one by one, its bookkeeping costs more than the codec.
zarr.config.set({"codec_pipeline.batch_size": 32})
if hasattr(codec_pipeline, "FusedCodecPipeline"):  # from zarr 3.4: the same bytes, without an event loop
    # Threads are ours already, one a shard.
    zarr.config.set({"codec_pipeline.path": f"{codec_pipeline.__name__}.FusedCodecPipeline",
                     "codec_pipeline.max_workers": 1})  # fmt: skip


def create(path: Place, plan: Plan) -> None:
    """Lay out an empty store for ``plan``; the plan itself lands last, so that half a layout is redone."""
    staging = plan.staging(path)
    if isinstance(path, Path):
        (path / STAGING).mkdir(parents=True, exist_ok=True)
    remove(path / STAGING / "plan.json")
    for abandoned in (path / STAGING).iterdir():
        if abandoned.is_dir():
            remove_tree(abandoned)
    if isinstance(path, Path):
        (staging / "shards").mkdir(parents=True)
    for spec, shape, attributes in _layout(plan):
        place = staging / "store" / spec.name
        create_array(place, spec, shape, shard=plan.shard_frames, attributes=attributes)
    write_columns(path, plan)
    write_text(path / STAGING / "plan.json", json.dumps(sealed(plan.document()), indent=1))


def _layout(plan: Plan) -> Iterator[tuple[schema.ArraySpec, tuple[int, ...], dict[str, Any]]]:
    """Every sharded array of a plan, its shape, and what it says of itself beside the schema."""
    for spec in schema.FRAME_ARRAYS:
        shape = (len(plan.frames), *plan.shape, 3)[: len(spec.axes)]
        own = {"semantic": {"class_names": list(plan.class_names)}, **schema.descriptions(plan.parameters)}
        yield spec, shape, own.get(spec.name, {})


def is_begun(path: Place, plan: Plan) -> bool:
    """Whether all arrays of ``plan`` are laid out aside, as ``create`` does it."""
    new = plan.staging(path) / "store"
    try:
        return (isinstance(path, ObjectPath) or new.with_name("shards").is_dir()) and not any(
            encoding_problems(
                zarr.open_array(location(new / spec.name), mode="r", zarr_format=3), spec, shape,
                shard=plan.shard_frames, attributes=attributes,
            )
            for spec, shape, attributes in _layout(plan)
        )  # fmt: skip
    except StorageError:
        raise
    except Exception:  # missing, or damaged in one of many ways
        return False


def write_shard(
    path: Place, plan: Plan, k: int, arrays: Iterable[tuple[str, Array]], table: Iterator[dict[str, Array]],
    versions: Mapping[str, str] | None = None, findings: Sequence[tuple[int, str]] = (),
) -> None:  # fmt: skip
    """Write one whole shard of every array, then the regions' table, then the record that makes it count.

    Parameters
    ----------
    path, plan, k
        The store, its plan and the shard's number.
    arrays
        ``(name, values)`` of every array of ``schema.FRAME_ARRAYS``, each with all frames of the shard;
        they are asked for one by one, so that the caller need not hold them all.
    table
        Per frame the columns of ``schema.region_arrays``; asked for after the arrays.
    versions
        What wrote this shard, where it may differ from the plan's: a resumed build, a cluster's worker.
    findings
        What is implausible, with the frame's number; looked at after the arrays.
    """
    rows = plan.shard(k)
    files = {}
    folder = plan.staging(path)
    for name, values in arrays:
        spec = schema.FRAME_SPECS[name]
        files[name] = write_shard_file(folder / "store", spec, k, values, plan.shard_frames)
        del values
    if set(files) != set(schema.FRAME_SPECS):
        raise ValueError(f"a shard holds {sorted(schema.FRAME_SPECS)}, got {sorted(files)}")
    columns = list(table)
    staged = folder / "shards" / f"{k:05d}"
    merged: dict[str, Any] = {
        spec.name: np.concatenate([frame[spec.name] for frame in columns])
        for spec in schema.region_arrays(plan.parameters)
    }
    with replacing(staged.with_suffix(".npz")) as aside, aside.open("wb") as file_out:
        np.savez(
            file_out,
            count=np.array([len(frame["label"]) for frame in columns], np.int64),
            **merged,
        )
    record = {
        "shard": k,
        "frames": [rows.start, rows.stop],
        "files": files,
        "table": sha256(staged.with_suffix(".npz")),
        "versions": dict(versions or plan.versions),
        "findings": [list(one) for one in findings],
    }
    write_text(staged.with_suffix(".json"), json.dumps(sealed(record)))


def read_records(path: Place, plan: Plan, *, whole: bool = False) -> Iterator[dict[str, Any] | None]:
    """Yield the record of each shard whose files are all there with their sizes, else None.

    With ``whole`` they are read and held against their SHA-256: what another process left may be damaged. Not
    so an object, which was put whole or is not there.
    """
    folder = plan.staging(path)
    sizes = sizes_below(folder) if isinstance(path, ObjectPath) else None
    return each(path, lambda k: _read_record(folder, k, whole=whole, sizes=sizes), range(plan.n_shards))


def _read_record(
    folder: Any, k: int, *, whole: bool = False, sizes: Mapping[str, int] | None = None
) -> dict[str, Any] | None:
    staged = folder / "shards" / f"{k:05d}"
    if sizes is not None and f"shards/{staged.name}.json" not in sizes:
        return None
    try:
        record = read_sealed(staged.with_suffix(".json"))
        sound = sha256(staged.with_suffix(".npz")) == record["table"]
        for spec in schema.FRAME_ARRAYS:
            file, held = f"store/{shard_file(spec, k)}", record["files"][spec.name]
            if sizes is None:
                sound &= file_problem(folder / file, held, whole=whole) is None
            else:
                sound &= sizes.get(file) == held["bytes"]
    except StorageError:
        raise
    except (OSError, ValueError, KeyError):
        return None
    return record if sound else None


def is_whole(path: Place, plan: Plan) -> bool:
    """Whether the store of ``plan`` is whole and waits for ``switch`` alone."""
    return bool((plan.staging(path) / "store" / "zarr.json").exists())


def findings(path: Place, plan: Plan) -> list[tuple[int, str]]:
    """What the records of a whole store say is implausible, with the number of each frame.

    They are read without a look at the arrays, some of which ``switch`` may have moved before it was stopped.
    """
    folder = plan.staging(path) / "shards"

    def record(k: int) -> Mapping[str, Any]:
        try:
            return read_sealed(folder / f"{k:05d}.json")
        except StorageError:
            raise
        except (OSError, ValueError):
            return {}

    return _findings(each(path, record, range(plan.n_shards)))


def _findings(records: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    return [(number, text) for record in records for number, text in record.get("findings", [])]


def finish(path: Place, plan: Plan) -> list[tuple[int, str]]:
    """Write the small arrays and the regions' table, last of all the root group, still aside.

    Returns
    -------
    What the shards' records say is implausible, with the number of each frame.

    Raises
    ------
    InputError
        Where a shard is missing.
    """
    records, versions, findings, missing = _gathered(path, plan)
    if missing:
        raise InputError(
            f"{path}: shards {shortened(missing)} of {plan.n_shards} are missing; run the same build again"
        )
    folder = plan.staging(path)
    new = folder / "store"
    if isinstance(path, Path):
        for pattern in ("*.partial", ".*.tmp"):  # a killed writer leaves its temporary file: zarr's, ours
            for leftover in new.rglob(pattern):
                leftover.unlink()
    for group in GROUPS:
        zarr.create_group(location(new / group), overwrite=True, zarr_format=3)
    start = np.zeros(len(plan.frames) + 1, np.int64)
    for k, count in enumerate(_staged(folder, plan, "count")):
        start[1:][plan.shard(k)] = count
    np.cumsum(start, out=start)
    columns = plan.columns()
    known: dict[str, Any] = {
        "frame": plan.frame_ids, "split": plan.split, "scene": plan.scene, "regions/start": start,
        "names/start": columns["names_start"], "names/text": columns["names_text"],
        "shards/bytes": records.sizes, "shards/sha256": records.hashes,
    }  # fmt: skip
    named = {"scene": {"scene_names": list(plan.scene_names)}}
    specs = schema.arrays(plan.parameters)

    def written(name: str) -> Iterator[Array]:
        """Write a small array, the table's part of a shard after the other, and hand on what was written."""
        if name in known:
            values = known[name]
            return _write_small(new / name, specs[name], values.shape, [values], named.get(name))
        staged = _staged(folder, plan, name.removeprefix("regions/"))
        return _write_small(new / name, specs[name], (int(start[-1]),), staged)

    for name in schema.RECORDED:
        for _ in written(name):
            pass
    document = plan.document()
    attributes = {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        **{name: document[name] for name in ("parameters", "source", "split_origin", "cameras")},
        "versions": _all_versions(document["versions"], versions),
        "content_sha256": content_hash(records, written, plan.parameters),
        "files": _small_files(new),
        "shards": {"frames": records.frames, "shard_frames": records.each},
    }
    zarr.create_group(location(new), attributes=sealed(attributes), overwrite=False, zarr_format=3)
    return findings


def _gathered(
    path: Place, plan: Plan
) -> tuple[ShardRecords, list[dict[str, str]], list[tuple[int, str]], list[int]]:
    """Records of the shards' files, all versions that wrote some, what is implausible, what is missing."""
    records = ShardRecords.room(len(plan.frames), plan.shard_frames)
    versions: list[dict[str, str]] = []
    findings: list[tuple[int, str]] = []
    missing: list[int] = []
    for k, record in enumerate(read_records(path, plan)):
        if record is None:
            missing.append(k)
            continue
        records.put(k, record["files"])
        findings += _findings([record])
        if record["versions"] not in versions:
            versions.append(record["versions"])
    return records, versions, findings, missing


def _staged(folder: Any, plan: Plan, name: str) -> Iterator[Array]:
    """One column of the regions' table, a shard's rows after the other's."""

    def column(k: int) -> Array:
        with (folder / "shards" / f"{k:05d}.npz").open("rb") as file, np.load(file) as part:
            return np.asarray(part[name])

    return each(folder, column, range(plan.n_shards))


def _write_small(
    path: Place, spec: schema.ArraySpec, shape: tuple[int, ...], parts: Iterable[npt.ArrayLike],
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Array]:  # fmt: skip
    """Write an array that is not sharded, chunk by chunk, and yield each in its own type."""
    array = create_array(path, spec, shape, attributes=attributes)
    # Zeros, too, have their file: what is missing is never taken for zeros.
    array = array.with_config({"write_empty_chunks": True})
    rows, size, done = shape[0], array.chunks[0], 0
    held: list[Array] = []
    count = 0
    for part in parts:
        held.append(np.asarray(part, spec.dtype))
        count += len(held[-1])
        if done + count < rows and count < size:
            continue
        joined = np.concatenate(held)
        while len(joined) >= size or (len(joined) and done + len(joined) == rows):
            array[done : done + size] = joined[:size]
            yield joined[:size]
            done += min(size, len(joined))
            joined = joined[size:]
        held, count = [joined], len(joined)


def _all_versions(planned: dict[str, str], written: list[dict[str, str]]) -> dict[str, str]:
    """Name every version that had a part in the store; more than one where a build went on under others."""
    parts = [planned, *written]
    return {name: ", ".join(sorted({part[name] for part in parts if name in part})) for name in planned}


def _small_files(new: Place) -> dict[str, Any]:
    """Records of all files of a store that is not finished yet, but for its shards, which have theirs."""
    names = [f"{name}/zarr.json" for name in schema.FRAME_SPECS]
    for name in (*(spec.name for spec in schema.INDEX_ARRAYS), *GROUPS):
        names += (f"{name}/{file}" for file in sizes_below(new / name))
    names.sort()
    return dict(zip(names, each(new, lambda name: file_record(new / name), names), strict=True))
