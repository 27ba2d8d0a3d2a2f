"""Figure 2 of the paper in numbers: region support against labels, superpixels and a grid."""

from pathlib import Path

import click
from rows import HERE, write_record

import rsgt
from rsgt.cli.terminal import INPUT, Script, progress_bar
from rsn.training.provenance import commit, versions


def make(
    store_path: Path, out: Path, workers: int | None = None, frames: int | None = None, step: int = 1
) -> None:
    """Write ``results/figure2/comparison.json`` and its picture, unless they are there.

    Of every so-many-th frame it is ``comparison-every-STEP``.
    """
    path = out / "results" / "figure2" / f"comparison{f'-every-{step}' if step > 1 else ''}.json"
    if path.exists():
        return
    store = rsgt.open(store_path)
    with progress_bar("frames", quiet=False) as progress:
        numbers = store.frame_id[::step][:frames].tolist()
        found = rsgt.compare(store, frames=numbers, workers=workers, progress=progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.plot(path.with_suffix(".png"))
    write_record(path, {"row": path.stem, "commit": commit(), "versions": versions(),
                        "store": store.identity, "step": step, **found.document()})  # fmt: skip


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True)
@click.option("--out", type=INPUT, default=HERE, help="Where results go.  [default: pipelines]")
@click.option("--workers", type=click.IntRange(1), help="Threads.  [default: one per core]")
@click.option("--step", type=click.IntRange(1), default=1, show_default=True, help="Every so-many-th frame.")
def run(store: Path, out: Path, workers: int | None, step: int) -> None:
    """Compare region support with labels, superpixels and a grid, by means and by planes."""
    make(store, out, workers, step=step)


if __name__ == "__main__":
    run()
