"""Figure 4 of the paper: colour, truth and the four predictions of Table 2's networks, frame by frame."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from rows import HERE, Place, trained

import rsgt
import rsn
from rsgt.cli.terminal import INPUT, Script
from rsgt.inputs import parse_frames
from rsgt.page.colours import NEUTRAL
from rsgt.page.pictures import DEPTH_MAP, save
from rsgt.store.schema import SPLITS

COLUMNS = {
    "rsn": "Region support network",
    "refinement-ground-truth": "Refinement,\ntrue region support",
    "generation-depth": "Generation module",
    "refinement-semantic": "Refinement,\nsemantic labels",
}
FRAMES = "86,131,411,1179"
"""Of the official test split."""


def draw(place: Place, frame_ids: Sequence[int], seed: int, path: Path) -> None:
    """Draw a row a frame; depths of one row share one scale, in metres."""
    store = rsgt.open(place.store)
    rows = store.positions(frame_ids)
    shown = {}
    for name in COLUMNS:
        predictor = rsn.load(trained(place, name, seed))
        shown[name] = [found.depth for found in predictor.predict_frames(store, rows)]
    width = 1.5
    height = width * store.shape[0] / store.shape[1]
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0.01)
    size = (6 * width + 0.9, len(rows) * (height + 0.04) + 0.4)
    figure = Figure(figsize=size, dpi=220, layout=layout)
    panels = figure.subplots(len(rows), 7, squeeze=False, width_ratios=[1] * 6 + [0.05])
    cmap = colormaps[DEPTH_MAP].with_extremes(bad=NEUTRAL)
    for k, row in enumerate(rows):
        rgb, depth = (store.read(name, row, row + 1)[0] for name in ("rgb", "depth"))
        known = depth[depth > 0]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        panels[k, 0].imshow(rgb)
        learnt = "\n(training)" if store.split[row] == SPLITS["train"] else ""
        panels[k, 0].set_ylabel(f"frame {store.frame_id[row]}{learnt}", fontsize=7)
        maps = [np.ma.masked_where(depth <= 0, depth), *(shown[name][k] for name in COLUMNS)]
        for axes, values in zip(panels[k, 1:6], maps, strict=True):
            image = axes.imshow(values, cmap=cmap, vmin=low, vmax=high)
        bar = figure.colorbar(image, cax=panels[k, 6])
        bar.ax.tick_params(labelsize=6)
        bar.ax.set_title("m" if k == 0 else "", fontsize=6)
        bar.outline.set_visible(False)
    for axes, title in zip(panels[0, :6], ["Colour", "Depth", *COLUMNS.values()], strict=True):
        axes.set_title(title, fontsize=7)
    for axes in panels[:, :6].flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True)
@click.option("--recipe-set", type=click.Choice(["cpu", "paper"]), default="cpu", show_default=True)
@click.option("--out", type=INPUT, default=HERE, help="Where runs and results are.  [default: pipelines]")
@click.option("--frames", default=FRAMES, show_default=True, help="Numbers of the frames, from 1.")
@click.option("--seed", type=int, default=0, show_default=True)
def run(store: Path, recipe_set: str, out: Path, frames: str, seed: int) -> None:
    """Draw Figure 4 from the networks that table2.py trained."""
    place = Place(store=store, recipe_set=recipe_set, out=out)
    draw(place, parse_frames(frames), seed, out / "results" / "figure4.png")


if __name__ == "__main__":
    run()
