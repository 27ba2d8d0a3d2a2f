"""Protocols: how a prediction is compared with the truth (paper, section 5).

Identical predictions differ by half in AbsRel from one convention to the next: a protocol therefore is an
object with a name, it is printed with every result, and it goes into every record whole. Where each is from:
``docs/reference/evaluation.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rsgt.inputs import InputError
from rsgt.quality.evaluation.alignment import ALIGNMENTS, Alignment, Kind, aligned, unusable
from rsgt.quality.judged import Image, Judged, Mask, judged
from rsgt.quality.pooling import REDUCERS
from rsgt.sources.facts import EIGEN_CROP

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
        True depth outside of them does not count, and predictions are clipped to this span;
        without a cap, there is no upper end.
    reference : str
        ``filled``: in-painted depth; ``raw``: what the sensor gave, holes do not count; after
        ``checked_protocol`` the kind of the store's depth, such as ``stored``, where it is neither.
    reducer : str
        Its own of ``rsgt.quality.pooling.REDUCERS``, by which results are quoted; every record has all.
    flip : bool
        Predictions are averaged with those for the mirrored image.
    align : str
        What each image's prediction is granted first: one of ``alignment.ALIGNMENTS``.
    """

    name: str
    crop: tuple[int, int, int, int] | None = None
    minimum_m: float = 1e-3
    cap_m: float | None = None
    reference: str = "filled"
    reducer: str = "image_mean"
    flip: bool = False
    align: Alignment = "none"

    def __str__(self) -> str:
        rows = "the whole frame" if self.crop is None else "rows {}:{}, columns {}:{}".format(*self.crop)
        cap = "no cap" if self.cap_m is None else f"cap {self.cap_m:g} m"
        parts = [rows, cap, f"{self.reference} depth", REDUCERS[self.reducer]]
        parts += ["flip averaging"] * self.flip
        parts += [ALIGNMENTS[self.align]] * (self.align != "none")
        return f"{self.name}: {', '.join(parts)}"

    def valid(self, depth: Image) -> Mask:
        """Pixels (y, x) that count, by the true depth in metres."""
        inside = np.isfinite(depth) & (depth > self.minimum_m)
        if self.cap_m is not None:
            inside &= depth < self.cap_m
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
NYUD_MT = Protocol(name="nyud-mt", minimum_m=1e-9, reducer="pixel_pool")
PROTOCOLS = {protocol.name: protocol for protocol in (PAPER, NYU_EIGEN, NYUD_MT)}


def protocol_named(
    name: str, *, flip: bool = False, raw: bool = False, align: Alignment = "none"
) -> Protocol:
    """Return a protocol with its options in its name.

    Raises
    ------
    InputError
        Where there is none of that name, or no such alignment.
    """
    if name not in PROTOCOLS:
        raise InputError(f"protocol: got {name!r}, expected one of {', '.join(PROTOCOLS)}")
    if align not in ALIGNMENTS:
        raise InputError(f"align: got {align!r}, expected one of {', '.join(ALIGNMENTS)}")
    options = {"flip": flip, "raw": raw, align: align != "none"}
    return replace(
        PROTOCOLS[name],
        name="+".join([name, *(option for option, chosen in options.items() if chosen)]),
        flip=flip,
        align=align,
        reference="raw" if raw else "filled",
    )


def chosen_protocols(given: str | Protocol | Sequence[str | Protocol], **options: Any) -> list[Protocol]:
    """Make a list of one protocol or several; those by name get the ``options`` of ``protocol_named``.

    Raises
    ------
    InputError
        Where there is none of a name, or they do not agree in ``flip`` and ``align``: a prediction is one or
        the other.
    """
    several = [given] if isinstance(given, str | Protocol) else given
    chosen = [protocol_named(one, **options) if isinstance(one, str) else one for one in several]
    if not chosen:
        raise InputError(f"protocols: got none, expected some of {', '.join(PROTOCOLS)}")
    for name in ("flip", "align"):
        if len({getattr(protocol, name) for protocol in chosen}) != 1:
            raise InputError(f"protocols: got some that differ in {name}; judge them apart")
    return chosen


def checked_protocol(protocol: Protocol, shape: tuple[int, int], depth: str) -> Protocol:
    """Refuse a protocol that frames of this shape, or this kind of depth, cannot be judged by.

    Raw and in-painted depth are told apart; data sets that have neither name for theirs are judged by it,
    and the protocol returned says so.

    Raises
    ------
    InputError
        Where the crop is for frames of another shape, or one of store and protocol is of raw depth.
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
    return replace(protocol, reference=depth)


def judged_map(
    protocol: Protocol, prediction: Image, depth: Image, kind: Kind = "depth"
) -> tuple[Image, Mask]:
    """Bring one frame's prediction to what a protocol compares with the truth.

    Parameters
    ----------
    protocol
        Aligns it by the pixels that count, and clips it to its span.
    prediction
        (y, x), of ``kind``.
    depth
        True depth (y, x) in metres; what does not count is told by ``Protocol.valid``.
    kind
        One of ``alignment.KINDS``.

    Returns
    -------
    Depth (y, x) in metres, and where the prediction said nothing: there it is the protocol's least depth.
    """
    nothing = unusable(prediction, kind, protocol.align)
    counted = protocol.valid(depth) & ~nothing
    metres = aligned(prediction, depth, counted, kind, protocol.align, protocol.cap_m)
    nothing |= ~np.isfinite(metres)
    clipped = np.clip(metres, protocol.minimum_m, protocol.cap_m)
    return np.where(nothing, protocol.minimum_m, clipped), nothing


class Compared(NamedTuple):
    """What measures are given of a frame, and how many pixels count whose prediction says nothing."""

    maps: Judged
    invalid_pixels: int


def compared(protocol: Protocol, prediction: Image, depth: Image, kind: Kind = "depth") -> Compared:
    """Bring one frame to what measures take; parameters are those of ``judged_map``."""
    valid = protocol.valid(depth)
    metres, nothing = judged_map(protocol, prediction, depth, kind)
    maps = judged(metres, depth, valid, protocol.minimum_m)
    return Compared(maps, int(np.count_nonzero(valid & nothing)))
