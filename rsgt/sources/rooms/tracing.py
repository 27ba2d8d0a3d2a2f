"""The camera, and what its rays hit. The only file that knows Embree."""

from math import cos, sin
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.facts import nyu_facts
from rsgt.sources.rooms.mesh import Floats, Mesh


class Camera(NamedTuple):
    """Where the camera is (metres) and where it looks: radians; a positive pitch looks down."""

    x: float
    y: float
    height: float
    yaw: float
    pitch: float
    roll: float

    def axes(self) -> npt.NDArray[np.float64]:
        """Return unit vectors (3, 3) in the world: the image's right, its down, and the optical axis."""
        c, s = cos(self.yaw), sin(self.yaw)
        ahead = np.array([c * cos(self.pitch), s * cos(self.pitch), -sin(self.pitch)])
        right = np.array([s, -c, 0.0])
        down = np.cross(ahead, right)
        c, s = cos(self.roll), sin(self.roll)
        return np.stack([c * right + s * down, c * down - s * right, ahead])

    def origins(self, count: int) -> Floats:
        """Return the camera's place (count, 3), once for each ray."""
        return np.broadcast_to(np.array(self[:3], np.float32), (count, 3))


def pixel_rays(camera: Camera, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Directions (y * x, 3) through the pixels' centres, row by row, and the steps (2, 3) along x and y.

    The camera is NYU's colour camera, scaled to ``shape``. A direction reaches 1 m along the optical axis,
    so that a hit's ray parameter is its depth.
    """
    facts, (height, width) = nyu_facts()["intrinsics_rgb"], shape
    right, down, ahead = camera.axes()
    steps = np.stack([right * 640 / width / facts["fx"], down * 480 / height / facts["fy"]])
    # Pixel centres are whole numbers, as in the camera's own principal point.
    x = np.arange(width) + 0.5 - (facts["cx"] + 0.5) * width / 640
    y = np.arange(height) + 0.5 - (facts["cy"] + 0.5) * height / 480
    rays = ahead + x[:, None] * steps[0] + y[:, None, None] * steps[1]
    return rays.reshape(-1, 3).astype(np.float32), steps.astype(np.float32)


class Hits(NamedTuple):
    """What n rays met first; rooms are closed, so that every ray meets something.

    ``triangle`` (n,) is the triangle's number and ``reach`` (n,) the ray parameter there; ``point`` (n, 3) is
    in metres; ``normal`` (n, 3) is the smooth normal and ``face`` (n, 3) the flat one, both towards the ray's
    origin; ``texture`` (n, 2) is in metres.
    """

    triangle: npt.NDArray[np.int32]
    reach: npt.NDArray[np.float64]
    point: Floats
    normal: Floats
    face: Floats
    texture: Floats


class View(NamedTuple):
    """What a camera sees: its image's rows and columns, its rays (y * x, 3), their steps, and their hits."""

    camera: Camera
    shape: tuple[int, int]
    rays: Floats
    steps: Floats
    hits: Hits


class Tracer:
    """A room's triangles, ready for rays. Embree casts them without holding the interpreter's lock."""

    def __init__(self, mesh: Mesh) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as missing:
            raise InputError(
                "rendering needs embreex, which is not here: pip install 'region-support[synth]'"
            ) from missing
        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, mesh.corners)
        self._corners = np.concatenate([mesh.normals, mesh.texture], axis=2)
        corners = mesh.corners.astype(np.float64)
        face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(face, axis=1, keepdims=True)
        self._face = face / np.maximum(length, 1e-12)
        self._offset = np.einsum("ij,ij->i", self._face, corners[:, 0])

    def look(self, camera: Camera, shape: tuple[int, int]) -> View:
        """Send a ray through the centre of every pixel."""
        rays, steps = pixel_rays(camera, shape)
        return View(camera, shape, rays, steps, self.hit(camera.origins(len(rays)), rays))

    def hit(self, origins: Floats, directions: Floats) -> Hits:
        """Find what each ray meets first. ``origins`` and ``directions`` are (n, 3)."""
        found = self._scene.run(origins, directions, output=True)
        triangle: npt.NDArray[np.int32] = found["primID"]
        # Embree names the triangle; its plane gives the depth to the last digit, whatever Embree's traversal.
        face = self._face[triangle]
        along = np.einsum("ij,ij->i", face, directions)
        reach = (self._offset[triangle] - np.einsum("ij,ij->i", face, origins)) / along
        point = origins + directions * reach[:, None].astype(np.float32)
        flat = face.astype(np.float32) * np.where(along > 0, -1, 1).astype(np.float32)[:, None]
        share = np.stack([1 - found["u"] - found["v"], found["u"], found["v"]], axis=1)
        mixed = np.einsum("ijk,ij->ik", self._corners[triangle], share)
        normal, texture = mixed[:, :3], mixed[:, 3:]
        size = np.sqrt(np.einsum("ij,ij->i", normal, normal)).clip(1e-6)
        normal = normal * np.copysign(1 / size, np.einsum("ij,ij->i", normal, flat))[:, None]
        return Hits(triangle, reach, point, normal, flat, texture)

    def reaches(self, origins: Floats, offsets: Floats, share: Floats) -> npt.NDArray[np.bool_]:
        """Tell whether the way from each origin along its offset is free, up to a share of it."""
        met = self._scene.run(origins, offsets, dists=share, query="OCCLUDED")
        return np.asarray(met < 0)
