"""Figures in text, from the records of ``pipelines/results``: none is typed.

``{{ FILE KEY.KEY.KEY FORMAT }}`` stands for one figure, such as
``{{ table2/rsn-0 metrics.paper.image_mean.rmse .3f }}``; ``{{ results }}`` for the table of the first page.
The README has that table between two marks: ``python docs/pages/figures.py`` puts it there, a test looks.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "pipelines" / "results"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
REGIONS = 111
"""Regions a frame of the default variant, at which partitions are compared."""
PARTITIONS = {
    "region support": "`rsgt build`",
    "region support, natural": "`rsgt build --grouping natural`",
    "SLIC": "SLIC's superpixels",
    "grid": "squares",
    "Felzenszwalb": "Felzenszwalb's segments",
}
NETWORKS = {
    "networks that are given true region support": {
        "table2/refinement-ground-truth-0": "refinement",
        "table2/refinement-ground-truth-planes-0": "refinement, by regions that are planes",
    },
    "networks that are given colour alone": {
        "table2/generation-depth-0": "depth (`cpu/generation`)",
        "table2/rsn-0": "the paper's whole network (`cpu/rsn`)",
        "weights/nyu": "the one that comes with the package: the first of these in half precision",
        "readme": "depth, eight epochs at 96x128, four minutes of one core",
    },
}


@cache
def record(name: str) -> Any:
    """Return a record by its path below ``pipelines/results``."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def figure(name: str, keys: str, form: str = "") -> str:
    """Return one figure of a record; KeyError names what it lacks."""
    found = record(name)
    for key in keys.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return format(found, form)


def filled(text: str) -> str:
    """Return a page's text with its figures."""
    return re.sub(r"\{\{ (.+?) \}\}", lambda found: _one(found[1].split()), text)


def _one(words: list[str]) -> str:
    return table() if words == ["results"] else figure(*words)


def table() -> str:
    """Return the table of results: how well regions stand for depth, and what networks predict."""
    rows: list[tuple[str, ...]] = [("NYU Depth v2", "frames", "RMSE (m)"), ("---",) * 3]
    rows.append((f"**true depth by the means of {REGIONS} regions a frame**", "", ""))
    frames = str(record("figure2/comparison")["frames"])
    rows += [(text, frames, f"{_partition(name):.3f}") for name, text in PARTITIONS.items()]
    for title, networks in NETWORKS.items():
        rows.append((f"**{title}**", "", ""))
        for name, text in networks.items():
            metrics = record(name)["metrics"]
            errors = metrics.get("nyu-eigen+flip", metrics.get("nyu-eigen"))
            rmse = errors.get("image_mean", errors)["rmse"]  # a record of the first form has means alone
            rows.append((text, f"{record(name)['frames']} test", f"{rmse:.3f}"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _partition(name: str) -> float:
    """RMSE of a partition's means at as many regions as the default variant has."""
    for at in record("figure2/comparison")["equal_counts"]:
        for row in at["rows"]:
            if (
                round(at["regions"]) == REGIONS
                and row["name"].replace("this store", "region support") == name
            ):
                return float(row["rmse"])
    raise KeyError(f"figure2/comparison: no {name} at {REGIONS} regions")


def write(readme: Path = ROOT / "README.md") -> None:
    """Put the table into the README, between its two marks."""
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
