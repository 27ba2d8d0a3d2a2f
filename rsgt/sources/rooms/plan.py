"""A room's plan: its shell, its openings, and what is still free of its floor and walls.

The floor spans x in [0, width] and y in [0, length]; walls are numbered 0 to 3 around it, from y = 0.
"""

from dataclasses import dataclass, field
from math import pi
from typing import NamedTuple

from rsgt.sources.rooms import furniture as make
from rsgt.sources.rooms.mesh import Builder, Light, Material, Mesh, Pose
from rsgt.sources.rooms.style import PAINTS, Style, dimmed, linear

TRIES = 40


class Scene(NamedTuple):
    """A furnished room.

    ``categories`` and ``labelled`` have an entry for each owner of the mesh; ``size`` is width, length and
    height; ``taken`` are the rectangles (x0, y0, x1, y1) of the floor where nobody can stand.
    """

    kind: str
    mesh: Mesh
    materials: list[Material]
    categories: list[str]
    labelled: list[bool]
    lights: list[Light]
    size: tuple[float, float, float]
    taken: list[tuple[float, float, float, float]]


@dataclass
class Plan:
    """What is taken of the floor and of each wall while a room is being furnished."""

    builder: Builder
    style: Style
    width: float
    length: float
    height: float
    floor: list[tuple[float, float, float, float]] = field(default_factory=list)
    hung: list[list[tuple[float, float, float, float]]] = field(default_factory=lambda: [[], [], [], []])

    def wall_length(self, wall: int) -> float:
        """Metres along a wall."""
        return self.width if wall % 2 == 0 else self.length

    def wall_pose(self, wall: int, along: float, z: float = 0.0) -> Pose:
        """Return the pose on a wall whose +y looks into the room."""
        w, n = self.width, self.length
        x, y = [(along, 0.0), (w, along), (w - along, n), (0.0, n - along)][wall]
        return Pose(x, y, z, wall * pi / 2)

    def claim(self, pose: Pose, low: tuple[float, float], high: tuple[float, float], margin: float) -> bool:
        """Take the floor between two corners of a pose's frame, if it is free and inside the room."""
        a, c = pose.at(*low), pose.at(*high)
        x0, x1, y0, y1 = min(a.x, c.x), max(a.x, c.x), min(a.y, c.y), max(a.y, c.y)
        inside = x0 > -0.01 and y0 > -0.01 and x1 < self.width + 0.01 and y1 < self.length + 0.01
        clear = all(
            x0 - margin > b[2] or x1 + margin < b[0] or y0 - margin > b[3] or y1 + margin < b[1]
            for b in self.floor
        )
        if inside and clear:
            self.floor.append((x0, y0, x1, y1))
        return inside and clear

    def hang(self, wall: int, along: float, width: float, z0: float, z1: float) -> bool:
        """Take a rectangle of a wall, if it is free."""
        left, right = along - width / 2, along + width / 2
        clear = all(left > b[1] or right < b[0] or z0 > b[3] or z1 < b[2] for b in self.hung[wall])
        if clear:
            self.hung[wall].append((left, right, z0, z1))
        return clear

    def against_wall(self, width: float, depth: float, height: float) -> Pose | None:
        """Find room for a piece that backs on a wall; None where there is none."""
        for _ in range(TRIES):
            wall = int(self.style.rng.integers(4))
            room = self.wall_length(wall) - width
            if room < 0:
                continue
            along = width / 2 + room * self.style.between(0, 1)
            free = all(
                along + width / 2 < b[0] or along - width / 2 > b[1] or height < b[2] for b in self.hung[wall]
            )
            pose = self.wall_pose(wall, along)
            if free and self.claim(pose, (-width / 2, 0), (width / 2, depth), 0.03):
                self.hung[wall].append((along - width / 2, along + width / 2, 0, height))
                return pose.at(y=0.03)
        return None

    def free(self, width: float, depth: float, margin: float = 0.25) -> Pose | None:
        """Find room for a piece in the open; None where there is none."""
        for _ in range(TRIES):
            turn = int(self.style.rng.integers(4)) * pi / 2
            pose = Pose(self.style.between(0, self.width), self.style.between(0, self.length), 0, turn)
            if self.claim(pose, (-width / 2, -depth / 2), (width / 2, depth / 2), margin):
                return pose
        return None

    def on_wall(self, width: float, height: float, low: float, high: float) -> Pose | None:
        """Find a free place on a wall whose lower edge is between two heights; None where there is none."""
        for _ in range(TRIES):
            wall, z = int(self.style.rng.integers(4)), self.style.between(low, high)
            along = self.style.between(width / 2 + 0.1, self.wall_length(wall) - width / 2 - 0.1)
            if self.hang(wall, along, width + 0.12, z - 0.06, z + height + 0.06):
                return self.wall_pose(wall, along, z)
        return None


