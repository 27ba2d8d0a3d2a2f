"""What cannot be right about a frame, and is told of, never mended: a warning in a build, a finding later."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import FURTHEST_LEAST_M, FURTHEST_MEDIAN_M
from rsgt.sources.units import guessed

Array = npt.NDArray[Any]

SHOWN_FRAMES = 5


def implausible(
    rgb: Array | None, depth: Array | None, semantic: Array | None, classes: int, scale: float | None = None
) -> Iterator[str]:
    """Say what cannot be right about a frame: units, emptiness, labels without a name.

    Parameters
    ----------
    rgb, depth, semantic
        Colour (y, x, 3), metres (y, x) with 0 = none, and categories (y, x); None where it can't be read.
    classes
        How many classes have a name; 0 = none are named, so that any label will do.
    scale
        Units in a metre that the depth was stored in (``--depth-scale``); None = nobody says so.
    """
    if rgb is not None and rgb.max(initial=0) == rgb.min(initial=255):
        yield f"colour is all {'black' if not rgb.any() else 'one value'}"
    if depth is not None:
        yield from _of_depth(depth, scale)
    if semantic is not None and classes and int(semantic.max(initial=0)) > classes:
        yield f"labels go beyond the {classes} class names"


def scale_of(source: Mapping[str, Any]) -> float | None:
    """Units in a metre of a source's depth files, by its ``identity``; None where it has no such option."""
    scale: float | None = source.get("options", {}).get("depth_scale")
    return scale


def _of_depth(depth: Array, scale: float | None) -> Iterator[str]:
    furthest = float(depth.max(initial=0))
    if furthest == 0:
        yield "there is no depth"
    elif furthest > FURTHEST_MEDIAN_M and np.median(depth[depth > 0]) > FURTHEST_MEDIAN_M:
        told = (
            f"depth is above {FURTHEST_MEDIAN_M:g} m for the most part: its unit is no metre (millimetres?)"
        )
        yield told + _other_scale(depth, scale)
    elif furthest < FURTHEST_LEAST_M:
        told = f"depth is below {FURTHEST_LEAST_M:g} m everywhere: its unit is no metre (kilometres?)"
        yield told + _other_scale(depth, scale)
    elif furthest == float(depth.min(initial=furthest, where=depth > 0)):
        yield "depth is the same everywhere"


def _other_scale(depth: Array, scale: float | None) -> str:
    """Name the scale that would make a room of what was stored, where there is one."""
    if scale is None:
        return ""
    scales = guessed(float(np.median(depth[depth > 0])) * scale, is_float=False)
    return f"; --depth-scale: got {scale:g}, expected {scales[0]:g}, by the looks of it" if scales else ""


def gathered(findings: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Say each finding once, with the first numbers of the frames that it is of."""
    for message in dict.fromkeys(message for _, message in findings):
        frames = [number for number, one in findings if one == message]
        shown = ", ".join(map(str, frames[:SHOWN_FRAMES])) + ", …" * (len(frames) > SHOWN_FRAMES)
        yield f"frame{'s' * (len(frames) > 1)} {shown} ({len(frames)} in all): {message}"
