"""Furniture made of parts. Every function stands a piece on a pose; its front looks along +y.

Pieces that stand against a wall have y = 0 at their back; free ones have their middle there.
"""

from math import cos, pi, sin

import numpy as np

from rsgt.sources.rooms.clutter import KITCHEN_THINGS, SHELF_THINGS, books, scatter
from rsgt.sources.rooms.mesh import Builder, Light, Material, Pose, Thing, Triple
from rsgt.sources.rooms.style import BRIGHTS, FABRICS, Style, dimmed, linear


def table(
    b: Builder, at: Pose, style: Style, size: Triple, *, category: str = "table", round_top: bool = False
) -> None:
    """Stand a table of size (width, depth, height) with its middle on ``at``."""
    w, d, h = size
    top, t = style.wood, b.thing(category, at)
    if round_top:
        t.prism(top, (0, 0, h - 0.035), w / 2, 0.035)
        t.prism(top, (0, 0, 0.03), 0.05, h - 0.06)
        t.prism(top, (0, 0, 0), 0.28, 0.03)
        return
    t.box(top, (0, 0, h - 0.035), (w, d, 0.035))
    t.box(top, (0, 0, h - 0.11), (w - 0.16, d - 0.16, 0.075))
    for x in (0.06 - w / 2, w / 2 - 0.06):
        for y in (0.06 - d / 2, d / 2 - 0.06):
            t.box(top, (x, y, 0), (0.06, 0.06, h - 0.035))


def chair(b: Builder, at: Pose, style: Style, seat: Material) -> None:
    """Stand a chair, its back at -y."""
    t, wood = b.thing("chair", at), style.second_wood
    t.cushion(seat, (0, 0.01, 0.42), (0.45, 0.43, 0.09), 0.3)
    t.box(wood, (0, 0, 0.39), (0.44, 0.42, 0.04))
    for x in (-0.19, 0.19):
        t.box(wood, (x, 0.18, 0), (0.04, 0.04, 0.4))
        t.box(wood, (x, -0.19, 0), (0.04, 0.04, 0.95))
    for z in (0.62, 0.75, 0.88):
        t.box(wood, (0, -0.19, z), (0.36, 0.025, 0.06))


def office_chair(b: Builder, at: Pose, style: Style, seat: Material) -> None:
    """Stand a swivel chair on a star foot, its back at -y."""
    t = b.thing("chair", at)
    t.cushion(seat, (0, 0, 0.43), (0.5, 0.5, 0.11), 0.4)
    t.cushion(seat, (0, -0.24, 0.58), (0.46, 0.1, 0.52), 0.4)
    t.box(style.dark, (0, -0.26, 0.46), (0.07, 0.03, 0.3))
    t.prism(style.metal, (0, 0, 0.08), 0.03, 0.36)
    for k in range(5):
        angle = 2 * pi * k / 5
        t.box(style.dark, (0.15 * cos(angle), 0.15 * sin(angle), 0.05), (0.3, 0.05, 0.04), angle)
        t.cushion(style.dark, (0.3 * cos(angle), 0.3 * sin(angle), 0), (0.06, 0.06, 0.06), 1)
    for x in (-0.27, 0.27):
        t.box(style.dark, (x, 0, 0.63), (0.05, 0.28, 0.03))
        t.box(style.dark, (x, 0, 0.46), (0.03, 0.05, 0.18))


def sofa(b: Builder, at: Pose, style: Style, width: float) -> None:
    """Stand a sofa against the wall, with pillows on it."""
    cloth, t = style.cloth(), b.thing("sofa", at)
    t.cushion(cloth, (0, 0.46, 0.06), (width, 0.86, 0.32), 0.12)
    t.cushion(cloth, (0, 0.16, 0.2), (width, 0.26, 0.66), 0.25)
    for x in (0.12 - width / 2, width / 2 - 0.12):
        t.cushion(cloth, (x, 0.46, 0.08), (0.24, 0.88, 0.56), 0.25)
        t.box(style.dark, (x, 0.8, 0), (0.06, 0.06, 0.1))
    seats = max(1, round((width - 0.5) / 0.7))
    step = (width - 0.48) / seats
    for k in range(seats):
        x = (k + 0.5) * step - (width - 0.48) / 2
        t.cushion(cloth, (x, 0.56, 0.33), (step * 0.98, 0.66, 0.18), 0.3)
        t.cushion(cloth, (x, 0.32, 0.46), (step * 0.96, 0.2, 0.42), 0.4)
        if style.chance(0.6):
            at_pillow = at.at(x + style.between(-0.15, 0.15), 0.5, 0.49, style.between(-0.5, 0.5))
            b.thing("pillow", at_pillow).cushion(style.cloth(), (0, 0, 0), (0.44, 0.17, 0.4), 0.6)


