"""The comparison drawn: measures over the number of regions, a curve a family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsgt.files import write_figure
from rsgt.quality.families import EACH

PANELS = {
    "rmse": "RMSE of the support (m)",
    "spread_p95": "Depth about the support in a region, 95th percentile (m)",
    "edge_recall": "Depth edges on a border of regions",
    "cross_share": "Regions on both sides of a depth edge",
}
_METRES = ("rmse", "spread_p95")
_OURS = ("#0f766e", "#14a89b", "#5b8c2a", "#0b4f6c", "#c2185b", "#e06a9a")
_OTHERS = ("#b4533c", "#e08a1e", "#7a56a8", "#2f6fae", "#a8487f", "#8a6d1d", "#6b7280")


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give each family a colour and a mark: ours thick; with a plane each dashed, in the colour of means."""
    ours, others, found = iter(_OURS * 2), iter(_OTHERS * 2), {}
    bases = dict.fromkeys(name.removesuffix(EACH) for name in names)
    for k, base in enumerate(bases):
        mark: dict[str, Any] = {"marker": "osD^vPXph8<>"[k % 12], "markersize": 5, "linewidth": 1.2}
        if base.startswith("region support"):
            mark |= {"color": next(ours), "linewidth": 2.4}
        elif base in ("this store", "prediction"):
            mark |= {"color": "black", "marker": "*", "markersize": 11, "zorder": 3}
            mark |= {} if base == "this store" else {"markerfacecolor": "white"}
        else:
            mark["color"] = next(others)
        found[base] = mark | {"linestyle": "-"}
        found[base + EACH] = mark | {"linestyle": (0, (4, 1.5)), "markerfacecolor": "white"}
    return found


def plot(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw four measures over the number of regions: a curve a family, a point where it has no setting.

    Parameters
    ----------
    curves
        What ``Comparison.curves`` returns.
    path
        PNG, PDF or SVG, as its suffix says. Where regions lie is the same whatever stands for the depth:
        the two panels about that have no dashed curves.
    """
    from matplotlib.figure import Figure  # here, since it takes longer to import than all the rest
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    from rsgt.page.pictures import check_suffix

    check_suffix(path)
    figure = Figure(figsize=(11, 9.4), layout="constrained")
    panels = figure.subplots(2, 2, height_ratios=(1.35, 1)).ravel()
    look = looks([*curves])
    for axes, (measure_name, title) in zip(panels, PANELS.items(), strict=True):
        shown = []
        for name, rows in curves.items():
            if name.endswith(EACH) and name.removesuffix(EACH) in curves and measure_name not in _METRES:
                continue
            x, y = ([row[key] for row in rows] for key in ("regions", measure_name))
            style = look[name] if len(rows) > 1 else look[name] | {"linestyle": "none"}
            axes.plot(x, y, label=name, **style)
            shown += [row for row in rows if row["regions"]]
        axes.set_title(title, loc="left", fontsize=11)
        axes.set(xlabel="regions per frame")
        scales = []
        if shown:  # a logarithmic scale needs something above 0
            axes.set_xscale("log")
            scales.append(axes.xaxis)
        if measure_name in _METRES and any(row[measure_name] for row in shown):
            axes.set_yscale("log")
            scales.append(axes.yaxis)
        elif measure_name not in _METRES:
            axes.set_ylim(0, 1.02)
        for axis in scales:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    write_figure(path, figure, dpi=120)
