"""The figures of records as tables and charts: every measure by every reducer, with its definition."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import isfinite, nan
from typing import Any, NamedTuple

from rsgt.page import charts
from rsgt.page.document import table
from rsgt.page.result import Result
from rsgt.quality.breakdown import BANDS
from rsgt.quality.evaluation.protocol import Protocol
from rsgt.quality.measures import DEPTH, MEASURES, Measure, described
from rsgt.quality.pooling import REDUCERS
from rsgt.store.schema import class_name

CATEGORY = ("category_rmse", "category_abs_rel", "category_delta1")
_MOST_BARS = 16


class Group(NamedTuple):
    """Measures that stand in one section: what it is called, what to know of it, which they are."""

    title: str
    words: str
    holds: Callable[[str], bool]


GROUPS = {
    "depth": Group("Depth errors", "", DEPTH.__contains__),
    "worst": Group("The worst tenth", "", lambda name: name.endswith("_p90")),
    "normals": Group("Surface normals", "", lambda name: name.startswith("normal_")),
    "boundaries": Group(
        "Boundaries", "Only meaningful where the truth is sharp.", lambda name: name.startswith("boundary_")
    ),
    "shape": Group(
        "Shape of regions", "Each region aligned by itself first.",
        lambda name: name.startswith("region_rmse_scale"),
    ),
    "distance": Group("By distance", "", lambda name: name.endswith(tuple(f"_{band}" for band in BANDS))),
    "category": Group("By category", "", lambda name: name.startswith("category_")),
}  # fmt: skip
"""Sections by key; a measure that none of them holds stands with the depth errors."""


def named(measures: Sequence[str], key: str) -> list[str]:
    """Those of some measures that stand in a section."""
    home = {name: next((k for k, group in GROUPS.items() if group.holds(name)), "depth") for name in measures}
    return [name for name, k in home.items() if k == key]


def protocols_of(results: Sequence[Result], first: Sequence[str]) -> dict[str, Protocol]:
    """All protocols of some results, ``first`` before the others."""
    found = {
        name: result.protocols[name] for result, name in zip(results, first, strict=True)
    }  # fmt: skip
    for result in results:
        found |= {name: one for name, one in result.protocols.items() if name not in found}
    return found


def measures_under(results: Sequence[Result], protocol: str) -> list[str]:
    """Names of all measures that some result has under a protocol."""
    found: dict[str, None] = {}
    for result in results:
        for figures in result.record["metrics"].get(protocol, {}).values():
            found |= dict.fromkeys(figures)
    return [*found]


def section(results: Sequence[Result], first: Sequence[str], key: str, class_names: Sequence[str]) -> str:
    """Write a section's tables, a chart where it has one, and its definitions; "" where no result has any.

    Parameters
    ----------
    results, first
        Results, and of each the protocol whose figures are shown first, the others folded.
    key
        Of ``GROUPS``.
    class_names
        Names of the categories 1, 2, ….
    """
    told: list[str] = []
    every: dict[str, None] = {}
    for name, protocol in protocols_of(results, first).items():
        measures = named(measures_under(results, name), key)
        if not measures:
            continue
        every |= dict.fromkeys(measures)
        body = _tables(results, name, protocol, measures, key, class_names)
        words = f"<p class=soft>{escape(str(protocol))}. * its own reducer.</p>"
        if name in first:
            told.append(words + body)
        else:
            told.append(f"<details><summary>By {escape(name)}</summary>{words}{body}</details>")
    if not told:
        return ""
    words = GROUPS[key].words
    note = f"<p class=soft>{words}</p>" * bool(words)
    return note + "".join(told) + definitions(every)


def _tables(
    results: Sequence[Result], name: str, protocol: Protocol, measures: Sequence[str], key: str,
    class_names: Sequence[str],
) -> str:  # fmt: skip
    title = GROUPS[key].title
    if key == "distance":
        labels = {f"rmse_{band}": _of_band(band) for band in BANDS if f"rmse_{band}" in measures}
        return chart(results, name, protocol, labels, "RMSE by true depth") + _table(
            results, name, protocol, {one: with_unit(one) for one in measures}, f"{title}, {name}"
        )
    if key != "category":
        return _table(results, name, protocol, {one: with_unit(one) for one in measures}, f"{title}, {name}")
    told = ""
    for k, kind in enumerate(CATEGORY):
        labels = _by_frames(results, name, kind, measures, class_names)
        if k == 0:
            told += chart(results, name, protocol, labels, "RMSE by category, the most frequent first")
        if labels:
            title = with_unit(kind)
            body = _table(results, name, protocol, labels, f"{title}, {name}", frames=True)
            opened = " open" * (k == 0)
            told += f"<details{opened}><summary>{title}</summary>{body}</details>"
    return told


def _of_band(band: str) -> str:
    return band.replace("_to_", " to ").replace("_", " ").replace("2m", "2 m").replace("4m", "4 m")


def _by_frames(
    results: Sequence[Result], protocol: str, kind: str, measures: Sequence[str], class_names: Sequence[str]
) -> dict[str, str]:
    """Measures of one kind with their categories' names, those in most frames first."""
    found = {name: name.removeprefix(f"{kind}_") for name in measures if name.startswith(f"{kind}_")}
    known = {name: int(number) for name, number in found.items() if number.isdecimal()}
    order = sorted(known, key=lambda name: -max(_frames(result, protocol, name) for result in results))
    return {name: class_name(class_names, known[name]) for name in order}


def _frames(result: Result, protocol: str, measure: str) -> int:
    """In how many frames a result has a measure."""
    images: int = result.record.get("images", {}).get(protocol, {}).get(measure, 0)
    return images