def bed(b: Builder, at: Pose, style: Style, width: float) -> None:
    """Stand a bed, head against the wall, with pillows and a blanket."""
    t = b.thing("bed", at)
    t.box(style.wood, (0, 1.05, 0.12), (width, 2.0, 0.16))
    t.box(style.wood, (0, 0.03, 0), (width + 0.06, 0.06, style.between(0.8, 1.2)))
    t.cushion(style.white, (0, 1.06, 0.26), (width * 0.99, 2.0, 0.26), 0.15)
    cover = style.cloth()
    t.cushion(cover, (0, 1.32, 0.2), (width * 1.05, 1.55, 0.4), 0.16)
    for x in (0.05 - width / 2, width / 2 - 0.05):
        t.box(style.wood, (x, 1.98, 0), (0.08, 0.08, 0.15))
    pillow = style.cloth()
    for x in np.linspace(-width / 4, width / 4, 2 if width > 1.2 else 1):
        for row in range(1 + style.chance(0.5)):
            here = at.at(float(x), 0.3 + 0.22 * row, 0.49 + 0.04 * row, style.between(-0.15, 0.15))
            kind = style.white if row == 0 else pillow
            b.thing("pillow", here).cushion(kind, (0, 0, 0), (0.6, 0.38, 0.2), 0.6)
    if style.chance(0.6):
        here = at.at(style.between(-0.2, 0.2), 1.75, 0.585, style.between(-0.2, 0.2))
        b.thing("blanket", here).cushion(style.cloth(), (0, 0, 0), (width * 0.7, 0.6, 0.09), 0.3)


def cabinet(
    b: Builder, at: Pose, style: Style, size: Triple, *, category: str = "cabinet", rows: int = 3
) -> None:
    """Stand a body with doors or drawers of its own thickness, and their handles."""
    w, d, h = size
    wood, t = (style.wood if style.chance(0.6) else style.white), b.thing(category, at)
    t.box(wood, (0, d / 2, 0.06), (w, d, h - 0.08))
    t.box(style.dark, (0, d / 2 - 0.03, 0), (w - 0.04, d - 0.06, 0.06))
    t.box(wood, (0, d / 2 + 0.012, h - 0.02), (w + 0.02, d + 0.024, 0.025))
    columns = max(1, round(w / 0.5))
    cw, ch = w / columns, (h - 0.1) / rows
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5) * cw - w / 2, 0.07 + j * ch
            t.box(wood, (x, d + 0.009, z), (cw - 0.012, 0.018, ch - 0.012))
            t.box(style.metal, (x, d + 0.03, z + ch * 0.75), (min(0.14, cw / 2), 0.014, 0.014))


def bookshelf(b: Builder, at: Pose, style: Style, size: Triple, fill: float = 0.75) -> None:
    """Stand an open bookshelf with rows of books and some other things on its boards."""
    w, d, h = size
    wood, t = style.wood, b.thing("bookshelf", at)
    t.box(wood, (0, 0.01, 0), (w, 0.015, h))
    for x in (0.012 - w / 2, w / 2 - 0.012):
        t.box(wood, (x, d / 2, 0), (0.024, d, h))
    boards = max(2, round(h / 0.36))
    gap = (h - 0.08) / boards
    for k in range(boards + 1):
        t.box(wood, (0, d / 2, 0.05 + k * gap - 0.02), (w - 0.05, d - 0.01, 0.022))
    for k in range(boards):
        here = at.at(0, d - 0.03, 0.054 + k * gap)
        if style.chance(fill):
            share = style.between(0.5, 1)
            books(b, here.at(x=-(1 - share) * w / 2 + 0.03), style, w * share - 0.1, gap - 0.04)
        else:
            scatter(
                b, here.at(y=-d / 2), style, (w - 0.2, d * 0.4), SHELF_THINGS, count=2, headroom=gap - 0.05
            )


def counter(b: Builder, at: Pose, style: Style, width: float) -> None:
    """Build a kitchen run: floor cabinets, worktop, sink or stove, and cabinets on the wall above."""
    cabinet(b, at, style, (width, 0.58, 0.86), rows=2)
    top = Material("fabric", style.colour("#6b6b6b #d9d4c7 #3b3b3d"), linear("#8a867d"), 0.02, 0.3)
    b.thing("counter", at).box(top, (0, 0.31, 0.89), (width + 0.02, 0.63, 0.035))
    x = style.between(-width / 4, width / 4)
    if style.chance(0.5):
        sink = b.thing("sink", at)
        sink.box(style.metal, (x, 0.34, 0.926), (0.6, 0.44, 0.008))
        sink.box(style.dark, (x, 0.34, 0.935), (0.5, 0.34, 0.004))
        tap = b.thing("faucet", at)
        tap.prism(style.metal, (x, 0.12, 0.926), 0.016, 0.26)
        tap.box(style.metal, (x, 0.21, 1.17), (0.025, 0.2, 0.025))
    else:
        stove = b.thing("stove", at)
        stove.box(style.dark, (x, 0.34, 0.926), (0.58, 0.5, 0.015))
        for dx in (-0.15, 0.15):
            for dy in (0.22, 0.46):
                stove.prism(style.metal, (x + dx, dy, 0.941), 0.08, 0.012)
    scatter(b, at.at(y=0.16, z=0.926), style, (width - 0.1, 0.1), KITCHEN_THINGS, count=round(width * 3))
    for k in range(int(width / 0.8)):
        here = at.at((k + 0.5) * 0.8 - width / 2, 0.01, 1.45)
        cabinet(b, here, style, (0.78, 0.33, 0.72), rows=1)


