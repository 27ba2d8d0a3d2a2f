"""What each kind of room holds, from groups of furniture that belong together."""

from collections.abc import Callable
from math import pi

import numpy as np

from rsgt.sources.rooms import furniture as make
from rsgt.sources.rooms.clutter import DESK_THINGS, FLOOR_THINGS, TABLE_THINGS, plant, scatter, small_thing
from rsgt.sources.rooms.mesh import Builder, Material, Pose
from rsgt.sources.rooms.plan import Plan, Scene, hangings, openings, shell
from rsgt.sources.rooms.style import FABRICS, Style


def desk_group(p: Plan) -> None:
    """Stand a desk with a screen, a chair and clutter."""
    b, s = p.builder, p.style
    width = s.between(1.1, 1.6)
    if not (at := p.against_wall(width, 1.35, 0.75)):
        return
    make.table(b, at.at(y=0.36), s, (width, 0.68, 0.74), category="desk")
    side = s.between(-0.2, 0.2)
    make.screen(b, at.at(side, 0.22, 0.742, s.between(-0.3, 0.3)), s, s.between(0.4, 0.55), "monitor")
    small_thing(b, at.at(side, 0.5, 0.742), s, "keyboard", (0.44, 0.15, 0.025))
    scatter(b, at.at(0.35 - width / 2, 0.36, 0.742), s, (0.3, 0.4), DESK_THINGS, count=3)
    scatter(b, at.at(width / 2 - 0.3, 0.4, 0.742), s, (0.2, 0.3), DESK_THINGS, count=2)
    if s.chance(0.6):
        make.lamp(b, at.at(width / 2 - 0.15, 0.14, 0.74), s, 0.45)
    seat = make.office_chair if s.chance(0.6) else make.chair
    seat(b, at.at(side, 0.95, 0, pi + s.between(-0.7, 0.7)), s, s.cloth())


def dining_group(p: Plan, length: float) -> None:
    """Stand a table in the open with chairs around it, things on it and sometimes a lamp over it."""
    b, s, deep = p.builder, p.style, length if length < 1.3 else p.style.between(0.85, 1.0)
    if not (at := p.free(length + 0.7, deep + 1.1, 0.15)):
        return
    round_top = length < 1.3
    make.table(b, at, s, (length, deep, 0.75), round_top=round_top)
    seat = s.cloth()
    places = max(1, int(length / 0.62))
    for k in range(places):
        x = (k + 0.5) * length / places - length / 2
        for side in (-1, 1):
            if s.chance(0.9):
                pose = at.at(x, side * (deep / 2 + s.between(0.05, 0.35)), 0, (pi if side > 0 else 0))
                make.chair(b, pose.at(turn=s.between(-0.25, 0.25)), s, seat)
    scatter(b, at.at(z=0.752), s, (length * 0.7, deep * 0.6), TABLE_THINGS, count=int(4 * length))
    if s.chance(0.6):
        for x in (-length / 4, length / 4) if length > 1.5 else (0.0,):
            make.hanging_lamp(b, at.at(x, 0, s.between(1.55, 1.75)), s, p.height)


def sofa_group(p: Plan) -> None:
    """Stand a sofa with a rug and a coffee table in front of it, and a lamp beside it."""
    b, s, width = p.builder, p.style, p.style.between(1.5, 2.3)
    if not (at := p.against_wall(width + 0.5, 1.9, 0.85)):
        return
    make.sofa(b, at.at(x=-0.2), s, width)
    if s.chance(0.6):
        pattern = str(s.rng.choice(["checks", "stripes", "fabric"]))
        rug = Material(pattern, s.colour(FABRICS), s.colour(FABRICS), 0.25)
        b.thing("rug", at.at(-0.2, 1.5)).box(rug, (0, 0, 0.001), (width, 1.3, 0.012))
    make.table(b, at.at(-0.2, 1.45), s, (s.between(0.8, 1.1), 0.55, 0.42), category="coffee table")
    scatter(b, at.at(-0.2, 1.45, 0.422), s, (0.6, 0.3), TABLE_THINGS, count=4)
    beside = at.at(width / 2 + 0.03, 0.3)
    if s.chance(0.5):
        make.lamp(b, beside, s, s.between(1.35, 1.6))
    else:
        make.table(b, beside, s, (0.42, 0.42, 0.55))
        make.lamp(b, beside.at(z=0.55), s, 0.5)


