"""The charts of the report: bars that add up, axes that place values, names that can be read."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from rsgt.page import charts


def drawn(svg):
    return ElementTree.fromstring(svg)


def bars(svg):
    """Left end, right end and height of each bar in the drawing's units."""
    path = next(p for p in drawn(svg).iter("path") if p.get("class") == "bars").get("d")
    found = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V", path)
    return [(float(a), float(b), float(base) - float(top)) for a, base, top, b in found]


def texts(svg):
    return [(t.get("class"), float(t.get("x")), float(t.get("y")), t.text) for t in drawn(svg).iter("text")]


def test_bars_have_the_height_of_their_share():
    found = bars(charts.histogram(np.array([1, 1, 1, 2, 2, 4]), "Counts"))
    heights = [height for *_, height in found]
    assert len(heights) == 3
    assert np.allclose(np.array(heights) / heights[2], (3, 2, 1), atol=0.02)


def test_courses_place_epochs_and_values():
    lines = [
        charts.Series("all", np.arange(1, 5), np.array([4.0, 2.0, np.nan, 1.0]), leading=True),
        charts.Series("one", np.array([2, 4]), np.array([3.0, 3.0])),
    ]
    svg = charts.courses(lines, "RMSE", "metres")
    groups = [g for g in drawn(svg).iter("g") if g.get("class").startswith("series")]
    dots = [[(float(c.get("cx")), float(c.get("cy"))) for c in g.iter("circle")] for g in groups]
    assert [len(points) for points in dots] == [3, 2]
    (x1, y4), (x2, y2), (x4, y1) = dots[0]
    assert x4 - x2 == pytest.approx(2 * (x2 - x1), abs=0.5)
    assert y1 - y2 == pytest.approx((y2 - y4) / 2, abs=0.5)
    ticks = [text.strip() for kind, _, y, text in texts(svg) if kind == "tick" and 210 < y < 230]
    assert ticks == ["1", "2", "3", "4"]
    assert {"all", "one"} <= {text for kind, *_, text in texts(svg) if kind == "name"}


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [np.nan], [-1.0, 2.0], [1e-9, 1e9]])
def test_courses_of_any_values(values):
    svg = charts.courses([charts.Series("a", np.arange(1, len(values) + 1), np.array(values))], "t", "y")
    assert "nan" not in svg
    drawn(svg)


def test_bars_of_counts_hold_as_many_whole_numbers_each():
    rng = np.random.default_rng(0)
    values = rng.permutation(np.repeat(np.arange(10, 150), 3))
    heights = [height for *_, height in bars(charts.histogram(values, "Counts"))]
    assert np.ptp(heights[:-1]) == 0


def test_median_and_ticks_stand_where_their_values_are():
    svg = charts.histogram(np.geomspace(1, 10_000, 999), "Size", "px", log=True)
    (note,) = [t for t in texts(svg) if t[0] == "note"]
    assert note[3] == "median 100 px"
    at = {t: x for _, x, _, t in texts(svg) if t in ("1", "10", "100", "1,000", "10,000 px")}
    assert len(at) == 5
    assert np.allclose(np.diff(list(at.values())), np.diff(list(at.values()))[0], atol=0.2)
    line = next(p for p in drawn(svg).iter("path") if p.get("class") == "median").get("d")
    assert float(re.match(r"M([\d.]+)", line)[1]) == pytest.approx(at["100"], abs=0.2)


@pytest.mark.parametrize("values", [[3], [3, 3, 3], [0.25], [0.25, 0.25]])
@pytest.mark.parametrize("log", [False, True])
def test_a_single_value_makes_a_bar(values, log):
    assert len(bars(charts.histogram(np.array(values), "One", log=log))) == 1


def test_names_of_curves_cover_no_other_name_and_no_dot():
    x = np.array([50.0, 100, 400])
    series = [charts.Series(f"family {k}", x * (1 + k / 40), (1 + k / 50) / x, k == 0) for k in range(9)]
    svg = charts.curves(series, "Curves", "regions", "RMSE (m)")
    names = [t for t in texts(svg) if t[0] == "name"]
    assert sorted(t[3] for t in names) == [s.name for s in series]
    for _, left, baseline, name in names:
        for _, other_left, other, other_name in names:
            assert other_name == name or abs(other - baseline) >= 14 or abs(other_left - left) > 60
        for dot in drawn(svg).iter("circle"):
            inside = left < float(dot.get("cx")) < left + 7 * len(name)
            assert not inside or abs(float(dot.get("cy")) - (baseline - 4)) > 9


def test_curves_run_down_and_to_the_right_where_the_values_do():
    svg = charts.curves([charts.Series("<a&b>", np.array([400.0, 50]), np.array([0.1, 0.4]))], "t", "x", "y")
    points = [(float(d.get("cx")), float(d.get("cy"))) for d in drawn(svg).iter("circle")]
    assert points[0][0] < points[1][0]
    assert points[0][1] < points[1][1]
    assert ("<a&b>") in [t[3] for t in texts(svg)]


def test_numbers():
    assert [charts.number(v) for v in (0.08868, 0.5, 12.0, 160374, 106.17)] == [
        "0.0887", "0.5", "12", "160,374", "106",
    ]  # fmt: skip


def test_lying_bars_are_as_long_as_their_values_and_say_them():
    svg = charts.bars(["near", "far"], {"a": [1.0, 4.0], "b <i>": [2.0, float("nan")]}, "Errors", "m")
    groups = [g for g in drawn(svg).iter("g") if g.get("class").startswith("series")]
    names, bars_of = groups[:2], groups[2:]
    assert [g.find("text").text for g in names] == ["a", "b <i>"]
    assert [g.get("class") for g in bars_of] == ["series leading", "series s0"] * 2
    long = [float(g.find("rect").get("width")) for g in bars_of]
    assert np.allclose(np.array(long) / long[0], (1, 2, 4, 0), atol=0.01)
    assert [t[3] for t in texts(svg) if t[0] == "note"] == ["1", "2", "4", "–"]
    ticks = {t: x for kind, x, _, t in texts(svg) if kind == "tick"}
    assert ticks["4 m"] - ticks["0"] == pytest.approx(long[2], abs=0.2)