def refrigerator(b: Builder, at: Pose, style: Style) -> None:
    """Stand a refrigerator with two doors; NYU spells its category ``refridgerator``."""
    body = style.white if style.chance(0.6) else style.metal
    t = b.thing("refridgerator", at)
    t.box(body, (0, 0.32, 0.04), (0.7, 0.62, 1.7))
    for z, h in ((0.06, 1.1), (1.18, 0.55)):
        t.cushion(body, (0, 0.655, z), (0.7, 0.07, h), 0.08)
        t.box(style.metal, (-0.28, 0.71, z + h / 2 - 0.15), (0.025, 0.03, 0.3))


def television(b: Builder, at: Pose, style: Style, width: float) -> None:
    """Stand a television on its low stand."""
    cabinet(b, at, style, (width + 0.3, 0.4, 0.5), category="tv stand", rows=1)
    screen(b, at.at(0, 0.22, 0.507), style, width, "television")


def screen(b: Builder, at: Pose, style: Style, width: float, category: str) -> None:
    """Stand a flat screen, facing +y."""
    t, h = b.thing(category, at), width * 0.6
    t.box(style.dark, (0, 0, 0.08), (width, 0.04, h))
    t.box(style.dark, (0, -0.01, 0), (0.06, 0.03, 0.1))
    t.box(style.dark, (0, 0, 0), (width * 0.4, 0.16, 0.015))
    glass = Material("plain", linear("#0c0d10"), gloss=1.0)
    if style.chance(0.4):
        glass = Material("scene", linear("#3f6fb0"), linear("#2a4a35"), 1.0, 0.0, 0.8)
    t.pane(glass, (width / 2 - 0.015, 0.021, 0.095), (0.03 - width, 0, 0), (0, 0, h - 0.03))


def lamp(b: Builder, at: Pose, style: Style, height: float) -> None:
    """Stand a lamp with a cloth shade; where the room's lamps are lit it is a light as well."""
    t, size = b.thing("lamp", at), 0.12 + 0.09 * min(height, 1.2)
    t.prism(style.metal, (0, 0, 0), size * 0.7, 0.025)
    if height < 0.8:
        t.cushion(style.bright(), (0, 0, 0.02), (size * 0.9, size * 0.9, height * 0.5), 0.9)
    t.prism(style.metal, (0, 0, 0.02), 0.012, height - 0.1)
    _shade(Thing(b, t.owner, at.at(z=height - size * 1.1)), style, size)


def hanging_lamp(b: Builder, at: Pose, style: Style, ceiling: float) -> None:
    """Hang a lamp from the ceiling over ``at``, its shade at the pose's height."""
    t = b.thing("lamp", at)
    t.prism(style.dark, (0, 0, 0.2), 0.006, ceiling - at.z - 0.2)
    _shade(t, style, 0.22)


def _shade(shade: Thing, style: Style, size: float) -> None:
    glow = style.between(1.2, 2.0) if style.lit else 0.0
    cloth = Material("plain", style.shade, glow=glow)
    shade.prism(cloth, (0, 0, 0), size, size * 1.1, size * 0.65)
    if style.lit:
        centre, r = shade.pose.point(0, 0, size * 0.55), 0.08
        power = dimmed(style.shade, style.between(2.5, 5))
        style.lights.append(Light(centre, (r, 0, 0), (0, 0, r), power, clearance=size * 1.5))


