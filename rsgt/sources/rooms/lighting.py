"""Light: soft shadows from every lamp and window, one bounce between surfaces, and reflections.

Neighbouring pixels send their rays to different parts of a light, in blocks of four by four; averaging over
a block on the same surface then gives each pixel sixteen rays for the price of one. Sums run through einsum
and not through a BLAS, whose results may depend on its threads.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.sources.rooms.mesh import Floats, Light
from rsgt.sources.rooms.plan import Scene
from rsgt.sources.rooms.surface import Palette
from rsgt.sources.rooms.tracing import Hits, Tracer, View

LIFT = 1e-3
"""Metres by which a ray starts above the surface that it leaves."""

BLOCK = 4
SHADOWED = 0.6
"""Mean visibility of the lights from surfaces that are only seen by way of others."""


class Lit(NamedTuple):
    """Light on n points: what falls on them (n, 3) and what they mirror (n, 3), linear."""

    falling: Floats
    mirrored: Floats


def _dot(a: Floats, b: Floats) -> Floats:
    out: Floats = np.einsum("ij,ij->i", a, b)
    return out


def block_samples(shape: tuple[int, int], turn: int) -> Floats:
    """Points (y * x, 2) of the unit square, one per pixel: 16 spread evenly, in blocks of 4 by 4."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    y, x = np.indices(shape, sparse=True)
    cell = (order[y % BLOCK, x % BLOCK] + turn) % 16
    spread = np.stack([(cell + 0.5) / 16, (cell * 7 % 16 + 0.5) / 16], axis=-1)
    return spread.reshape(-1, 2).astype(np.float32)


class Lighting:
    """A furnished room with its lights on."""

    def __init__(self, scene: Scene, tracer: Tracer) -> None:
        self.tracer, self.lights = tracer, scene.lights
        self.palette = Palette(scene.materials)
        self.material, self.owner = scene.mesh.material, scene.mesh.owner

    def _towards(self, light: Light, hits: Hits, spread: Floats | None) -> tuple[Floats, Floats]:
        """Offsets (n, 3) to a light and its unshadowed irradiance (n,) per unit of power."""
        target = np.array(light.centre, np.float32)
        offset = target - hits.point
        if spread is not None:
            sides = np.array([light.along, light.across], np.float32)
            offset += np.einsum("ij,jk->ik", 2 * spread - 1, sides)
        square = _dot(offset, offset).clip(0.02 if spread is not None else 0.2)
        strength = _dot(offset, hits.normal).clip(0) / (np.pi * square * np.sqrt(square))
        facing = np.array(light.facing, np.float32)
        if facing.any():
            strength *= (-np.einsum("ij,j->i", offset, facing)).clip(0) / np.sqrt(square)
        return offset, strength

    def _direct(self, hits: Hits, shape: tuple[int, int]) -> Floats:
        total = np.zeros_like(hits.point)
        for number, light in enumerate(self.lights):
            offset, strength = self._towards(light, hits, block_samples(shape, 5 * number))
            lit = np.flatnonzero(strength > 1e-5)
            start = hits.point[lit] + LIFT * hits.face[lit]
            way = offset[lit]
            share = 1 - light.clearance / np.sqrt(_dot(way, way)).clip(light.clearance + 1e-3)
            seen = lit[self.tracer.reaches(start, way, share.astype(np.float32))]
            total[seen] += strength[seen, None] * np.array(light.power, np.float32)
        return total

    def _unshadowed(self, hits: Hits) -> Floats:
        total = np.zeros_like(hits.point)
        for light in self.lights:
            total += self._towards(light, hits, None)[1][:, None] * np.array(light.power, np.float32)
        return SHADOWED * total

    def _bounced(
        self, hits: Hits, shape: tuple[int, int], ambient: Floats, rng: np.random.Generator
    ) -> Floats:
        """Light that comes by way of one other surface, from a cosine-weighted direction per pixel."""
        # Each block turns its samples by its own amount, or bright objects would leave ghosts on walls.
        height, width = (-(-n // BLOCK) for n in shape)
        turn = rng.random((height, width, 2), np.float32).repeat(BLOCK, 0).repeat(BLOCK, 1)
        spread = (block_samples(shape, 3) + turn[: shape[0], : shape[1]].reshape(-1, 2)) % 1
        # The normal plus a point of the unit sphere is a cosine-weighted direction.
        z, angle = 1 - 2 * spread[:, 0], np.float32(2 * np.pi) * spread[:, 1]
        radius = np.float32(0.999) * np.sqrt(1 - z * z)
        ball = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.float32(0.999) * z], axis=1)
        way: Floats = hits.normal + ball
        there = self.tracer.hit(hits.point + LIFT * hits.face, way)
        colour = self.palette.average[self.material[there.triangle]]
        bounced: Floats = colour * (self._unshadowed(there) + ambient)
        return bounced

    def _mirrored(self, hits: Hits, directions: Floats, ambient: Floats) -> Floats:
        out = np.zeros_like(hits.point)
        gloss = self.palette.gloss[self.material[hits.triangle]]
        where = np.flatnonzero(gloss > 0.05)
        way, normal = directions[where], hits.normal[where]
        way /= np.sqrt(_dot(way, way))[:, None]
        facing = -_dot(way, normal)
        share = (gloss[where] * (0.05 + 0.95 * (1 - facing).clip(0, 1) ** 5)).clip(0, 0.85)
        keep = share > 0.01
        where, way, normal = where[keep], way[keep], normal[keep]
        start = hits.point[where] + LIFT * hits.face[where]
        there = self.tracer.hit(start, way + 2 * facing[keep, None] * normal)
        kind = self.material[there.triangle]
        light = self._unshadowed(there) + ambient + self.palette.glow[kind][:, None]
        out[where] = share[keep, None] * self.palette.colour(kind, there.texture) * light
        return out

    def light(self, view: View, rng: np.random.Generator) -> Lit:
        """Light on every pixel of a view."""
        shape, hits = view.shape, view.hits
        surfaces = Surfaces(self.owner[hits.triangle], hits, shape)
        direct = self._direct(hits, shape)
        ambient = direct.mean(axis=0, dtype=np.float64).astype(np.float32) / 2
        bounced = self._bounced(hits, shape, ambient, rng).reshape(*shape, 3)
        falling = direct.reshape(*shape, 3) + surfaces.average(bounced, BLOCK)
        falling = surfaces.average(falling, 1).reshape(-1, 3)
        return Lit(falling, self._mirrored(hits, view.rays, ambient))

    def colour(self, hits: Hits, lit: Lit) -> Floats:
        """Linear colour (n, 3) of points under their light."""
        kind = self.material[hits.triangle]
        surface = self.palette.colour(kind, hits.texture)
        return surface * (lit.falling + self.palette.glow[kind][:, None]) + lit.mirrored


