"""One frame: a furnished room, photographed, measured and annotated."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.facts import NYU_SHAPE, class_names
from rsgt.sources.rooms import sensor
from rsgt.sources.rooms.faces import planes_in_view
from rsgt.sources.rooms.kinds import furnish
from rsgt.sources.rooms.lighting import LIFT, Lighting
from rsgt.sources.rooms.mesh import Floats
from rsgt.sources.rooms.tracing import Camera, Tracer, View
from rsgt.sources.rooms.view import choose_camera, develop


@dataclass(frozen=True)
class Room:
    """One frame. Images are (y, x).

    Attributes
    ----------
    rgb
        Colour (y, x, 3), uint8.
    depth_m
        True depth along the optical axis in metres, float32; no holes.
    raw_depth_m
        The same as a sensor measures it, float32; 0 where it saw nothing.
    semantic
        Raw NYU category, uint16, 1 to 894; 0 = unlabelled.
    instance
        Number of the object within its category in this frame, uint8, from 1; 0 = unlabelled.
    plane
        Number of the flat face of an object, uint16, from 1 in order of first appearance; 0 = curved.
    planes
        Planes of these faces, (face, 4) float64: a unit normal in the camera's axes (x right, y down, z
        forward) that points away from it, and the distance in metres: normal · point = distance.
    scene, scene_type
        Name of the room, and what it is for.
    camera
        Place and angles of the camera: metres above the floor, radians.
    """

    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    raw_depth_m: npt.NDArray[np.float32]
    semantic: npt.NDArray[np.uint16]
    instance: npt.NDArray[np.uint8]
    plane: npt.NDArray[np.uint16]
    planes: npt.NDArray[np.float64]
    scene: str
    scene_type: str
    camera: Camera


@cache
def _label_of() -> dict[str, int]:
    return {name: number for number, name in enumerate(class_names("894"), start=1)}


def room_of(seed: int, index: int) -> tuple[int, int]:
    """Return which room of a seed a frame (from 0) shows, and which view of it this is (from 0).

    Nine frames show three rooms: two, three and four views, in an order that the seed shuffles.
    """
    group, place = divmod(index, 9)
    for number, views in enumerate(np.random.default_rng([seed, 1, group]).permutation([2, 3, 4])):
        if place < views:
            return 3 * group + number, place
        place -= int(views)
    raise AssertionError("unreachable: 2 + 3 + 4 views are nine frames")


def render_room(seed: int, index: int, shape: tuple[int, int] = NYU_SHAPE) -> Room:
    """Render one frame.

    Parameters
    ----------
    seed
        Which series of rooms, 0 or more.
    index
        Which frame of the series, from 0. Neighbouring frames may show the same room from other places.
    shape
        Rows and columns; NYU's colour camera is scaled to them.

    Returns
    -------
    Room
        The same for the same arguments, whatever else is rendered.

    Raises
    ------
    InputError
        Where embreex is not installed, or an argument is out of range.
    """
    if seed < 0 or index < 0 or min(shape) < 24:
        raise InputError(
            f"synthetic rooms: got seed {seed}, frame {index}, shape {shape}; expected a seed and a frame "
            "of 0 or more, and at least 24x24 pixels"
        )
    number, place = room_of(seed, index)
    scene = furnish(np.random.default_rng([seed, 2, number]))
    rng = np.random.default_rng([seed, 3, number, place])
    tracer = Tracer(scene.mesh)
    view = tracer.look(choose_camera(scene, tracer, rng), shape)
    lighting = Lighting(scene, tracer)
    rgb = sensor.photograph(develop(lighting, view, rng), rng)
    depth_m = view.hits.reach.astype(np.float32).reshape(shape)
    raw = _measured(lighting, view, depth_m, rng)

    owner = lighting.owner[view.hits.triangle].reshape(shape)
    semantic, instance = _labels(owner, scene.categories, scene.labelled, sensor.left_out(owner, rng))
    name = f"{scene.kind}_{number:04d}"
    plane, planes = planes_in_view(scene.mesh, view)
    return Room(rgb, depth_m, raw, semantic, instance, plane, planes, name, scene.kind, view.camera)


def _measured(lighting: Lighting, view: View, depth_m: Floats, rng: np.random.Generator) -> Floats:
    """Raw depth: dark, shiny and glowing things return little light, and the projector stands to one side."""
    rays, hits, shape = view.rays, view.hits, view.shape
    facing = -np.einsum("ij,ij->i", hits.face, rays) / np.linalg.norm(rays, axis=1)
    start = hits.point + LIFT * hits.face
    projector = view.camera.origins(1) + sensor.BASELINE_M * view.camera.axes()[:1].astype(np.float32)
    seen = lighting.tracer.reaches(start, projector - start, np.full(len(rays), 0.999, np.float32))
    material, palette = lighting.material[hits.triangle], lighting.palette
    dark = 1 - 5 * palette.average[material].mean(axis=1)
    hard = np.maximum(dark.clip(0), 0.6 * palette.gloss[material]) + palette.glow[material]
    shadow = ~seen.reshape(shape)
    return sensor.raw_depth(depth_m, facing.reshape(shape), shadow, hard.reshape(shape), rng)


def _labels(
    owner: npt.NDArray[np.int32], categories: list[str], labelled: list[bool], seam: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Categories, and the objects of each category that are in view, counted from 1."""
    number = np.array([_label_of()[name] for name in categories], np.uint16) * np.array(labelled)
    seen = np.unique(owner[~seam])
    counter = np.zeros(len(categories), np.uint8)
    for label in np.unique(number[seen]):
        members = seen[number[seen] == label]
        counter[members] = np.arange(1, len(members) + 1)
    counter[number == 0] = 0
    return (
        np.where(seam, 0, number[owner]).astype(np.uint16),
        np.where(seam, 0, counter[owner]).astype(np.uint8),
    )
