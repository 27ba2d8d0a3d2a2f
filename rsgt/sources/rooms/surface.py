"""Procedural surfaces: the colour of a material at a point, from patterns and one table of noise."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsgt.sources.rooms.mesh import Floats, Material

TABLE = 512


@cache
def noise_table() -> Floats:
    """Tileable 1/f noise (512, 512) of mean 0 and deviation 1, the same in every run."""
    spectrum = np.fft.fft2(np.random.default_rng(2012).standard_normal((TABLE, TABLE)))
    frequency = np.fft.fftfreq(TABLE)
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    radius[0, 0] = np.inf
    noise: npt.NDArray[np.float64] = np.fft.ifft2(spectrum / radius).real
    noise /= noise.std()
    return noise.astype(np.float32)


def fractal(u: Floats, v: Floats) -> Floats:
    """Noise at points given in cells of the table."""
    found: Floats = ndimage.map_coordinates(
        noise_table(), (v, u), order=1, mode="grid-wrap", output=np.float32
    )
    return found


def _cell(a: Floats, size: Floats) -> Floats:
    cell: Floats = np.floor(a / size)
    return cell


def _plain(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    return np.zeros_like(u), np.ones_like(u)


def _fabric(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    return 0.5 + 0.35 * fractal(u * 6 / scale, v * 6 / scale), 1 + 0.06 * fractal(20 * u, 20 * v)


def _carpet(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    return 0.4 + 0.12 * fractal(30 * u, 30 * v), 1 + 0.1 * fractal(230 * u, 230 * v)


def _wood(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    rings = np.sin(2 * np.pi * (v / scale + 0.7 * fractal(8 * u, 30 * v)))
    return 0.5 + 0.3 * rings + 0.15 * fractal(12 * u, 250 * v), np.ones_like(u)


def _planks(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    row = _cell(v, scale)
    along = u + np.float32(0.37) * (row * 7 % 11)
    board = (row * 31 + np.floor(along / np.float32(1.3)) * 17) % 10
    mix, _ = _wood(along + board, v, scale * np.float32(0.6))
    seam = np.where((v / scale) % 1 < 0.035, np.float32(0.45), np.float32(1))
    return mix, seam * (np.float32(0.85) + np.float32(0.03) * board)


def _tiles(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    grout = ((u / scale) % 1 < 0.03) | ((v / scale) % 1 < 0.03)
    tile = (_cell(u, scale) * 5 + _cell(v, scale) * 3) % 7
    return grout.astype(np.float32), 0.93 + 0.015 * tile + 0.04 * fractal(15 * u, 15 * v)


def _checks(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    return np.float32(0.5) * (_cell(u, scale) % 2 + _cell(v, scale) % 2), 1 + 0.08 * fractal(120 * u, 120 * v)


def _stripes(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    return _cell(u, scale) % 2, 1 + 0.03 * fractal(40 * u, 40 * v)


def _wallpaper(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    x, y = np.pi * u / scale, np.pi * v / scale
    motif = np.abs(np.sin(x) * np.sin(y)) + 0.25 * np.cos(4 * x) * np.cos(4 * y)
    return (motif > 0.5).astype(np.float32), 1 + 0.03 * fractal(20 * u, 20 * v)


def _art(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Lay hills under a sky over the pane; ``scale`` tells one picture from the next."""
    shade, mix = 1.25 + 0.25 * v + 0.1 * fractal(70 * u + 99 * scale, 25 * v), 0.06 * fractal(60 * u, 90 * v)
    for ridge in range(4):
        line = 0.75 - 0.2 * ridge + 0.09 * fractal(30 * u + 131 * scale, np.full_like(u, 60 * ridge))
        below = v < line
        shade = np.where(below, 1.05 - 0.24 * ridge + 0.6 * (v - line), shade)
        mix = np.where(below, (0.35 + 0.22 * ridge) % 1 + 0.1 * fractal(150 * u, 150 * v), mix)
    return mix, shade


def _scene(u: Floats, v: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Show a hazy sky above foliage, out of focus, as seen out of a window."""
    leaves = fractal(25 * u, 25 * v)
    ground = np.clip((0.42 + 0.08 * fractal(20 * u, np.zeros_like(u)) - v) / 0.12 + 0.2 * leaves, 0, 1)
    return ground, 1 + (0.18 * leaves - 0.25) * ground + 0.15 * v


PATTERNS: dict[str, Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]] = {
    "plain": _plain,
    "fabric": _fabric,
    "carpet": _carpet,
    "wood": _wood,
    "planks": _planks,
    "tiles": _tiles,
    "checks": _checks,
    "stripes": _stripes,
    "wallpaper": _wallpaper,
    "art": _art,
    "scene": _scene,
}
"""Pattern -> the share of the second colour and a factor of brightness, at texture coordinates in metres."""


class Palette:
    """The materials of a room as arrays, and their colours at many points at once."""

    def __init__(self, materials: list[Material]) -> None:
        self._first = np.array([m.first for m in materials], np.float32)
        self._second = np.array([m.second for m in materials], np.float32)
        self._scale = np.array([m.scale for m in materials], np.float32)
        self._pattern = np.array([list(PATTERNS).index(m.pattern) for m in materials])
        self.gloss = np.array([m.gloss for m in materials], np.float32)
        self.glow = np.array([m.glow for m in materials], np.float32)
        plain = (self._pattern == 0)[:, None]
        self.average = np.where(plain, self._first, (self._first + self._second) / 2)

    def colour(self, material: npt.NDArray[np.int32], texture: Floats) -> Floats:
        """Reflectance (n, 3) of materials (n,) at texture coordinates (n, 2) in metres."""
        out = np.empty((len(material), 3), np.float32)
        pattern = self._pattern[material]
        for number, evaluate in enumerate(PATTERNS.values()):
            where = np.flatnonzero(pattern == number)
            if where.size:
                kind, uv = material[where], texture[where]
                mix, shade = evaluate(uv[:, 0], uv[:, 1], self._scale[kind])
                first, mix = self._first[kind], np.clip(mix, 0, 1)[:, None]
                out[where] = (first + (self._second[kind] - first) * mix) * np.clip(shade, 0, 2)[:, None]
        return np.clip(out, 0, 0.95)
