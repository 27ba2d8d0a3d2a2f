"""Small things: what stands on tables, shelves and floors, rows of books, plants."""

from math import cos, inf, sin

from rsgt.sources.rooms.mesh import Builder, Material, Pose, Triple
from rsgt.sources.rooms.style import Style, dimmed

THINGS: dict[str, tuple[str, Triple, Triple]] = {
    "bag": ("soft", (0.3, 0.2, 0.25), (0.5, 0.3, 0.45)),
    "ball": ("ball", (0.16, 0.16, 0.16), (0.26, 0.26, 0.26)),
    "basket": ("bowl", (0.28, 0.28, 0.2), (0.45, 0.45, 0.35)),
    "book": ("box", (0.13, 0.19, 0.015), (0.2, 0.28, 0.05)),
    "bottle": ("bottle", (0.06, 0.06, 0.2), (0.09, 0.09, 0.32)),
    "bowl": ("bowl", (0.12, 0.12, 0.06), (0.26, 0.26, 0.1)),
    "box": ("box", (0.12, 0.1, 0.06), (0.26, 0.22, 0.2)),
    "candle": ("can", (0.05, 0.05, 0.06), (0.08, 0.08, 0.2)),
    "clock": ("box", (0.1, 0.05, 0.1), (0.18, 0.07, 0.14)),
    "container": ("can", (0.1, 0.1, 0.12), (0.15, 0.15, 0.25)),
    "crate": ("box", (0.35, 0.3, 0.25), (0.55, 0.45, 0.45)),
    "cup": ("can", (0.07, 0.07, 0.08), (0.09, 0.09, 0.11)),
    "garbage bin": ("bowl", (0.22, 0.22, 0.28), (0.32, 0.32, 0.45)),
    "jar": ("can", (0.07, 0.07, 0.09), (0.11, 0.11, 0.18)),
    "keyboard": ("box", (0.4, 0.14, 0.02), (0.46, 0.17, 0.03)),
    "magazine": ("box", (0.2, 0.27, 0.006), (0.22, 0.3, 0.02)),
    "microwave": ("box", (0.45, 0.34, 0.27), (0.52, 0.4, 0.31)),
    "paper": ("box", (0.2, 0.29, 0.003), (0.22, 0.3, 0.01)),
    "plate": ("bowl", (0.2, 0.2, 0.02), (0.27, 0.27, 0.03)),
    "pot": ("can", (0.18, 0.18, 0.1), (0.26, 0.26, 0.2)),
    "remote control": ("box", (0.05, 0.17, 0.02), (0.06, 0.2, 0.03)),
    "shoe": ("soft", (0.1, 0.26, 0.09), (0.11, 0.3, 0.12)),
    "suitcase": ("box", (0.45, 0.2, 0.5), (0.6, 0.28, 0.7)),
    "tea kettle": ("ball", (0.17, 0.17, 0.16), (0.22, 0.22, 0.2)),
    "telephone": ("box", (0.16, 0.2, 0.06), (0.2, 0.24, 0.08)),
    "toaster": ("soft", (0.26, 0.17, 0.18), (0.32, 0.2, 0.21)),
    "toy": ("ball", (0.08, 0.08, 0.08), (0.18, 0.18, 0.22)),
    "vase": ("bottle", (0.1, 0.1, 0.18), (0.16, 0.16, 0.34)),
}
"""Category -> shape, and its smallest and largest (width, depth, height) in metres."""

TABLE_THINGS = ("book", "book", "cup", "bottle", "bowl", "vase", "paper", "magazine", "remote control",
                "plate", "box")  # fmt: skip
SHELF_THINGS = ("vase", "box", "jar", "bowl", "clock", "toy")
KITCHEN_THINGS = ("bottle", "bottle", "cup", "jar", "bowl", "toaster", "microwave", "container", "pot",
                  "tea kettle")  # fmt: skip
DESK_THINGS = ("book", "paper", "cup", "box", "telephone", "paper", "book")
FLOOR_THINGS = ("crate", "crate", "bag", "garbage bin", "basket", "shoe", "ball", "toy", "suitcase")

