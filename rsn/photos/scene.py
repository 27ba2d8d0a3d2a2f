"""A photo and its depth as a scene for other programs: points (PLY) and a surface with the photo on it (GLB).

Both are in metres, x to the right, y up, and the photo's camera at the origin looks along -z: the axes of
glTF, by which viewers show the scene upright and from where the photo was taken.
"""

import io
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image

from rsn.photos.camera import Camera
from rsn.photos.prediction import Metres
from rsn.photos.reading import Rgb

Array = npt.NDArray[Any]

SLANT = 84.0
"""Degrees. A floor 1.5 m below the camera is seen at it 14 m ahead; edges of depth are far beyond."""
MOST_VERTICES = 200_000
"""Of a surface: above what a network of 480x640 can tell apart, and little enough for a phone."""
TEXTURE_SIDE = 2048


class Grid(NamedTuple):
    """Every n-th row and column of a photo.

    Attributes
    ----------
    rows, columns : int array
        Which.
    position : float32 array
        (y, x, 3), metres, in the module's axes; without a meaning where ``known`` is False.
    known : bool array
        (y, x), whether there is a depth.
    steep_across, steep_down : bool array
        (y, x - 1) and (y - 1, x): whether a line from one to the next is seen at more than the slant, or has
        an end without depth.
    """

    rows: Array
    columns: Array
    position: Array
    known: Array
    steep_across: Array
    steep_down: Array


def grid_of(depth: Metres, camera: Camera, *, most: int, slant: float = SLANT) -> Grid:
    """Place the pixels of a depth map in space.

    Parameters
    ----------
    depth : float32 array
        (y, x), metres; 0 = none.
    camera : Camera
        Of this very map.
    most : int
        Where there are more pixels, every n-th row and column is taken.
    slant : float
        Degrees between what the camera looks along and the normal of a surface; 90 and more: nothing is
        steep. What is predicted across a depth edge is a surface that the camera grazes, at any size of the
        map.
    """
    step = max(1, math.ceil(math.sqrt(depth.size / most)))
    rows, columns = np.arange(0, depth.shape[0], step), np.arange(0, depth.shape[1], step)
    z = depth[::step, ::step].astype(np.float64)
    known = np.isfinite(z) & (z > 0)
    position = np.empty((*z.shape, 3), np.float32)
    position[..., 0] = (columns - camera.centre[0]) / camera.focal[0] * z
    position[..., 1] = -(rows - camera.centre[1])[:, None] / camera.focal[1] * z
    position[..., 2] = -z
    steep = [_steep(z, known, axis, step / camera.focal[1 - axis], slant) for axis in (1, 0)]
    return Grid(rows, columns, position, known, *steep)


def _steep(z: Array, known: Array, axis: int, angle: float, slant: float) -> Array:
    """Whether neighbours along an axis, this angle (radians) apart, are on a line steeper than the slant."""
    one, other = (np.delete(z, place, axis) for place in (-1, 0))
    ends = np.delete(known, -1, axis) & np.delete(known, 0, axis)
    if slant >= 90:
        return ~ends
    most = math.tan(math.radians(slant)) * angle * (one + other) / 2
    found: Array = ~ends | (np.abs(other - one) > most)
    return found


def solid(grid: Grid) -> Array:
    """Pixels (y, x) of a grid that stand on a surface: along each axis with one neighbour at least.

    The rest flies in the air between a near and a far surface.
    """
    kept = grid.known.copy()
    for axis, steep in ((1, grid.steep_across), (0, grid.steep_down)):
        if kept.shape[axis] > 1:
            edge = [(0, 0), (0, 0)]
            edge[axis] = (1, 1)
            padded = np.pad(steep, edge, constant_values=True)
            kept &= ~(np.delete(padded, -1, axis) & np.delete(padded, 0, axis))
    return kept


def points_of(grid: Grid, rgb: Rgb) -> tuple[Array, Array]:
    """Points of a grid that do not fly: positions (n, 3), float32 metres, and colours (n, 3), uint8."""
    kept = solid(grid)
    return grid.position[kept], rgb[np.ix_(grid.rows, grid.columns)][kept]


def triangles_of(grid: Grid) -> Array:
    """Triangles (n, 3) between neighbours of a grid, by the pixels' places in it, that cross no steep line.

    They turn to the left as the camera sees them.
    """
    places = np.arange(grid.known.size).reshape(grid.known.shape)
    a, b, c, d = places[:-1, :-1], places[:-1, 1:], places[1:, :-1], places[1:, 1:]
    top, bottom = grid.steep_across[:-1], grid.steep_across[1:]
    left, right = grid.steep_down[:, :-1], grid.steep_down[:, 1:]
    upper = np.stack([a, c, b], axis=-1)[~(top | left)]
    lower = np.stack([b, c, d], axis=-1)[~(bottom | right)]
    return np.concatenate([upper, lower])


def ply(rgb: Rgb, depth: Metres, camera: Camera, *, most: int, slant: float = SLANT) -> bytes:
    """Write a binary PLY point cloud: ``x``, ``y``, ``z``, float32, and colours, uint8.

    Parameters
    ----------
    rgb, depth : array
        (y, x, 3) and (y, x); pixels without depth, and those that fly (``solid``), give no point.
    camera, most, slant
        As for ``grid_of``.
    """
    points, colours = points_of(grid_of(depth, camera, most=most, slant=slant), rgb)
    exported: bytes = trimesh.PointCloud(points, colours).export(file_type="ply")
    return exported


def glb(rgb: Rgb, depth: Metres, camera: Camera, *, most: int, slant: float = SLANT) -> bytes | None:
    """Write a binary glTF: one surface with the photo on it, unlit, open where depth jumps.

    Parameters
    ----------
    rgb, depth, camera, most, slant
        As for ``ply``; there are at most ``MOST_VERTICES``.

    Returns
    -------
    bytes or None
        None where no three neighbours are on one surface.
    """
    grid = grid_of(depth, camera, most=min(most, MOST_VERTICES), slant=slant)
    triangles = triangles_of(grid)
    if not len(triangles):
        return None
    used, faces = np.unique(triangles, return_inverse=True)
    height, width = depth.shape
    row, column = np.divmod(used, grid.known.shape[1])
    # trimesh counts v from the lower edge, and turns it round again for glTF.
    texture = np.stack([(grid.columns[column] + 0.5) / width, 1 - (grid.rows[row] + 0.5) / height], axis=-1)
    material = trimesh.visual.material.PBRMaterial(
        name="photo", baseColorTexture=_jpeg(rgb), metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
    )
    surface = trimesh.Trimesh(
        grid.position.reshape(-1, 3)[used], faces.reshape(triangles.shape), process=False,
        visual=trimesh.visual.TextureVisuals(uv=texture, material=material),
    )  # fmt: skip
    scene = trimesh.Scene()
    scene.add_geometry(surface, geom_name="photo")
    exported: bytes = trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=_unlit)
    return exported


def _jpeg(rgb: Rgb) -> Image.Image:
    """Bring a photo to a texture's size, as the JPEG that is to be stored."""
    image, packed = Image.fromarray(rgb), io.BytesIO()
    image.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
    image.save(packed, "JPEG", quality=88)
    return Image.open(packed)


def _unlit(tree: dict[str, Any]) -> None:
    """Let viewers show the photo's own colours: its light is in it already."""
    tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
    for material in tree["materials"]:
        material.setdefault("extensions", {})["KHR_materials_unlit"] = {}
