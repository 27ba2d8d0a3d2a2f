"""From a source to a finished store: plan the shards, one Dask task a whole shard, resume, provenance."""

from rsgt.builder.assembly import BuildResult, as_source, build, build_plan, plan
from rsgt.builder.parameters import Parameters, cluster
from rsgt.builder.planning import PACKAGES, plan_build, summary
from rsgt.builder.shards import build_shard, compile_kernels, plane_table, region_table

__all__ = [
    "PACKAGES", "BuildResult", "Parameters", "as_source", "build", "build_plan", "build_shard", "cluster",
    "compile_kernels", "plan", "plan_build", "plane_table", "region_table", "summary",
]  # fmt: skip
