"""Pictures of a store's frames: colour, depth, labels, region support, support, its error, and normals."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rsgt.files import write_figure
from rsgt.inputs import InputError, local_path
from rsgt.page.colours import (
    NEUTRAL,
    category_colours,
    paint_categories,
    paint_normals,
    paint_regions,
)
from rsgt.quality.normals import known_intrinsics, normal_map
from rsgt.regions import kernels
from rsgt.store import schema
from rsgt.store.reader import Store, as_store

Array = npt.NDArray[Any]

# Both are perceptually uniform and keep their order in grey and for colour-blind eyes; two of them, so
# that nobody reads an error off the depth's scale.
DEPTH_MAP, ERROR_MAP = "viridis", "inferno"

MAX_FRAMES = 24
WIDTH_IN, DPI = 9.0, 220
_MARGIN, _GAP, _BAR, _SIDE = 0.12, 0.1, 0.58, 1.22  # inches: edge, between panels, scale bar, legend
_HEAD, _TITLE = 0.34, 0.24  # inches above a frame's panels, and above each row of them
_INK, _SOFT = "#1d2126", "#5a626b"
_LEGEND = 7


def support_rmse(frame: Mapping[str, Array]) -> float:
    """RMSE of the support in metres over the pixels with depth, as ``rsgt.quality.statistics`` has it."""
    count, squares = kernels.map_errors(frame["support"], frame["depth"])[:2]
    return float(np.sqrt(squares / count)) if count else float("nan")


def panel(store: Store, frame_ids: Sequence[int]) -> Figure:
    """Draw frames side by side with their labels, region support and error.

    Parameters
    ----------
    store
        A finished store.
    frame_ids
        Numbers of the frames in their source; each becomes two rows of three pictures: colour, depth,
        labels; region support, support on the depth's scale, and the support's error on its own. Where
        regions are planes there is a third row: their normals and those of the depth, where the camera is
        known, and the error of each region. Pixels without depth are grey. A pixel with depth and without
        region has the support 0, and its error.

    Returns
    -------
    matplotlib.figure.Figure
        Nine inches wide, so that its text is readable at 900 pixels; bound to no window and to no
        global state.

    Raises
    ------
    InputError
        Where the store lacks a frame, or there are none or more than ``MAX_FRAMES``.
    """
    if not 0 < len(frame_ids) <= MAX_FRAMES:
        raise InputError(f"frames: got {len(frame_ids)}, expected 1 to {MAX_FRAMES} in a picture; name fewer")
    rows = store.positions(frame_ids)
    frames = [store.maps(row) for row in rows]
    colours = category_colours(frame["semantic"] for frame in frames)
    height, width = store.shape
    panel_in = (WIDTH_IN - 2 * _MARGIN - _GAP - _BAR - _SIDE) / 3
    # A frame that is all width or all height is drawn out of proportion rather than as a line.
    height_in = panel_in * min(max(height / width, 0.3), 3)
    frame_in = _HEAD + (3 if store.planar else 2) * (_TITLE + height_in + _GAP)
    figure = Figure(figsize=(WIDTH_IN, len(frames) * frame_in + _MARGIN - _GAP), dpi=DPI)
    names, scenes = store.class_names, store.scene_names
    for k, (row, frame) in enumerate(zip(rows, frames, strict=True)):
        split = next(name for name, value in schema.SPLITS.items() if value == store.split[row])
        sheet = _Sheet(figure, top_in=k * frame_in, panel_in=(panel_in, height_in))
        error_style = _draw_frame(
            sheet,
            frame,
            f"Frame {store.frame_id[row]}",
            f"{scenes[store.scene[row]]} · {split}",
            [(schema.class_name(names, category), colour, category) for category, colour in colours.items()],
            "plane" if store.planar else "mean depth",
        )
        if store.planar:
            _draw_planes(sheet, frame, store.region_table(row), store.intrinsics(row), error_style)
    return figure


class _Sheet:
    """Places one frame's panels on the figure, in inches from the frame's upper left corner."""

    def __init__(self, figure: Figure, top_in: float, panel_in: tuple[float, float]) -> None:
        self.figure, self.top_in = figure, top_in
        self.width, self.height = panel_in
        self.left = (_MARGIN, _MARGIN + self.width + _GAP, _MARGIN + 2 * self.width + _GAP + _BAR)
        self.row = [_HEAD + _TITLE + k * (_TITLE + self.height + _GAP) for k in range(3)]

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        w, h = self.figure.get_size_inches()
        return self.figure.add_axes((left / w, 1 - (self.top_in + top + height) / h, width / w, height / h))

    def text(self, left: float, baseline: float, text: str, **style: Any) -> Any:
        w, h = self.figure.get_size_inches()
        return self.figure.text(left / w, 1 - (self.top_in + baseline) / h, text, **{"color": _INK, **style})

    def image(self, row: int, column: int, title: str, image: Array, **style: Any) -> Any:
        axes = self.axes(self.left[column], self.row[row], self.width, self.height)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=NEUTRAL, linewidth=0.4)
        self.text(self.left[column], self.row[row] - 0.06, title, fontsize=8)
        return axes.imshow(image, aspect="auto", **style)

    def scale(self, column: int, top: float, height: float, mappable: Any, **style: Any) -> None:
        axes = self.axes(self.left[column] + self.width + 0.07, top, 0.1, height)
        bar = self.figure.colorbar(mappable, cax=axes, **style)
        bar.outline.set_visible(False)
        axes.tick_params(labelsize=7, length=2, color=_SOFT, labelcolor=_SOFT, pad=2)
        axes.set_title("m", fontsize=7, color=_SOFT, pad=4 if style else 3)


def _draw_frame(
    sheet: _Sheet,
    frame: Mapping[str, Array],
    name: str,
    origin: str,
    legend: Sequence[tuple[str, Array, int]],
    surface: str,
) -> dict[str, Any]:
    """Draw two rows of pictures of a frame, and return how its error was drawn."""
    depth, support, region = frame["depth"], frame["support"], frame["region"]
    valid = depth > 0
    covered = valid & (region > 0)
    error = np.ma.masked_where(~valid, np.abs(support - depth))
    depth_map, error_map = (colormaps[m].with_extremes(bad=NEUTRAL) for m in (DEPTH_MAP, ERROR_MAP))
    low, high = (depth[valid].min(), depth[valid].max()) if valid.any() else (0, 1)
    top = max(np.percentile(error.data[covered], 99), 1e-3) if covered.any() else 1

    heading = sheet.text(_MARGIN, _HEAD - 0.08, name, fontsize=10, fontweight="bold")
    after = heading.get_window_extent().x1 / sheet.figure.dpi
    sheet.text(after + 0.1, _HEAD - 0.08, origin, fontsize=8, color=_SOFT)

    sheet.image(0, 0, "Colour", frame["rgb"])
    style = {"cmap": depth_map, "vmin": low, "vmax": high}
    shown = sheet.image(0, 1, "Depth", np.ma.masked_where(~valid, depth), **style)
    colours = {category: colour for _, colour, category in legend}
    sheet.image(0, 2, "Labels", paint_categories(frame["semantic"], colours))
    sheet.image(1, 0, f"Region support: {np.unique(region[region > 0]).size} regions", paint_regions(region))
    sheet.image(1, 1, f"Support: {surface} of the region", np.ma.masked_where(region == 0, support), **style)
    sheet.scale(1, sheet.row[0] + 0.14, sheet.row[1] + sheet.height - sheet.row[0] - 0.14, shown)
    bare = 1 - int(np.count_nonzero(covered)) / max(1, int(np.count_nonzero(valid)))
    title = f"Error |support − depth|: RMSE {support_rmse(frame):.2f} m"
    error_style = {"cmap": error_map, "vmin": 0, "vmax": top}
    shown = sheet.image(1, 2, title + (f", {bare:.0%} without region" if bare > 0.0005 else ""), error,
                        **error_style)  # fmt: skip
    sheet.scale(2, sheet.row[1] + 0.14, sheet.height - 0.14, shown, extend="max", extendfrac=0.04)
    _draw_legend(sheet, frame["semantic"], legend)
    return error_style


def _draw_planes(
    sheet: _Sheet, frame: Mapping[str, Array], table: Mapping[str, Array], intrinsics: Mapping[str, float],
    error_style: dict[str, Any],
) -> None:  # fmt: skip
    """Draw the row about a frame's planes: where they and the depth face, and each one's error."""
    region, valid, camera = frame["region"], frame["depth"] > 0, known_intrinsics(intrinsics)
    nothing = np.full((1, 3), np.nan)
    if camera:
        normals = np.stack([table[f"normal_{axis}"] for axis in "xyz"], axis=1)
        of_planes = np.concatenate([nothing, normals])[region]
        of_depth = normal_map(frame["depth"], valid, camera)
    else:
        of_planes = of_depth = np.broadcast_to(nothing, (*region.shape, 3))
    known = "" if camera else ": camera unknown"
    sheet.image(2, 0, f"Normals of the planes{known}", paint_normals(of_planes))
    sheet.image(2, 1, f"Normals of the depth{known}", paint_normals(of_depth))
    residual = np.concatenate([[np.nan], table["support_rmse"]])[region]
    title = "Error of each plane (RMSE)"
    sheet.image(2, 2, title, np.ma.masked_where(region == 0, residual), **error_style)
    _draw_sphere(sheet)


def _draw_sphere(sheet: _Sheet) -> None:
    """Show the colours of normals on a ball, beside a row's second picture."""
    side = min(_BAR - 0.08, sheet.height)
    left = sheet.left[1] + sheet.width + 0.05
    v, u = np.mgrid[-1:1:121j, -1:1:121j]
    square = 1 - u * u - v * v
    inside = square >= 0
    # What faces right has a normal to the left on its far side, and what faces up one down.
    normals = np.stack([-u, -v, np.sqrt(np.maximum(square, 0))], axis=2)
    ball = np.dstack([paint_normals(normals), 255 * inside]).astype(np.uint8)
    axes = sheet.axes(left, sheet.row[2] + 0.3, side, side)
    axes.set_axis_off()
    axes.imshow(ball, interpolation="bilinear")
    middle = left + side / 2
    for words, at in (("facing up", 0.26), ("right: red", side + 0.4), ("us: blue", side + 0.51)):
        sheet.text(middle, sheet.row[2] + at, words, fontsize=6, color=_SOFT, ha="center")


