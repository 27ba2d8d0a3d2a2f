"""Re-read a whole store and hold it against its checksums, its schema and Algorithm 1 itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.builder import Parameters, as_source, cluster, plane_table, region_table
from rsgt.inputs import InputError
from rsgt.parallel import stream_threads
from rsgt.quality.source_comparison import source_problems
from rsgt.regions import kernels
from rsgt.regions.planes import plane_depth
from rsgt.sources.plausibility import gathered, implausible, scale_of
from rsgt.sources.source import Source
from rsgt.store import reader, schema
from rsgt.store.encoding import encoding_problems
from rsgt.store.manifest import root_problem
from rsgt.store.objects import ObjectPath, StorageError
from rsgt.store.places import sizes_below
from rsgt.store.reader import Store
from rsgt.store.root import DamageError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """One thing that is off: the frame's number in its source (None = the store as a whole) and what."""

    frame: int | None
    message: str

    def __str__(self) -> str:
        return self.message if self.frame is None else f"frame {self.frame}: {self.message}"


@dataclass(frozen=True)
class Verification:
    """Outcome of ``verify``.

    ``problems`` say in what the store is not as it was built; ``findings`` what is implausible about frames
    that were stored as they are (``rsgt.sources.plausibility``).
    """

    frames: int
    shards: int
    regions: int
    compared_with_source: int
    problems: list[Problem] = field(default_factory=list)
    findings: list[Problem] = field(default_factory=list)


def frame_problems(
    maps: dict[str, Array], table: dict[str, Array], parameters: Parameters, camera: dict[str, float]
) -> Iterator[str]:
    """Say what is wrong with one frame, as far as the frame itself tells.

    Parameters
    ----------
    maps
        ``depth``, ``semantic``, ``instance``, ``region`` and ``support`` of the frame, each (y, x).
    table
        The frame's rows of the regions' table.
    parameters
        What the store says that it was built with.
    camera
        The frame's; empty = unknown.
    """
    depth, region, support = maps["depth"], maps["region"], maps["support"]
    n = int(region.max(initial=0))
    if not ((depth >= 0) & np.isfinite(depth)).all():
        yield "depth has values that are NaN, infinite or negative"
        return
    if region.min(initial=0) < 0 or len(np.unique(region[region > 0])) != n:
        yield f"region labels are not dense from 1 to {n}"
        return
    if parameters.variant == "default":
        yield from _off_invariants(maps, n, parameters)
    again = cluster(depth, maps["semantic"], maps["instance"], parameters)
    computed = region_table(region, depth, maps["semantic"]) | plane_table(again, camera)
    for name, values in computed.items():
        if not np.array_equal(values, table[name], equal_nan=values.dtype.kind == "f"):
            yield f"column {name} of the regions' table disagrees with the maps"
    yield from _off_support(region, support, table if parameters.surface == "plane" else computed)
    for name, values in (("region", again.region), ("support", again.support.astype(np.float32))):
        differing = np.count_nonzero(values != maps[name])
        if differing:
            yield f"{name} differs from Algorithm 1 on the stored depth and labels at {differing} pixels"


def _off_invariants(maps: dict[str, Array], n: int, parameters: Parameters) -> Iterator[str]:
    """Say in what a frame's ``n`` regions are none of the default variant."""
    region = maps["region"]
    expected = maps["depth"] > 0
    if parameters.unlabelled == "ignore":
        expected &= maps["semantic"] > 0
    wrong = np.count_nonzero((region > 0) != expected)
    if wrong:
        yield f"{wrong} pixels have a region and should not, or the other way round"
    pieces = kernels.count_pieces(region)
    if pieces != n:
        yield f"{n} regions fall into {pieces} connected pieces"
    first = np.unique(region[region > 0], return_index=True)[1]
    if (np.diff(first) < 0).any():
        yield "region labels are not in raster order"


