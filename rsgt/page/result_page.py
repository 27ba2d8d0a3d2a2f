"""One self-contained HTML page about results: figures from records, pictures from store and maps."""

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
from rsgt.page import charts, document, measure_tables, result_frames
from rsgt.page.document import MAX_BYTES, MAX_COUNT
from rsgt.page.measure_tables import GROUPS, cell, measure_of, with_unit
from rsgt.page.result import LEAD, Pair, Result, SharedFrames, open_results
from rsgt.quality.evaluation.comparison import compare_records
from rsgt.store.reader import Store, as_store

Array = npt.NDArray[Any]

_EXTREMES, _FEWER, _MANY = 4, 2, 3
"""Best and worst frames of each result; fewer of so many results and more."""

_MOST_ROWS = 3000


def result_page(
    store: Store | str | PathLike[str],
    results: Sequence[Pair],
    out: str | PathLike[str],
    *,
    frames: Sequence[int] | None = None,
) -> Path:
    """Write one HTML page about results: figures, errors by frame, frames to look into, several side by side.

    Parameters
    ----------
    store
        A finished store, or its path.
    results
        Pairs of a record, as ``rsgt.evaluate`` and ``rsn.evaluate`` return or write it, and the maps that it
        was made of; six at most. What the maps are is in the record.
    out
        The page's file; it needs no other and no network. One that stands there is replaced.
    frames
        Numbers of the frames to look into, 60 at most; None = twelve, from the smallest error of the first
        result to its largest, and among them those in which the results differ most.

    Raises
    ------
    InputError
        Where a record is of another store, or its maps are others; where the store is damaged or a frame was
        not judged in every result.
    """
    opened = as_store(store)
    text = page(opened, open_results(opened, results), frame_ids=frames)
    write_text(local_path(out), text)
    return local_path(out)


def page(store: Store, results: Sequence[Result], *, frame_ids: Sequence[int] | None = None) -> str:
    """Write a page about results of a store as HTML that keeps below ``MAX_BYTES``; see ``result_page``."""
    if frame_ids is not None and not 0 < len(frame_ids) <= MAX_COUNT:
        raise InputError(f"frames: got {len(frame_ids)}, expected 1 to {MAX_COUNT} to look into; name fewer")
    frames = SharedFrames(store, results)
    chosen = frames.chosen() if frame_ids is None else _asked(frames, frame_ids)
    sections = {key: measure_tables.section(results, frames.shown, key, store.class_names) for key in GROUPS}
    lacking = [group.title.lower() for key, group in GROUPS.items() if not sections[key]]
    inside = [
        f"<h3>{group.title}</h3>{sections[key]}"
        for key, group in GROUPS.items() if sections[key] and key not in ("distance", "category")
    ]  # fmt: skip
    parts = {
        "name": escape(" · ".join(map(_title, results))),
        "lead": _lead(store, results, frames),
        "tiles": _tiles(results, frames),
        "readings": _readings(results),
        "measures": "".join(inside),
        "lacking": ", ".join(lacking),
        "whole": "" if lacking else "hidden",
        "these": "this record" if len(results) == 1 else "these records",
        "differences": _section("differences", "Differences", _differences(results, frames)),
        "distance": _section("distance", GROUPS["distance"].title, sections["distance"]),
        "category": _section("category", GROUPS["category"].title, sections["category"]),
        "regions": _section("regions", "By region", measure_tables.regions(results)),
        "distributions": _distributions(results, frames),
        "extremes": _extremes(store, results, frames),
        "frames": _frame_table(results, frames),
        "provenance": _provenance(store, results),
    }
    parts = document.writable(parts)
    template = document.template("result", shared=("sides.js",))
    told = [_told(results, frames, i) for i in chosen]
    places = [frames.positions[i] for i in chosen]
    room = document.room(template, parts, MAX_BYTES)
    packed = result_frames.pack(store, results, frames.shown, places, told, room)
    of = f" of {escape(results[0].name)}, with those that differ most" * (len(results) > 1)
    order = f" from the smallest error to the largest{of}," if frame_ids is None else ""
    parts |= {"data": packed.text, "size": document.frames_shown(packed, len(frames.ids), order)}
    return document.filled(template, parts)


def _title(result: Result) -> str:
    """What was judged, by the name of its maps, and in brackets its record's where that is another."""
    maps = result.maps.path.absolute().stem
    return maps if maps == result.name else f"{maps} ({result.name})"


def _asked(frames: SharedFrames, frame_ids: Sequence[int]) -> list[int]:
    place = {number: i for i, number in enumerate(frames.ids)}
    if unknown := [number for number in frame_ids if number not in place]:
        raise InputError(
            f"frames: {unknown[0]} asked for, which not every record has judged; "
            f"expected some of {len(place)} from {min(place)} to {max(place)}"
        )
    return [place[number] for number in frame_ids]


def _section(key: str, title: str, body: str) -> str:
    return f"<section aria-labelledby=h-{key}><h2 id=h-{key}>{title}</h2>{body}</section>" if body else ""


