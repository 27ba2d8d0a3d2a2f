"""Records and ``paper.toml`` -> the tables of ``README.md``; a record that is missing is an error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import table1
import table2
from regions import PEERS, ROWS
from rows import HERE, PUBLISHED, Row, frame_errors

from rsgt import InputError
from rsgt.cli.terminal import INPUT, Script
from rsgt.quality.evaluation.record import read_record
from rsgt.quality.metrics import bootstrap_interval
from rsn.config import flat, from_plain
from rsn.models.catalogue import make_model

ENCODERS = {
    "resnet34": "ResNet-34",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite2": "EfficientNet-Lite2",
}
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
TABLES = {"table1": table1.ROWS, "table2": table2.ROWS}
PAIRS = {
    "table1": (
        ("depth-log", "depth-l2-log", "rmse_log"),
        ("depth-log", "depth-l2-log", "rmse"),
        ("depth-log", "depth-l2-log", "region_rmse"),
        ("depth-log", "depth-linear", "rmse_log"),
        ("depth-linear-then-log", "depth-log", "rmse_log"),
        ("depth-linear-then-log", "depth-log", "region_rmse"),
        ("depth-linear-then-log", "depth-linear", "rmse_log"),
        ("depth-linear-then-log", "depth-linear", "region_rmse"),
        ("refinement-iterative", "refinement-once", "rmse"),
        ("refinement-iterative", "refinement-last", "rmse"),
    ),
    "table2": (
        ("refinement-ground-truth", "refinement-semantic", "rmse"),
        ("refinement-semantic", "refinement-none", "rmse"),
        ("refinement-superpixel", "refinement-none", "rmse"),
        ("refinement-ground-truth-published", "refinement-semantic", "rmse"),
        ("refinement-ground-truth-planes", "refinement-ground-truth", "rmse"),
        ("rsn", "generation-support", "rmse"),
        ("rsn", "generation-depth", "rmse"),
        ("rsn", "generation-depth", "normal_mean"),
        ("clustering", "generation-depth", "rmse"),
    ),
}
"""What the paper says is better, what it is better than, and the error that tells."""
ERRORS = {
    "rmse": ("RMSE", " m"),
    "rmse_log": ("ln RMSE", ""),
    "region_rmse": ("RMSE per region", " m"),
    "normal_mean": ("mean angle of normals", "°"),
}
"""Of each frame: what to call it, and its unit."""
TITLES = {
    "table1": "Table 1, ablation",
    "table2": "Table 2, guidance and the whole network",
    "regions": "Regions by network",
}
BEGUN = {"rooms-lite2": "ImageNet and rendered rooms"}
"""Weights of the package that a network may start from, and what they have seen."""
HEAD = (
    "row", "encoder", "published RMSE / ln / δ1", "RMSE (m), 95 % or seeds", "ln RMSE", "AbsRel", "δ1",
    "RMSE per region", "RMSE, nyu-eigen+flip", "δ1, nyu-eigen+flip", "minutes", "seeds",
)  # fmt: skip
SCALE_HEAD = ("published by others, unguided", "learnt from", "RMSE (m)", "AbsRel", "δ1")
SAME_HEAD = (
    "learnt from the same 795 frames, judged by nyud-mt", "encoder", "begun from", "parameters (M)",
    "RMSE (m), pixels pooled",
)  # fmt: skip
REGION_HEAD = (
    "row", "encoder", "regions a frame", "RMSE of region means (m)", "SLIC at as many", "grid at as many",
    "SLIC minus row, 95 %", "adjusted Rand", "V-measure", "covering",
)  # fmt: skip


def records(results: Path, table: str, row: str) -> list[dict[str, Any]]:
    """Read the records of a row, one a seed.

    Raises
    ------
    InputError
        Where there is none, or one of another form.
    """
    found = sorted((results / table).glob(f"{row}-[0-9]*.json"))
    if not found:
        raise InputError(
            f"{results / table}: no record of {row}; run `python pipelines/{table}.py --rows {row}`"
        )
    return [read_record(path) for path in found]


def line(row: Row, table: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """Write one row, means over the seeds; with several, the interval is their range."""
    published = PUBLISHED[table].get(row.name, {})
    told = [f"{published[key]:.4g}" if key in published else "–" for key in ("rmse", "rmse_log", "delta1")]

    def values(protocol: str, key: str) -> list[float]:
        return [record["metrics"][protocol]["image_mean"][key] for record in found]

    def mean(protocol: str, key: str) -> str:
        return f"{np.mean(values(protocol, key)):.3f}"

    rmse = values("paper", "rmse")
    low, high = found[0]["intervals"]["paper"]["rmse"] if len(found) == 1 else (min(rmse), max(rmse))
    return [
        f"`{row.name}`", encoder(found[0]), " / ".join(told),
        f"{np.mean(rmse):.3f} ({low:.3f} to {high:.3f})",
        *(mean("paper", key) for key in ("rmse_log", "abs_rel", "delta1")),
        f"{np.mean([record['regions']['prediction']['depth']['rmse'] for record in found]):.3f}",
        *(mean("nyu-eigen+flip", key) for key in ("rmse", "delta1")),
        f"{np.mean([record['minutes'] for record in found]):.0f}", str(len(found)),
    ]  # fmt: skip


def encoder(found: dict[str, Any]) -> str:
    """Say which encoder a row's network has, and where its weights are from."""
    network = found["config"]["network"]
    if network["model"] == "refinement":
        return "none"
    name = ENCODERS[network["encoder"]]
    begun = "ImageNet" if network["imagenet"] else "random"
    return f"{name}, {BEGUN.get(network['generation'], begun)}"


