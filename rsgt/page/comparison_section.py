"""The report's section about a comparison: curves over the number of regions, and tables."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from rsgt.page import charts, document
from rsgt.page.charts import number
from rsgt.page.comparison_file import COMPARED
from rsgt.quality.families import EACH

_SURFACES = {
    "mean": "RMSE of the region means over the number of regions",
    "plane": "RMSE of a plane in each region over the number of regions",
}


def section(comparison: Mapping[str, Any]) -> str:
    """Write the section about a comparison that ``comparison_file.checked`` has checked, as HTML."""
    rows = [row for row in comparison["rows"] if row["regions"] and row["rmse"]]
    surfaces = {row.get("surface", "mean") for row in rows} & {*_SURFACES} or {"mean"}
    plots = "".join(_curves(rows, one, title) for one, title in _SURFACES.items() if one in surfaces and rows)
    own = next((row["regions"] for row in rows if row["name"] == "this store"), None)
    equal = sorted(comparison.get("equal_counts", []), key=lambda table: table["regions"] != own)
    tables = [(f"At {number(table['regions'])} regions per frame, read off the curves", table["rows"])
              for table in equal]  # fmt: skip
    tables.append(("All settings", comparison["rows"]))
    keys = [key for key in COMPARED if any(key in row for row in comparison["rows"])]
    told = [
        f"<details{'' if k else ' open'}><summary>{caption}</summary>"
        f"{_compared(caption, table, keys)}</details>"
        for k, (caption, table) in enumerate(tables)
    ]
    frames = f" Means over {comparison['frames']:,} frames." if "frames" in comparison else ""
    return (
        "<section aria-labelledby=h-comparison><h2 id=h-comparison>Against other partitions</h2>"
        "<p>How well do a partition&rsquo;s regions explain the depth, by their means or by a plane in each? "
        f"Lower is better, and so is further to the left.{frames}</p>{plots or 'No row has both.'}"
        "<p class=soft><i>Spread</i> is the root mean square of depth about what stands for it in a "
        "pixel&rsquo;s region: median, and 95th percentile; <i>recall</i> the share of depth edges that lie "
        "on a border of regions; <i>across</i> the share of regions that hold both sides of a depth edge.</p>"
        f"{''.join(told)}</section>"
    )


def _curves(rows: Sequence[Mapping[str, Any]], surface: str, title: str) -> str:
    """Chart of the families whose regions stand for the depth in one way, and of the store's own."""
    families: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("surface", "mean") in (surface, "own"):
            families.setdefault(row["name"], []).append(row)
    series = [
        charts.Series(
            name=name.removesuffix(EACH),
            x=np.array([row["regions"] for row in family], float),
            y=np.array([row["rmse"] for row in family], float),
            leading=name.startswith(("region support", "this store")),
        )
        for name, family in families.items()
    ]
    plot = charts.curves(series, title, "regions per frame", "RMSE (m)")
    return (
        f"<figure class=wide><figcaption><b>{title}</b></figcaption>"
        f'<div class=scroll tabindex=0 role=region aria-label="Chart: {title}">{plot}</div></figure>'
    )


def _compared(caption: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    cells = [
        [escape(f"{row['name']} {row.get('parameter') or ''}".strip())]
        + ["&ndash;" if row.get(key) is None else format(float(row[key]), COMPARED[key][1]) for key in keys]
        for row in rows
    ]
    return document.table(["Partition", *(COMPARED[key][0] for key in keys)], cells, caption, texts=1)
