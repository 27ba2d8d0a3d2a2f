"""``rsgt``: parse, make one library call, print.

Heavy modules are imported inside the commands, so that ``rsgt --help`` answers at once.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

import rsgt
from rsgt.cli.options import (
    COUNT,
    FRAMES,
    INPUT,
    NUMBER,
    OR_NONE,
    OUTPUT,
    PICTURE,
    STORE,
    STORED,
    WORKERS,
    Real,
    Whole,
    definitions,
    map_options,
)
from rsgt.cli.source_options import opened_source, source_options
from rsgt.cli.terminal import (
    Program,
    Progress,
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
from rsgt.sources import FORMATS
from rsgt.sources.source import Source


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(rsgt.__version__, prog_name="rsgt")
def main() -> None:
    """Region-support ground truth: from RGB-D frames to a verified, sharded Zarr store."""


@main.command()
@click.option("--nyu", type=INPUT, help="nyu_depth_v2_labeled.mat, or its like.")
@click.option("--source", "source_path", type=INPUT, help="Frames of any known format: a file or a folder.")
@click.option("--out", type=STORE, required=True, help="Folder or URL of the store, by custom *.zarr.")
@click.option(
    "--variant",
    type=click.Choice(["default", "published"]),
    default="default",
    show_default=True,
    help="Every valid pixel in a region, or the paper's code to the pixel.",
)
@click.option("--bins", type=NUMBER, default=10, show_default=True, help="Depth steps over a frame's range.")
@click.option(
    "--grouping",
    type=click.Choice(["equal", "log", "natural"]),
    default="equal",
    show_default=True,
    help="Depth steps of equal width, of equal ratio, or natural breaks.",
)
@click.option("--groups", type=NUMBER, help="Natural breaks a frame.  [default: as many as equal steps make]")
@click.option(
    "--surface",
    type=click.Choice(["constant", "plane"]),
    default="constant",
    show_default=True,
    help="A region's support: its mean depth, or the depth of its plane.",
)
@click.option("--regions", type=COUNT, help="Planes a frame.  [default: as many regions as equal steps make]")
@click.option(
    "--plane-tolerance",
    "plane_tolerance",
    type=Real(positive=True),
    help="Instead of a number: merge while it costs no more than so many metres on 1 % of the pixels.",
)
@click.option("--across-labels", is_flag=True, help="Merge planes of different segments, too.")
@click.option("--min-size", type=NUMBER, help="Smaller regions join a neighbour, pixels.  [default: 32]")
@click.option(
    "--unlabelled",
    type=click.Choice(["cluster", "ignore"]),
    help="Unlabelled pixels: a category of their own, or no region.  [default: cluster]",
)
@click.option("--labels", metavar="SET", help="Class list of the categories: for NYU 894, 40 or 13.")
@click.option("--depth", metavar="KIND", help="For NYU and SUN RGB-D: filled, or raw with holes.")
@click.option(
    "--instances/--no-instances",
    default=None,
    help="Split between objects of one category, too.  [default: where there are objects and no labels]",
)
@click.option("--frames", type=FRAMES, help="Numbers from 1, such as 1-48,60.  [default: all]")
@click.option("--split-file", type=INPUT, help="splits.mat, or JSON {train: [...], test: [...]}.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="A frame that cannot be read, or lacks a file: stop, or leave it out and name it.",
)
@click.option("--shard-frames", type=COUNT, default=32, show_default=True, help="Frames in one shard file.")
@click.option("--workers", type=OR_NONE, help="Threads; 0 = in this one.  [default: one per core]")
@click.option("--scheduler", metavar="ADDRESS", help="A dask.distributed scheduler instead of threads.")
@click.option("--overwrite", is_flag=True, help="Replace a store that stands at --out.")
@click.option("--dry-run", is_flag=True, help="Say what would be built, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and no progress.")
@source_options
def build(
    nyu: Path | None, source_path: Path | None, format_name: str | None, out: Path, variant: Any, bins: int,
    grouping: Any, groups: int | None, surface: Any, regions: int | None, plane_tolerance: float | None,
    across_labels: bool, min_size: int | None, unlabelled: Any, labels: str | None,
    depth: str | None, instances: bool | None, frames: list[int] | None, split_file: Path | None,
    on_error: Any, shard_frames: int, workers: int | None, scheduler: str | None, overwrite: bool,
    dry_run: bool, as_json: bool, **said: Any,
) -> None:  # fmt: skip
    """Cluster frames into region support and write the store.

    Run again after an interruption, the same command builds what is missing.
    """
    from rsgt.builder import summary

    if scheduler is not None and not scheduler.strip():
        raise InputError("--scheduler: got an empty one, expected an address such as tcp://host:8786")
    if variant == "published" and (min_size is not None or unlabelled is not None):
        raise InputError("--min-size and --unlabelled belong to the default variant; omit them")
    given = {
        "variant": variant, "bins": bins, "grouping": grouping, "groups": groups, "min_size": min_size,
        "unlabelled": unlabelled, "labels": labels, "depth": depth, "instances": instances,
        "surface": surface, "regions": regions, "tolerance": plane_tolerance, "across_labels": across_labels,
    }  # fmt: skip
    options = {
        "frames": frames, "shard_frames": shard_frames, "split_file": split_file, "on_error": on_error,
        **{name: value for name, value in given.items() if value is not None},
    }  # fmt: skip
    source = _source_of(nyu, source_path, format_name, said)
    if dry_run:
        planned = rsgt.plan(source, **options)
        print_json(planned) if as_json else print_pairs([(name, str(v)) for name, v in planned.items()])
        return
    started = time.monotonic()
    with progress_bar("shards", quiet=as_json) as progress:
        built = _Built(progress)
        try:
            store = rsgt.build(
                source, out, workers=workers, scheduler=scheduler, overwrite=overwrite, progress=built,
                **options,
            )  # fmt: skip
        except KeyboardInterrupt as stop:
            raise type(stop)(f"run the same command to finish {out}") from None
    seconds = time.monotonic() - started
    held = summary(store)
    for reason in held.get("skipped", ()):
        click.echo(f"skipped: {reason}", err=True)
    if as_json:
        print_json({**held, "built_shards": built.made, "identity": store.identity,
                  "seconds": round(seconds, 2)})  # fmt: skip
    elif built.made:
        shards = held["shards"]
        click.echo(f"{out}: {len(store)} frames in {seconds:.1f} s ({built.made} of {shards} shards)")
    else:
        click.echo(f"{out}: {len(store)} frames, finished before; nothing to do")


def _source_of(nyu: Path | None, path: Path | None, format_name: str | None, said: dict[str, Any]) -> Source:
    """Open what --nyu or --source names; say of which format it was taken for."""
    if nyu is not None and path is None:
        if format_name not in (None, "nyu"):
            raise InputError(f"--format {format_name}: --nyu says what lies there; use --source")
        return opened_source(nyu, "nyu", said)
    if path is None or nyu is not None:
        raise click.UsageError("give --nyu FILE, or --source PATH of any known format")
    source = opened_source(path, format_name, said)
    if format_name is None:
        click.echo(f"{path}: format {source.identity()['kind']}", err=True)
    return source


class _Built:
    """Count the shards that a build had to make, and pass on how far it is."""

    def __init__(self, shown: Progress | None) -> None:
        self.shown, self.made = shown, 0
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        self.first = done if self.first is None else self.first
        self.made = done - self.first
        if self.shown:
            self.shown(done, total)


@main.command()
@click.argument("path", type=STORED)
@click.option("--sample", type=COUNT, default=16, show_default=True, help="Frames of a source to look into.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@source_options
def info(path: Path, sample: int, as_json: bool, format_name: str | None, **said: Any) -> None:
    """Show what a store holds, or what frames of any known format are: sizes, units, labels, camera.

    It opens what `build --source` would, and says what is missing or cannot be right.
    """
    from rsgt.store.staging import is_ours

    if not isinstance(path, Path) or (path.is_dir() and is_ours(path)):
        found = rsgt.open(path).describe()
    else:
        found = rsgt.diagnose(opened_source(path, format_name, said), sample=sample)
    if as_json:
        print_json(found)
        return
    arrays, findings = found.pop("arrays", {}), found.pop("findings", [])
    if not found.get("intrinsics", True):
        found["intrinsics"] = "camera unknown"
    print_pairs(
        [
            (name, json.dumps(value) if value and isinstance(value, dict) else str(value))
            for name, value in found.items()
        ]
    )
    if arrays:
        click.echo()
    for name, array in arrays.items():
        shape = "x".join(map(str, array["shape"]))
        chunks = "x".join(map(str, array["chunks"])) if array["chunks"] else "contiguous"
        click.echo(
            f"{name:<22} {array['dtype']:<8} {shape:<18} chunks {chunks:<16} {array['bytes'] / 1e6:9.2f} MB"
        )
    for finding in findings:
        click.echo(f"look at: {finding}")


@main.command()
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

p is the region's support, or the prediction, and q the depth. All but coverage are means over frames;
the last two come with --planes.
"""


