"""Every table and figure on a few rendered rooms, as small as it goes: that all of it runs, not a result."""

from pathlib import Path

import click
import figure2
import figure4
import guidance
import plane_peers
import regions
import report
import table1
import table2
import variants
from rows import Place, make

import rsgt
from rsgt.cli.terminal import INPUT, Script

FRAMES = 12
TINY = {
    "size": [48, 64], "epochs": 1, "batch_size": 2, "workers": 0, "validation": 0.2,
    "linear_epochs": 0, "superpixels": 20, "zoom": 1.0,
}  # fmt: skip


@click.command(cls=Script)
@click.option("--out", type=INPUT, required=True, help="Folder for all of it; a second run goes on there.")
def run(out: Path) -> None:
    """Run every pipeline on rendered rooms, in about two minutes."""
    out.mkdir(parents=True, exist_ok=True)
    rooms = out / "rooms.mat"
    if not rooms.exists():
        rsgt.write_rooms(rooms, frames=FRAMES, seed=0)
    place = Place(
        store=rsgt.build(rooms, out / "default.zarr").path,
        published_store=rsgt.build(rooms, out / "published.zarr", variant="published").path,
        planar_store=rsgt.build(rooms, out / "planes.zarr", surface="plane").path,
        recipe_set="cpu",
        out=out,
        overrides=TINY,
    )
    for table, rows in (("table1", table1.ROWS), ("table2", table2.ROWS)):
        make(place, table, rows, [row.name for row in rows], seeds=[0])
    regions.make(place, regions.ROWS, seed=0)
    figure2.make(place.store, out, frames=1)
    figure2.make(place.store, out, step=FRAMES)
    plane_peers.make(place.store, out, step=FRAMES)
    about = out / "guidance.md"
    about.write_text(f"{guidance.BEGIN}\n{guidance.END}\n", encoding="utf-8")
    guidance.write(out / "results" / "figure2", about)
    variants.make(place.store, out, step=FRAMES // 2)
    algorithm = out / "algorithm.md"
    algorithm.write_text(
        "".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in variants.TABLES),
        encoding="utf-8",
    )
    variants.write(out / "results" / "regions", algorithm)
    figure4.draw(place, [1, 2], 0, out / "results" / "figure4.png")
    page = out / "README.md"
    page.write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    report.write(out, page)
    click.echo(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run()