def _off_support(region: Array, support: Array, table: dict[str, Array]) -> Iterator[str]:
    """Say how far the support is off what the regions' table says of it."""
    if "inverse_depth_0" not in table:
        of_region = "mean depth"
        expected = np.concatenate([[0], table["depth_mean"]]).astype(np.float32)[region]
    elif len(table["label"]) == region.max(initial=0):
        of_region = "plane"
        expected = plane_depth(region, np.stack([table[f"inverse_depth_{of}"] for of in "xy0"], axis=1))
    else:
        return  # the columns have been named already
    apart = np.abs(support - expected).max(initial=0)
    if not apart <= 1e-5:
        yield f"support is up to {apart:.3g} m off the {of_region} of its region"


_PIXELS = 1 << 18
"""Pixels of an array that are read at once, if more than a frame's: reading small frames is mostly asking."""


def _each_map(opened: Store, name: str, start: int, stop: int) -> list[Array | None]:
    """An array of each of some frames; None where it can't be decoded."""
    try:
        return [*opened.read(name, start, stop)]
    except StorageError:
        raise
    except InputError:
        if stop == start + 1:
            return [None]
        return [values for k in range(start, stop) for values in _each_map(opened, name, k, k + 1)]


def _check_part(
    opened: Store, start: int, stop: int, rows: dict[str, Array], parameters: Parameters
) -> tuple[list[Problem], list[tuple[int, str]]]:
    """Problems of some frames, given their rows of the regions' table, and what is implausible of them."""
    problems, findings = [], []
    classes, scale = len(opened.class_names), scale_of(opened.attributes["source"])
    tables = opened.cut_regions(start, stop, rows)
    at_once = max(1, _PIXELS // (opened.shape[0] * opened.shape[1]))
    for first in range(start, stop, at_once):
        last = min(first + at_once, stop)
        whole = {name: _each_map(opened, name, first, last) for name in schema.FRAME_SPECS}
        for k in range(first, last):
            number = int(opened.frame_id[k])
            maps = {name: found for name, all_of in whole.items() if (found := all_of[k - first]) is not None}
            for name in (name for name in whole if name not in maps):
                problems.append(Problem(number, f"{name} can't be decoded: its checksum does not hold"))
            if len(maps) == len(whole):
                off = frame_problems(maps, tables[k - start], parameters, opened.intrinsics(k))
                problems += [Problem(number, message) for message in off]
                odd = implausible(maps["rgb"], maps["depth"], maps["semantic"], classes, scale)
                findings += [(number, message) for message in odd]
    return problems, findings


def _parts(opened: Store, parameters: Parameters) -> Iterator[tuple[Any, ...]]:
    """Arguments of ``_check_part`` for one shard after the other; the table is read for many at once."""
    for first, stop in opened.blocks():
        rows, begin = opened.region_rows(first, stop), opened.region_start[first]
        for start in range(first, stop, opened.shard_frames):
            end = min(start + opened.shard_frames, stop)
            part = slice(opened.region_start[start] - begin, opened.region_start[end] - begin)
            yield opened, start, end, {name: column[part] for name, column in rows.items()}, parameters


FREE = {"semantic": ("class_names",), "scene": ("scene_names",)}
"""Attributes of arrays that are of this store alone."""


def _schema_problems(opened: Store) -> Iterator[str]:
    """Say in what the arrays are other than the schema has them, for the frames that the records name."""
    records = opened.records
    n, shard = records.frames, records.each
    old = opened.attributes["format_version"] == schema.OLD_VERSION
    try:
        frame = (n, *opened.shape)
        shapes: dict[str, tuple[int, ...]] = {
            "frame": (n,), "frame_bound": (n + 1,), "region": opened.array("regions/label").shape,
            "shard": records.sizes.shape,
        }  # fmt: skip
        if not old:
            shapes["byte"] = (int(opened.column("names/start", slice(n, n + 1))[0]),)
        described = schema.descriptions(opened.attributes["parameters"])
        for name, spec in opened.specs.items():
            shape = (*frame, 3)[: len(spec.axes)] if spec.per_frame else shapes[spec.axes[0]]
            shape += (32,) * (spec.axes[-1:] == ("byte",) and len(spec.axes) == 3)
            free = FREE.get(name, ()) + (("frame_names",) if old and name == "frame" else ())
            problems = encoding_problems(
                opened.array(name),
                spec,
                shape,
                shard=shard if spec.per_frame else None,
                free=free,
                attributes=described.get(name),
            )
            yield from (f"array {name}: {problem}" for problem in problems)
    except StorageError:
        raise
    except (InputError, ValueError, IndexError) as error:
        yield str(error)  # an array that is missing, can't be opened, or has another rank or length


def _unrecorded(opened: Store) -> Iterator[str]:
    """Chunks of the arrays that are not sharded, which readers hold against their records alone."""
    if isinstance(opened.path, ObjectPath) and not opened.path.listed:
        return  # a web server does not say what it has
    for name in sorted(opened.specs.keys() - schema.FRAME_SPECS.keys()):
        for file in sizes_below(opened.path / name / "c"):
            if f"{name}/c/{file}" not in opened.attributes["files"]:
                yield f"{name}/c/{file}"


def _record_problems(opened: Store) -> tuple[list[str], bool]:
    """Say what a store's own records find wrong, and whether its frames can be looked into all the same."""
    if problem := root_problem(opened.attributes):
        return [problem], False
    problems: list[str] = []
    try:
        problems += (f"{file}: {problem}" for file, problem in opened.problems(whole=True))
        problems += (f"{file}: has no record in zarr.json" for file in _unrecorded(opened))
        try:
            Parameters(**opened.attributes["parameters"])
        except (TypeError, InputError) as error:
            return [*problems, f"zarr.json: its parameters are none ({error})"], False
        if off := [*_schema_problems(opened)]:
            return problems + off, False
        if reader.content_hash_of(opened) != opened.identity:
            problems.append(
                "an index array, the regions' table or a record was altered: content hash differs"
            )
    except DamageError as error:
        return problems or [str(error)], False
    return problems, True


def verify(
    store: Store | str | PathLike[str],
    *,
    source: Source | str | PathLike[str] | None = None,
    sample: int = 16,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a store: files and checksums, schema, the invariants on every frame, Algorithm 1 run again.

    Parameters
    ----------
    store
        The store, or its path.
    source
        Compare ``sample`` frames, drawn with ``seed``, with this source (or the file at this path), value by
        value.
    workers
        Threads; default one per core.
    progress
        Called with (shards done, shards in all).

    Returns
    -------
    Verification
        Its ``problems`` are empty where the store is sound; its ``findings`` say what is implausible.

    Raises
    ------
    InputError
        Where there is no finished store.
    """
    try:
        # Anew, whatever an open one has read before.
        opened = reader.find_store(store.path if isinstance(store, Store) else store)
    except DamageError as error:
        return Verification(0, 0, 0, 0, [Problem(None, str(error))])
    found, readable = _record_problems(opened)
    problems = [Problem(None, message) for message in found]
    if not readable:
        return Verification(0, 0, 0, 0, problems)
    parameters = Parameters(**opened.attributes["parameters"])
    findings: list[tuple[int, str]] = []
    shards = len(opened.records)
    for some, odd in stream_threads(_check_part, _parts(opened, parameters), workers, progress, total=shards):
        problems += some
        findings += odd
    compared = 0
    if source is not None:
        differing, compared = source_problems(
            opened, as_source(source), parameters.depth, parameters.labels, sample, seed
        )
        problems += (Problem(number, message) for number, message in differing)
    regions = int(opened.region_start[-1])
    told = [Problem(None, text) for text in gathered(findings)]
    return Verification(len(opened), shards, regions, compared, problems, told)
