"""What the regions' table of planes tells of them: how far off they are, and how they are turned."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

COLUMNS = ("support_rmse", "support_variance", "normal_z")
"""Columns that are read of a store whose regions are planes."""

DISTRIBUTIONS = {
    "plane_residual": "root mean square of support less depth in a region (m)",
    "plane_slant": "angle between a plane's normal and the optical axis (degrees)",
}


def distributions(table: Mapping[str, Array]) -> dict[str, Array]:
    """Values under the keys of ``DISTRIBUTIONS``, one a region; nothing where regions are no planes.

    Parameters
    ----------
    table
        ``COLUMNS`` of the regions' table. Normals that are NaN, of an unknown camera, have no slant: 0 is a
        plane square to the optical axis; beyond 90 it is seen from the side, towards the frame's border.
    """
    if "normal_z" not in table:
        return {}
    known = table["normal_z"][~np.isnan(table["normal_z"])]
    slant = np.degrees(np.arccos(np.clip(known, -1, 1)))
    return {"plane_residual": table["support_rmse"], **({"plane_slant": slant} if known.size else {})}