def regional(found: dict[str, Any]) -> str:
    """Say a row's statistics per region as the paper does, where it predicts a support."""
    alone = found["model"] == "generation" and found["config"]["loss"]["target"] == "support"
    told = found["regions"].get("prediction" if alone else "support", {})
    parts = [
        f"{truth} {errors['rmse']:.4f} / {errors['variance']:.4f}, instability {errors['instability']:.0%}"
        for truth, errors in told.items()
    ]
    return f"- `{found['row']}`: RMSE / variance per region against " + "; ".join(parts) if parts else ""


def experiments(results: Path, table: str) -> str:
    """Write Table 1 or 2 as Markdown."""
    rows = TABLES[table]
    every = {row.name: records(results, table, row.name) for row in rows}
    lines = [line(row, table, every[row.name]) for row in rows]
    claims = [claim(results, table, *pair, every) for pair in PAIRS[table]]
    section = _section(table, HEAD, lines, every, "test frames", claims)
    if table != "table2":
        return section
    others = [
        [each["name"], each["trained_on"], *(f"{each[key]:.3f}" for key in ("rmse", "abs_rel", "delta1"))]
        for each in PUBLISHED["scale"]
    ]
    same = same_frames(every["generation-depth"])
    return "\n".join((section, *_table(SCALE_HEAD, others), "", *_table(SAME_HEAD, same), ""))


