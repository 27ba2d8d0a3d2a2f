"""What a run looks like: ``curves.png``, and ``run.html``, one page that needs no other file.

They are made of the log's rows and of ``samples``, small pictures of some held-out frames: ``truth.png`` has
their colour and true depth, and a file for each epoch, named by its number, the depth that was predicted
then. Nothing here draws a random number.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from rsgt.files import replacing, write_figure, write_text
from rsgt.page import charts, document
from rsgt.page.pictures import DEPTH_MAP
from rsn.training.progress import best_epoch, duration
from rsn.training.start import SAMPLES

Array = npt.NDArray[Any]
Row = Mapping[str, float]

CURVES, PAGE = "curves.png", "run.html"
MOST_EPOCHS = 16
"""Epochs whose predictions the page shows."""

_WIDTH, _GAP, _NEUTRAL = 200, 4, 185
"""Pixels of a picture's width and of the gap between two, and the grey of what has no depth."""


def write_truth(out: Path, colours: Sequence[Array], truths: Sequence[Array]) -> None:
    """Write colour (y, x, 3), uint8, and true depth (y, x), metres, of the frames that are shown."""
    top = _beside([_thinned(colour) for colour in colours])
    _write(out / SAMPLES / "truth.png", [top, _beside([_depth(truth, truth) for truth in truths])])


def write_sample(out: Path, epoch: int, depths: Sequence[Array], truths: Sequence[Array]) -> None:
    """Write the predicted depths (y, x) of an epoch, from 1, each in the colours of its truth's range."""
    painted = [_depth(depth, truth) for depth, truth in zip(depths, truths, strict=True)]
    _write(out / SAMPLES / f"{epoch:05}.png", [_beside(painted)])


def _write(path: Path, rows: Sequence[Array]) -> None:
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as aside:
        Image.fromarray(np.concatenate(rows)).save(aside, "PNG")


