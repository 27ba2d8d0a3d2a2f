"""``rsgt verify``, ``stats`` and ``compare``: a store judged."""

import sys
from pathlib import Path
from typing import Any

import click

import rsgt
from rsgt.cli.options import (
    COUNT,
    FRAMES,
    INPUT,
    OUTPUT,
    PICTURE,
    STORED,
    WORKERS,
    Whole,
    definitions,
    map_options,
)
from rsgt.cli.source_options import opened_source, source_options
from rsgt.cli.terminal import (
    Script,
    cell,
    print_json,
    print_maps,
    print_pairs,
    print_table,
    progress_bar,
)
from rsgt.files import write_csv
from rsgt.inputs import InputError
from rsgt.quality.measures import MEASURES
from rsgt.store.schema import ALL, SPLITS


@click.command(cls=Script)
@click.argument("path", type=STORED)
@click.option(
    "--source", "source_path", type=INPUT, help="Also compare frames with this source, value by value."
)
@click.option("--sample", type=COUNT, default=16, show_default=True, help="Frames to compare with --source.")
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, and no progress.")
@source_options
def verify(
    path: Path, source_path: Path | None, sample: int, workers: int | None, as_json: bool,
    format_name: str | None, **said: Any,
) -> None:  # fmt: skip
    """Re-read a store: checksums, schema, invariants, Algorithm 1 again. Exit code 1 if something is off.

    What is implausible about frames that are as they were built is named, too. A source takes the options
    that it was built with.
    """
    source = None if source_path is None else opened_source(source_path, format_name, said)
    with progress_bar("shards", quiet=as_json) as progress:
        found = rsgt.verify(path, source=source, sample=sample, workers=workers, progress=progress)
    if as_json:
        print_json({
            "frames": found.frames, "shards": found.shards, "regions": found.regions,
            "compared_with_source": found.compared_with_source,
            "problems": [{"frame": p.frame, "message": p.message} for p in found.problems],
            "findings": [str(finding) for finding in found.findings],
        })  # fmt: skip
    else:
        for problem in (*found.problems, *found.findings):
            click.echo(f"{path}: {problem}")
        if not found.problems:
            compared = f", {found.compared_with_source} compared with the source" if source_path else ""
            click.echo(f"{path}: sound: {found.frames} frames, {found.regions} regions{compared}")
    if found.problems:
        sys.exit(1)


_MEASURED = (
    *("rmse", "abs_rel", "sq_rel", "delta1", "delta2", "delta3", "region_rmse", "region_variance"),
    *("instability", "coverage", "plane_rmse", "normal_spread"),
)
_STATS = f"""Measure how well the regions, or predicted maps, stand for the depth.

{definitions(_MEASURED)}

p is the region's support, or the prediction, and q the depth. All but coverage are means over frames, the
number of regions a median; the last two come with --planes.
"""


@click.command(cls=Script, help=_STATS)
@click.argument("path", type=STORED)
@click.option(
    "--split", type=click.Choice([*SPLITS, ALL]), default=ALL, show_default=True, help="Only these frames."
)
@click.option("--by", type=click.Choice(["frame", "category"]), help="Give a row to each, too.")
@click.option(
    "--prediction",
    type=INPUT,
    help="Also judge these maps: .npy (frame, y, x), .npz, a .zarr that rsn wrote, or a folder of maps.",
)
@map_options
@click.option("--planes", is_flag=True, help="Also fit planes to the regions; takes several times as long.")
@click.option("--csv", "csv_path", type=OUTPUT, help="Write rows to this file, by frame or as --by says.")
@click.option("--plot", "plot_path", type=PICTURE, help="Draw the distributions: PNG, PDF or SVG.")
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def stats(
    path: Path, split: str, by: str | None, prediction: Path | None, scale: float | None,
    match: str | None, planes: bool, csv_path: Path | None, plot_path: Path | None, workers: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure, write, print."""
    found = rsgt.statistics(path, split, workers, prediction, scale=scale, match=match, planes=planes)
    rows = found.categories() if by == "category" else found.frames()
    if csv_path:
        write_csv(csv_path, rows)
    if plot_path:
        found.plot(plot_path)
    document = found.document()
    if as_json:
        print_json({**document, "rows": rows} if by else document)
    else:
        _show_statistics(document, rows if by else [])
    _end_with(found.skipped)


def _show_statistics(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    distributions, judged = document.pop("distributions"), document.pop("prediction", {})
    maps = document.pop("maps", None)
    _figures({name: value for name, value in document.items() if name != "skipped"})
    for name, errors in judged.items():
        click.echo(f"\nprediction {name.replace('_', ' ')}\n")
        _figures(errors)
    if maps:
        click.echo()
        print_maps(maps)
    click.echo()
    print_table([{"": name.replace("_", " "), **values} for name, values in distributions.items()])
    if rows:
        click.echo()
        print_table(rows)


def _end_with(skipped: list[str]) -> None:
    """Name what could not be judged, and end with 1 where there is any."""
    for reason in skipped:
        click.echo(f"skipped: {reason}", err=True)
    if skipped:
        click.echo(f"{len(skipped)} skipped", err=True)
        sys.exit(1)


def _figures(values: dict[str, Any]) -> None:
    units = {name: f" {measure.unit}".rstrip() for name, measure in MEASURES.items()}
    told = {"regions_per_frame": "regions per frame (median)"}
    print_pairs([
        (
            told.get(name, name.replace("_", " ")),
            f"{value:g}" if name in told else cell(value) + units.get(name, ""),
        )
        for name, value in values.items()
    ])  # fmt: skip


@click.command(cls=Script)
@click.argument("path", type=STORED)
@click.option("--sample", type=COUNT, help="How many frames to draw.  [default: 100]")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of the draw.")
@click.option("--frames", type=FRAMES, help="These frames instead: numbers from 1, such as 1-48,60.")
@click.option(
    "--prediction",
    type=INPUT,
    help="Also compare these regions: .npy (frame, y, x), .npz, a .zarr that rsn wrote, or a folder of maps.",
)
@click.option("--only", multiple=True, metavar="NAME", help="This family alone, such as SLIC; repeatable.")
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
@click.option("--csv", "csv_path", type=OUTPUT, help="Also write the rows to this CSV file.")
@click.option("--plot", "plot_path", type=PICTURE, help="Also draw the curves: PNG, PDF or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, and no progress.")
def compare(
    path: Path, sample: int | None, seed: int, frames: list[int] | None, prediction: Path | None,
    only: tuple[str, ...], workers: int | None, csv_path: Path | None, plot_path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare region support with labels, superpixels and a grid: how well means or planes explain depth."""
    if frames is not None and sample is not None:
        raise InputError("--frames and --sample exclude each other; omit one")
    drawn = {} if sample is None else {"sample": sample}
    with progress_bar("frames", quiet=as_json) as progress:
        found = rsgt.compare(
            path, frames=frames, seed=seed, prediction=prediction, only=only, workers=workers,
            progress=progress, **drawn,
        )  # fmt: skip
    if csv_path:
        write_csv(csv_path, found.rows())
    if plot_path:
        found.plot(plot_path)
    document = found.document()
    if as_json:
        print_json(document)
    else:
        click.echo(f"{document['frames']} frames; errors and spreads in metres\n")
        print_table(document["rows"])
        for equal in document["equal_counts"]:
            click.echo(f"\nat equal counts: {equal['regions']:.1f} regions a frame, read off the curves\n")
            print_table(equal["rows"])
    _end_with(found.skipped)
