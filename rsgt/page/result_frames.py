"""Frames of results: photo, truth, what was predicted and how wrong it is, packed for a page and painted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from rsgt.page import browser
from rsgt.page.colours import NEUTRAL
from rsgt.page.pictures import DEPTH_MAP
from rsgt.page.result import Result, ShownMap
from rsgt.store.reader import Store
from rsgt.store.schema import class_name

Array = npt.NDArray[Any]

SIGNED_MAP = "RdBu_r"
"""Of errors with their sign: white where there is none, red too far, blue too near."""


def pack(
    store: Store, results: Sequence[Result], shown: Sequence[str], positions: Sequence[int],
    told: Sequence[Mapping[str, Any]], room: int,
) -> browser.Packed:  # fmt: skip
    """Pack frames of a store with what results predict of them.

    Parameters
    ----------
    store, results
        The store, and results of it.
    shown
        For each result the protocol that brings its maps to metres.
    positions
        The frames' positions in the store.
    told
        What else the page's script reads of each frame.
    room
        Bytes that it may take, as for ``browser.fitted``.

    Raises
    ------
    InputError
        Where a map gives another error than its record has, or can't be read.
    """
    present: set[int] = set()
    for k in positions:
        present.update(np.unique(store.read("semantic", k, k + 1)).tolist())
    document = {
        "neutral": NEUTRAL,
        "scales": [browser.colour_scale(name) for name in (DEPTH_MAP, SIGNED_MAP)],
        "categories": {c: class_name(store.class_names, c) for c in sorted(present)},
        "results": [result.name for result in results],
        "least": [
            result.protocols[name].minimum_m for result, name in zip(results, shown, strict=True)
        ],
    }  # fmt: skip

    def entry(i: int, shrink: int) -> dict[str, Any]:
        k = positions[i]
        frame = store.maps(k)
        judged = [
            result.judged(store, k, name, frame["depth"])
            for result, name in zip(results, shown, strict=True)
        ]  # fmt: skip
        table = {"area": store.region_table(k)["area"].tolist()}
        return {**told[i], **table, **_figures(frame, judged), **_pictures(frame, judged, shrink)}

    return browser.fitted(document, entry, len(positions), store.shape, room)


def _figures(frame: Mapping[str, Array], judged: Sequence[ShownMap]) -> dict[str, Any]:
    """Ends of the scales in mm: one for the truth and all predictions, one for all errors."""
    known = 1000 * frame["depth"][frame["depth"] > 0]
    reach = max((reach_m(one, frame["depth"]) for one in judged), default=0)
    return {
        "depth": [round(float(known.min())), round(float(known.max()))] if known.size else [0, 1],
        "error": int(1000 * reach) + 1,
    }


def reach_m(judged: ShownMap, depth: Array) -> float:
    """Size of error in metres that all but the largest hundredth of the pixels that count keep below."""
    error = np.abs(judged.metres - depth)[judged.counted]
    return float(np.percentile(error, 99)) if error.size else 0.0


def _pictures(frame: Mapping[str, Array], judged: Sequence[ShownMap], shrink: int) -> dict[str, str]:
    """Colour, averaged, and every ``shrink``-th pixel of the maps.

    They are region, category, and two bits a result: 1 where a pixel counts, 2 where nothing was said, four
    times as much for each next result; then the true depth, and each prediction.
    """
    bits = np.zeros(frame["depth"].shape, np.int32)
    for k, one in enumerate(judged):
        bits |= (one.counted.astype(np.int32) | one.nothing.astype(np.int32) << 1) << 2 * k
    depths = [browser.millimetres(values) for values in (frame["depth"], *(one.metres for one in judged))]
    maps = [values[::shrink, ::shrink] for values in (frame["region"], frame["semantic"], bits, *depths)]
    return {
        "jpeg": browser.jpeg(Image.fromarray(frame["rgb"]).reduce(shrink)),
        "maps": browser.pack_maps(maps, len(depths)),
    }


def paint_error(judged: ShownMap, depth: Array, reach: float) -> Array:
    """Paint errors with their sign, full colour from ``reach`` metres on: (y, x, channel) uint8."""
    error = np.where(judged.counted, judged.metres - depth, 0)
    painted = colormaps[SIGNED_MAP](0.5 + error / (2 * max(reach, 1e-3)), bytes=True)[..., :3]
    painted[~judged.counted] = list(bytes.fromhex(NEUTRAL[1:]))
    return np.asarray(painted)
