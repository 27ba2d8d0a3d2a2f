"""The flat faces of a room's objects: which planes a view shows, to the last digit."""

import numpy as np
import numpy.typing as npt

from rsgt.sources.rooms.mesh import Doubles, Mesh
from rsgt.sources.rooms.tracing import View

SAME_ANGLE, SAME_OFFSET = 1e-5, 1e-4
"""Up to which difference of normals, and metres, two triangles are one face: above float32's rounding."""


def planes_in_view(mesh: Mesh, view: View) -> tuple[npt.NDArray[np.uint16], Doubles]:
    """Tell which flat face of an object each pixel shows, and the planes of these.

    A triangle is flat where its corners' normals are its own; of a round body they are not.

    Returns
    -------
    Number of each pixel's face, (y, x) uint16, from 1 in order of first appearance; 0 = a curved surface. And
    (face, 4) float64: unit normals in the camera's axes, which point away from it, and the planes' distances
    from it in metres: normal · point = distance.
    """
    triangles, of_pixel = np.unique(view.hits.triangle, return_inverse=True)
    corners = mesh.corners[triangles].astype(np.float64) - np.array(view.camera[:3])
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    flat = np.abs(np.einsum("tck,tk->tc", mesh.normals[triangles], normal)).min(axis=1) > 1 - 1e-5
    distance = np.einsum("tk,tk->t", normal, corners.mean(axis=1))
    away = np.where(distance < 0, -1.0, 1.0)
    normal, distance = normal * away[:, None], distance * away
    face = np.zeros(len(triangles), np.int64)
    for t in np.flatnonzero(flat):
        if face[t] == 0:
            same = flat & (mesh.owner[triangles] == mesh.owner[triangles[t]])
            same &= np.abs(normal - normal[t]).max(axis=1) < SAME_ANGLE
            same &= np.abs(distance - distance[t]) < SAME_OFFSET
            face[same] = t + 1  # until faces are numbered, the first of their triangles
    shown = face[of_pixel]
    seen, first = np.unique(shown, return_index=True)
    order = seen[np.argsort(first)]
    order = order[order > 0]
    number = np.zeros(len(triangles) + 1, np.uint16)
    number[order] = np.arange(1, order.size + 1)
    planes = np.column_stack([normal[order - 1] @ view.camera.axes().T, distance[order - 1]])
    return number[shown].reshape(view.shape), planes
