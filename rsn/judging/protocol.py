"""Protocols: how a prediction is compared with the truth (paper, section 5).

Identical predictions differ by half in AbsRel from one convention to the next: a protocol therefore is an
object with a name, it is printed with every result, and it goes into every record whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.metrics import depth_errors
from rsgt.sources.facts import EIGEN_CROP

Image = npt.NDArray[np.floating[Any]]

CROP_SHAPE = (480, 640)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a prediction is compared with the truth.

    Attributes
    ----------
    name : str
        What results under it are called; options add to it, as in ``nyu-eigen+flip``.
    crop : tuple of int, optional
        First row, end row, first column and end column of what counts in a frame of 480 x 640.
    minimum_m, cap_m : float
        True depth at or below the minimum, or above the cap, does not count, and predictions are clipped
        to this span; without a cap, there is no upper end.
    reference : str
        ``filled``: in-painted depth; ``raw``: what the sensor gave, holes do not count.
    averaging : str
        ``image``: mean of the images' errors; ``pixel``: all pixels pooled.
    flip : bool
        Predictions are averaged with those for the mirrored image.
    median_scaling : bool
        Each prediction is scaled so that its median is the true one.
    """

    name: str
    crop: tuple[int, int, int, int] | None = None
    minimum_m: float = 1e-3
    cap_m: float | None = None
    reference: Literal["filled", "raw"] = "filled"
    averaging: Literal["image", "pixel"] = "image"
    flip: bool = False
    median_scaling: bool = False

    def __str__(self) -> str:
        rows = "the whole frame" if self.crop is None else "rows {}:{}, columns {}:{}".format(*self.crop)
        cap = "no cap" if self.cap_m is None else f"cap {self.cap_m:g} m"
        parts = [rows, cap, f"{self.reference} depth", f"mean over {self.averaging}s"]
        parts += ["flip averaging"] * self.flip + ["median scaling"] * self.median_scaling
        return f"{self.name}: {', '.join(parts)}"

    def valid(self, depth: Image) -> npt.NDArray[np.bool_]:
        """Pixels (y, x) that count, by the true depth in metres."""
        inside = np.isfinite(depth) & (depth > self.minimum_m)
        if self.cap_m is not None:
            inside &= depth <= self.cap_m
        if self.crop is not None:
            kept = np.zeros_like(inside)
            top, bottom, left, right = self.crop
            kept[top:bottom, left:right] = True
            inside &= kept
        return inside


PAPER = Protocol(name="paper")
NYU_EIGEN = Protocol(
    name="nyu-eigen",
    crop=(EIGEN_CROP[0].start, EIGEN_CROP[0].stop, EIGEN_CROP[1].start, EIGEN_CROP[1].stop),
    cap_m=10.0,
)
PROTOCOLS = {protocol.name: protocol for protocol in (PAPER, NYU_EIGEN)}


def protocol_named(
    name: str, *, flip: bool = False, raw: bool = False, median_scaling: bool = False, pooled: bool = False
) -> Protocol:
    """Return a protocol with its options in its name.

    Raises
    ------
    InputError
        Where there is none of that name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"protocol: got {name!r}, expected one of {', '.join(PROTOCOLS)}")
    options = {"flip": flip, "raw": raw, "median-scaling": median_scaling, "pooled": pooled}
    return replace(
        PROTOCOLS[name],
        name="+".join([name, *(option for option, chosen in options.items() if chosen)]),
        flip=flip,
        median_scaling=median_scaling,
        reference="raw" if raw else "filled",
        averaging="pixel" if pooled else "image",
    )


def chosen_protocols(given: str | Protocol | Sequence[str | Protocol], **options: bool) -> list[Protocol]:
    """Make a list of one protocol or several; those by name get the ``options`` of ``protocol_named``.

    Raises
    ------
    InputError
        Where there is none of a name, or they do not agree in ``flip``: a prediction is one or the other.
    """
    several = [given] if isinstance(given, str | Protocol) else given
    chosen = [protocol_named(one, **options) if isinstance(one, str) else one for one in several]
    if len({protocol.flip for protocol in chosen}) != 1:
        raise InputError("protocols: got some with flip averaging and some without; judge them apart")
    return chosen


def check_protocol(protocol: Protocol, shape: tuple[int, int], depth: str) -> None:
    """Refuse a protocol that frames of this shape, or this kind of depth, cannot be judged by.

    Raw and in-painted depth are told apart; data sets that have neither name for theirs are judged by it.
    """
    if protocol.crop is not None and shape != CROP_SHAPE:
        raise InputError(
            f"protocol {protocol.name}: its crop is for frames of 480x640, "
            f"got {shape[0]}x{shape[1]}; use 'paper'"
        )
    if protocol.reference != depth and "raw" in (protocol.reference, depth):
        remedy = (
            "give --raw" if depth == "raw" else "build a store with `rsgt build --depth raw`, or omit --raw"
        )
        raise InputError(
            f"protocol {protocol.name}: got a store of {depth} depth, expected {protocol.reference}; {remedy}"
        )


def score(protocol: Protocol, prediction: Image, depth: Image) -> dict[str, float]:
    """Errors of one frame under a protocol; both maps (y, x) in metres.

    Raises
    ------
    InputError
        Where no pixel counts.
    """
    valid = protocol.valid(depth)
    if protocol.median_scaling and valid.any():
        prediction = prediction * (np.median(depth[valid]) / max(float(np.median(prediction[valid])), 1e-6))
    prediction = np.clip(prediction, protocol.minimum_m, protocol.cap_m)
    return depth_errors(prediction, depth, valid)
