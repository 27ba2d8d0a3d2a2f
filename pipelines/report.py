"""Records and ``paper.toml`` -> the tables of ``README.md``; a record that is missing is an error."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import table1
import table2
from rows import HERE, PUBLISHED, Row

from rsgt.schema import InputError
from rsgt.terminal import INPUT, Script

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
TABLES = {"table1": table1.ROWS, "table2": table2.ROWS}
TITLES = {"table1": "Table 1, ablation", "table2": "Table 2, guidance and the whole network"}
HEAD = (
    "row", "published RMSE / ln / δ1", "RMSE (m), 95 %", "ln RMSE", "AbsRel", "δ1",
    "RMSE, nyu-eigen+flip", "δ1, nyu-eigen+flip", "minutes", "seeds",
)  # fmt: skip


def records(results: Path, table: str, row: Row) -> list[dict[str, Any]]:
    """Read the records of a row, one a seed.

    Raises
    ------
    InputError
        Where there is none.
    """
    found = sorted((results / table).glob(f"{row.name}-[0-9]*.json"))
    if not found:
        raise InputError(
            f"{results / table}: no record of {row.name}; run `python pipelines/{table}.py --rows {row.name}`"
        )
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def line(row: Row, table: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """Write one row, means over the seeds; with several, the interval is their range."""
    published = PUBLISHED[table].get(row.name, {})
    told = [f"{published[key]:.4g}" if key in published else "–" for key in ("rmse", "rmse_log", "delta1")]

    def values(protocol: str, key: str) -> list[float]:
        return [record["metrics"][protocol][key] for record in found]

    def mean(protocol: str, key: str) -> str:
        return f"{np.mean(values(protocol, key)):.3f}"

    rmse = values("paper", "rmse")
    low, high = found[0]["intervals"]["paper"]["rmse"] if len(found) == 1 else (min(rmse), max(rmse))
    return [
        f"`{row.name}`", " / ".join(told), f"{np.mean(rmse):.3f} ({low:.3f} to {high:.3f})",
        *(mean("paper", key) for key in ("rmse_log", "abs_rel", "delta1")),
        *(mean("nyu-eigen+flip", key) for key in ("rmse", "delta1")),
        f"{np.mean([record['minutes'] for record in found]):.0f}", str(len(found)),
    ]  # fmt: skip


def regional(found: dict[str, Any]) -> str:
    """Say a row's statistics per region as the paper does, where it predicts a support."""
    alone = found["model"] == "generation" and found["config"]["loss"]["target"] == "support"
    told = found["regions"].get("prediction" if alone else "support", {})
    parts = [
        f"{truth} {errors['rmse']:.4f} / {errors['variance']:.4f}, instability {errors['instability']:.0%}"
        for truth, errors in told.items()
    ]
    return f"- `{found['row']}`: RMSE / variance per region against " + "; ".join(parts) if parts else ""


def tables(results: Path) -> str:
    """Write all tables as Markdown."""
    parts = []
    for table, rows in TABLES.items():
        every = {row.name: records(results, table, row) for row in rows}
        head = [HEAD, ["---"] * len(HEAD), *(line(row, table, every[row.name]) for row in rows)]
        first = next(iter(every.values()))[0]
        notes = [f"- `{n}`: {p['note']} (published)" for n, p in PUBLISHED[table].items() if "note" in p]
        notes += [text for found in every.values() if (text := regional(found[0]))]
        commits = sorted({record["commit"][:10] for found in every.values() for record in found})
        parts += [
            f"### {TITLES[table]}\n",
            *(f"| {' | '.join(cells)} |" for cells in head),
            "",
            *notes,
            f"- {first['frames']} test frames; store {first['store'][:12]}; commit {', '.join(commits)}\n",
        ]
    return "\n".join(parts)


@click.command(cls=Script)
@click.option("--out", type=INPUT, default=HERE, help="Where results are.  [default: pipelines]")
@click.option("--readme", type=INPUT, default=HERE / "README.md", help="Page to put the tables into.")
def run(out: Path, readme: Path) -> None:
    """Put the tables, made from the records, into the page between its two marks."""
    write(out, readme)


def write(out: Path, readme: Path) -> None:
    """Write the tables of ``out/results`` into a page, between its two marks."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme}: expected the marks {BEGIN} and {END} around the tables")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{tables(out / 'results')}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    run()
