"""Writing a store: lay out, one whole shard at a time in any order by any process, finish.

What building needs in between lies in ``.rsgt-build`` and goes at the end. The root group is the very
last write: until then no Zarr reader finds a store there.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rsgt import schema
from rsgt.schema import InputError
from rsgt.store import STAGING, content_hash, create_array, root_attributes, sha256, shard_file

Array = npt.NDArray[Any]

# A shard's chunks go through zarr's pipeline together: one by one, its bookkeeping costs more than the codec.
zarr.config.set({"codec_pipeline.batch_size": 32})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a store will hold and how it is cut into shards: everything that shapes its bytes.

    ``frames`` are positions (from 0) in the source, ``frame_ids`` the numbers (from 1) they go by there.
    """

    parameters: dict[str, Any]
    source: dict[str, Any]
    shape: tuple[int, int]
    frames: tuple[int, ...]
    frame_ids: tuple[int, ...]
    split: tuple[int, ...]
    split_origin: str
    scene: tuple[int, ...]
    scene_names: tuple[str, ...]
    class_names: tuple[str, ...]
    intrinsics: dict[str, float]
    shard_frames: int
    versions: dict[str, str]

    @property
    def n_shards(self) -> int:
        """Number of shards of every sharded array."""
        return -(-len(self.frames) // self.shard_frames)

    def shard(self, k: int) -> slice:
        """Rows of the store that shard ``k`` holds."""
        return slice(k * self.shard_frames, min((k + 1) * self.shard_frames, len(self.frames)))

    def document(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        plain: dict[str, Any] = json.loads(
            json.dumps({"format_version": schema.FORMAT_VERSION, **asdict(self)})
        )
        return plain


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step: readers see the old text or the new, never a part."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def create(path: Path, plan: Plan) -> None:
    """Lay out an empty store for ``plan``; the plan itself lands last, so that half a layout is redone."""
    (path / STAGING / "shards").mkdir(parents=True, exist_ok=True)
    for spec in schema.FRAME_ARRAYS:
        row = (*plan.shape, 3)[: len(spec.axes) - 1]
        extra = {"class_names": list(plan.class_names)} if spec.name == "semantic" else None
        create_array(
            path / spec.name, spec, (len(plan.frames), *row), shard=plan.shard_frames, attributes=extra
        )
    write_text(path / STAGING / "plan.json", json.dumps(plan.document(), indent=1))


def unfinished_plan(path: Path) -> dict[str, Any] | None:
    """Return the plan of a store that is being built at ``path``, or None where there is none."""
    try:
        document: dict[str, Any] = json.loads((path / STAGING / "plan.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: the build's plan is damaged ({error}); build again with --overwrite"
        ) from error
    return document


def is_ours(path: Path) -> bool:
    """Whether ``path`` is a region-support store or the beginning of one (so that it may be replaced)."""
    if (path / STAGING).is_dir():
        return True
    try:
        return bool(root_attributes(path).get("format") == schema.FORMAT)
    except InputError:
        return False


def remove(path: Path) -> None:
    """Delete a store, its root first, so that an interrupted deletion never looks like a store."""
    (path / "zarr.json").unlink(missing_ok=True)
    shutil.rmtree(path)


def write_shard(
    path: Path, plan: Plan, k: int, arrays: Iterable[tuple[str, Array]], table: Iterator[dict[str, Array]]
) -> None:
    """Write one whole shard of every array, then the regions' table, then the record that makes it count.

    Parameters
    ----------
    path, plan, k
        The store, its plan and the shard's number.
    arrays
        ``(name, values)`` of every array of ``schema.FRAME_ARRAYS``, each with all frames of the shard;
        they are asked for one by one, so that the caller need not hold them all.
    table
        Per frame the columns of ``schema.REGION_ARRAYS``; asked for after the arrays.
    """
    rows = plan.shard(k)
    files = {}
    specs = {spec.name: spec for spec in schema.FRAME_ARRAYS}
    for name, values in arrays:
        file = shard_file(path, specs[name], k)
        file.unlink(missing_ok=True)  # zarr would read what an interrupted build left, damaged or not
        # Looking for empty chunks costs more than compressing them, and a shard is always written whole.
        array = zarr.open_array(str(path / name), mode="r+").with_config({"write_empty_chunks": True})
        array[rows] = values
        files[name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
        del values
    if set(files) != set(specs):
        raise ValueError(f"a shard holds {sorted(specs)}, got {sorted(files)}")
    columns = list(table)
    staged = path / STAGING / "shards" / f"{k:05d}"
    aside = staged.with_suffix(f".{os.getpid()}.partial")
    merged: dict[str, Any] = {
        spec.name: np.concatenate([frame[spec.name] for frame in columns]) for spec in schema.REGION_ARRAYS
    }
    with aside.open("wb") as file_out:
        np.savez(
            file_out,
            count=np.array([len(frame["label"]) for frame in columns], np.int64),
            **merged,
        )
    aside.replace(staged.with_suffix(".npz"))
    record = {
        "shard": k,
        "frames": [rows.start, rows.stop],
        "files": files,
        "table": sha256(staged.with_suffix(".npz")),
    }
    write_text(staged.with_suffix(".json"), json.dumps(record))


def read_record(path: Path, plan: Plan, k: int) -> dict[str, Any] | None:
    """Return the record of a shard whose files are all there with their sizes, else None."""
    staged = path / STAGING / "shards" / f"{k:05d}"
    try:
        record: dict[str, Any] = json.loads(staged.with_suffix(".json").read_text(encoding="utf-8"))
        whole = sha256(staged.with_suffix(".npz")) == record["table"]
        for spec in schema.FRAME_ARRAYS:
            whole &= shard_file(path, spec, k).stat().st_size == record["files"][spec.name]["bytes"]
    except (OSError, ValueError, KeyError):
        return None
    return record if whole else None


def finish(path: Path, plan: Plan) -> None:
    """Write the index arrays, the regions' table and, last of all, the root group.

    Raises
    ------
    InputError
        Where a shard is missing.
    """
    records = [read_record(path, plan, k) for k in range(plan.n_shards)]
    missing = [k for k, record in enumerate(records) if record is None]
    if missing:
        raise InputError(f"{path}: shards {missing} of {plan.n_shards} are missing; run the same build again")
    index: dict[str, Any] = {"frame_id": plan.frame_ids, "split": plan.split, "scene": plan.scene}
    for spec in schema.INDEX_ARRAYS:
        extra = {"scene_names": list(plan.scene_names)} if spec.name == "scene" else None
        values = index[spec.name] = np.asarray(index[spec.name], spec.dtype)
        create_array(path / spec.name, spec, values.shape, attributes=extra)[:] = values

    parts = []
    for k in range(plan.n_shards):
        with np.load(path / STAGING / "shards" / f"{k:05d}.npz") as part:
            parts.append(dict(part))
    start = np.concatenate([[0], np.cumsum(np.concatenate([part["count"] for part in parts]))])
    table = {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in schema.REGION_ARRAYS}
    table["start"] = start
    zarr.create_group(str(path / "regions"), overwrite=True)
    for spec in (schema.REGION_START, *schema.REGION_ARRAYS):
        values = np.ascontiguousarray(table[spec.name], spec.dtype)
        create_array(path / "regions" / spec.name, spec, values.shape)[:] = values
        table[spec.name] = values
    for leftover in path.rglob("*.partial"):  # a killed writer leaves its temporary file
        leftover.unlink()
    document = plan.document()
    shards = [{"frames": r["frames"], "files": r["files"]} for r in records if r]
    attributes = {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        **{
            name: document[name]
            for name in ("parameters", "source", "split_origin", "intrinsics", "versions")
        },
        "content_sha256": content_hash(shards, {**index, **table}),
        "shards": shards,
    }
    zarr.create_group(str(path), attributes=attributes, overwrite=False)
    shutil.rmtree(path / STAGING)
