"""``rsgt show``, ``report`` and ``planes``: what of a store is to be looked at, or read by others."""

from pathlib import Path
from typing import Any

import click

import rsgt
from rsgt.cli.options import COUNT, FRAMES, INPUT, OUTPUT, PICTURE, STORED, WORKERS, Folder
from rsgt.cli.terminal import Script, progress_bar


@click.command(cls=Script)
@click.argument("path", metavar="STORE", type=STORED)
@click.argument("frames", metavar="FRAME...", nargs=-1, required=True, type=COUNT)
@click.option("--out", type=PICTURE, help="PNG, PDF or SVG.  [default: STORE's name-frames.png, here]")
def show(path: Path, frames: tuple[int, ...], out: Path | None) -> None:
    """Draw frames, by their numbers in the source, with their region support and its error."""
    if out is None:
        out = Path(f"{path.absolute().stem}-{'-'.join(map(str, frames[:4]))}.png")
        PICTURE.check(out)
    click.echo(rsgt.show(path, frames, out))


@click.command(cls=Script)
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


@click.command(cls=Script)
@click.argument("path", metavar="STORE", type=STORED)
@click.argument("out", type=Folder("planes", new=True))
@click.option(
    "--layout",
    type=click.Choice(["instances", "planarreconstruction", "planerectr"]),
    default="instances",
    show_default=True,
    help="16-bit PNG and JSON of full frames; or what these networks' loaders read.",
)
@click.option("--frames", type=FRAMES, help="Numbers from 1, such as 1-48,60.  [default: all]")
@click.option("--workers", type=WORKERS, help="Threads.  [default: one per core]")
def planes(path: Path, out: Path, layout: Any, frames: list[int] | None, workers: int | None) -> None:
    """Write the planes of a store that was built with --surface plane as files: ids, normals, offsets."""
    with progress_bar("frames", quiet=False) as progress:
        rsgt.export_planes(path, out, layout=layout, frames=frames, workers=workers, progress=progress)
    click.echo(f"{out}: {layout}")
