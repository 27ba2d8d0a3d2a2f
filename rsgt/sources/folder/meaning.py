"""What the numbers in a folder's files mean, as options, files beside them and known layouts say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsgt.sources.classes import Classes
from rsgt.sources.folder.camera import Cameras
from rsgt.sources.folder.names import DEPTH, RGB
from rsgt.sources.frame_files import FrameFiles

_SEVEN_SCENES = re.compile(r"(?:.*/)?seq-\d+/frame-\d{6}\.")


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a folder's files mean.

    Attributes
    ----------
    scale
        Units of depth in a metre; None = nobody said.
    scale_from
        Who did.
    none
        Values of the depth files that mean "none", beside 0 and NaN.
    is_radial
        Whether depth is the distance from the camera's centre.
    camera
        The camera that options name, in pixels of the depth maps; empty = none.
    fov
        Or its horizontal field of view in degrees.
    cameras
        Those that files name.
    classes
        Names of labels.
    facts
        What else ``details`` tells.
    """

    scale: float | None
    scale_from: str
    none: tuple[float, ...]
    is_radial: bool
    camera: Mapping[str, float]
    fov: float | None
    cameras: Cameras
    classes: Classes
    facts: dict[str, Any] = field(hash=False)


def known_layout(frames: Sequence[FrameFiles], timed: bool) -> tuple[float, str, tuple[float, ...]] | None:
    """Scale, name and further "none" values of a layout whose publishers fix them; None = another one."""
    if timed:
        return 5000.0, "layout of TUM RGB-D (rgb.txt, depth.txt)", ()
    depth, rgb = frames[0].files[DEPTH], frames[0].files[RGB]
    is_named = all(_SEVEN_SCENES.match(frame.files[DEPTH].as_posix()) for frame in frames)
    pose = depth.with_name(depth.name.replace(".depth.png", ".pose.txt"))
    if is_named and depth.name.endswith(".depth.png") and rgb.name.endswith(".color.png") and pose.exists():
        return 1000.0, "layout of 7-Scenes (seq-NN/frame-NNNNNN.depth.png, .pose.txt)", (65535.0,)
    return None