def _unit(measure: str) -> str:
    unit = measure_of(measure).unit
    return f" {unit}" if unit else ""


def _lead(store: Store, results: Sequence[Result], frames: SharedFrames) -> str:
    source = escape(str(store.attributes["source"].get("name", store.path.name)))
    if len(results) > 1:
        return (
            f"{len(results)} results on the {len(frames.ids):,} frames of {source} that all of them judged."
        )
    (result,), (name,) = results, frames.shown
    reducer = result.protocols[name].reducer
    figure = cell(result.figure(name, reducer, LEAD))
    return (
        f"{len(frames.ids):,} frames of {source}, judged by <b>{escape(name)}</b>: {LEAD} "
        f"<b>{figure}{_unit(LEAD)}</b>, {reducer.replace('_', ' ')}."
    )


def _tiles(results: Sequence[Result], frames: SharedFrames) -> str:
    """One result: its main figures; several: the first figure of each."""
    shown = []
    for result, name in zip(results, frames.shown, strict=True):
        reducer = result.protocols[name].reducer
        for measure in (LEAD,) if len(results) > 1 else (LEAD, "abs_rel", "delta1"):
            title = escape(result.name) if len(results) > 1 else measure
            ends = measure_tables.interval(result.record["intervals"][name].get(measure))
            what = f"{measure}, " if len(results) > 1 else ""
            note = f"{what}{escape(name)}, {reducer.replace('_', ' ')}; 95 % of the mean over images: {ends}"
            shown.append((title, f"{cell(result.figure(name, reducer, measure))}{_unit(measure)}", note))
    if len(results) == 1:
        record = results[0].record
        invalid = record.get("invalid_pixels", {}).get(frames.shown[0]) or 0
        skipped = f"{len(record.get('skipped', []))} without a pixel that counts"
        damaged = f"{len(record.get('damaged', []))} with damaged maps"
        shown.append(("Frames", f"{len(frames.ids):,}", f"{skipped}, {damaged}"))
        shown.append(("Pixels that say nothing", f"{invalid:,}", "taken as the protocol&rsquo;s least depth"))
    return document.tiles(shown)


def _readings(results: Sequence[Result]) -> str:
    names = [escape(result.name) for result in results] if len(results) > 1 else ["Prediction"]
    return "".join(f'<dt>{name}</dt><dd id="r-{k}"></dd>' for k, name in enumerate(names))


def _told(results: Sequence[Result], frames: SharedFrames, i: int) -> dict[str, Any]:
    """What the page says of one frame beside its pictures."""
    errors = [f"{error:.3f}" for error in frames.errors[:, i]]
    of = " / ".join(errors) + _unit(LEAD)
    differs = len(results) > 1 and i in frames.differing()
    words = [frames.origin(i), frames.split[i], f"{LEAD} {of}"]
    return {
        "id": frames.ids[i],
        "about": " · ".join(words + ["among those that differ most"] * differs),
        "figure": of,
    }


def _differences(results: Sequence[Result], frames: SharedFrames) -> str:
    """Every other result against the first, paired by frame."""
    told = []
    for other in results[1:]:
        if not set(results[0].protocols) & set(other.protocols):
            told.append(
                f"<p>{escape(results[0].name)} and {escape(other.name)} have no protocol in common, by which "
                "they could be compared.</p>"
            )
            continue
        found = compare_records(results[0].record, other.record)
        for name, compared in found["protocols"].items():
            title = f"{other.name} against {results[0].name}, {name}"
            body = _compared(results[0].name, other.name, title, compared)
            count = (
                f"<p class=soft>{found['frames']:,} frames in common, means over images; the difference is "
            )
            count += f"{escape(other.name)} minus {escape(results[0].name)}, its interval over the pairs.</p>"
            opened = " open" * (name in frames.shown)
            told.append(f"<details{opened}><summary>{escape(title)}</summary>{count}{body}</details>")
    return "".join(told)


def _compared(first: str, second: str, title: str, compared: Mapping[str, Any]) -> str:
    better = {"first": first, "second": second, "-": "–"}
    rows = [
        [escape(with_unit(measure)), escape(better[one["better"]]), cell(one["first"]), cell(one["second"]),
         f"{one['difference']:+.4f}", "{:+.4f} to {:+.4f}".format(*one["interval"])]
        for measure, one in compared["differences"].items() if not measure.startswith("category_")
    ]  # fmt: skip
    head = ["Measure", "Better", escape(first), escape(second), "Difference", "95 %"]
    most = [
        [str(one["frame_id"]), escape(str(one["name"])), cell(one["first"]), cell(one["second"]),
         f"{one['difference']:+.4f}"]
        for one in compared["most"]
    ]  # fmt: skip
    caption = f"Frames that differ most in {with_unit(compared['most_in'])}"
    heads = ["Frame", "Name", escape(first), escape(second), "Difference"]
    return (
        f"{document.table(head, rows, title, texts=2)}<h3>{escape(caption)}</h3>"
        f"{document.table(heads, most, caption, texts=2)}"
    )


