"""Photos as scenes: points that project back to their pixels, surfaces that end where depth jumps."""

import io
import math
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsn.photos import scene
from rsn.photos.camera import Camera


def camera(focal=(20.0, 24.0), centre=(7.5, 5.0)):
    return Camera(focal, centre, "option")


def photo(depth, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*depth.shape, 3)).astype(np.uint8)


def read_ply(content):
    """The points of a binary PLY, by its own header."""
    header, _, body = content.partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    names = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    points = np.frombuffer(body, names)
    assert f"element vertex {len(points)}" in lines
    return points


def pixels(position, of):
    """Row and column that points (n, 3) are seen at."""
    x, y, z = np.moveaxis(np.asarray(position, np.float64), -1, 0)
    return -y / -z * of.focal[1] + of.centre[1], x / -z * of.focal[0] + of.centre[0]


def test_points_project_back_to_their_pixels():
    depth = np.random.default_rng(0).uniform(1, 5, (12, 16)).astype(np.float32)
    depth[3, 4] = 0
    rgb = photo(depth)
    points = read_ply(scene.ply(rgb, depth, camera(), most=1000, slant=90))
    assert len(points) == 12 * 16 - 1
    row, column = pixels(np.stack([points[name] for name in "xyz"], axis=-1), camera())
    y, x = np.rint(row).astype(int), np.rint(column).astype(int)
    assert np.array_equal(np.unique(y * 16 + x), np.delete(np.arange(192), 3 * 16 + 4))
    assert np.array_equal(points["z"], -depth[y, x])
    assert np.array_equal(np.stack([points[name] for name in ("red", "green", "blue")], -1), rgb[y, x])


def test_up_is_up_and_ahead_is_away_from_the_viewer():
    """A pixel of the upper right corner is at +x, +y, and what is seen at -z."""
    grid = scene.grid_of(np.full((12, 16), 2, np.float32), camera(), most=1000)
    x, y, z = grid.position[0, -1]
    assert x > 0 < y
    assert z == -2


def test_large_clouds_are_thinned():
    depth = np.ones((100, 100), np.float32)
    assert len(read_ply(scene.ply(photo(depth), depth, camera(), most=2500))) == 2500


def solid_twin(depth, of, slant):
    """Pixel by pixel: along rows and along columns, one neighbour at least is on one surface with it."""
    height, width = depth.shape
    kept = np.zeros(depth.shape, bool)

    def joined(y, x, v, u, focal):
        if not (0 <= v < height and 0 <= u < width) or not depth[v, u] > 0:
            return False
        one, other = float(depth[y, x]), float(depth[v, u])
        return slant >= 90 or abs(one - other) <= math.tan(math.radians(slant)) * (one + other) / 2 / focal

    for y, x in np.argwhere(depth > 0):
        across = width == 1 or any(joined(y, x, y, x + step, of.focal[0]) for step in (-1, 1))
        down = height == 1 or any(joined(y, x, y + step, x, of.focal[1]) for step in (-1, 1))
        kept[y, x] = across and down
    return kept


@settings(max_examples=60)
@given(
    st.integers(1, 7), st.integers(1, 7), st.integers(0, 10_000), st.sampled_from([60.0, 84.0, 90.0])
)  # fmt: skip
def test_what_flies_is_what_the_twin_says(height, width, seed, slant):
    rng = np.random.default_rng(seed)
    depth = rng.choice([0, 1, 1.1, 1.4, 2, 4], (height, width)).astype(np.float32)
    grid = scene.grid_of(depth, camera(), most=1000, slant=slant)
    assert np.array_equal(scene.solid(grid), solid_twin(depth, camera(), slant))


