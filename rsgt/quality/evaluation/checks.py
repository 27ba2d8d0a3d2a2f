"""What an evaluation needs, checked before it: places to write to, pixels that count."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsgt.files import check_place
from rsgt.inputs import DataWarning, InputError
from rsgt.quality.evaluation.maps import PredictedMaps
from rsgt.quality.evaluation.protocol import Protocol, checked_protocol
from rsgt.store.map_checks import MapError
from rsgt.store.reader import Store

_SAMPLE, _LEAST_PIXELS, _AGAINST = 9, 10, 0.5
"""Frames to look at, pixels that one needs, and the correlation with depth that tells the other kind."""


def warn_of_other_kind(store: Store, maps: PredictedMaps) -> None:
    """Warn of depth that is judged as disparity, and of disparity as depth: it goes against the truth."""
    found, places = [], sorted(maps.readers)
    for k in np.array(places)[
        np.linspace(0, len(places) - 1, min(_SAMPLE, len(places))).astype(int)
    ].tolist():
        depth = store.read("depth", k, k + 1)[0]
        try:
            values = maps.read(k)
        except MapError:
            continue
        both = (depth > 0) & (values > 0) & np.isfinite(values)
        if np.count_nonzero(both) >= _LEAST_PIXELS and np.ptp(values[both]) and np.ptp(depth[both]):
            found.append(float(np.corrcoef(values[both].astype(np.float64), depth[both])[0, 1]))
    middle = float(np.median(found)) if found else 0.0
    if maps.kind == "disparity" and middle > _AGAINST:
        told = "rise with depth: they look like depth; omit --prediction-kind disparity"
    elif maps.kind == "depth" and middle < -_AGAINST:
        told = (
            "fall where depth rises: they look like inverse depth; judge them by "
            "`rsn evaluate --prediction-kind disparity`"
        )
    else:
        return
    warnings.warn(f"{maps.path}: maps {told}", DataWarning, stacklevel=3)


def check_outputs(*, save: Path | None = None, **paths: Path | None) -> None:
    """Refuse places that the results of an evaluation could not be written to; by the options' names.

    Raises
    ------
    InputError
        Where that is so, or predictions are there already.
    """
    if save is not None and save.exists():
        raise InputError(f"{save}: exists; choose another path for the predictions")
    for option, path in {"save": save, **paths}.items():
        if path is not None and path.is_dir():
            raise InputError(f"{option}: {path} is a folder, expected a file to write; give another path")
        if path is not None:
            check_place(path, option)


def checked_protocols(store: Store, frames: Sequence[int], protocols: Sequence[Protocol]) -> list[Protocol]:
    """Refuse protocols that a store's frames (by their positions) cannot be judged by.

    Those returned name the kind of depth that the store has.

    Raises
    ------
    InputError
        Where the store is not what a protocol is for, or no frame has a pixel that counts under every one.
    """
    kind = store.attributes["parameters"]["depth"]
    checked = [checked_protocol(protocol, store.shape, kind) for protocol in protocols]
    for frame in frames:
        depth = store.read("depth", frame, frame + 1)[0]
        if all(protocol.valid(depth).any() for protocol in checked):
            return checked
    raise InputError(
        f"evaluation: none of {len(frames)} frames has a pixel that counts; choose another split or protocol"
    )
