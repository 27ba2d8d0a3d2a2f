"""Every setting of Algorithm 1 on a store: a record, and the tables of docs/explanation/algorithm.md."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numba
import numpy as np
import numpy.typing as npt
from guidance import table
from rows import HERE, write_record

import rsgt
from rsgt import InputError, region_support
from rsgt.cli.terminal import INPUT, Script, progress_bar
from rsgt.regions import grouping, kernels, natural_breaks
from rsgt.regions.algorithm import DEFAULT_BINS
from rsn.training.provenance import commit, versions

Array = npt.NDArray[Any]

GROUPINGS = ("equal", "log", "natural")
MIN_SIZES = (0, 16, 32, 64, 100, 256)
REGIONS = (40, 60, 80, 111, 160, 220)
TOLERANCES = (0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.035, 0.025)
"""Metres, of planes: each frame has as many regions as it needs."""
ASKED = {"regions": "asked"}
"""Options that a record has under another name, as theirs is that of a figure."""
PAGE = HERE.parent / "docs" / "explanation" / "algorithm.md"


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a setting is of, and its options of ``region_support``."""
    for kind in GROUPINGS:
        yield "groups", {"grouping": kind}
    for size in MIN_SIZES:
        yield "regions", {"min_size": size}
    for kind in GROUPINGS[1:]:
        for size in (0, 32):
            yield "regions", {"grouping": kind, "min_size": size}
    for across in ({}, {"across_labels": True}):
        for number in (None, *REGIONS):
            yield "planes", {"regions": number} | across
    for tolerance in TOLERANCES:
        yield "planes", {"tolerance": tolerance}


@numba.njit
def group_map(depth: Array, semantic: Array, kind: int) -> Array:
    """Group of each pixel, not cut into pieces: kind 0 = equal, 1 = log, 2 = natural; -1 = none."""
    runs = kernels.segment_runs(depth, semantic, False)
    starts, ends, row = runs.starts, runs.ends, runs.row
    segment = kernels.connect(starts, ends, row, runs.key, starts.size)
    step = np.zeros(depth.shape, np.int32)
    offset, step, group = grouping.by_steps(depth, runs, segment, DEFAULT_BINS, kind == 1, step)
    if kind == 2:
        offset, step, group = natural_breaks.by_breaks(depth, runs, segment, group[-1] + 1, step)
    found: Array = np.full(depth.shape, -1, np.int32)
    for y in range(row.size - 1):
        for i in range(row[y], row[y + 1]):
            first, last = offset[segment[i]], offset[segment[i] + 1] - 1
            for x in range(starts[i], ends[i]):
                found[y, x] = group[first + step[y, x]] if last > first else group[first]
    return found


def measured(depth: Array, semantic: Array, what: str, options: Mapping[str, Any]) -> tuple[float, ...]:
    """Judge one setting on one frame.

    Returns
    -------
    Regions, squared error (m²), RMSE of ln depth and AbsRel of the support over the pixels with depth, and
    seconds of the processor.
    """
    begin = time.process_time()
    if what == "groups":
        label = group_map(depth, semantic, GROUPINGS.index(options["grouping"]))
        seconds = time.process_time() - begin
        inside = label[depth > 0]
        count = np.bincount(inside)
        regions = int(np.count_nonzero(count))
        support = (np.bincount(inside, depth[depth > 0]) / np.maximum(count, 1))[inside]
    else:
        surface = "plane" if what == "planes" else "constant"
        found = region_support(depth, semantic, surface=surface, **options)
        seconds = time.process_time() - begin
        regions, support = int(found.region.max()), found.support[depth > 0].astype(float)
    target = depth[depth > 0].astype(float)
    off, logarithm = support - target, np.log(support / target)
    return regions, (off**2).mean(), np.sqrt((logarithm**2).mean()), (np.abs(off) / target).mean(), seconds


def judged(store: rsgt.Store, step: int) -> list[dict[str, Any]]:
    """Judge every setting on every so-many-th frame: means over the frames, ``pooled`` over their pixels."""
    asked = [*settings()]
    positions = range(0, len(store), step)
    values = np.empty((len(asked), len(positions), 5))
    with progress_bar("frames", quiet=False) as progress:
        for n, k in enumerate(positions):
            maps = store.maps(k)
            for i, (what, options) in enumerate(asked):
                if n == 0:  # compile
                    measured(maps["depth"], maps["semantic"], what, options)
                values[i, n] = measured(maps["depth"], maps["semantic"], what, options)
            progress(n + 1, len(positions))
    return [
        {
            "of": what,
            **{ASKED.get(name, name): value for name, value in options.items() if value is not None},
            "regions": v[:, 0].mean(), "regions_median": np.median(v[:, 0]),
            "rmse": np.sqrt(v[:, 1]).mean(), "pooled": np.sqrt(v[:, 1].mean()),
            "rmse_log": v[:, 2].mean(), "abs_rel": v[:, 3].mean(),
            "milliseconds": 1e3 * np.median(v[:, 4]),
        }
        for (what, options), v in zip(asked, values, strict=True)
    ]  # fmt: skip


