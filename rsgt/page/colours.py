"""Colours of maps of labels: palettes, and which region gets which colour."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NEUTRAL = "#b9bcc0"
"""Grey of pixels without depth, region or label: no colour of the maps and palettes is near it."""


def _oklch_palette(lightness: Sequence[float], hues: int, chroma: float) -> tuple[Array, Array]:
    """Colours evenly spaced in hue at each lightness: (colour, rgb) uint8 and (colour, Oklab) float64.

    Source of the conversion: Ottosson, "A perceptual color space for image processing", 2020.
    """
    step = 2 * np.pi / hues
    angle = np.concatenate([np.arange(hues) * step + k * step / 2 for k in range(len(lightness))])
    lab = np.stack([np.repeat(lightness, hues), chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    to_lms = np.array([[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728],
                       [1, -0.0894841775, -1.2914855480]])  # fmt: skip
    to_rgb = np.array([[4.0767416621, -3.3077115913, 0.2309699292],
                       [-1.2684380046, 2.6097574011, -0.3413193965],
                       [-0.0041960863, -0.7034186147, 1.7076147010]])  # fmt: skip
    linear = np.clip((lab @ to_lms.T) ** 3 @ to_rgb.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8), lab


PALETTE, _PALETTE_LAB = _oklch_palette((0.56, 0.70, 0.84), hues=8, chroma=0.105)
"""The 24 colours, (colour, channel) uint8, that regions and categories are painted with."""

_APART = 0.14  # Oklab distance at which two of the palette's colours are told apart at a glance


def neighbours(region: Array) -> list[set[int]]:
    """Labels that each label of a (y, x) map touches along a pixel's edge; 0 touches nothing."""
    touching: list[set[int]] = [set() for _ in range(int(region.max(initial=0)) + 1)]
    for a, b in ((region[:, :-1], region[:, 1:]), (region[:-1], region[1:])):
        differ = (a != b) & (a > 0) & (b > 0)
        for first, second in np.unique(np.stack([a[differ], b[differ]]), axis=1).T.tolist():
            touching[first].add(second)
            touching[second].add(first)
    return touching


def _smallest_last(touching: Sequence[set[int]]) -> list[int]:
    """Order labels so that each one touches few of those before it: at most five on a planar map.

    Source: Matula and Beck, "Smallest-last ordering and clustering and graph coloring algorithms", 1983.
    """
    left = [len(others) for others in touching]
    queue = [(left[label], label) for label in range(1, len(touching))]
    heapq.heapify(queue)
    removed: dict[int, None] = {}
    while queue:
        degree, label = heapq.heappop(queue)
        if label in removed or degree != left[label]:
            continue
        removed[label] = None
        for other in touching[label]:
            left[other] -= 1
            heapq.heappush(queue, (left[other], other))
    return list(removed)[::-1]


def region_colours(region: Array) -> Array:
    """Give every region a colour of the palette that differs from its neighbours'.

    Parameters
    ----------
    region
        (y, x) integer labels from 1, 0 = no region.

    Returns
    -------
    uint8 array
        (label,) index into ``PALETTE``; the entry of label 0 means nothing. The same map always gets the
        same colours.
    """
    touching = neighbours(region)
    distance = np.linalg.norm(_PALETTE_LAB[:, None] - _PALETTE_LAB[None], axis=2)
    chosen, used = np.zeros(len(touching), np.uint8), np.zeros(len(PALETTE))
    done: set[int] = set()
    for label in _smallest_last(touching):
        taken = chosen[[other for other in touching[label] if other in done]]
        nearest = distance[:, taken].min(axis=1, initial=np.inf)
        free = nearest >= min(_APART, nearest.max())
        chosen[label] = np.argmin(np.where(free, used, np.inf))
        used[chosen[label]] += 1
        done.add(label)
    return chosen


def paint_regions(region: Array) -> Array:
    """Paint a (y, x) map of labels with thin dark borders: (y, x, channel) uint8."""
    colours = PALETTE[region_colours(region)]
    colours[0] = _rgb(NEUTRAL)
    image = colours[region]
    border = np.zeros(region.shape, bool)
    border[:, :-1] |= region[:, :-1] != region[:, 1:]
    border[:-1] |= region[:-1] != region[1:]
    image[border] = (0.4 * image[border]).astype(np.uint8)
    return image


def category_colours(maps: Iterable[Array]) -> dict[int, Array]:
    """Colour of each category over some (y, x) maps, (channel,) uint8: the largest ones get the clearest.

    Keys run from the largest category to the smallest; 0, unlabelled, is always grey.
    """
    area: Counter[int] = Counter()
    for semantic in maps:
        area.update(
            dict(zip(*(part.tolist() for part in np.unique(semantic, return_counts=True)), strict=True))
        )
    del area[0]
    # Steps of 11 through the 24 colours go round all of them and set successive ones far apart.
    colours = {category: PALETTE[11 * k % len(PALETTE)] for k, (category, _) in enumerate(area.most_common())}
    return {**colours, 0: _rgb(NEUTRAL)}


def _rgb(colour: str) -> Array:
    return np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)


def paint_categories(semantic: Array, colours: Mapping[int, Array]) -> Array:
    """Paint a (y, x) map of categories: (y, x, channel) uint8."""
    present, where = np.unique(semantic, return_inverse=True)
    return np.stack([colours[category] for category in present.tolist()])[where.reshape(semantic.shape)]


def paint_normals(normals: Array) -> Array:
    """Paint normals in the usual colours, of a surface that faces right red, up green, the camera blue.

    Parameters
    ----------
    normals
        (..., 3) float, unit normals in the camera's axes (x right, y down, z forward) that point away from
        it; NaN = none, grey.

    Returns
    -------
    (..., channel) uint8: each of the surface's three directions from -1 to 1 becomes 0 to 255.
    """
    # The side that is seen faces the other way: left is right, and behind is in front; down is then up.
    share = (np.asarray(normals, np.float64) * (-1, 1, 1) + 1) / 2
    painted = np.rint(255 * np.nan_to_num(share)).astype(np.uint8)
    painted[np.isnan(share).any(axis=-1)] = _rgb(NEUTRAL)
    return painted


NORMALS_KEY = {
    "faces us": (0, 0, 1), "up": (0, 1, 0), "down": (0, -1, 0), "left": (1, 0, 0), "right": (-1, 0, 0),
}  # fmt: skip
"""Where a surface faces, and its normal away from the camera."""