def same_frames(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """List others that learnt from the same frames, and ours by the same protocol, from worst to best."""
    told = ("name", "encoder", "pretraining", "parameters")
    rows = [(each["rmse"], *(each.get(key, "") for key in told)) for each in PUBLISHED["same_frames"]]
    ours = np.mean([record["metrics"]["nyud-mt"]["pixel_pool"]["rmse"] for record in found])
    by, begun = encoder(found[0]).split(", ")
    rows.append((float(ours), f"`{found[0]['row']}` (ours)", by, begun, f"{parameters(found[0]) / 1e6:.1f}"))
    return [[*words, f"{rmse:.3f}"] for rmse, *words in sorted(rows, reverse=True)]


def parameters(found: dict[str, Any]) -> int:
    """Count the parameters of a row's network."""
    model = make_model(flat(from_plain(found["config"])), classes=0)
    return sum(weight.numel() for weight in model.build().parameters())


def claim(
    results: Path, table: str, better: str, worse: str, error: str, every: Mapping[str, Sequence[Any]]
) -> str:
    """Say by how much a row's error is below another's: paired by frame, the mean over the seeds of both.

    Raises
    ------
    InputError
        Where the two were not judged on the same frames.
    """
    seeds = sorted({record["seed"] for record in every[better]} & {record["seed"] for record in every[worse]})
    gains = []
    for seed in seeds:
        rows, others = (frame_errors(results / table / f"{name}-{seed}.json") for name in (better, worse))
        if [row["frame_id"] for row in rows] != [row["frame_id"] for row in others]:
            raise InputError(f"{table}, seed {seed}: {better} and {worse} were judged on different frames")
        gains.append([other[error] - row[error] for row, other in zip(rows, others, strict=True)])
    if not gains:
        raise InputError(f"{table}: {better} and {worse} have no seed in common; run one that they lack")
    both = np.array(gains)[:, np.isfinite(gains).all(axis=0)]
    low, high = bootstrap_interval(both.mean(axis=0), seed=0)
    of_each = f"; of each seed {', '.join(f'{gain.mean():.4f}' for gain in both)}" if len(both) > 1 else ""
    name, unit = ERRORS[error]
    return (
        f"- {name} of `{worse}` minus `{better}`: {both.mean():.4f}{unit} ({low:.4f} to {high:.4f}{of_each})"
    )


def regions(results: Path, table: str) -> str:
    """Write what the networks' regions are worth as Markdown."""
    every = {name: records(results, table, name) for name in ROWS}
    lines = [region_line(found[0]) for found in every.values()]
    return _section(table, REGION_HEAD, lines, every, "held-out frames of the training scenes")


def region_line(found: dict[str, Any]) -> list[str]:
    """Write one row of the table of regions."""
    rows = {row["name"]: row for row in found["comparison"]["rows"]}
    own = rows["prediction"]
    equal = next(at["rows"] for at in found["comparison"]["equal_counts"] if at["regions"] == own["regions"])
    peers = {row["name"]: f"{row['rmse']:.3f}" for row in equal}
    below = found["rmse_below"]["SLIC"]
    return [
        f"`{found['row']}`", encoder(found), f"{own['regions']:.1f}", f"{own['rmse']:.3f}",
        *(peers.get(peer, "–") for peer in PEERS),
        "{:.3f} ({:.3f} to {:.3f})".format(below["mean"], *below["interval"]) if below else "–",
        *(f"{found['partition'][key]:.3f}" for key in ("adjusted_rand", "v_measure", "covering")),
    ]  # fmt: skip


def gain(found: dict[str, Any]) -> str:
    """Say what the second stage of a network gains, where it has two."""
    if "initial" not in found:
        return ""
    before, after = (part["metrics"]["paper"]["image_mean"]["rmse"] for part in (found["initial"], found))
    low, high = found["initial"]["gain_intervals"]["paper"]["rmse"]
    return (
        f"- `{found['row']}`: RMSE of the initial depth {before:.3f} m, of the refined {after:.3f} m: "
        f"a gain of {low:.4f} to {high:.4f} m (95 %)"
    )


def _section(
    table: str,
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    every: Mapping[str, Sequence[dict[str, Any]]],
    frames: str,
    claims: Sequence[str] = (),
) -> str:
    first = next(iter(every.values()))[0]
    commits = sorted({record["commit"][:10] for found in every.values() for record in found})
    notes = [f"- `{n}`: {p['note']} (published)" for n, p in PUBLISHED[table].items() if "note" in p]
    notes += [text for found in every.values() for tell in (regional, gain) if (text := tell(found[0]))]
    return "\n".join(
        (
            f"### {TITLES[table]}\n",
            *_table(head, lines),
            "",
            *notes,
            *claims,
            f"- published values: the paper and its authors' code, learnt from {PUBLISHED['trained_on']}",
            f"- {first['frames']} {frames}; store {first['store'][:12]}; commit {', '.join(commits)}\n",
        )
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


WRITERS = {"table1": experiments, "table2": experiments, "regions": regions}


@click.command(cls=Script)
@click.option("--out", type=INPUT, default=HERE, help="Where results are.  [default: pipelines]")
@click.option("--readme", type=INPUT, default=HERE / "README.md", help="Page to put the tables into.")
@click.option("--tables", default=",".join(WRITERS), show_default=True, help="Which; the page has no others.")
def run(out: Path, readme: Path, tables: str) -> None:
    """Put tables, made from the records, into the page between its two marks."""
    write(out, readme, tables.split(","))


def write(out: Path, readme: Path, tables: Sequence[str] = tuple(WRITERS)) -> None:
    """Write tables of ``out/results`` into a page, between its two marks."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme}: expected the marks {BEGIN} and {END} around the tables")
    for table in tables:
        if table not in WRITERS:
            raise InputError(f"tables: got {table!r}, expected some of {', '.join(WRITERS)}")
    made = "\n".join(WRITERS[table](out / "results", table) for table in tables)
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    run()