def _draw_legend(sheet: _Sheet, semantic: Array, legend: Sequence[tuple[str, Array, int]]) -> None:
    """Name the frame's largest categories beside its labels."""
    area = dict(zip(*(part.tolist() for part in np.unique(semantic, return_counts=True)), strict=True))
    shown = sorted((entry for entry in legend if entry[2] in area), key=lambda entry: -area[entry[2]])
    axes = sheet.axes(sheet.left[2] + sheet.width + 0.05, sheet.row[0], _SIDE - 0.05, sheet.height)
    axes.set_axis_off()
    entries = [
        Patch(color=tuple(colour / 255), label=name if len(name) < 17 else name[:15] + "…")
        for name, colour, _ in shown[:_LEGEND]
    ]
    if len(shown) > _LEGEND:
        entries.append(Patch(color="none", label=f"{len(shown) - _LEGEND} more"))
    axes.legend(
        handles=entries, loc="upper left", borderaxespad=0, frameon=False, fontsize=7, handlelength=1,
        handleheight=1, handletextpad=0.5, labelspacing=0.55, labelcolor=_INK,
    )  # fmt: skip


def check_suffix(path: Path) -> None:
    """Refuse a path whose suffix says no format of a picture; matplotlib would take it for another name.

    Raises
    ------
    InputError
        Where matplotlib does not know the suffix.
    """
    if path.suffix.lower().lstrip(".") not in FigureCanvasBase.get_supported_filetypes():
        raise InputError(f"{path}: got suffix {path.suffix!r}, expected .png, .pdf or .svg")


def show(store: Store | str | PathLike[str], frames: Sequence[int], out: str | PathLike[str]) -> Path:
    """Draw frames with their region support and its error into a picture file.

    Parameters
    ----------
    store
        A finished store, or its path.
    frames
        Their numbers, from 1, as in the source; 24 at most.
    out
        PNG, PDF or SVG, as its suffix says.

    Raises
    ------
    InputError
        Where the store lacks a frame, or the suffix is none of a picture.
    """
    path = local_path(out)
    check_suffix(path)
    save(panel(as_store(store), frames), path)
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the suffix of ``path`` says.

    Raises
    ------
    InputError
        Where matplotlib does not know the suffix.
    """
    check_suffix(path)
    write_figure(path, figure, facecolor="white")
