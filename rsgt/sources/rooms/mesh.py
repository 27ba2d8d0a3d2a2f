"""Shapes as triangles, each with its normals, texture coordinates, material and owner.

World axes: x and y lie on the floor, z points up, in metres. A shape is placed by the middle of its
base, so that furniture reads as it stands: ``box(oak, (0, 0, 0.7), (1.6, 0.9, 0.04))`` is a table top.
"""

from dataclasses import dataclass, field
from functools import cache
from math import cos, pi, sin
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

FIXED_PATTERNS = ("scene", "art")
"""Patterns that cover their pane once, from (0, 0) to (1, 1), instead of repeating."""


class Material(NamedTuple):
    """How a surface looks: a pattern of two linear colours with features of ``scale`` metres.

    ``gloss`` 1 mirrors a twentieth of what falls on it straight, and more at a slant; ``glow`` is the light
    that it gives off, as a multiple of its colour.
    """

    pattern: str
    first: Triple
    second: Triple = (0.0, 0.0, 0.0)
    scale: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0


class Light(NamedTuple):
    """A rectangle that shines: its middle, two half sides, colour times power, and its facing.

    ``facing`` (0, 0, 0) shines into every direction. Nothing nearer than ``clearance`` metres to the
    light casts a shadow, so that a lamp's own shade does not.
    """

    centre: Triple
    along: Triple
    across: Triple
    power: Triple
    facing: Triple = (0.0, 0.0, 0.0)
    clearance: float = 0.02


@dataclass(frozen=True)
class Pose:
    """A place on the plan: an offset in metres and a turn about the vertical in radians."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    turn: float = 0.0

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: float = 0.0) -> "Pose":
        """Return the pose of something that stands at (x, y, z), turned, in this pose's own frame."""
        c, s = cos(self.turn), sin(self.turn)
        return Pose(self.x + c * x - s * y, self.y + s * x + c * y, self.z + z, self.turn + turn)

    def point(self, x: float, y: float, z: float) -> Triple:
        """Return the world coordinates of a point of this frame."""
        there = self.at(x, y, z)
        return there.x, there.y, there.z

    def direction(self, x: float, y: float, z: float) -> Triple:
        """Return a vector of this frame, turned into the world."""
        c, s = cos(self.turn), sin(self.turn)
        return c * x - s * y, s * x + c * y, z


class Triangles(NamedTuple):
    """Triangles of one shape: corners (t, 3, 3) m, unit normals at them (t, 3, 3), texture (t, 3, 2) m."""

    corners: Floats
    normals: Floats
    texture: Floats


class Mesh(NamedTuple):
    """A whole room: the columns of ``Triangles``, and the numbers of each one's material and owner (t,)."""

    corners: Floats
    normals: Floats
    texture: Floats
    material: npt.NDArray[np.int32]
    owner: npt.NDArray[np.int32]


@dataclass
class Builder:
    """Collects the parts of a room. Owners are numbered from 0 in the order in which they appear."""

    rng: np.random.Generator
    categories: list[str] = field(default_factory=list)
    labelled: list[bool] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    _numbers: dict[Material, int] = field(default_factory=dict)
    _parts: list[tuple[Triangles, int, int]] = field(default_factory=list)

    def thing(self, category: str, at: Pose, labelled: bool = True) -> "Thing":
        """Begin an object of a raw NYU category; ``labelled`` False makes it one the annotators left out."""
        self.categories.append(category)
        self.labelled.append(labelled)
        return Thing(self, len(self.categories) - 1, at)

    def add(self, owner: int, material: Material, shape: Triangles, pose: Pose) -> None:
        """Place a shape; its texture starts at a random spot, so that equal boards look different."""
        c, s = cos(pose.turn), sin(pose.turn)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        corners = shape.corners @ turn + np.array([pose.x, pose.y, pose.z], np.float32)
        texture = shape.texture
        if material.pattern not in FIXED_PATTERNS:
            texture = texture + self.rng.uniform(0, 50, 2).astype(np.float32)
        number = self._numbers.setdefault(material, len(self.materials))
        if number == len(self.materials):
            self.materials.append(material)
        self._parts.append((Triangles(corners, shape.normals @ turn, texture), number, owner))

    def mesh(self) -> Mesh:
        """Join all parts into arrays."""
        counts = [len(shape.corners) for shape, _, _ in self._parts]
        columns = [np.concatenate([shape[i] for shape, _, _ in self._parts]) for i in range(3)]
        material = np.repeat(np.array([m for _, m, _ in self._parts], np.int32), counts)
        owner = np.repeat(np.array([o for _, _, o in self._parts], np.int32), counts)
        return Mesh(columns[0], columns[1], columns[2], material, owner)


