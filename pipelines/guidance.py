"""Records of the comparison and of planes' peers -> tables and picture in docs/explanation/guidance.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rows import HERE

from rsgt import InputError
from rsgt.cli.terminal import INPUT, Script
from rsgt.page.comparison_file import read_comparison
from rsgt.quality import curves
from rsgt.quality.families import EACH

BEGIN, END = "<!-- planes: begin -->", "<!-- planes: end -->"
COUNTS = (50, 100, 400)
OURS = ("region support, planes", "region support, planes across labels")
PEER_HEAD = (
    "planes of", "planes", "on a plane", "RMSE there (m)", "RMSE, all (m)", "within 1 cm", "2 cm", "5 cm",
    "across edges", "CPU s a frame",
)  # fmt: skip
PEER_KEYS = {
    "planes": ".0f", "covered": ".3f", "rmse": ".3f", "rmse_all": ".3f", "within_1cm": ".3f",
    "within_2cm": ".3f", "within_5cm": ".3f", "across_edges": ".2f", "seconds": ".2f",
}  # fmt: skip


def at_counts(comparison: Mapping[str, Any]) -> list[str]:
    """Table of the families at equal numbers of regions, with their means and with a plane in each region."""
    found: dict[str, dict[tuple[float, bool], str]] = {}
    for at in comparison["equal_counts"]:
        for row in at["rows"]:
            plane = row["name"].endswith(EACH) or row["name"] in OURS
            cells = found.setdefault(row["name"].removesuffix(EACH), {})
            cells[at["regions"], plane] = f"{row['rmse']:.3f}"
    head = ["partition", *(f"{n}, {what}" for n in COUNTS for what in ("means", "planes"))]
    lines = [
        [name, *(cells.get((float(n), plane), "–") for n in COUNTS for plane in (False, True))]
        for name, cells in found.items()
    ]
    lines.sort(key=lambda line: line[4] if line[4] != "–" else "9")
    return table(head, lines)


def single(comparison: Mapping[str, Any]) -> list[str]:
    """Table of the families that have one setting."""
    rows = {row["name"]: row for row in comparison["rows"]}
    lines = [
        [name, f"{row['regions']:.0f}", f"{row['rmse']:.3f}", f"{rows[name + EACH]['rmse']:.3f}"]
        for name, row in rows.items()
        if not row["parameter"] and name + EACH in rows
    ]
    return table(["one setting", "regions", "means", "planes"], lines)


def ours(comparison: Mapping[str, Any]) -> list[str]:
    """Table of every setting of ours."""
    keys = ("rmse", "abs_rel", "spread_median", "spread_p95", "edge_recall", "cross_share")
    lines = [
        [row["name"], f"`{row['parameter']}`", f"{row['regions']:.0f}",
         *(f"{row[key]:.3f}" for key in keys)]
        for row in comparison["rows"] if row["name"] in OURS
    ]  # fmt: skip
    head = ["planes", "setting", "regions", "RMSE (m)", "AbsRel", "spread", "spread 95 %", "edges", "across"]
    return table(head, lines)


def peers(record: Mapping[str, Any]) -> list[str]:
    """Table of the peers, each with ours at as many planes below it."""
    lines = [
        [row["name"] if row["of"] == "peer" else "ours, as many",
         *(format(row[key], form) for key, form in PEER_KEYS.items())]
        for row in record["rows"]
    ]  # fmt: skip
    left = [
        f"\n{name}: left out, {package} was not installed." for name, package in record["left_out"].items()
    ]
    return [*table(PEER_HEAD, lines), *left]


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def _where(record: Mapping[str, Any]) -> str:
    return (
        f"{record['frames']} frames (one in {record['step']}), store {record['store'][:12]}, commit "
        f"{record['commit'][:10]}"
    )


def finest(results: Path) -> Path:
    """Find the record of the comparison of every so-many-th frame that has the most frames."""
    found = {int(path.stem.rpartition("-")[2]): path for path in results.glob("comparison-every-*.json")}
    if not found:
        raise InputError(f"{results}: no comparison of every so-many-th frame; run figure2.py --step 12")
    return found[min(found)]


def write(results: Path, page: Path) -> None:
    """Put the tables into a page between its two marks, and draw the curves beside it."""
    comparison = read_comparison(finest(results))
    record = json.loads((results / "plane-peers.json").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{page}: expected the marks {BEGIN} and {END} around the tables")
    told = [
        "![The same measures, with a plane in each region dashed](planes.png)\n",
        f"RMSE (m) at equal numbers of regions; {_where(comparison)}:\n", *at_counts(comparison), "",
        *single(comparison), "", *ours(comparison), "",
        f"Peers; {_where(record)}; {', '.join(map(' '.join, record['versions'].items()))}:\n", *peers(record),
    ]  # fmt: skip
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(before + BEGIN + "\n" + "\n".join(told) + "\n" + END + after, encoding="utf-8")
    families: dict[str, list[Any]] = {}
    for row in comparison["rows"]:
        families.setdefault(row["name"], []).append(row)
    ordered = {name: sorted(rows, key=lambda row: row["regions"]) for name, rows in families.items()}
    curves.plot(ordered, page.with_name("planes.png"))


@click.command(cls=Script)
@click.option("--out", type=INPUT, default=HERE, help="Where results are.  [default: pipelines]")
@click.option(
    "--page",
    type=INPUT,
    default=HERE.parent / "docs" / "explanation" / "guidance.md",
    help="Page with the marks.",
)
def run(out: Path, page: Path) -> None:
    """Write tables and picture about planes from the records."""
    write(out / "results" / "figure2", page)


if __name__ == "__main__":
    run()
