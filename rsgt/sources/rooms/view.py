"""Where to stand in a room, and the colour that is seen from there."""

import numpy as np
import numpy.typing as npt

from rsgt.sources.rooms.lighting import Lighting, Lit, shifted
from rsgt.sources.rooms.mesh import Floats
from rsgt.sources.rooms.plan import Scene
from rsgt.sources.rooms.tracing import Camera, Hits, Tracer, View

Indices = npt.NDArray[np.intp]

PROBE = (24, 32)
NEAREST_M = 0.6

BRIGHTEST = 40.0
"""Linear light above which a pixel is white whatever it shares its place with."""

EDGE_SAMPLES = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
"""Offsets in pixels of the further rays that smooth the edges."""


def _candidate(scene: Scene, rng: np.random.Generator) -> Camera:
    """Stand somewhere free, as a person does, and look across the room."""
    width, length, height = scene.size
    for _ in range(200):
        x, y = rng.uniform(0.25, width - 0.25), rng.uniform(0.25, length - 0.25)
        if not any(a - 0.15 < x < c + 0.15 and b - 0.15 < y < d + 0.15 for a, b, c, d in scene.taken):
            break
    aim_x, aim_y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * length
    eye = rng.uniform(0.9, min(1.75, height - 0.6))
    yaw, pitch = np.arctan2(aim_y - y, aim_x - x), rng.normal(np.radians(13), np.radians(10))
    return Camera(*(float(value) for value in (x, y, eye, yaw, pitch, rng.normal(0, 0.03))))


def choose_camera(scene: Scene, tracer: Tracer, rng: np.random.Generator, candidates: int = 12) -> Camera:
    """Try some places to stand, look with few rays, and take the one that shows most from a good distance."""
    best, best_score = None, -np.inf
    wanted = 2.0 * float(np.exp(rng.normal(0, 0.42)))
    for _ in range(candidates):
        camera = _candidate(scene, rng)
        hits = tracer.look(camera, PROBE).hits
        owners, seen = np.unique(scene.mesh.owner[hits.triangle], return_counts=True)
        kinds = {scene.categories[o] for o, n in zip(owners, seen, strict=True) if n > 1}
        score = 0.5 * len(kinds) - 100 * (hits.reach.min() < NEAREST_M)
        score -= 10 * abs(float(np.log(np.median(hits.reach) / wanted)))
        score += 1.7 * float(np.log(hits.reach.max() / hits.reach.min()))
        if score > best_score:
            best, best_score = camera, score
    assert best is not None
    return best


def _edges(owner: npt.NDArray[np.int32], colour: Floats) -> npt.NDArray[np.bool_]:
    """Pixels (y, x) beside another object or another brightness."""
    tone = np.log(colour.mean(axis=2) + 0.02 * colour.mean() + 1e-6)
    edge = np.zeros(owner.shape, bool)
    for i, j in (shifted(0, 1), shifted(1, 1)):
        step = (owner[i] != owner[j]) | (np.abs(tone[i] - tone[j]) > 0.25)
        edge[i] |= step
        edge[j] |= step
    return edge


def develop(lighting: Lighting, view: View, rng: np.random.Generator) -> Floats:
    """Linear colour (y, x, 3) of a view, its edges smoothed by further rays."""
    lit = lighting.light(view, rng)
    colour = lighting.colour(view.hits, lit).clip(0, BRIGHTEST)
    owner = lighting.owner[view.hits.triangle].reshape(view.shape)
    where = np.flatnonzero(_edges(owner, colour.reshape(*view.shape, 3)))
    total = colour[where]
    for dx, dy in EDGE_SAMPLES:
        rays = view.rays[where] + dx * view.steps[0] + dy * view.steps[1]
        more = lighting.tracer.hit(view.camera.origins(len(where)), rays)
        source = _lender(lighting, view, where, more, (int(np.sign(dx)), int(np.sign(dy))))
        borrowed = Lit(lit.falling[source], lit.mirrored[source])
        total = total + lighting.colour(more, borrowed).clip(0, BRIGHTEST)
    colour[where] = total / (1 + len(EDGE_SAMPLES))
    return colour.reshape(*view.shape, 3)


def _lender(lighting: Lighting, view: View, where: Indices, more: Hits, towards: tuple[int, int]) -> Indices:
    """Pixels whose light further rays of the pixels ``where`` can borrow: the same surface, next to them."""
    (height, width), hits = view.shape, view.hits
    y, x = np.divmod(where, width)
    source, found = where.copy(), np.zeros(len(where), bool)
    for sx, sy in ((0, 0), (towards[0], 0), (0, towards[1]), towards):
        beside = (y + sy).clip(0, height - 1) * width + (x + sx).clip(0, width - 1)
        fits = ~found & (lighting.owner[more.triangle] == lighting.owner[hits.triangle[beside]])
        fits &= np.einsum("ij,ij->i", more.normal, hits.normal[beside]) > 0.8
        source[fits] = beside[fits]
        found |= fits
    return source