def bed_group(p: Plan) -> None:
    """Stand a bed between night stands with lamps."""
    b, s = p.builder, p.style
    width = s.between(1.0, 1.8)
    if not (at := p.against_wall(width + 1.0, 2.1, 1.1)):
        return
    make.bed(b, at, s, width)
    for side in (-1, 1):
        beside = at.at(side * (width / 2 + 0.28))
        make.cabinet(b, beside, s, (0.42, 0.4, 0.52), category="night stand", rows=2)
        if s.chance(0.75):
            make.lamp(b, beside.at(0, 0.16, 0.525), s, s.between(0.42, 0.55))
        scatter(b, beside.at(0, 0.3, 0.525), s, (0.3, 0.1), TABLE_THINGS, count=2)


def storage(p: Plan, category: str, height: float) -> None:
    """Stand a chest, cabinet or wardrobe against a wall, things on top of the low ones."""
    b, s = p.builder, p.style
    w, d = s.between(0.8, 1.5), s.between(0.42, 0.58)
    if at := p.against_wall(w, d, height):
        make.cabinet(b, at, s, (w, d, height), category=category, rows=max(1, round(height / 0.4)))
        if height < 1.3:
            scatter(b, at.at(0, d / 2, height + 0.006), s, (w - 0.3, d / 3), TABLE_THINGS, count=5)
            if s.chance(0.35):
                make.lamp(b, at.at(w / 2 - 0.2, d / 2, height + 0.005), s, 0.5)


def shelf(p: Plan) -> None:
    """Stand a bookshelf against a wall."""
    w, h = p.style.between(0.7, 1.3), p.style.between(1.3, 2.1)
    if at := p.against_wall(w, 0.32, h):
        make.bookshelf(p.builder, at, p.style, (w, 0.3, h))


def odds_and_ends(p: Plan, count: int) -> None:
    """Stand plants, spare chairs and floor clutter where there is room."""
    b, s = p.builder, p.style
    for _ in range(count):
        draw = s.rng.random()
        if draw < 0.25 and (at := p.against_wall(0.5, 0.5, 1.4)):
            plant(b, at.at(y=0.25), s, s.between(0.5, 1.3))
        elif draw < 0.45 and (at := p.free(0.6, 0.6)):
            make.chair(b, at.at(turn=s.between(-0.6, 0.6)), s, s.cloth())
        elif at := p.against_wall(0.6, 0.5, 0.6):
            scatter(b, at.at(y=0.22), s, (0.2, 0.15), FLOOR_THINGS, count=2)


def bedroom(p: Plan) -> None:
    """Furnish a bedroom."""
    bed_group(p)
    storage(p, "dresser", p.style.between(0.75, 1.1))
    if p.style.chance(0.5):
        storage(p, "wardrobe", 2.0)
    if p.style.chance(0.6):
        desk_group(p)
    if p.style.chance(0.6):
        shelf(p)
    odds_and_ends(p, 4)


def living_room(p: Plan) -> None:
    """Furnish a living room."""
    sofa_group(p)
    if at := p.against_wall(1.5, 0.5, 1.2):
        make.television(p.builder, at, p.style, p.style.between(0.8, 1.1))
    if p.style.chance(0.6):
        sofa_group(p)
    dining_group(p, p.style.between(0.9, 1.5))
    for _ in range(2):
        shelf(p)
    storage(p, "cabinet", 0.9)
    odds_and_ends(p, 5)