def picture(b: Builder, at: Pose, style: Style, size: tuple[float, float], category: str = "picture") -> None:
    """Hang a framed picture (or a mirror, a whiteboard) on the wall, its lower edge on ``at``."""
    width, height = size
    t, rim = b.thing(category, at), 0.02 + 0.03 * style.rng.random()
    frame = style.dark if style.chance(0.4) else style.second_wood
    t.box(frame, (0, 0.014, 0), (width, 0.025, height))
    art = Material("art", style.colour(BRIGHTS), style.colour(FABRICS), style.between(0.5, 4))
    if category == "mirror":
        art = Material("plain", linear("#9fb0b5"), gloss=12.0)
    if category == "whiteboard":
        art = Material("plain", linear("#f4f5f5"), gloss=0.3)
    if category == "picture" and style.chance(0.4):
        t.box(style.white, (0, 0.02, rim), (width - 2 * rim, 0.02, height - 2 * rim))
        rim += 0.05
    t.pane(art, (width / 2 - rim, 0.032, rim), (2 * rim - width, 0, 0), (0, 0, height - 2 * rim))


def clock(b: Builder, at: Pose, style: Style) -> None:
    """Hang a square wall clock."""
    t = b.thing("clock", at)
    t.box(style.dark, (0, 0.02, 0), (0.3, 0.04, 0.3))
    t.box(style.white, (0, 0.03, 0.02), (0.26, 0.03, 0.26))
    t.box(style.dark, (0, 0.046, 0.15), (0.012, 0.006, 0.1))
    t.box(style.dark, (0.035, 0.046, 0.144), (0.07, 0.006, 0.012))


def window(b: Builder, at: Pose, style: Style, size: tuple[float, float], daylight: float) -> None:
    """Set a window into the wall, its lower edge on ``at``: daylight comes in, unless it is night (0)."""
    width, height = size
    t = b.thing("window", at)
    view = Material("scene", linear("#cfe3ff"), linear("#5d7a4a"), 1.0, 0.2, 0.05 + 3.5 * daylight)
    t.pane(view, (width / 2, 0.012, 0), (-width, 0, 0), (0, 0, height))
    bars = [(x, width * 0.06 if x else 0.035) for x in (-width / 2, 0.0, width / 2)]
    for x, thick in bars:
        t.box(style.white, (x, 0.03, -0.03), (max(0.035, thick), 0.05, height + 0.06))
    for z in (-0.06, height / 2, height):
        t.box(style.white, (0, 0.028, z), (width + 0.1, 0.05, 0.05))
    t.box(style.white, (0, 0.07, -0.09), (width + 0.16, 0.14, 0.03))
    cover = style.rng.random()
    if cover < 0.45:
        cloth = style.cloth()
        for side in (-1, 1):
            here = at.at(side * (width / 2 + 0.12), 0.16, style.between(-0.7, -0.2) - 0.1)
            b.thing("curtain", here).folds(cloth, (0, 0, 0), 0.5, height + 0.35 - here.z + at.z, 4)
        rod = b.thing("curtain rod", at)
        rod.box(style.metal, (0, 0.16, height + 0.26), (width + 0.9, 0.025, 0.025))
    elif cover < 0.7:
        slats, drop = b.thing("blinds", at), style.between(0.3, 1)
        for k in range(int(height * drop / 0.05)):
            slats.box(style.white, (0, 0.08, height - 0.05 * k - 0.03), (width - 0.02, 0.01, 0.046))
    if daylight > 0:
        blue = (0.85, 0.95, 1.15)
        area = 9 * daylight * width * height
        centre, along = at.point(0, 0.2, height / 2), at.direction(width / 2, 0, 0)
        style.lights.append(
            Light(centre, along, (0, 0, height / 2), dimmed(blue, area), at.direction(0, 1, 0), 0.25)
        )


def door(b: Builder, at: Pose, style: Style) -> None:
    """Set a closed door with its frame into the wall."""
    wood, t = (style.white if style.chance(0.5) else style.second_wood), b.thing("door", at)
    t.box(wood, (0, 0.015, 0.005), (0.86, 0.03, 2.03))
    for z, h in ((0.12, 0.7), (0.95, 0.95)):
        for x in (-0.2, 0.2):
            t.box(wood, (x, 0.026, z), (0.3, 0.02, h))
    frame = b.thing("door frame", at)
    for x in (-0.47, 0.47):
        frame.box(style.white, (x, 0.02, 0), (0.08, 0.04, 2.12))
    frame.box(style.white, (0, 0.02, 2.04), (0.86, 0.04, 0.08))
    b.thing("door knob", at).cushion(style.metal, (0.36, 0.07, 0.98), (0.06, 0.08, 0.06), 0.9)


def ceiling_light(b: Builder, at: Pose, style: Style, power: float) -> None:
    """Fix a flat round light under the ceiling."""
    glow = Material("plain", linear("#fff4dd"), glow=2.5 if power else 0.0)
    b.thing("light", at).prism(glow, (0, 0, -0.08), 0.17, 0.078, 0.2)
    if power:
        warm = (power, power * 0.87, power * 0.68)
        centre = at.point(0, 0, -0.14)
        style.lights.append(Light(centre, (0.18, 0, 0), (0, 0.18, 0), warm, (0, 0, -1), 0.05))
