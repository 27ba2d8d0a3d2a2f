"""Figure 2 of the paper in numbers: region support against labels, superpixels and a grid."""

from pathlib import Path

import click
from rows import HERE, write_record

import rsgt
from rsgt.cli.terminal import INPUT, Script, progress_bar
from rsn.training.provenance import commit, versions


def make(store_path: Path, out: Path, workers: int | None = None, frames: int | None = None) -> None:
    """Write ``results/figure2/comparison.json`` and its picture, unless they are there."""
    path = out / "results" / "figure2" / "comparison.json"
    if path.exists():
        return
    store = rsgt.open(store_path)
    with progress_bar("frames", quiet=False) as progress:
        numbers = store.frame_id[:frames].tolist()
        found = rsgt.compare(store, frames=numbers, workers=workers, progress=progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.plot(path.with_suffix(".png"))
    write_record(path, {"row": "comparison", "commit": commit(), "versions": versions(),
                        "store": store.identity, **found.document()})  # fmt: skip


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True)
@click.option("--out", type=INPUT, default=HERE, help="Where results go.  [default: pipelines]")
@click.option("--workers", type=click.IntRange(1), help="Threads.  [default: one per core]")
def run(store: Path, out: Path, workers: int | None) -> None:
    """Compare region support with labels, superpixels and a grid on all frames of a store."""
    make(store, out, workers)


if __name__ == "__main__":
    run()
