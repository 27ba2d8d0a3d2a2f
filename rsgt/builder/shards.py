"""One shard, the unit of parallel work: read, cluster, write."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.builder.parameters import Parameters, cluster
from rsgt.builder.planning import PACKAGES
from rsgt.inputs import InputError
from rsgt.regions import kernels
from rsgt.regions.algorithm import RegionSupport
from rsgt.regions.planes import plane_normals
from rsgt.sources.plausibility import implausible, scale_of
from rsgt.sources.source import Source
from rsgt.store import provenance, schema, writer
from rsgt.store.places import Place
from rsgt.store.plan import Plan, begun_plan

Array = npt.NDArray[Any]


class _Memory(threading.local):
    """A shard's arrays, kept by each thread for its next shard.

    Touching fresh memory costs as much as clustering: the system has to find and clear its pages.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Array] = {}

    def shard(self, spec: schema.ArraySpec, plan: Plan, frames: int) -> Array:
        shape = (plan.shard_frames, *(*plan.shape, 3)[: len(spec.axes) - 1])
        if spec.name not in self.kept or self.kept[spec.name].shape != shape:
            self.kept[spec.name] = np.empty(shape, spec.dtype)
        return self.kept[spec.name][:frames]


_memory = _Memory()


def build_shard(source: Source, path: Place, plan: Plan | str, k: int) -> int:
    """Read, cluster and write shard ``k``; the unit of parallel work. Returns ``k``.

    A plan goes by its key where it would have to travel: it grows with the frames, and lies at ``path``.
    """
    if isinstance(plan, str):
        plan = begun_plan(path, plan)
    mine = provenance.versions(*PACKAGES)
    for name in ("rsgt", "commit"):
        if mine[name] != plan.versions[name]:
            raise InputError(
                f"{name} is {mine[name]}, expected {plan.versions[name]} as in the build's plan; install the "
                "same there"
            )
    frames: list[int] = plan.frames[plan.shard(k)].tolist()
    parameters, scale = Parameters(**plan.parameters), scale_of(plan.source)
    table: list[dict[str, Array]] = []
    findings: list[tuple[int, str]] = []
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
            row = plan.shard(k).start + i
            table.append(
                region_table(region[i], depth[i], semantic[i]) | plane_table(result, plan.intrinsics(row))
            )
            number = int(plan.frame_ids[row])
            found = implausible(maps["rgb"][i], depth[i], semantic[i], len(plan.class_names), scale)
            findings.extend((number, message) for message in found)
        yield "region", region
        yield "support", support

    writer.write_shard(path, plan, k, arrays(), iter(table), mine, findings)
    return k


def region_table(region: Array, depth: Array, semantic: Array) -> dict[str, Array]:
    """Columns of ``schema.REGION_ARRAYS`` for one frame of (y, x) maps."""
    n = int(region.max(initial=0))
    columns = kernels.region_statistics(region, depth, semantic, n)
    names = [spec.name for spec in schema.REGION_ARRAYS[1:]]
    return {"label": np.arange(1, n + 1, dtype=np.int32), **dict(zip(names, columns, strict=True))}


def plane_table(result: RegionSupport, camera: Mapping[str, float]) -> dict[str, Array]:
    """Columns of ``schema.PLANE_ARRAYS`` of a frame and its camera (empty = unknown); none of constants."""
    if result.planes is None or result.residual is None:
        return {}
    normals, distance = plane_normals(result.planes, camera)
    columns = [*result.planes.T, *normals.T, distance, *result.residual.T]
    return dict(zip((spec.name for spec in schema.PLANE_ARRAYS), columns, strict=True))


def shard_bytes(plan: Plan) -> int:
    """Memory that a thread needs to build one shard: all its arrays, and a third more to pack them."""
    pixels = plan.shard_frames * plan.shape[0] * plan.shape[1]
    channels = {"rgb": 3}
    each = sum(np.dtype(spec.dtype).itemsize * channels.get(spec.name, 1) for spec in schema.FRAME_ARRAYS)
    return pixels * each * 4 // 3


def compile_kernels(parameters: Parameters) -> None:
    """Compile what a build with these parameters runs, once, before workers would do it side by side."""
    tiny, ones = np.ones((2, 2), np.float32), np.ones((2, 2), np.uint16)
    region_table(cluster(tiny, ones, ones, parameters).region, tiny, ones)