def shell(p: Plan) -> None:
    """Build floor, ceiling, walls with their baseboards, and sometimes a corner that juts in."""
    b, s, w, n, h, over = p.builder, p.style, p.width, p.length, p.height, 0.1
    floors = (
        Material("planks", s.wood.first, dimmed(s.wood.first, 0.7), 0.12, 0.35),
        Material("carpet", s.colour("#b9ab97 #8d8579 #a39a8e #6f6a66"), linear("#5e574f"), 0.03),
        Material("tiles", s.colour("#d8cfc0 #c2b59f #b8b8b4"), linear("#857c70"), s.between(0.3, 0.5), 0.3),
    )
    floor = floors[int(s.rng.choice(3, p=[0.45, 0.35, 0.2]))]
    b.thing("floor", Pose()).pane(floor, (-over, -over, 0), (w + 2 * over, 0, 0), (0, n + 2 * over, 0))
    top = Material("plain", linear("#f1efea"))
    b.thing("ceiling", Pose()).pane(top, (-over, -over, h), (w + 2 * over, 0, 0), (0, n + 2 * over, 0))
    kind = str(s.rng.choice(["plain", "plain", "plain", "wallpaper", "stripes"]))
    paint = Material(kind, s.paint.first, dimmed(s.paint.first, 0.86), s.between(0.1, 0.25))
    accent = Material("plain", s.colour(PAINTS)) if s.chance(0.4) else paint
    for wall in range(4):
        t, size = b.thing("wall", p.wall_pose(wall, 0)), p.wall_length(wall)
        coat = accent if wall == 2 else paint
        t.pane(coat, (-over, 0, -over), (size + 2 * over, 0, 0), (0, 0, h + 2 * over))
        t.box(s.white, (size / 2, 0, -0.01), (size, 0.03, 0.11))
    if s.chance(0.4):
        corner(p, paint)


def corner(p: Plan, paint: Material) -> None:
    """Let one corner jut in, as chimneys and closets do, and take it from the two walls beside it."""
    s, size = p.style, (p.style.between(0.5, 1.4), p.style.between(0.5, 1.4))
    first = int(s.rng.integers(4))
    at = p.wall_pose(first, size[0] / 2).at(y=size[1] / 2)
    p.claim(at, (-size[0] / 2, -size[1] / 2), (size[0] / 2, size[1] / 2), 0)
    before = (first - 1) % 4
    end = p.wall_length(before)
    p.hung[first].append((0, size[0], 0, p.height))
    p.hung[before].append((end - size[1], end, 0, p.height))
    p.builder.thing("wall", at).box(paint, (0, 0, -0.05), (*size, p.height + 0.1))


def openings(p: Plan, daylight: float, windows: int) -> None:
    """Set a door and windows into the walls."""
    wall = int(p.style.rng.integers(4))
    along = p.style.between(0.7, p.wall_length(wall) - 0.7)
    if p.hang(wall, along, 1.05, 0, 2.15) and p.claim(p.wall_pose(wall, along), (-0.5, 0), (0.5, 0.7), 0):
        make.door(p.builder, p.wall_pose(wall, along), p.style)
    for _ in range(windows):
        w, h = p.style.between(0.8, 1.7), p.style.between(1.0, 1.35)
        if at := p.on_wall(w + 0.8, h + 0.3, 0.85, 1.0):
            make.window(p.builder, at, p.style, (w, h), daylight)


def hangings(p: Plan, pictures: int) -> None:
    """Hang pictures and small fittings; pictures repeat on every wall, near and far."""
    b, s = p.builder, p.style
    for _ in range(pictures):
        w, h = s.between(0.3, 0.8), s.between(0.3, 0.7)
        if at := p.on_wall(w, h, 1.25, 1.5):
            make.picture(b, at, s, (w, h))
    if s.chance(0.4) and (at := p.on_wall(0.3, 0.3, 1.7, 2.0)):
        make.clock(b, at, s)
    if s.chance(0.3) and (at := p.on_wall(0.6, 0.9, 0.9, 1.1)):
        make.picture(b, at, s, (0.6, 0.9), "mirror")
    for category, width, height, z in (
        ("electrical outlet", 0.09, 0.12, 0.3),
        ("electrical outlet", 0.09, 0.12, 0.3),
        ("light switch", 0.09, 0.12, 1.15),
        ("air vent", 0.4, 0.2, 2.1),
    ):
        if at := p.on_wall(width, height, z, z + 0.01):
            b.thing(category, at).box(s.white, (0, 0.008, 0), (width, 0.016, height))