def chart(
    results: Sequence[Result], name: str, protocol: Protocol, labels: Mapping[str, str], title: str
) -> str:
    """Draw measures with their labels, by the protocol's own reducer; "" where there is none."""
    shown = dict([*labels.items()][:_MOST_BARS])
    series = {
        result.name: [result.figure(name, protocol.reducer, measure) for measure in shown]
        for result in results if name in result.protocols
    }  # fmt: skip
    if not shown:
        return ""
    unit = measure_of(next(iter(shown))).unit
    title = f"{title} ({unit}), {protocol.reducer.replace('_', ' ')}"
    drawn = charts.bars([*shown.values()], series, title, unit)
    return (
        f"<figure class=wide><figcaption><b>{escape(title)}</b></figcaption>"
        f'<div class=scroll tabindex=0 role=region aria-label="Chart: {escape(title)}">{drawn}</div></figure>'
    )


def _figures(results: Sequence[Result], protocol: str) -> Iterator[tuple[str, Mapping[str, Any], Any, Any]]:
    """Of each result its name, its figures by reducer, its intervals, itself; the first stage's as well."""
    for result in results:
        record = result.record
        if protocol in result.protocols:
            yield result.name, record["metrics"][protocol], record["intervals"][protocol], result
        before = record.get("initial", {}).get("metrics", {}).get(protocol)
        if before:
            yield f"{result.name}, before its second stage", before, {}, None


def _table(
    results: Sequence[Result], name: str, protocol: Protocol, labels: Mapping[str, str], title: str,
    *, frames: bool = False,
) -> str:  # fmt: skip
    """Write measures, a row a result, by every reducer; ``frames`` adds in how many there is one."""
    sources = [*_figures(results, name)]
    several = len(sources) > 1
    heads = [reducer.replace("_", " ") + "*" * (reducer == protocol.reducer) for reducer in REDUCERS]
    heads.insert(1, "95 % of the mean")
    head = ["Measure", *["Result"] * several, *["Frames"] * frames, *heads]
    rows = []
    for measure, label in labels.items():
        first = escape(label)
        for told, figures, intervals, result in sources:
            if not any(measure in by for by in figures.values()):
                continue
            cells = [cell(figures.get(reducer, {}).get(measure)) for reducer in REDUCERS]
            cells.insert(1, interval(intervals.get(measure)))
            count = [str(_frames(result, name, measure)) if result else "&ndash;"] * frames
            rows.append([first, *[escape(told)] * several, *count, *cells])
    return table(head, rows, title, texts=1 + several)


def measure_of(name: str) -> Measure:
    """What a measure is by its name; nothing is known of one that ``rsgt.quality.measures`` does not list."""
    try:
        return described(name)
    except KeyError:
        return Measure("", "not among the measures that this version knows")


def with_unit(name: str) -> str:
    """Write a measure's name with its unit."""
    unit = measure_of(name).unit
    return f"{name} ({unit})" if unit else name


def cell(value: Any) -> str:
    """Write a figure, or a dash for none."""
    return f"{value:.4f}" if value is not None and isfinite(value) else "&ndash;"


def interval(ends: Sequence[float | None] | None) -> str:
    """Write an interval, or a dash for none."""
    cells = [cell(end) for end in ends or (None,)]
    return "&ndash;" if "&ndash;" in cells else " to ".join(cells)


def definitions(measures: Mapping[str, Any]) -> str:
    """List what measures are, p being the predicted depth and q the true one."""
    shown: dict[str, Measure] = {}
    for name in measures:
        kind = next((one for one in CATEGORY if name.startswith(one)), name)
        shown[kind] = measure_of(name)
    told = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(one.definition)}"
        f"{f', {one.unit}' * bool(one.unit)}; {'less' if one.less_is_better else 'more'} is better</dd>"
        for name, one in shown.items()
    )
    return (
        "<details class=definitions open><summary>Definitions</summary><p class=soft>p is the predicted "
        "depth, q the true one; means go over the pixels that count.</p>"
        f"<dl class=facts>{told}</dl></details>"
    )


def regions(results: Sequence[Result]) -> str:
    """Write the errors per region, and the agreement of predicted regions; "" if there are none."""
    found = [
        (result.name, str(of), truths)
        for result in results for of, truths in result.record.get("regions", {}).items()
    ]  # fmt: skip
    if not found:
        return ""
    # A column a truth, and none for what is the same in all rows: so the figures fit on a telephone.
    against = [*dict.fromkeys(str(truth) for *_, truths in found for truth in truths)]
    several = [len({one[k] for one in found}) > 1 for k in (0, 1)]
    shown = {name: MEASURES[name] for name in ("region_rmse", "region_variance", "instability")}
    keys = {name: name.removeprefix("region_") for name in shown}
    rows = [
        [
            with_unit(name), *[escape(text) for text, told in zip(of, several, strict=True) if told],
            *[cell(truths.get(truth, {}).get(keys[name], nan)) for truth in against],
        ]
        for name in shown for *of, truths in found
    ]  # fmt: skip
    head = ["Measure", *["Result"] * several[0], *["Map"] * several[1]]
    told = table(
        [*head, *[f"against {escape(t)}" for t in against]], rows, "Errors per region", texts=len(head)
    )
    parts = {result.name: result.record["partition"] for result in results if result.record.get("partition")}
    if parts:
        names = [*dict.fromkeys(name for figures in parts.values() for name in figures)]
        rows = [[escape(name), *(cell(figures.get(one)) for one in names)] for name, figures in parts.items()]
        told += table(["Result", *map(escape, names)], rows, "Predicted regions against the true ones", 1)
        shown |= {name: measure_of(name) for name in names}
    return told + definitions(shown)