def _thinned(values: Array) -> Array:
    step = -(-values.shape[1] // _WIDTH)
    return values[::step, ::step]


def _depth(depth: Array, truth: Array) -> Array:
    """Paint a map as (y, x, 3) uint8, from the nearest to the farthest true depth."""
    valid = truth[truth > 0]
    near, far = (float(valid.min()), float(valid.max())) if valid.size else (0.0, 1.0)
    small = _thinned(depth)
    painted: Array = colormaps[DEPTH_MAP]((small - near) / max(far - near, 1e-6), bytes=True)[..., :3]
    return np.where((small > 0)[..., None], painted, np.uint8(_NEUTRAL))


def _beside(pictures: Sequence[Array]) -> Array:
    """Set pictures side by side, of whatever heights; white is between and below them."""
    height = max(len(picture) for picture in pictures) + _GAP
    filled = [
        np.pad(picture, ((0, height - len(picture)), (0, _GAP), (0, 0)), constant_values=255)
        for picture in pictures
    ]
    return np.concatenate(filled, axis=1)


def write_pictures(out: Path, rows: Sequence[Row], about: Mapping[str, Any], recipe: str) -> None:
    """Write ``curves.png`` and ``run.html`` of a run that has at least one row in its log.

    Parameters
    ----------
    out : Path
        The run's folder.
    rows : sequence of mapping
        The log: ``epoch``, ``loss``, ``lr`` and ``seconds``, and where frames are held out ``rmse`` (metres),
        ``abs_rel`` and ``delta1`` on them, and ``rmse NAME`` of each of several stores.
    about : mapping
        What the run is, by name, for its page; ``epochs`` is their number in all.
    recipe : str
        Its settings as TOML.
    """
    write_figure(out / CURVES, _figure(rows), dpi=130)
    write_text(out / PAGE, page(out, rows, about, recipe))


_PANELS = (
    ("loss", r"loss", "loss"),
    ("RMSE on held-out frames (m)", r"rmse( .*)?", "metres"),
    ("learning rate", r"lr", "rate"),
)
"""Title, columns of the log, and name of the axis."""


def _series(rows: Sequence[Row], columns: str) -> dict[str, tuple[Array, Array]]:
    """Values of the columns of such names over the epochs that have them."""
    names = dict.fromkeys(name for row in rows for name in row if re.fullmatch(columns, name))
    return {
        name: (
            np.array([row["epoch"] for row in rows if name in row]),
            np.array([row[name] for row in rows if name in row]),
        )
        for name in names
    }


def _figure(rows: Sequence[Row]) -> Figure:
    shown = [(title, found, axis) for title, columns, axis in _PANELS if (found := _series(rows, columns))]
    figure = Figure(figsize=(8, 2.6 * len(shown)), layout="constrained")
    best = best_epoch([dict(row) for row in rows])
    panels = np.atleast_1d(figure.subplots(len(shown), sharex=True))
    for axes, (title, found, _) in zip(panels, shown, strict=True):
        for name, (epochs, values) in found.items():
            axes.plot(epochs, values, marker=".", label=name.removeprefix("rmse ").replace("rmse", "all"))
        if len(found) > 1:
            axes.legend()
        if best and title.startswith("RMSE"):
            value, side = rows[best - 1]["rmse"], 1 if 2 * best > len(rows) else -1
            near: dict[str, Any] = {"textcoords": "offset points", "ha": "right" if side > 0 else "left"}
            axes.plot([best], [value], "o", mfc="none", ms=10, color="black")
            axes.annotate(f"{value:.3f} m", (best, value), xytext=(-8 * side, 8), **near)
        axes.set_title(title, loc="left")
        axes.grid(alpha=0.3)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def page(out: Path, rows: Sequence[Row], about: Mapping[str, Any], recipe: str) -> str:
    """Write a run's page as HTML; the parameters are those of ``write_pictures``."""
    name = out.resolve().name
    best, last = best_epoch([dict(row) for row in rows]), rows[-1]
    tiles = [("Epochs", f"{len(rows)} of {about['epochs']}", f"last loss {last['loss']:.4g}")]
    if best:
        judged = rows[best - 1]
        tiles += [
            ("RMSE", f"{judged['rmse']:.3f} m", f"on held-out frames, epoch {best}, the best"),
            ("AbsRel", f"{judged['abs_rel']:.3f}", f"δ1 {judged['delta1']:.3f}"),
        ]
    spent = sum(row["seconds"] for row in rows)
    tiles.append(("Time", duration(spent), f"{spent / len(rows):.1f} s an epoch, judging included"))
    drawn = []
    for title, columns, axis in _PANELS:
        lines = [charts.Series(key, *xy, leading=key == "rmse") for key, xy in _series(rows, columns).items()]
        if lines:
            chart = charts.courses(lines, title, axis)
            drawn.append(f"<figure><figcaption><b>{title}</b></figcaption>{chart}</figure>")
    head = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[escape(f"{row[key]:.4g}") if key in row else "" for key in head] for row in rows]
    units = {"rmse": "rmse (m)", "seconds": "seconds"}
    parts = {
        "name": escape(name),
        "lead": escape(f"{about['model']}, on {about['stores']}."),
        "tiles": document.tiles(tiles),
        "curves": f"<div class=charts>{''.join(drawn)}</div>",
        "samples": _samples(out, rows),
        "log": document.table([escape(units.get(key, key)) for key in head], cells, "The log", 0),
        "facts": document.facts(about)
        + "<dt>settings</dt><dd><details><summary>all, as a recipe</summary>"
        + f"<pre>{escape(recipe)}</pre></details></dd>",
    }
    template = document.plain_template((files("rsn.training") / "run.html").read_text(encoding="utf-8"))
    return document.filled(template, document.writable(parts))


def _samples(out: Path, rows: Sequence[Row]) -> str:
    """Show the pictures of at most so many epochs, evenly spaced, the first and the last among them."""
    folder = out / SAMPLES
    kept = [row for row in rows if (folder / f"{int(row['epoch']):05}.png").is_file()]
    if not kept or not (folder / "truth.png").is_file():
        return "<p>Nothing is held out, so that there are none.</p>"
    places = np.unique(np.linspace(0, len(kept) - 1, MOST_EPOCHS).round().astype(int))
    shown = [("truth.png", "Colour, and true depth below it")]
    for row in (kept[place] for place in places):
        epoch = int(row["epoch"])
        told = f", RMSE on all held-out frames {row['rmse']:.3f} m" if "rmse" in row else ""
        shown.append((f"{epoch:05}.png", f"Epoch {epoch}{told}"))
    cards = []
    for file, words in shown:
        with Image.open(folder / file) as image:
            picture = document.picture(image.convert("RGB"), words)
        cards.append(f"<figure>{picture}<figcaption>{escape(words)}</figcaption></figure>")
    told = "<p>Some held-out frames; depth is painted from the nearest to the farthest true one.</p>"
    return f"{told}<div class=samples>{''.join(cards)}</div>"