@settings(max_examples=60)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(0, 10_000))
def test_triangles_cross_no_edge_and_face_the_camera(height, width, seed):
    rng = np.random.default_rng(seed)
    depth = rng.choice([0, 1, 1.1, 1.4, 2, 4], (height, width)).astype(np.float32)
    grid = scene.grid_of(depth, camera(), most=1000, slant=80)
    found = {tuple(sorted(triangle)) for triangle in scene.triangles_of(grid).tolist()}

    def joined(a, b):
        one, other = (float(depth.ravel()[place]) for place in (a, b))
        focal = camera().focal[0] if abs(a - b) == 1 else camera().focal[1]
        steep = abs(one - other) > math.tan(math.radians(80)) * (one + other) / 2 / focal
        return one > 0 and other > 0 and not steep

    expected = set()
    for y in range(height - 1):
        for x in range(width - 1):
            a, b = y * width + x, y * width + x + 1
            c, d = a + width, b + width
            expected |= {tuple(sorted(t)) for t in ((a, b, c),) if joined(a, b) and joined(a, c)}
            expected |= {tuple(sorted(t)) for t in ((b, c, d),) if joined(c, d) and joined(b, d)}
    assert found == expected
    corners = grid.position.reshape(-1, 3)[scene.triangles_of(grid)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.sum(normals * corners.mean(axis=1), axis=1) < 0).all()


@pytest.mark.parametrize("size", [1, 3, 10])
def test_an_edge_of_depth_flies_at_any_size_and_a_floor_does_not(size):
    """The same view at several resolutions: a wall before another, its edge smoothed; a floor to 8 m."""
    focal = 260.0 * size
    x = np.arange(60 * size) / size
    edge = (2 + 2 / (1 + np.exp(-(x - 30)))).astype(np.float32)
    depth = np.repeat(edge[None], 4 * size, axis=0)
    kept = scene.solid(scene.grid_of(depth, camera((focal, focal)), most=10**6))
    flying = x[~kept[0]]
    assert flying.size
    assert flying.min() > 24
    assert flying.max() < 36
    row = np.arange(50 * size, 160 * size)
    floor = np.repeat((1.5 * focal / row).astype(np.float32)[:, None], 4, axis=1)
    assert floor.max() == pytest.approx(7.8)
    assert scene.solid(scene.grid_of(floor, camera((focal, focal)), most=10**6)).all()


def document_of(content):
    magic, version, length = struct.unpack("<III", content[:12])
    assert (magic, version, length) == (0x46546C67, 2, len(content))
    return content[20 : 20 + struct.unpack("<I", content[12:16])[0]]


def test_a_surface_carries_the_photo_and_is_read_by_others():
    depth = np.full((30, 40), 2, np.float32)
    depth[:, 20:] = 4
    depth[0, 0] = 0
    rgb = photo(depth)
    content = scene.glb(rgb, depth, camera((400, 400), (19.5, 14.5)), most=10_000)
    document = document_of(content)
    assert b"KHR_materials_unlit" in document
    assert b"image/jpeg" in document
    (mesh,) = trimesh.load(io.BytesIO(content), file_type="glb").geometry.values()
    assert len(mesh.vertices) == 30 * 40 - 1
    assert len(mesh.split(only_watertight=False)) == 2
    row, column = pixels(mesh.vertices, camera((400, 400), (19.5, 14.5)))
    u, v = mesh.visual.uv.T
    assert np.allclose(u, (column + 0.5) / 40, atol=1e-4)
    assert np.allclose(1 - v, (row + 0.5) / 30, atol=1e-4)
    assert mesh.visual.material.baseColorTexture.size == (40, 30)


def test_textures_and_surfaces_have_a_size_that_phones_take():
    depth = np.ones((2500, 1200), np.float32)
    content = scene.glb(np.zeros((*depth.shape, 3), np.uint8), depth, camera((900, 900)), most=10**6)
    (mesh,) = trimesh.load(io.BytesIO(content), file_type="glb", process=False).geometry.values()
    assert scene.MOST_VERTICES / 2 < len(mesh.vertices) <= scene.MOST_VERTICES
    texture = mesh.visual.material.baseColorTexture
    assert isinstance(texture, Image.Image)
    assert max(texture.size) == scene.TEXTURE_SIDE


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_line_has_points_and_no_surface(shape):
    depth = np.ones(shape, np.float32)
    assert scene.glb(photo(depth), depth, camera(), most=100) is None
    assert len(read_ply(scene.ply(photo(depth), depth, camera(), most=100))) == depth.size
