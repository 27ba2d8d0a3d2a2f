"""``rsgt show`` and ``report``: what of a store is to be looked at."""

from pathlib import Path

import click

import rsgt
from rsgt.cli.options import COUNT, FRAMES, INPUT, OUTPUT, PICTURE, STORED, WORKERS
from rsgt.cli.terminal import Script


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
