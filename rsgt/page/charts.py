"""Charts as SVG text for pages: colours come from the page's style sheet, words stay words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

Array = npt.NDArray[Any]

_BINS = 44
_CHARACTER = 7.2  # width of a character at the style sheet's size, in the drawing's units


@dataclass(frozen=True)
class _Axis:
    """Maps values from ``low`` to ``high`` onto ``start`` to ``stop`` in the drawing's units."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False
    whole: bool = False

    def __call__(self, value: Any) -> Any:
        low, high, v = (np.log10(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (v - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        if not self.log:
            found: Array = np.asarray(MaxNLocator(5, integer=self.whole).tick_values(self.low, self.high))
        else:
            decades = 10.0 ** np.arange(np.floor(np.log10(self.low)), np.ceil(np.log10(self.high)) + 1)
            wide = self.high / self.low >= 1000
            found = decades if wide else np.sort(np.concatenate([decades, 2 * decades, 5 * decades]))
        return [float(t) for t in found if self.low * (1 - 1e-9) <= t <= self.high * (1 + 1e-9)]


def number(value: float) -> str:
    """Write a number with three digits, or all of its whole ones, and commas between thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
    return head + "".join(body) + "</svg>"


def _grid(x: _Axis, y: _Axis, unit: str, percent: bool) -> list[str]:
    """Draw horizontal lines with their values, and the values along the bottom."""
    body = []
    for tick in y.ticks():
        body.append(f'<path class="grid" d="M{x.start:g} {y(tick):.1f}H{x.stop:g}"/>')
        body.append(_text(x.start - 6, y(tick) + 4, f"{number(tick)} %" if percent else number(tick), "end"))
    ticks = x.ticks()
    body += [_text(x(t), y.start + 17, number(t) + (f" {unit}" if t == ticks[-1] else "")) for t in ticks]
    return body


def histogram(values: Array, title: str, unit: str = "", log: bool = False) -> str:
    """Draw how ``values`` (one axis, finite; positive if ``log``) are distributed, with their median."""
    edges = _edges(values, log)
    share = 100 * np.histogram(values, edges)[0] / values.size
    x, y = _Axis(edges[0], edges[-1], 44, 428, log), _Axis(0, float(share.max()) * 1.12, 170, 12)
    bars = "".join(
        f"M{x(a) + 0.5:.1f} {y.start:g}V{y(s):.1f}H{x(b) - 0.5:.1f}V{y.start:g}z"
        for a, b, s in zip(edges[:-1], edges[1:], share, strict=True)
        if s
    )
    median = float(np.median(values))
    right = x(median) < 300
    body = [
        *_grid(x, y, unit, percent=True),
        f'<path class="bars" d="{bars}"/>',
        f'<path class="axis" d="M{x.start:g} {y.start:g}H{x.stop:g}"/>',
        f'<path class="median" d="M{x(median):.1f} {y.start:g}V{y.stop - 4:g}"/>',
        _text(x(median) + (5 if right else -5), y.stop + 5, f"median {number(median)} {unit}".strip(),
              "start" if right else "end", "note"),
    ]  # fmt: skip
    return _svg(440, 196, title, body)


def _edges(values: Array, log: bool) -> Array:
    """Bounds of the bars; on a linear scale as many whole numbers fall into each."""
    low, high = float(values.min()), float(values.max())
    if log:
        return np.geomspace(low, high, _BINS + 1) if low < high else np.array([low / 2, high * 2])
    if values.dtype.kind in "iu":
        step = np.ceil((high - low + 1) / _BINS)
        return np.arange(low - 0.5, high + step, step)
    return np.linspace(low, high, _BINS + 1) if low < high else np.array([low - 0.5, high + 0.5])


@dataclass(frozen=True)
class Series:
    """One line, or one dot, of a chart; ``leading`` is the one that the chart is about."""

    name: str
    x: Array
    y: Array
    leading: bool = False


def curves(series: Sequence[Series], title: str, x_label: str, y_label: str) -> str:
    """Draw ``y`` over ``x``, both positive and logarithmic, with each series' name beside its last point."""
    xs, ys = (np.concatenate([getattr(s, axis) for s in series]) for axis in "xy")
    x = _Axis(float(xs.min()) / 1.15, float(xs.max()) * 1.15, 52, 600, log=True)
    y = _Axis(float(ys.min()) / 1.15, float(ys.max()) * 1.15, 330, 30, log=True)
    body = [
        *_grid(x, y, "", percent=False),
        f'<path class="axis" d="M{x.start:g} {y.start:g}H{x.stop:g}"/>',
        _text(x.start - 6, 14, y_label, "start"),
        _text(x.stop, y.start + 36, x_label, "end"),
    ]
    drawn = [
        (one.name, "leading" if one.leading else f"s{k % 6}",
         [(float(x(one.x[i])), float(y(one.y[i]))) for i in np.argsort(one.x)])
        for k, one in enumerate(sorted(series, key=lambda one: one.leading))
    ]  # fmt: skip
    for _, kind, points in drawn:
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in points)
        body.append(f'<g class="series {kind}"><path d="M{line}"/>{dots}</g>')
    taken = [(a - 4, a + 4, b + 4) for _, _, points in drawn for a, b in points]
    for name, kind, points in reversed(drawn):
        place = _free_place(points[-1], name, taken)
        body.append(f'<g class="series {kind}">{_text(*place, name, "start", "name")}</g>')
    return _svg(760, 372, title, body)


def courses(series: Sequence[Series], title: str, y_label: str) -> str:
    """Draw values over the whole numbers of epochs, both on linear axes; what is not finite is left out."""
    known = [(one, np.isfinite(one.y)) for one in series]
    ys = np.concatenate([one.y[finite] for one, finite in known])
    epochs = np.concatenate([one.x for one in series])
    low, high = (float(ys.min()), float(ys.max())) if ys.size else (0.0, 1.0)
    edge = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    x = _Axis(float(epochs.min()) - 0.5, float(epochs.max()) + 0.5, 58, 428, whole=True)
    top = 16 + 14 * len(series)  # below the names
    y = _Axis(low - edge, high + edge, top + 160, top)
    body = [*_grid(x, y, "", percent=False), f'<path class="axis" d="M{x.start:g} {y.start:g}H{x.stop:g}"/>']
    body += [_text(4, 14, y_label, "start"), _text(x.stop, y.start + 34, "epoch", "end")]
    for k, (one, finite) in enumerate(known):
        kind = "leading" if one.leading or len(series) == 1 else f"s{k % 6}"
        points = [(float(x(a)), float(y(b))) for a, b in zip(one.x[finite], one.y[finite], strict=True)]
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in points)
        name = _text(x.stop, 14 + 14 * k, one.name, "end", "name") if len(series) > 1 else ""
        body.append(f'<g class="series {kind}"><path d="M{line}"/>{dots}{name}</g>' if points else "")
    return _svg(440, top + 202, title, body)


def _free_place(
    point: tuple[float, float], name: str, taken: list[tuple[float, float, float]]
) -> tuple[float, float]:
    """Find where a name beside ``point`` covers no other name and no dot, and take that place.

    ``taken`` holds the left and right ends of what is drawn, and its baseline.
    """
    left, right = point[0] + 8, point[0] + 8 + _CHARACTER * len(name)
    for offset in sorted((step * 7.0 for step in range(-40, 41)), key=abs):
        baseline = point[1] + 4 + offset
        clear = all(right < a or left > b or abs(baseline - other) >= 14 for a, b, other in taken)
        if clear and 12 < baseline < 326:
            break
    taken.append((left, right, baseline))
    return left, baseline


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]], title: str, unit: str = "") -> str:
    """Draw lying bars from 0: for each label one of each series, with its value; NaN = there is none.

    Series are told apart by colour, and named above where there are several.
    """
    thick, left, right = 15, 190, 690
    names = [*series] if len(series) > 1 else []
    top = 18 * len(names) + 8
    step = thick * len(series) + 9
    bottom = top + step * len(labels)
    finite = [v for values in series.values() for v in values if np.isfinite(v)]
    x = _Axis(0, max(finite, default=0) or 1, left, right)
    body = [f'<path class="grid" d="M{x(tick):.1f} {top}V{bottom}"/>' for tick in x.ticks()]
    kinds = ["leading", *(f"s{k}" for k in range(len(series) - 1))]
    for k, (name, kind) in enumerate(zip(names, kinds, strict=False)):
        text = _text(left + 16, 18 * k + 12, _short(name, 60), "start", "name")
        body.append(
            f'<g class="series {kind}"><rect x="{left}" y="{18 * k + 2}" width="11" height="11"/>{text}</g>'
        )
    for i, label in enumerate(labels):
        start = top + step * i + 5
        body.append(_text(left - 8, start + (step - 9) / 2 + 4, _short(label, 25), "end"))
        for k, (values, kind) in enumerate(zip(series.values(), kinds, strict=True)):
            at, value = start + thick * k, values[i]
            told, width = ("–", 0.0) if not np.isfinite(value) else (number(value), max(0, x(value) - left))
            bar = f'<rect x="{left}" y="{at + 1}" width="{width:.1f}" height="{thick - 2}"/>'
            body.append(f'<g class="series {kind}">{bar}</g>')
            body.append(_text(left + width + 5, at + thick - 4, told, "start", "note"))
    body.append(f'<path class="axis" d="M{left} {top}V{bottom}"/>')
    body += [
        _text(x(tick), bottom + 16, number(tick) + f" {unit}".rstrip() * (tick == x.ticks()[-1]))
        for tick in x.ticks()
    ]
    return _svg(760, bottom + 24, title, body)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