@dataclass(frozen=True)
class Thing:
    """One object under construction: every part added to it carries its owner number."""

    builder: Builder
    owner: int
    pose: Pose

    def _add(self, material: Material, shape: Triangles, base: Triple, turn: float = 0.0) -> None:
        self.builder.add(self.owner, material, shape, self.pose.at(*base, turn))

    def box(self, material: Material, base: Triple, size: Triple, turn: float = 0.0) -> None:
        """Add a box of ``size`` (x, y, z) metres standing on ``base``."""
        corners, normals, texture = _unit_box()
        x, y, z = size
        stretch = np.array(size, np.float32)
        # The grain of wood runs along the longer side of each face.
        sides = np.array([(y, z), (y, z), (x, z), (x, z), (x, y), (x, y)], np.float32)
        texture = texture * np.repeat(sides, 2, axis=0)[:, None]
        upright = np.repeat(sides[:, 0] < sides[:, 1], 2)
        texture[upright] = texture[upright][..., ::-1]
        self._add(material, Triangles(corners * stretch, normals, texture), base, turn)

    def prism(
        self, material: Material, base: Triple, radius: float, height: float, top: float | None = None
    ) -> None:
        """Add an upright round body: a cylinder, or a cone where the ``top`` radius differs."""
        sides = 16 if radius < 0.12 else 32
        self._add(material, _prism(radius, height, radius if top is None else top, sides), base)

    def cushion(self, material: Material, base: Triple, size: Triple, power: float = 0.5) -> None:
        """Add a soft body (a superellipsoid): ``power`` 1 is an ellipsoid, towards 0 it becomes a box."""
        unit = _unit_cushion(power)
        stretch = np.array(size) / 2
        normals = unit.normals / stretch
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        corners = unit.corners * stretch + np.array([0, 0, size[2] / 2])
        texture = np.stack([corners[..., 0], corners[..., 1] + corners[..., 2]], axis=-1)
        self._add(material, _triangles(corners, normals, texture), base)

    def pane(self, material: Material, corner: Triple, along: Triple, up: Triple) -> None:
        """Add a flat rectangle from a corner and its two sides."""
        p, u, v = np.array(corner), np.array(along), np.array(up)
        w, h = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        if material.pattern in FIXED_PATTERNS:
            w, h = 1.0, 1.0
        normal = np.cross(u, v)
        normals = np.tile(normal / np.linalg.norm(normal), (1, 4, 1))
        texture = np.array([[(0, 0), (w, 0), (w, h), (0, h)]])
        self._add(material, _quads(np.stack([[p, p + u, p + u + v, p + v]]), normals, texture), (0, 0, 0))

    def folds(self, material: Material, base: Triple, width: float, height: float, waves: float) -> None:
        """Add hanging cloth: a sheet that waves by 4 cm in y."""
        self._add(material, _folds(width, height, waves), base)


def _triangles(corners: npt.ArrayLike, normals: npt.ArrayLike, texture: npt.ArrayLike) -> Triangles:
    return Triangles(*(np.asarray(column, np.float32) for column in (corners, normals, texture)))


def _quads(corners: Doubles, normals: Doubles, texture: Doubles) -> Triangles:
    """Split quadrilaterals (q, 4, …) into triangles."""
    order = [0, 1, 2, 0, 2, 3]
    return _triangles(*(a[:, order].reshape(-1, 3, a.shape[-1]) for a in (corners, normals, texture)))


def _grid(corners: Doubles, normals: Doubles, texture: Doubles) -> Triangles:
    """Split the cells of a grid of points (rows, columns, …) into triangles."""

    def cells(a: Doubles) -> Doubles:
        return np.stack([a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]], axis=2).reshape(-1, 4, a.shape[-1])

    return _quads(cells(corners), cells(normals), cells(texture))


def _upright(bottom: Doubles, top: Doubles, normal: Doubles, along: Doubles, height: float) -> Triangles:
    """Span a sheet between two lines of points; ``along`` is their texture coordinate."""
    texture = np.stack([np.stack([along, np.full_like(along, z)], axis=-1) for z in (0.0, height)])
    return _grid(np.stack([bottom, top]), np.stack([normal, normal]), texture)


@cache
def _unit_box() -> Triangles:
    """Return a box of side 1 that stands on the origin; faces in the order -x, +x, -y, +y, -z, +z."""
    square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    corners, normals = [], []
    for axis in range(3):
        for side in (0.0, 1.0):
            corners.append(np.insert(square, axis, side, axis=1) - (0.5, 0.5, 0))
            normals.append(np.tile(np.insert(np.zeros(2), axis, 2 * side - 1), (4, 1)))
    return _quads(np.array(corners), np.array(normals), np.tile(square, (6, 1, 1)))


def _prism(radius: float, height: float, top: float, sides: int) -> Triangles:
    angle = np.linspace(0, 2 * pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    up = np.array([0, 0, 1.0])
    low, high = radius * ring, top * ring + height * up
    slope = ring * height + up * (radius - top)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    parts = [_upright(low, high, slope, angle * max(radius, top), height)]
    for rim, normal, z in ((low, -up, 0.0), (high, up, height)):
        middle = np.broadcast_to(z * up, (sides, 3))
        fan = np.stack([middle, rim[:-1], rim[1:]], axis=1)
        parts.append(_triangles(fan, np.broadcast_to(normal, fan.shape), fan[..., :2]))
    return Triangles(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@cache
def _unit_cushion(power: float, across: int = 24, down: int = 12) -> Triangles:
    """Return a superellipsoid of half axes 1 about the origin; its normals lack a division by half axes."""
    v, u = np.meshgrid(
        np.linspace(-pi / 2, pi / 2, down + 1), np.linspace(-pi, pi, across + 1), indexing="ij"
    )
    factors = (np.cos(v).clip(0), np.cos(u)), (np.cos(v).clip(0), np.sin(u)), (np.sin(v), np.ones_like(v))

    def surface(p: float) -> Doubles:
        columns = [np.sign(a * b) * np.abs(a * b) ** p for a, b in factors]
        return np.stack(columns, axis=-1)

    # The normal of |x|^(2/p) + … = 1 at angles (u, v) has the same form with exponent 2 - p.
    return _grid(surface(power), surface(2 - power), np.stack([u, v], axis=-1))


def _folds(width: float, height: float, waves: float) -> Triangles:
    x = np.linspace(-0.5, 0.5, max(8, int(16 * waves)))
    phase = 2 * pi * waves * x
    low = np.stack([x * width, 0.04 * np.sin(phase), np.zeros_like(x)], axis=-1)
    slope = 0.04 * 2 * pi * waves / width * np.cos(phase)
    normal = np.stack([-slope, np.ones_like(x), np.zeros_like(x)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return _upright(low, low + np.array([0, 0, height]), normal, x * width, height)