def make(store_path: Path, out: Path, step: int = 1) -> None:
    """Write ``results/regions/variants.json``, unless it is there."""
    path = out / "results" / "regions" / "variants.json"
    if path.exists():
        return
    store = rsgt.open(store_path)
    rows = judged(store, step)
    where = {"commit": commit(), "versions": versions(), "store": store.identity, "step": step}
    write_record(path, {"row": "variants", **where, "frames": len(range(0, len(store), step)), "rows": rows})


def min_sizes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of what small regions cost and bring."""
    mine = [row for row in rows if row["of"] == "regions" and "grouping" not in row]
    lines = [
        [f"{row['min_size']}", f"{row['regions_median']:.0f}", f"{row['regions']:.1f}", f"{row['rmse']:.4f}",
         f"{row['abs_rel']:.4f}", f"{100 * (row['rmse'] / mine[0]['rmse'] - 1):+.1f} %"]
        for row in mine
    ]  # fmt: skip
    head = [
        "`--min-size`",
        "regions a frame, median",
        "mean",
        "RMSE (m)",
        "AbsRel",
        "RMSE against no merging",
    ]
    return table(head, lines)


def groupings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of the groupings, of groups and of the regions that their connected pieces are."""
    lines = []
    for what, size in (("groups", None), ("regions", 0), ("regions", 32)):
        mine = {
            row.get("grouping", "equal"): row
            for row in rows if row["of"] == what and row.get("min_size") == size
        }  # fmt: skip
        equal = mine["equal"]
        lines += [
            [what if size is None else f"regions, `--min-size {size}`", kind, f"{row['regions']:.1f}",
             f"{row['rmse']:.4f}", f"{row['rmse_log']:.4f}", f"{row['abs_rel']:.4f}",
             *(f"{row[key] / equal[key]:.3f}" for key in ("rmse", "rmse_log")), f"{row['milliseconds']:.1f}"]
            for kind, row in mine.items()
        ]  # fmt: skip
    head = ["", "grouping", "number a frame", "RMSE (m)", "RMSE of ln depth", "AbsRel", "RMSE to equal's",
            "ln to equal's", "ms a frame"]  # fmt: skip
    return table(head, lines)


def planes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of planes over the number of regions, with constants before them."""
    constants = [
        row for row in rows
        if row["of"] == "regions" and row["min_size"] == 32 and row.get("grouping") != "log"
    ]  # fmt: skip
    mine = [row for row in rows if row["of"] == "planes"]
    lines = [
        [_named(row), f"{row['regions']:.1f}", *(f"{row[key]:.4f}" for key in ("rmse", "pooled")),
         f"{row['milliseconds']:.1f}", f"{row['milliseconds'] / constants[0]['milliseconds']:.1f}"]
        for row in (*constants, *sorted(mine, key=lambda row: (_stop(row), row["regions"])))
    ]  # fmt: skip
    return table(["", "regions", "mean (m)", "pooled (m)", "ms a frame", "of the default's time"], lines)


def _stop(row: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    return "across_labels" in row, "tolerance" in row, "asked" in row


def _named(row: Mapping[str, Any]) -> str:
    if row["of"] == "regions":
        return "constants" + (", natural breaks" if "grouping" in row else "")
    told = [
        f"`--{option} {row[name]:g}`"
        for name, option in (("asked", "regions"), ("tolerance", "plane-tolerance"))
        if name in row
    ]
    return ", ".join(["planes", *told, *(["`--across-labels`"] if "across_labels" in row else [])])


TABLES = {"min-sizes": min_sizes, "groupings": groupings, "planes": planes}


def write(results: Path, page: Path) -> None:
    """Put each table into a page between its two marks.

    Raises
    ------
    InputError
        Where the page lacks a mark.
    """
    record = json.loads((results / "variants.json").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    store, at = record["store"][:12], record["commit"][:10]
    each = f", one in {record['step']}" if record["step"] > 1 else ""
    for name, of in TABLES.items():
        begin, end = (f"<!-- {name}: {which} -->" for which in ("begin", "end"))
        if begin not in text or end not in text:
            raise InputError(f"{page}: expected the marks {begin} and {end} around a table")
        told = [f"{record['frames']} frames{each}, store {store}, commit {at}:\n", *of(record["rows"])]
        text = text.split(begin)[0] + "\n".join([begin, *told, end]) + text.split(end)[1]
    page.write_text(text, encoding="utf-8")


@click.command(cls=Script)
@click.option("--store", type=INPUT, help="Without it the tables are written anew from the record.")
@click.option("--out", type=INPUT, default=HERE, help="Where results go.  [default: pipelines]")
@click.option("--page", type=INPUT, default=PAGE, help="Page with the marks.")
@click.option("--step", type=click.IntRange(1), default=1, show_default=True, help="Every so-many-th frame.")
def run(store: Path | None, out: Path, page: Path, step: int) -> None:
    """Judge every setting of Algorithm 1, and write the tables of its page."""
    if store:
        make(store, out, step)
    write(out / "results" / "regions", page)


if __name__ == "__main__":
    run()
