"""One row of a table: train it where it has no record yet, judge it, and write the record.

The scripts beside this file list the rows. A run that was stopped goes on where it was; a row whose record
is there is left alone, so that deleting one record and running the script again makes that one anew.
"""

import csv
import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click

import rsgt
import rsn
from rsgt import InputError
from rsgt.cli.terminal import INPUT, Script
from rsgt.files import write_csv
from rsgt.quality.evaluation.protocol import Protocol, protocol_named

HERE = Path(__file__).parent
FRAME_ERRORS = {
    "rmse": "paper.rmse",
    "rmse_log": "paper.rmse_log",
    "region_rmse": "prediction.depth.rmse",
    "normal_mean": "paper.normal_mean",
}
"""What lies beside a record for each frame, and where ``rsn.evaluate`` tables it."""

PUBLISHED = tomllib.loads((HERE / "paper.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One experiment of a table.

    Attributes
    ----------
    name
        Of its record, and of its entry in ``paper.toml``.
    recipe
        Name of the recipe in its set.
    changes
        What differs from the recipe: key to value.
    support
        Whose support it learns from: the default variant's, the published one's, or that of planes.
    same
        Table and row whose run this row is too: it is trained and judged there, once.
    """

    name: str
    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    support: Literal["default", "published", "plane"] = "default"
    same: "tuple[str, Row] | None" = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where rows come from and go to.

    ``out/runs/SET/TABLE/ROW-SEED`` are runs of ``rsn fit``, ``out/results/TABLE/ROW-SEED.json`` records.
    """

    store: Path
    recipe_set: str
    out: Path
    published_store: Path | None = None
    planar_store: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def record(self, table: str, name: str, seed: int) -> Path:
        """Path of a row's record."""
        return self.out / "results" / table / f"{name}-{seed}.json"

    def run(self, table: str, name: str, seed: int) -> Path:
        """Folder of a row's run."""
        return self.out / "runs" / self.recipe_set / table / f"{name}-{seed}"


def best(run: Path) -> Path:
    """Checkpoint of a finished run that counts: the best on held-out frames, or the last."""
    found = run / "best.ckpt"
    return found if found.exists() else run / "last.ckpt"


def trained(place: Place, name: str, seed: int) -> Path:
    """Checkpoint of a row of Table 2 that table2.py trained, for what is made from it.

    Raises
    ------
    InputError
        Where it is not there.
    """
    weights = best(place.run("table2", name, seed))
    if not weights.exists():
        raise InputError(f"{name}: no weights in {weights.parent}; run table2.py --rows {name} first")
    return weights


def protocols(flip: bool) -> list[Protocol]:
    """What every row is judged by; frames that are predicted with flip averaging are predicted apart."""
    return [protocol_named(name, flip=flip) for name in ("paper", "nyu-eigen", "nyud-mt")]


def make(place: Place, table: str, rows: Sequence[Row], names: Sequence[str], seeds: Sequence[int]) -> None:
    """Make the records of some rows of a table, and of what they start from."""
    by_name = {row.name: row for row in rows}
    for name in names:
        if name not in by_name:
            raise InputError(f"rows: got {name!r}, expected some of {', '.join(by_name)}")
    for seed in seeds:
        for name in names:
            _make(place, table, by_name, name, seed)


def _make(place: Place, table: str, rows: Mapping[str, Row], name: str, seed: int) -> None:
    row, path = rows[name], place.record(table, name, seed)
    if path.exists():
        return
    if row.same:
        other_table, other = row.same
        _make(place, other_table, {other.name: other}, other.name, seed)
        twin = place.record(other_table, other.name, seed)
        told = {"row": name, "published": PUBLISHED[table].get(name), "same": f"{other_table}/{other.name}"}
        write_record(path, json.loads(twin.read_text(encoding="utf-8")) | told, frame_errors(twin))
        return
    store, out = _store(place, row), place.run(table, name, seed)
    recipe = f"{place.recipe_set}/{row.recipe}"
    changes = {**row.changes, **place.overrides, "seed": seed}
    click.echo(f"{table} {name}, seed {seed}", err=True)
    if not rsn.fit(store, out, recipe=recipe, resume=True, **changes).complete:
        click.echo("stopped; run the same command to go on", err=True)
        sys.exit(130)
    record = _judged(out, store)
    with (out / "log.csv").open(encoding="utf-8") as log:
        minutes = sum(float(epoch["seconds"]) for epoch in csv.DictReader(log)) / 60
    whole = {
        "row": name,
        "published": PUBLISHED[table].get(name),
        "recipe": recipe,
        "changes": dict(row.changes) | dict(place.overrides),
        "seed": seed,
        "commit": record["commit"],
        "store": record["store"],
        "frames": record["frames"],
        "minutes": round(minutes, 2),
        "metrics": record["metrics"],
    }
    with (out / "frames.csv").open(encoding="utf-8") as errors:
        # A frame without a region has no error per region.
        by_frame = [
            {"frame_id": int(frame["frame_id"])}
            | {key: float(f"{float(frame[name] or math.nan):.6g}") for key, name in FRAME_ERRORS.items()}
            for frame in csv.DictReader(errors)
        ]
    write_record(path, whole | {key: value for key, value in record.items() if key not in whole}, by_frame)


def _store(place: Place, row: Row) -> Path:
    """Find the store that a row learns from."""
    if row.support == "default":
        return place.store
    path, option, built_by = {
        "published": (place.published_store, "--published-store", "--variant published"),
        "plane": (place.planar_store, "--planar-store", "--surface plane"),
    }[row.support]
    if path is None:
        raise InputError(f"{row.name}: needs a store of `rsgt build {built_by}`; build it, and give {option}")
    parameters = rsgt.open(path).attributes["parameters"]
    if row.support not in (parameters["variant"], parameters.get("surface")):
        raise InputError(f"{path}: got another store, expected one of `rsgt build {built_by}`")
    return path


def _judged(out: Path, store: Path) -> dict[str, Any]:
    """Judge a run by every protocol, without and with flip averaging; ``frames.csv`` has the former."""
    measures = ("depth", "normals")
    record = rsn.evaluate(
        best(out), store, protocols(flip=False), measures=measures, table=out / "frames.csv"
    )
    flipped = rsn.evaluate(best(out), store, protocols(flip=True), measures=measures)
    for key in ("protocols", "metrics", "intervals", "invalid_pixels", "by_frame"):
        record[key] |= flipped[key]
    for key in record.get("initial", {}):
        record["initial"][key] |= flipped["initial"][key]
    return record


def write_record(path: Path, record: Mapping[str, Any], by_frame: Sequence[dict[str, float]] = ()) -> None:
    """Write a record in one move, after the errors of its frames (``FRAME_ERRORS``) beside it (CSV)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if by_frame:
        write_csv(path.with_suffix(".csv"), by_frame)
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def frame_errors(record: Path) -> list[dict[str, float]]:
    """Read the errors of each frame, whole frames (protocol ``paper``) and per region, beside a record."""
    with record.with_suffix(".csv").open(encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def command(table: str, rows: Sequence[Row], text: str) -> click.Command:
    """Make the command of a table's script."""
    every = [row.name for row in rows]

    @click.command(cls=Script, help=text)
    @click.option("--store", type=INPUT, required=True, help="Store of the default variant.")
    @click.option("--published-store", type=INPUT, help="Store of the published variant, for its row.")
    @click.option("--planar-store", type=INPUT, help="Store of planes (--surface plane), for its row.")
    @click.option("--recipe-set", type=click.Choice(["cpu", "paper"]), default="cpu", show_default=True)
    @click.option("--out", type=INPUT, default=HERE, help="Where runs and results go.  [default: pipelines]")
    @click.option("--rows", "names", help=f"Some of {', '.join(every)}.  [default: all]")
    @click.option("--seeds", default="0", show_default=True, help="One record each, such as 0,1,2.")
    def run(
        store: Path, published_store: Path | None, planar_store: Path | None, recipe_set: str, out: Path,
        names: str | None, seeds: str,
    ) -> None:  # fmt: skip
        place = Place(
            store=store, published_store=published_store, planar_store=planar_store, recipe_set=recipe_set,
            out=out,
        )  # fmt: skip
        chosen = names.split(",") if names else every
        if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", seeds):
            raise InputError(f"--seeds: got {seeds!r}, expected whole numbers such as 0,1,2")
        make(place, table, rows, chosen, [int(seed) for seed in seeds.split(",")])

    return run