def _distributions(results: Sequence[Result], frames: SharedFrames) -> str:
    several = len(results) > 1
    told = []
    for result, name in zip(results, frames.shown, strict=True):
        for measure in (LEAD,) if several else (LEAD, "abs_rel"):
            values = result.by_frame(name, measure)
            title = f"{measure} per frame" + f": {result.name}" * several
            drawn = charts.histogram(values, title, measure_of(measure).unit)
            caption = f"<figcaption><b>{escape(title)}</b> {escape(name)}</figcaption>"
            told.append(f"<figure>{caption}{drawn}</figure>")
    return "".join(told)


def _extremes(store: Store, results: Sequence[Result], frames: SharedFrames) -> str:
    """Photo and error of the frames that each result is best and worst in, painted on one scale."""
    count = _EXTREMES if len(results) < _MANY else _FEWER
    told = []
    for k, result in enumerate(results):
        ranked = frames.ranked(k)
        best = ranked[: min(count, (len(ranked) + 1) // 2)]
        worst = ranked[max(len(best), len(ranked) - count) :][::-1]
        found = {}
        for i in best + worst:
            position = frames.positions[i]
            depth = store.read("depth", position, position + 1)[0]
            judged = result.judged(store, position, frames.shown[k], depth)
            found[i] = judged, depth, result_frames.reach_m(judged, depth)
        reach = float(np.median([one[2] for one in found.values()]))
        whose = f": {escape(result.name)}" * (len(results) > 1)
        for title, group in ((f"Smallest error{whose}", best), (f"Largest error{whose}", worst)):
            cards = "".join(
                _card(store, frames, k, i, result_frames.paint_error(*found[i][:2], reach)) for i in group
            )
            told.append(f"<h3>{title}</h3><ul class=cards>{cards}</ul>" * bool(cards))
        told.append(
            f"<p class=soft>Photo, and error: red too far, blue too near, in full colour from {reach:.3f} m "
            "on; grey does not count.</p>"
        )
    return "".join(told)


def _card(store: Store, frames: SharedFrames, k: int, i: int, error: Array) -> str:
    position = frames.positions[i]
    rgb = store.read("rgb", position, position + 1)[0]
    name = f"Frame {frames.ids[i]}"
    caption = (
        f"<b>{name}</b> {LEAD} {frames.errors[k, i]:.3f}{_unit(LEAD)} <span>{escape(frames.origin(i))}</span>"
    )
    return document.card(Image.fromarray(np.hstack([rgb, error])), f"{name}: photo and error", caption)


def _frame_table(results: Sequence[Result], frames: SharedFrames) -> str:
    """List the frames that all results judged, of very many the worst."""
    several = len(results) > 1
    measures = [LEAD] if several else [LEAD, "abs_rel", "delta1"]
    head, columns = ["Frame", "Name", "Scene", "Split"], []
    for result, name in zip(results, frames.shown, strict=True):
        place = {number: i for i, number in enumerate(result.frame_ids)}
        for measure in measures:
            title = with_unit(measure)
            head.append(escape(f"{result.name}, {title}" if several else title))
            columns.append(result.by_frame(name, measure)[[place[number] for number in frames.ids]])
    order = [*range(len(frames.ids))]
    if len(order) > _MOST_ROWS:
        order = frames.ranked(0)[::-1][:_MOST_ROWS]
    rows = [
        [str(frames.ids[i]), escape(frames.names[i]), escape(frames.scene[i]), frames.split[i],
         *(cell(column[i]) for column in columns)]
        for i in order
    ]  # fmt: skip
    less = f"The {len(rows):,} with the largest error of {len(frames.ids):,} frames"
    caption = f"All {len(rows):,} frames" if len(rows) == len(frames.ids) else less
    return f"<p class=soft>{caption}.</p>" + document.table(head, rows, caption, texts=4)


def _provenance(store: Store, results: Sequence[Result]) -> str:
    told = []
    for result in results:
        record = result.record
        frames = {key: len(record.get(key, [])) for key in ("skipped", "damaged")}
        maps = record.get("prediction") or {"name": result.maps.path.name, "form": result.maps.form}
        shown = {
            "Store (SHA-256 of its content)": store.identity,
            "Frames": {"split": record["split"], "judged": len(result.frame_ids), **frames},
            "Protocols": "; ".join(str(protocol) for protocol in result.protocols.values()),
            "Maps": {key: value for key, value in maps.items() if value is not None},
            "Pixels that say nothing": record.get("invalid_pixels", {}),
        }
        shown |= {
            key.capitalize(): record[key]
            for key in ("model", "checkpoint", "seed", "config", "commit", "versions") if key in record
        }  # fmt: skip
        if record.get("damaged"):
            shown["Damaged maps"] = "; ".join(map(str, record["damaged"]))
        title = f"<h3>{escape(result.name)}</h3>" * (len(results) > 1)
        told.append(f"{title}<dl class=facts>{document.facts(shown)}</dl>")
    return "".join(told)