LEFT_OUT = 0.2
"""Share of the small things that carry no label, as annotators left them."""


def small_thing(b: Builder, at: Pose, style: Style, category: str, size: Triple) -> None:
    """Stand one small thing on a pose."""
    w, d, h = size
    t, colour = b.thing(category, at, not style.chance(LEFT_OUT)), style.bright()
    match THINGS[category][0]:
        case "box":
            t.box(colour, (0, 0, 0), size)
        case "soft":
            t.cushion(colour, (0, 0, 0), size, 0.5)
        case "ball":
            t.cushion(colour, (0, 0, 0), size, 1)
        case "can":
            t.prism(colour, (0, 0, 0), w / 2, h)
        case "bowl":
            t.prism(colour, (0, 0, 0), w * 0.36, h, w / 2)
        case "bottle":
            t.cushion(colour, (0, 0, 0), (w, d, h * 0.75), 0.7)
            t.prism(colour, (0, 0, h * 0.65), w * 0.16, h * 0.35, w * 0.14)


def scatter(
    b: Builder,
    at: Pose,
    style: Style,
    area: tuple[float, float],
    kinds: tuple[str, ...],
    *,
    count: int,
    headroom: float = inf,
) -> None:
    """Stand up to ``count`` small things on a rectangle about ``at``, none on top of another."""
    placed: list[tuple[float, float, float]] = []
    for _ in range(3 * count):
        category = str(style.rng.choice(kinds))
        _, low, high = THINGS[category]
        w, d, h = (float(style.rng.uniform(a, z)) for a, z in zip(low, high, strict=True))
        x, y = style.between(-0.5, 0.5) * area[0], style.between(-0.5, 0.5) * area[1]
        reach = max(w, d) * 0.6
        clear = all((x - px) ** 2 + (y - py) ** 2 > (reach + r) ** 2 for px, py, r in placed)
        if clear and h < headroom and len(placed) < count:
            placed.append((x, y, reach))
            small_thing(b, at.at(x, y, 0, style.between(-0.6, 0.6)), style, category, (w, d, h))


def books(b: Builder, at: Pose, style: Style, width: float, height: float) -> None:
    """Stand a row of books, spines to +y, on a shelf; the row is one object, as annotators see it."""
    t, x = b.thing("books", at, style.chance(0.9)), -width / 2
    while x < width / 2 - 0.06:
        thick, deep = style.between(0.02, 0.055), style.between(0.14, 0.21)
        tall = height * style.between(0.68, 0.95)
        if style.chance(0.92):
            t.box(style.bright(), (x + thick / 2, deep / 2 - 0.2, 0), (thick * 0.94, deep, tall))
        x += thick


def plant(b: Builder, at: Pose, style: Style, height: float) -> None:
    """Stand a pot with long leaves."""
    radius = 0.09 + 0.08 * height
    b.thing("flower pot", at).prism(style.bright(), (0, 0, 0), radius * 0.75, radius * 1.8, radius)
    green = style.colour("#3f7d3a #2d5a27 #6a994e #588157")
    t = b.thing("plant", at.at(z=radius * 1.7), style.chance(0.85))
    for k in range(26):
        turn, rise = 2.4 * k, style.between(0.2, 1)
        reach = height * style.between(0.25, 0.5)
        leaf = Material("fabric", dimmed(green, style.between(0.6, 1.3)), dimmed(green, 0.5), 0.03, 0.1)
        c, s, half = cos(turn), sin(turn), reach * 0.13
        side = (-s * half * 2, c * half * 2, 0.0)
        root = (s * half, -c * half, height * rise * 0.15)
        up = (c * reach * 0.5, s * reach * 0.5, height * rise * 0.6)
        t.pane(leaf, root, side, up)
        tip = (root[0] + up[0], root[1] + up[1], root[2] + up[2])
        t.pane(leaf, tip, side, (c * reach * 0.6, s * reach * 0.6, height * (0.2 - 0.3 * rise)))
