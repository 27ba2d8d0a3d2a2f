"""What a store remembers of its files and of itself, and whether that still holds.

Every file of a store has a record, its size and its SHA-256, and every document of records has a seal, a hash
over all else that it says: a flipped bit or a changed word is found wherever it is.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rsgt.inputs import shortened
from rsgt.store import schema
from rsgt.store.objects import ObjectPath
from rsgt.store.places import Place, concurrently

SEAL = "seal"

_KINDS = {
    "parameters": dict, "source": dict, "split_origin": str, "cameras": list, "versions": dict,
    "shards": dict, "content_sha256": str, "files": dict,
}  # fmt: skip


def sha256(path: Place) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_record(path: Place) -> dict[str, Any]:
    """What a store remembers of one of its files: ``bytes`` and ``sha256``."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def content_record(content: bytes) -> dict[str, Any]:
    """The ``file_record`` of a file with this content."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def is_record(value: Any) -> bool:
    """Whether a value has the form of a ``file_record``."""
    named = isinstance(value, dict) and {"bytes", "sha256"} <= {*value}
    return named and type(value["bytes"]) is int and type(value["sha256"]) is str


def file_problem(path: Place, record: Mapping[str, Any], *, whole: bool = False) -> str | None:
    """Say how a file differs from its ``file_record``: missing or of another size; None = it does not.

    Parameters
    ----------
    path, record
        The file, and what was remembered of it.
    whole
        Compare its SHA-256 as well, which reads it; without, this is cheap enough for every read.
    """
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "the file is missing"
    if size != record["bytes"]:
        return f"the file has {size} bytes, expected {record['bytes']}"
    if whole and sha256(path) != record["sha256"]:
        return "the file's SHA-256 is not the recorded one"
    return None


def file_problems(
    place: Place,
    records: Iterable[tuple[str, Mapping[str, Any]]],
    whole: Callable[[str], bool],
    sizes: Mapping[str, int] | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the files below a place that differ from their records, and how.

    Parameters
    ----------
    place, records
        Where they lie, and the name and record of each.
    whole
        Whether to read a file of that name, as ``file_problem`` does.
    sizes
        Of objects, where they were listed: bytes of each.
    """
    if isinstance(place, Path):
        for name, record in records:
            if problem := file_problem(place / name, record, whole=whole(name)):
                yield name, problem
        return
    # Objects are held against their list, or asked for several at a time: a request takes long, many do not.
    rest = iter(records)
    while some := [*islice(rest, 256)]:
        found = concurrently(lambda one: _object_problem(place, one[0], one[1], sizes, whole(one[0])), some)
        yield from ((name, problem) for (name, _), problem in zip(some, found, strict=True) if problem)


def _object_problem(
    place: ObjectPath, name: str, record: Mapping[str, Any], sizes: Mapping[str, int] | None, whole: bool
) -> str | None:
    if whole or sizes is None:
        return file_problem(place / name, record, whole=whole)
    if name not in sizes:
        return "the file is missing"
    if sizes[name] != record["bytes"]:
        return f"the file has {sizes[name]} bytes, expected {record['bytes']}"
    return None


