"""``rsgt``: parse, make one library call, print.

Heavy modules are imported inside the commands, so that ``rsgt --help`` answers at once.
"""

import json
import time
from pathlib import Path
from typing import Any

import click

import rsgt
from rsgt.cli.judging import compare, stats, verify
from rsgt.cli.options import (
    COUNT,
    FRAMES,
    INPUT,
    NUMBER,
    OR_NONE,
    OUTPUT,
    STORE,
    STORED,
    WORKERS,
    Real,
    Size,
    Whole,
)
from rsgt.cli.showing import planes, report, show
from rsgt.cli.source_options import opened_source, source_options
from rsgt.cli.terminal import Program, Progress, print_json, print_pairs, progress_bar
from rsgt.inputs import InputError
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
    from rsgt.store.splits import empty_split

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
    if without := empty_split(store):
        click.echo(f"note: {without}", err=True)


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
@click.argument("out", type=OUTPUT)
@click.option("--frames", type=Whole(1, 1_000_000), default=64, show_default=True, help="How many.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option(
    "--size", type=Size(), metavar="HxW", default="480x640", show_default=True, help="Rows and columns."
)
@click.option(
    "--layout",
    type=click.Choice(["frame", "block", "contiguous", *FORMATS[1:]]),
    default="frame",
    show_default=True,
    help="A .mat with chunks of one frame, across frames or none; or another data set's folder.",
)
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
def synth(out: Path, frames: int, seed: int, size: tuple[int, int], layout: Any, workers: int | None) -> None:
    """Render rooms into a .mat of NYU's layout or another data set's folder, to try things without one."""
    with progress_bar("frames", quiet=False) as progress:
        rsgt.write_rooms(
            out, frames=frames, seed=seed, shape=size, layout=layout, workers=workers, progress=progress
        )
    files = [out] if out.is_file() else [file for file in out.rglob("*") if file.is_file()]
    stored_bytes = sum(file.stat().st_size for file in files)
    click.echo(f"{out}: {frames} frames, seed {seed}, {stored_bytes / 1e6:.1f} MB")


for _command in (verify, stats, compare, show, report, planes):
    main.add_command(_command)
