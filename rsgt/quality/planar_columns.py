"""What the regions' table of planes tells of them: how far off they are, and how they are turned."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from rsgt.quality.distribution import Stream
from rsgt.quality.region_rows import Array, RegionRows

DISTRIBUTIONS = {
    "plane_residual": "root mean square of support less depth in a region (m)",
    "plane_slant": "angle between a plane's normal and the optical axis (degrees)",
}


def streams(rows: RegionRows) -> dict[str, Stream]:
    """Values under the keys of ``DISTRIBUTIONS``, one a region; nothing where regions are no planes.

    Normals that are NaN, of an unknown camera, have no slant: 0 is a plane square to the optical axis; beyond
    90 it is seen from the side, towards the frame's border.
    """
    if not rows.store.planar:
        return {}

    def slants() -> Iterator[Array]:
        for normal_z in rows.column("normal_z"):
            known = normal_z[~np.isnan(normal_z)]
            yield np.degrees(np.arccos(np.clip(known, -1, 1)))

    known = any(camera["intrinsics"] for camera in rows.store.attributes["cameras"])
    return {
        "plane_residual": partial(rows.column, "support_rmse"),
        **({"plane_slant": slants} if known else {}),
    }