@main.command(help=_STATS)
@click.argument("path", type=STORED)
@click.option("--split", type=click.Choice(["train", "test"]), help="Only these frames.")
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
    path: Path, split: str | None, by: str | None, prediction: Path | None, scale: float | None,
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
    print_pairs(
        [(name.replace("_", " "), cell(value) + units.get(name, "")) for name, value in values.items()]
    )


@main.command()
@click.argument("out", type=OUTPUT)
@click.option("--frames", type=Whole(1, 1_000_000), default=64, show_default=True, help="How many.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(["frame", "block", "contiguous", *FORMATS[1:]]),
    default="frame",
    show_default=True,
    help="A .mat with chunks of one frame, across frames or none; or another data set's folder.",
)
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
def synth(out: Path, frames: int, seed: int, layout: Any, workers: int | None) -> None:
    """Render rooms into a .mat of NYU's layout or another data set's folder, to try things without one."""
    with progress_bar("frames", quiet=False) as progress:
        rsgt.write_rooms(out, frames=frames, seed=seed, layout=layout, workers=workers, progress=progress)
    files = [out] if out.is_file() else [file for file in out.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    click.echo(f"{out}: {frames} frames, seed {seed}, {size / 1e6:.1f} MB")


@main.command()
@click.argument("path", metavar="STORE", type=STORED)
@click.argument("frames", metavar="FRAME...", nargs=-1, required=True, type=COUNT)
@click.option("--out", type=PICTURE, help="PNG, PDF or SVG.  [default: STORE's name-frames.png, here]")
def show(path: Path, frames: tuple[int, ...], out: Path | None) -> None:
    """Draw frames, by their numbers in the source, with their region support and its error."""
    if out is None:
        out = Path(f"{path.absolute().stem}-{'-'.join(map(str, frames[:4]))}.png")
        PICTURE.check(out)
    click.echo(rsgt.show(path, frames, out))


@main.command()
@click.argument("path", type=STORED)
@click.option("--sample", type=COUNT, help="How many frames to draw.  [default: 100]")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of the draw.")
@click.option("--frames", type=FRAMES, help="These frames instead: numbers from 1, such as 1-48,60.")
@click.option(
    "--prediction", type=INPUT, help="Also compare the regions that `rsn evaluate --save` wrote here."
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
    """Compare region support with labels, superpixels and a grid by how well region means explain depth."""
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


@main.command()
@click.argument("path", metavar="STORE", type=STORED)
@click.option("--out", type=OUTPUT, default="report.html", show_default=True, help="The page.")
@click.option("--frames", type=FRAMES, help="Frames to look into: 1-6,60.  [default: twelve, by error]")
@click.option("--comparison", type=INPUT, help="What `rsgt compare STORE --json` wrote.")
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
def report(
    path: Path, out: Path, frames: list[int] | None, comparison: Path | None, workers: int | None,
) -> None:  # fmt: skip
    """Write one HTML page about a store: figures, distributions, frames to look into."""
    rsgt.report(path, out, comparison=comparison, frames=frames, workers=workers)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
