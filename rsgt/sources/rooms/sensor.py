"""What a camera and its annotators make of a view: the photograph, the raw depth, the missing labels."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsgt.sources.rooms.mesh import Floats
from rsgt.sources.rooms.surface import noise_table

Mask = npt.NDArray[np.bool_]

DISPARITY_M = 43.5
"""Depth x disparity of the Kinect in metres x pixels: 580 px focal length, 7.5 cm between its eyes."""

BASELINE_M = 0.075

SMALLEST_PIECE_PX = 80
"""Pixels at 480 rows below which annotators draw nothing."""


def blotches(shape: tuple[int, int], size: float, rng: np.random.Generator) -> Floats:
    """Smooth random field (y, x) of deviation about 1 with features of ``size`` pixels at 480 rows."""
    step = 480 / shape[0] * 10 / size
    start = rng.uniform(0, 512, 2)
    rows = (start[0] + step * np.arange(shape[0])[:, None]).repeat(shape[1], 1)
    columns = (start[1] + step * np.arange(shape[1])).repeat(shape[0]).reshape(shape[::-1]).T
    field: Floats = ndimage.map_coordinates(noise_table(), (rows, columns), order=1, mode="grid-wrap")
    return field


def photograph(light: Floats, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Expose linear colour (y, x, 3): white balance, lens, shoulder, grain; 8-bit sRGB-like values."""
    height, width, _ = light.shape
    level = np.median(light.mean(axis=2)) + 1e-4
    tint = light.mean(axis=(0, 1)) / light.mean()
    gain = 0.36 * rng.uniform(0.7, 1.2) / level * tint**-0.5
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    lens = 1 - 0.16 * (x * x + y * y)
    exposed = light * (gain.astype(np.float32) * lens[..., None])
    exposed = ndimage.gaussian_filter(exposed, (0.5, 0.5, 0))
    grain = rng.standard_normal(light.shape, np.float32) * np.sqrt(1e-5 + 4e-4 * exposed)
    shown = 1 - np.exp(-1.3 * (exposed + grain).clip(0))
    levels: Floats = 255 * shown ** np.float32(1 / 2.2) + 0.5
    return levels.clip(0, 255).astype(np.uint8)


def raw_depth(
    depth_m: Floats, facing: Floats, in_shadow: Mask, hard: Floats, rng: np.random.Generator
) -> Floats:
    """Measure depth as a structured-light sensor does; 0 where it sees nothing.

    Parameters
    ----------
    depth_m
        True depth (y, x).
    facing
        Cosine (y, x) between the surface and the line of sight.
    in_shadow
        Where the projector's light does not reach (y, x).
    hard
        How badly the surface returns light (y, x): 0 well, 1 not at all.
    """
    shape, edge = depth_m.shape, max(1, round(8 * depth_m.shape[0] / 480))
    true = DISPARITY_M / depth_m
    noise = 0.06 * rng.standard_normal(shape, np.float32) + 0.04 * blotches(shape, 12, rng)
    disparity = np.round(8 * (true + noise)) / 8
    # A plane's disparity is linear in the image, so that second differences show jumps and nothing else.
    jump = np.abs(ndimage.laplace(true)) > 0.8
    in_shadow = ndimage.binary_opening(in_shadow, np.ones((2, 2)))
    lost = ndimage.maximum_filter(in_shadow | jump, 1 + 2 * (edge // 4))
    trouble = hard + 0.4 * (1 - facing).clip(0) ** 4 + 0.02 * depth_m**2
    lost |= trouble + 0.25 * blotches(shape, 25, rng) > 0.9
    lost |= depth_m > 8
    lost[:edge] = lost[-edge:] = lost[:, :edge] = lost[:, -edge:] = True
    return np.where(lost, 0, DISPARITY_M / disparity.clip(1)).astype(np.float32)


def left_out(owner: npt.NDArray[np.int32], rng: np.random.Generator) -> Mask:
    """Where annotators leave gaps (y, x): stretches of borders, and pieces too small to draw."""
    scale = owner.shape[0] / 480
    size = max(3, 1 + round(6 * scale))
    border = ndimage.maximum_filter(owner, size) != ndimage.minimum_filter(owner, size)
    gaps: Mask = border & (blotches(owner.shape, 60, rng) > -0.4)
    for number, box in enumerate(ndimage.find_objects(owner + 1)):
        if box is not None:
            piece, _ = ndimage.label((owner[box] == number) & ~gaps[box], np.ones((3, 3)))
            small = np.bincount(piece.ravel()) < SMALLEST_PIECE_PX * scale**2
            small[0] = False
            gaps[box] |= small[piece]
    return gaps
