"""One self-contained HTML page about a store: figures, distributions, frames to look into."""

from collections.abc import Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.files import write_text
from rsgt.inputs import InputError, local_path
from rsgt.page import browser, charts, comparison_section, document
from rsgt.page.colours import paint_regions
from rsgt.page.comparison_file import checked, read_comparison
from rsgt.page.document import MAX_BYTES, MAX_COUNT
from rsgt.quality.statistics import statistics
from rsgt.store import schema
from rsgt.store.reader import Store, as_store

__all__ = ["DEFAULT_COUNT", "MAX_BYTES", "MAX_COUNT", "page", "read_comparison", "report"]

Array = npt.NDArray[Any]

DEFAULT_COUNT = 12
_EXTREMES = 4


class _Figures:
    """A store's figures, one value a frame, under the names that the page shows them by."""

    def __init__(self, store: Store, workers: int | None) -> None:
        found = statistics(store, None, workers)
        self.summary, self.distributions = found.summary(), found.distributions()
        self.regions, self.rmse = found.regions, found.errors["rmse"]
        self.abs_rel, self.delta1 = found.errors["abs_rel"], found.errors["delta1"]
        self.region_rmse = found.region_rmse
        self.covered = found.covered / np.maximum(1, found.valid)
        names = store.scene_names
        splits = {value: name for name, value in schema.SPLITS.items()}
        self.scene = [names[k] for k in store.scene]
        self.split = [splits[int(part)] for part in store.split]
        ranked = np.argsort(self.rmse, kind="stable")
        self.ranked = ranked[np.isfinite(self.rmse[ranked])]


def report(
    store: Store | str | PathLike[str],
    out: str | PathLike[str],
    *,
    comparison: str | PathLike[str] | Mapping[str, Any] | None = None,
    frames: Sequence[int] | None = None,
    workers: int | None = None,
) -> Path:
    """Write one HTML page about a store: figures, distributions, frames to look into.

    Parameters
    ----------
    store
        A finished store, or its path.
    out
        The page's file; it needs no other and no network. One that stands there is replaced.
    comparison
        What ``rsgt compare --json`` wrote, or ``Comparison.document()``; None = no such section.
    frames
        Numbers of the frames to look into, 60 at most; None = twelve, by their error.
    workers
        Threads that measure; None = one a core.

    Raises
    ------
    InputError
        Where the store lacks a frame or is damaged, or the comparison is none.
    """
    known = comparison if comparison is None or isinstance(comparison, Mapping) else (
        read_comparison(local_path(comparison))
    )  # fmt: skip
    text = page(as_store(store), comparison=known, frame_ids=frames, workers=workers)
    write_text(local_path(out), text)
    return local_path(out)


def page(
    store: Store,
    *,
    comparison: Mapping[str, Any] | None = None,
    frame_ids: Sequence[int] | None = None,
    workers: int | None = None,
) -> str:
    """Write a page about a store that needs no other file and no network.

    Parameters
    ----------
    store
        A finished store.
    comparison
        What ``read_comparison`` returns; without one the page has no such section.
    frame_ids
        Numbers, in the source, of the frames that can be looked into. Default: twelve, from the one
        with the smallest error to the one with the largest, at equal steps of rank.
    workers
        Threads that measure; default one per core.

    Returns
    -------
    str
        HTML. It keeps below ``MAX_BYTES`` by shrinking the frames, and says so.

    Raises
    ------
    InputError
        Where the store lacks a frame or is damaged, the comparison is none, or more than ``MAX_COUNT``
        frames are asked for.
    """
    if frame_ids is not None and not 0 < len(frame_ids) <= MAX_COUNT:
        raise InputError(f"frames: got {len(frame_ids)}, expected 1 to {MAX_COUNT} to look into; name fewer")
    comparison = None if comparison is None else checked(comparison)
    chosen = store.positions(frame_ids) if frame_ids is not None else None
    figures = _Figures(store, workers)
    if chosen is None:
        steps = np.linspace(0, len(figures.ranked) - 1, min(DEFAULT_COUNT, len(figures.ranked)))
        chosen = figures.ranked[np.rint(steps).astype(int)].tolist() or [0]
    parts = {
        "name": escape(store.path.name),
        "lead": _lead(store, figures),
        "tiles": _tiles(figures),
        "distributions": _distributions(figures),
        "extremes": _extremes(store, figures),
        "comparison": comparison_section.section(comparison) if comparison else "",
        "frames": _frame_table(store, figures),
        "provenance": _provenance(store),
    }
    parts = document.writable(parts)
    template = document.template("report")
    about = [
        f"{figures.scene[i]} · {figures.split[i]} · {figures.regions[i]} regions · RMSE "
        + (f"{figures.rmse[i]:.3f} m" if np.isfinite(figures.rmse[i]) else "–")
        for i in chosen
    ]
    packed = browser.pack(store, chosen, about, document.room(template, parts, MAX_BYTES))
    order = " from the smallest error to the largest," if frame_ids is None else ""
    parts |= {"data": packed.text, "size": document.frames_shown(packed, len(store), order)}
    return document.filled(template, parts)


_WHAT = {
    False: "Each holds one category at nearly constant depth, so that its mean depth",
    True: "Each is a plane, whose depth",
}