def seal(document: Mapping[str, Any]) -> str:
    """SHA-256 over all entries of a document but its seal, whatever their order and spacing in a file.

    A document is plain JSON: mappings with text keys, lists, text, numbers, true, false and null.
    """
    rest = {name: value for name, value in document.items() if name != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its seal."""
    return {**document, SEAL: seal(document)}


def read_sealed(path: Place) -> dict[str, Any]:
    """Read a JSON file that ``sealed`` made.

    Raises
    ------
    ValueError
        Where it is no JSON, or its seal does not hold.
    OSError
        Where it can't be read.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get(SEAL) != seal(document):
        raise ValueError(f"{path}: its seal does not hold")
    return document


def group_attributes(path: Place) -> dict[str, Any]:
    """Attributes of the Zarr v3 group in a folder.

    Raises
    ------
    ValueError
        Where its file is no JSON, or describes no group with attributes.
    OSError
        Where there is none, or it can't be read.
    """
    try:
        file = path / "zarr.json"
        if isinstance(file, Path) and file.exists() and not file.is_file():
            raise ValueError("it is no file")  # to open a pipe would wait for who writes to it
        text = file.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise ValueError("is no Zarr v3 group with attributes")
    attributes: dict[str, Any] = document.pop("attributes")
    consolidated = document.pop("consolidated_metadata", None)
    # As text, for 3.0 and true are equal to numbers that they do not stand for.
    if json.dumps(document, sort_keys=True) != '{"node_type": "group", "zarr_format": 3}':
        raise ValueError("is no Zarr v3 group with attributes, or says more of itself")
    if consolidated is not None:
        _check_consolidated(path, consolidated)
    return attributes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that is there twice, of which readers take the one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _check_consolidated(path: Place, consolidated: Any) -> None:
    """Refuse what a copy of the arrays' metadata says otherwise than the arrays: some readers take it."""
    entries = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(entries, dict):
        raise ValueError("its consolidated metadata is none")
    for name, entry in entries.items():
        own = json.loads((path / name / "zarr.json").read_text(encoding="utf-8"))
        said = entry if isinstance(entry, dict) else {}
        if {key: value for key, value in said.items() if key != "consolidated_metadata"} != own:
            raise ValueError(f"its consolidated metadata of {name} is not the array's own")


def root_problem(attributes: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the attributes of a root group of this version; None = nothing."""
    return next((f"zarr.json: {problem}" for problem in _root_problems(attributes)), None)


def _root_problems(attributes: Mapping[str, Any]) -> Iterator[str]:
    if lacking := [name for name in schema.ATTRIBUTES if name not in attributes]:
        yield f"the root group lacks {', '.join(lacking)}"
    if attributes[SEAL] != seal(attributes):
        yield "its seal does not hold: an attribute of the root group is not as it was written"
    version = attributes["format_version"]
    kinds = _KINDS | ({"shards": list} if version == schema.OLD_VERSION else {})
    for name, kind in kinds.items():
        if type(attributes[name]) is not kind:
            yield f"{name} is {shortened(attributes[name])}, expected a {kind.__name__}"
    files, shards = attributes["files"], attributes["shards"]
    expected = schema.arrays(attributes["parameters"], version)
    if lacking := [name for name in expected if f"{name}/zarr.json" not in files]:
        yield f"has no record of the array {', '.join(lacking)}"
    if wrong := [name for name, record in files.items() if not is_record(record)]:
        yield f"its record of {wrong[0]} is {shortened(files[wrong[0]])}"
    if version == schema.OLD_VERSION:
        yield from _listed_shards_problems(shards)
        frames = shards[-1]["frames"][1]
    else:
        counts = [shards.get(name) for name in ("frames", "shard_frames")]
        if [*map(type, counts)] != [int, int] or min(counts) < 1:
            yield f"its shards are {shortened(shards)}"
        frames = counts[0]
    yield from _camera_problems(attributes["cameras"], frames)


def _listed_shards_problems(shards: list[Any]) -> Iterator[str]:
    """Say what is wrong with records of shards as format version 3 has them."""
    stop = 0
    for k, shard in enumerate(shards):
        frames: Any = shard.get("frames") if isinstance(shard, dict) else None
        numbers = isinstance(frames, list) and [*map(type, frames)] == [int, int]
        if not numbers or not stop == frames[0] < frames[1]:
            yield f"its shard {k} holds frames {shortened(frames)} after {stop}"
        records = shard.get("files")
        if not isinstance(records, dict) or {*records} != {*schema.FRAME_SPECS}:
            yield f"its shard {k} is not of the arrays {', '.join(schema.FRAME_SPECS)}"
        if not all(map(is_record, records.values())):
            yield f"its shard {k} has records {shortened(records)}"
        stop = frames[1]
    if not stop:
        yield "it has no shards"


def _camera_problems(cameras: list[Any], frames: int) -> Iterator[str]:
    """Say so where runs of frames with a camera each do not follow one another up to the last frame."""
    end = 0
    for camera in cameras:
        run: Any = camera.get("frames") if isinstance(camera, dict) else None
        numbers = isinstance(run, list) and [*map(type, run)] == [int, int]
        if not numbers or not end == run[0] < run[1] or type(camera.get("intrinsics")) is not dict:
            yield f"its cameras have {shortened(camera)} after frame {end}"
        end = run[1]
    if end != frames:
        yield f"its cameras are those of {end} frames, expected {frames}"
