"""Re-read a whole store and hold it against its checksums, its schema and Algorithm 1 itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt

from rsgt import kernels, schema, store
from rsgt.build import Parameters, cluster, region_table
from rsgt.schema import InputError
from rsgt.source import Source
from rsgt.store import Store

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
    """Outcome of ``verify``."""

    frames: int
    shards: int
    regions: int
    compared_with_source: int
    problems: list[Problem] = field(default_factory=list)


def frame_problems(maps: dict[str, Array], table: dict[str, Array], parameters: Parameters) -> Iterator[str]:
    """Say what is wrong with one frame, as far as the frame itself tells.

    Parameters
    ----------
    maps
        ``depth``, ``semantic``, ``instance``, ``region`` and ``support`` of the frame, each (y, x).
    table
        The frame's rows of the regions' table.
    parameters
        What the store says that it was built with.
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
        expected = depth > 0
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
    computed = region_table(region, depth, maps["semantic"])
    for name, values in computed.items():
        if not np.array_equal(values, table[name]):
            yield f"column {name} of the regions' table disagrees with the maps"
    mean = np.concatenate([[0], computed["depth_mean"]]).astype(np.float32)
    apart = np.abs(support - mean[region]).max(initial=0)
    if apart > 1e-5:
        yield f"support is up to {apart:.3g} m off the mean depth of its region"
    again = cluster(depth, maps["semantic"], maps["instance"], parameters)
    for name, values in (("region", again.region), ("support", again.support.astype(np.float32))):
        differing = np.count_nonzero(values != maps[name])
        if differing:
            yield f"{name} differs from Algorithm 1 on the stored depth and labels at {differing} pixels"


def _source_problems(opened: Store, source: Source, k: int, parameters: Parameters) -> Iterator[str]:
    position = [list(source.frame_ids).index(int(opened.frame_id[k]))]
    stored: dict[str, Array] = {
        "rgb": source.rgb(position),
        "depth": source.depth(position, parameters.depth),
        "semantic": source.semantic(position, parameters.labels),
        "instance": source.instance(position),
    }
    for name, values in stored.items():
        if not np.array_equal(values, opened.read(name, k, k + 1)):
            yield f"{name} differs from the source"


def _check_part(opened: Store, start: int, stop: int, parameters: Parameters) -> list[Problem]:
    problems = []
    for k in range(start, stop):
        number = int(opened.frame_id[k])
        maps = {}
        for spec in schema.FRAME_ARRAYS:
            try:
                maps[spec.name] = opened.read(spec.name, k, k + 1)[0]
            except InputError:
                problems.append(Problem(number, f"{spec.name} can't be decoded: its checksum does not hold"))
        if len(maps) == len(schema.FRAME_ARRAYS):
            found = frame_problems(maps, opened.region_table(k), parameters)
            problems += [Problem(number, message) for message in found]
    return problems


def _schema_problems(opened: Store) -> Iterator[str]:
    specs = {spec.name: spec for spec in (*schema.FRAME_ARRAYS, *schema.INDEX_ARRAYS)}
    specs |= {f"regions/{spec.name}": spec for spec in (schema.REGION_START, *schema.REGION_ARRAYS)}
    for name, spec in specs.items():
        try:
            array = opened.array(name)
        except InputError:
            yield f"array {name} is missing"
            continue
        got = (str(array.dtype), tuple(array.metadata.dimension_names or ()))  # type: ignore[union-attr]
        if got != (spec.dtype, spec.axes):
            yield f"array {name} is {got[0]} over {got[1]}, expected {spec.dtype} over {spec.axes}"
        if spec.axes[0] == "frame" and array.shape[0] != len(opened):
            yield f"array {name} has {array.shape[0]} frames, expected {len(opened)}"


def verify(
    path: str | Path,
    *,
    source: Source | None = None,
    sample: int = 16,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a store: files and checksums, schema, the invariants on every frame, Algorithm 1 run again.

    Parameters
    ----------
    path
        The store.
    source
        Compare ``sample`` frames, drawn with ``seed``, with this source, value by value.
    workers
        Threads; default one per core.
    progress
        Called with (shards done, shards in all).

    Returns
    -------
    Verification
        Its ``problems`` are empty where the store is sound.

    Raises
    ------
    InputError
        Where there is no finished store.
    """
    opened = store.open_store(path)
    parameters = Parameters(**opened.attributes["parameters"])
    problems = [Problem(None, message) for message in _schema_problems(opened)]
    if problems:  # the rest would only repeat it
        return Verification(len(opened), 0, 0, 0, problems)
    shards = opened.attributes["shards"]
    for k, name, message in store.damaged_files(opened):
        first, last = (int(opened.frame_id[i]) for i in (shards[k]["frames"][0], shards[k]["frames"][1] - 1))
        problems.append(Problem(None, f"{name} of frames {first}..{last}: {message}"))
    if store.content_hash_of(opened) != opened.identity:
        problems.append(
            Problem(None, "an index array, the regions' table or a record was altered: content hash differs")
        )

    done = iter(range(1, len(shards) + 1))

    def check(start: int, stop: int) -> list[Problem]:
        found = _check_part(opened, start, stop, parameters)
        if progress:
            progress(next(done), len(shards))
        return found

    tasks = [dask.delayed(check, pure=False)(*shard["frames"]) for shard in shards]
    for found in dask.compute(*tasks, scheduler="threads", num_workers=workers, optimize_graph=False):
        problems += found
    picks: list[int] = []
    if source is not None:
        if source.identity()["fingerprint"] != opened.attributes["source"]["fingerprint"]:
            problems.append(Problem(None, f"{source.path} is another file than the store was built from"))
        else:
            size = min(sample, len(opened))
            picks = sorted(np.random.default_rng(seed).choice(len(opened), size, replace=False).tolist())
            for k in picks:
                found = [*_source_problems(opened, source, k, parameters)]
                problems += [Problem(int(opened.frame_id[k]), message) for message in found]
    return Verification(len(opened), len(shards), int(opened.region_start[-1]), len(picks), problems)