def _lead(store: Store, figures: _Figures) -> str:
    source, s = store.attributes["source"], figures.summary
    name = escape(str(source.get("name", store.path.name)))
    return (
        f"{s['frames']:,} frames of {name} in {s['regions']:,} regions. "
        f"{_WHAT[store.planar]} stands for its "
        f"pixels&rsquo; to <b>{s['rmse']:.3f} m</b> (RMSE, mean over frames)."
    )


def _tiles(figures: _Figures) -> str:
    s = figures.summary
    test = figures.split.count("test")
    shown = [
        ("Frames", f"{s['frames']:,}", f"{s['frames'] - test:,} train, {test:,} test"),
        ("Regions per frame", f"{s['regions_per_frame']:,.0f}", "median"),
        ("Coverage", f"{100 * s['coverage']:.1f} %", "of the pixels with depth have a region"),
        ("RMSE", f"{s['rmse']:.3f} m", "support against depth, mean over frames"),
        ("AbsRel", f"{s['abs_rel']:.3f}", "mean of |support &minus; depth| / depth"),
        ("δ<sub>1</sub>", f"{100 * s['delta1']:.1f} %", "of the pixels within a factor of 1.25"),
        ("RMSE per region", f"{s['region_rmse']:.3f} m", "mean over regions, then frames"),
        (
            "Variance per region",
            f"{s['region_variance']:.4f} m²",
            f"{100 * s['instability']:.0f} % of the RMSE per region" if s["instability"] >= 0 else "",
        ),
    ]
    return document.tiles(shown)


def _distributions(figures: _Figures) -> str:
    found = figures.distributions
    shown = [
        ("Regions per frame", "", found["regions_per_frame"], "", False),
        ("Error per frame", "RMSE of the support", figures.rmse[figures.ranked], "m", False),
        ("Region size", "", found["region_area"], "px", True),
        # Below a millimetre there is only rounding.
        ("Depth within a region", "standard deviation, 1 mm or more",
         np.maximum(found["region_spread"], 1e-3), "m", True),
    ]  # fmt: skip
    if "plane_residual" in found:
        residual = np.maximum(found["plane_residual"], 1e-3)
        shown.append(("Error of a plane", "RMSE over its region, 1 mm or more", residual, "m", True))
    if "plane_slant" in found:
        shown.append(("Slant of a plane", "0° faces the camera", found["plane_slant"], "°", False))
    return "".join(
        f"<figure><figcaption><b>{title}</b> {note}</figcaption>"
        f"{charts.histogram(values, title, unit, log)}</figure>"
        for title, note, values, unit, log in shown
        if values.size
    )


def _extremes(store: Store, figures: _Figures) -> str:
    k = min(_EXTREMES, (len(figures.ranked) + 1) // 2)
    worst = figures.ranked[max(k, len(figures.ranked) - _EXTREMES) :][::-1]
    groups = {"Smallest error": figures.ranked[:k], "Largest error": worst}
    return "".join(
        f"<h3>{title}</h3><ul class=cards>{''.join(_card(store, figures, int(i)) for i in frames)}</ul>"
        for title, frames in groups.items()
        if len(frames)
    )


def _card(store: Store, figures: _Figures, position: int) -> str:
    frame = store.maps(position)
    pair = Image.fromarray(np.hstack([frame["rgb"], paint_regions(frame["region"])]))
    name = f"Frame {store.frame_id[position]}"
    caption = (
        f"<b>{name}</b> RMSE {figures.rmse[position]:.3f} m "
        f"<span>{figures.regions[position]} regions · {escape(figures.scene[position])}</span>"
    )
    return document.card(pair, f"{name}: colour and regions", caption)


def _frame_table(store: Store, figures: _Figures) -> str:
    def cell(value: float, form: str) -> str:
        return format(value, form) if np.isfinite(value) else "&ndash;"

    errors = (figures.rmse, figures.abs_rel, figures.delta1, figures.region_rmse)
    rows = [
        [str(store.frame_id[i]), escape(figures.scene[i]), figures.split[i], str(figures.regions[i]),
         cell(100 * figures.covered[i], ".1f"), *(cell(values[i], ".4f") for values in errors)]
        for i in range(len(store))
    ]  # fmt: skip
    head = ["Frame", "Scene", "Split", "Regions", "Covered (%)", "RMSE (m)", "AbsRel", "δ<sub>1</sub>",
            "RMSE per region (m)"]  # fmt: skip
    return document.table(head, rows, f"All {len(rows):,} frames", texts=3)


def _cameras(cameras: list[dict[str, Any]]) -> Any:
    """The camera of all frames, or how many there are."""
    different = {str(one["intrinsics"]) for one in cameras}
    if len(different) > 1:
        return f"{len(different)} cameras, each frame's in the store"
    return cameras[0]["intrinsics"] or "unknown"


def _provenance(store: Store) -> str:
    """List the root attributes that say what the store is made of, and how."""
    a = store.attributes
    shown = {
        "Identity (SHA-256 of the content)": store.identity,
        "Format": f"{a['format']} {a['format_version']}",
        "Split": a["split_origin"],
        "Parameters": a["parameters"],
        "Source": a["source"],
        "Camera (pixels)": _cameras(a["cameras"]),
        "Versions": a["versions"],
    }
    return document.facts(shown)
