"""Frames packed into text for the report's page, where they are looked into pixel by pixel."""

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from rsgt.page import colours
from rsgt.page.pictures import DEPTH_MAP, ERROR_MAP, support_rmse
from rsgt.store.reader import Store
from rsgt.store.schema import class_name

Array = npt.NDArray[Any]

MAX_MM = 1 << 22
"""Largest number that a packed map can hold: depths beyond 4.2 km are shown as that."""

_SHRINK = (1, 2, 3, 4, 6, 8, 12, 16)


@dataclass(frozen=True)
class Packed:
    """What the page's script reads (``text``, JSON), and how many frames of what size it holds."""

    text: str
    frames: int
    shape: tuple[int, int]
    shrink: int


def pack(store: Store, positions: Sequence[int], about: Sequence[str], room: int) -> Packed:
    """Pack frames for the page, each with a line ``about`` it, in at most ``room`` bytes if shrinking helps.

    Parameters
    ----------
    store
        A finished store.
    positions
        The frames' positions in the store.
    about
        A line of words for each of them.
    room
        Bytes that the text may take. Frames are shown at a half, a third, … of their size to keep to it.
    """
    frames = [store.maps(position) for position in positions]
    categories = colours.category_colours(frame["semantic"] for frame in frames)
    document: dict[str, Any] = {
        "palette": [_hex(c) for c in colours.PALETTE],
        "neutral": colours.NEUTRAL,
        "scales": [colour_scale(name) for name in (DEPTH_MAP, ERROR_MAP)],
        "facing": {
            words: _hex(colours.paint_normals(np.array(n))) for words, n in colours.NORMALS_KEY.items()
        },
        "categories": {
            c: [class_name(store.class_names, c), _hex(painted)] for c, painted in categories.items()
        },
    }
    entries = [
        {"id": int(store.frame_id[i]), "about": words, **_figures(frame, store.region_table(i))}
        for i, words, frame in zip(positions, about, frames, strict=True)
    ]
    return fitted(
        document, lambda k, shrink: entries[k] | _pictures(frames[k], shrink), len(frames), store.shape, room
    )


def fitted(
    document: dict[str, Any], entry: Callable[[int, int], dict[str, Any]], frames: int,
    shape: tuple[int, int], room: int,
) -> Packed:  # fmt: skip
    """Pack a number of frames for the page, as large as ``room`` allows.

    Parameters
    ----------
    document
        What the page's script reads of all of them.
    entry
        What it reads of the k-th, of which only every so-many-th pixel is shown: the second argument.
    frames, shape
        How many there are, and their height and width.
    room
        Bytes that the text may take. Frames are shown at a half, a third, … of their size to keep to it.
    """
    for shrink in _SHRINK:
        height, width = (-(-n // shrink) for n in shape)
        # "<" could end the script element that the text goes into.
        head = text_of(document | {"shape": [height, width], "shrink": shrink})
        left, packed = room - len(head) - len(',"frames":[]'), []
        for k in range(frames):
            packed.append(text_of(entry(k, shrink)))
            left -= len(packed[-1]) + 1
            if left < 0 and shrink != _SHRINK[-1]:
                break
        else:
            break
    return Packed(f'{head[:-1]},"frames":[{",".join(packed)}]}}', frames, (height, width), shrink)


def text_of(value: Any) -> str:
    """Write plain values as JSON that can stand in a page: "<" could end its element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def colour_scale(name: str) -> str:
    """The 256 colours of one of matplotlib's maps, six hexadecimal digits each."""
    return "".join(_hex(c)[1:] for c in colormaps[name](np.arange(256), bytes=True)[:, :3])


def _hex(rgb: Array) -> str:
    return "#" + bytes(rgb.tolist()).hex()


def _figures(frame: Mapping[str, Array], table: Mapping[str, Array]) -> dict[str, Any]:
    """Figures of one frame and its regions, depths in mm."""
    valid = frame["depth"] > 0
    covered = valid & (frame["region"] > 0)
    error = np.abs(frame["support"] - frame["depth"])[covered]
    depth_mm = 1000 * frame["depth"][valid]
    rmse = support_rmse(frame)
    return {
        "rmse": None if np.isnan(rmse) else round(rmse, 4),
        "depth": [round(float(depth_mm.min())), round(float(depth_mm.max()))] if depth_mm.size else [0, 1],
        "error": int(1000 * np.percentile(error, 99)) + 1 if error.size else 1,
        "colour": colours.region_colours(frame["region"])[1:].tolist(),
        "mean": np.rint(1000 * table["depth_mean"]).astype(int).tolist(),
        "area": table["area"].tolist(),
        **_planes(table),
    }


def _planes(table: Mapping[str, Array]) -> dict[str, Any]:
    """Slopes and height of each region's inverse depth, in 1/mm, to ten digits; its normal's colour.

    Nothing where regions are no planes; no colours where the camera is not known.
    """
    if "inverse_depth_0" not in table:
        return {}
    rows = zip(*(table[f"inverse_depth_{of}"].tolist() for of in "xy0"), strict=True)
    found: dict[str, Any] = {"plane": [[float(f"{value / 1000:.10g}") for value in row] for row in rows]}
    normals = np.stack([table[f"normal_{axis}"] for axis in "xyz"], axis=1)
    if not np.isnan(normals).any():
        found["facing"] = [_hex(c)[1:] for c in colours.paint_normals(normals)]
    return found


def _pictures(frame: Mapping[str, Array], shrink: int) -> dict[str, str]:
    """Colour, averaged, and the maps at every ``shrink``-th pixel, which keeps their values true."""
    maps = [
        values[::shrink, ::shrink]
        for values in (frame["region"], frame["semantic"], millimetres(frame["depth"]))
    ]
    return {"jpeg": jpeg(Image.fromarray(frame["rgb"]).reduce(shrink)), "maps": pack_maps(maps)}


def millimetres(depth: Array) -> Array:
    """Depth in metres, 0 = none, as whole millimetres up to ``MAX_MM``."""
    return np.minimum(np.rint(1000 * depth.astype(np.float64)), MAX_MM).astype(np.int32)


def jpeg(image: Image.Image) -> str:
    """Encode an image as JPEG in base64."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=80, optimize=True, progressive=True)
    return base64.b64encode(packed.getvalue()).decode()


def pack_maps(maps: Sequence[Array], depths: int = 1) -> str:
    """Pack (y, x) maps of whole numbers from 0 to ``MAX_MM`` for the page: base64 of a zlib stream.

    The last ``depths`` maps are stored as the differences of their differences along x and y, odd numbers
    being the negative ones; then every map as three planes, one a byte of its values, the lowest first. Not
    PNG, because browsers that guard against fingerprinting alter pixels which are read from a canvas.
    """
    stacked = np.stack(maps).astype(np.int32)
    second = np.diff(np.diff(stacked[-depths:], axis=2, prepend=0), axis=1, prepend=0)
    stacked[-depths:] = (second << 1) ^ (second >> 31)
    planes = stacked.astype("<u4").reshape(len(maps), -1, 1).view(np.uint8)[..., :3].transpose(0, 2, 1)
    # Level 9 takes six times as long for 4 % less.
    return base64.b64encode(zlib.compress(planes.tobytes(), 7)).decode()