class Surfaces:
    """Which pixels of an image lie on one smooth surface, to average light there and nowhere else."""

    def __init__(self, owner: npt.NDArray[np.int32], hits: Hits, shape: tuple[int, int]) -> None:
        tags, normal = owner.reshape(shape), hits.normal.reshape(*shape, 3)
        point = hits.point.reshape(*shape, 3)
        self._links: dict[tuple[int, int], Floats] = {}
        for axis in (0, 1):
            for step in (1, 2, BLOCK, 2 * BLOCK):
                i, j = shifted(axis, step)
                alike = np.einsum("ijk,ijk->ij", normal[i], normal[j]) > 0.9
                apart = np.einsum("ijk,ijk->ij", normal[i], point[j] - point[i])
                link = (tags[i] == tags[j]) & alike & (np.abs(apart) < 0.03)
                self._links[axis, step] = link.astype(np.float32)

    def average(self, light: Floats, spacing: int) -> Floats:
        """Average light (y, x, 3) over a window of four by four pixels that are ``spacing`` apart."""
        for axis in (0, 1):
            total, weight = light.copy(), np.ones(light.shape[:2], np.float32)
            # Half of either end: any window of four then holds each of the four different samples once.
            for step, share in ((spacing, 1.0), (2 * spacing, 0.5)):
                i, j = shifted(axis, step)
                link = self._links[axis, step] * np.float32(share)
                total[i] += light[j] * link[..., None]
                total[j] += light[i] * link[..., None]
                weight[i] += link
                weight[j] += link
            light = total / weight[..., None]
        return light


def shifted(axis: int, step: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Index the two ends of all steps along an axis of an image."""
    whole, first, last = slice(None), slice(None, -step), slice(step, None)
    return ((first, whole), (last, whole)) if axis == 0 else ((whole, first), (whole, last))