def dining_room(p: Plan) -> None:
    """Furnish a dining room."""
    dining_group(p, p.style.between(1.5, 2.3))
    storage(p, "cabinet", 0.9)
    if p.style.chance(0.5):
        storage(p, "cabinet", 1.9)
    shelf(p)
    odds_and_ends(p, 5)


def kitchen(p: Plan) -> None:
    """Furnish a kitchen."""
    b, s = p.builder, p.style
    for _ in range(2):
        width = s.between(1.6, 2.6)
        if at := p.against_wall(width, 0.65, 2.2):
            make.counter(b, at, s, width)
    if at := p.against_wall(0.75, 0.72, 1.8):
        make.refrigerator(b, at, s)
    dining_group(p, s.between(0.9, 1.5))
    odds_and_ends(p, 3)


def office(p: Plan) -> None:
    """Furnish an office."""
    for _ in range(2 + p.style.chance(0.5)):
        desk_group(p)
    for _ in range(2):
        shelf(p)
    storage(p, "cabinet", 1.1)
    if at := p.on_wall(1.4, 0.9, 1.0, 1.1):
        make.picture(p.builder, at, p.style, (1.4, 0.9), "whiteboard")
    odds_and_ends(p, 4)


def bookstore(p: Plan) -> None:
    """Furnish a bookstore: tall shelves along the walls and in rows through the room."""
    for _ in range(6):
        shelf(p)
    for _ in range(4):
        if at := p.free(1.6, 0.7, 0.45):
            for turn in (0, pi):
                make.bookshelf(p.builder, at.at(turn=turn), p.style, (1.5, 0.3, 1.6), 0.95)
    if at := p.free(1.3, 0.8, 0.4):
        make.table(p.builder, at, p.style, (1.2, 0.7, 0.7))
        scatter(p.builder, at.at(z=0.702), p.style, (0.9, 0.4), ("book", "book", "magazine", "box"), count=7)
    odds_and_ends(p, 3)


KINDS: dict[str, tuple[Callable[[Plan], None], tuple[float, float], tuple[float, float]]] = {
    "bedroom": (bedroom, (2.8, 4.8), (3.2, 6.0)),
    "living_room": (living_room, (3.6, 6.0), (4.4, 10.0)),
    "dining_room": (dining_room, (3.2, 5.2), (3.8, 8.5)),
    "kitchen": (kitchen, (2.8, 3.8), (3.0, 6.4)),
    "office": (office, (2.8, 6.0), (3.4, 10.0)),
    "bookstore": (bookstore, (3.8, 6.5), (6.8, 12.0)),
}
"""Scene type -> how it is furnished, and the ranges of its width and length in metres."""


def furnish(rng: np.random.Generator) -> Scene:
    """Build one room; the same generator state gives the same room."""
    kind = str(rng.choice(list(KINDS), p=[0.22, 0.24, 0.16, 0.14, 0.16, 0.08]))
    fill, widths, lengths = KINDS[kind]
    style, builder = Style(rng, lit=bool(rng.random() < 0.7)), Builder(rng)
    p = Plan(builder, style, style.between(*widths), style.between(*lengths), style.between(2.4, 2.9))
    daylight = style.between(0.4, 1.0) if style.chance(0.75) else 0.0
    shell(p)
    openings(p, daylight, int(rng.integers(1, 4)))
    fill(p)
    hangings(p, int(rng.integers(4, 9)))
    power = style.between(3, 7) if style.chance(0.6) or not daylight else 0.0
    for x, y in ((0.3, 0.3), (0.7, 0.7)) if p.length > 4.5 else ((0.5, 0.5),):
        make.ceiling_light(builder, Pose(p.width * x, p.length * y, p.height), style, power)
    return Scene(
        kind=kind,
        mesh=builder.mesh(),
        materials=builder.materials,
        categories=builder.categories,
        labelled=builder.labelled,
        lights=style.lights,
        size=(p.width, p.length, p.height),
        taken=p.floor,
    )
