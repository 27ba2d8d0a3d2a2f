"""Protocols, and the table of errors that predictions get under them (paper, section 5).

Identical predictions differ by half in AbsRel from one convention to the next: a protocol therefore is an
object with a name, it is printed with every result, and it goes into every record whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.facts import EIGEN_CROP
from rsn.metrics import (
    DEPTH_ERRORS,
    average,
    bootstrap_interval,
    depth_errors,
    instability,
    region_errors,
    region_quality,
)

Image = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

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


def check_protocol(protocol: Protocol, shape: tuple[int, int], depth: str) -> None:
    """Refuse a protocol that frames of this shape, or this kind of depth, cannot be judged by."""
    if protocol.crop is not None and shape != CROP_SHAPE:
        raise InputError(
            f"protocol {protocol.name}: its crop is for frames of 480x640, "
            f"got {shape[0]}x{shape[1]}; use 'paper'"
        )
    if protocol.reference != depth:
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


class Table:
    """Errors of many frames: a row each, with columns such as ``paper.rmse``.

    Parameters
    ----------
    protocols : sequence of Protocol
        Every frame is judged by each of them.

    Attributes
    ----------
    rows : list of dict
        Rows so far, each with ``frame_id``.
    skipped : list of int
        Ids of frames without a pixel that counts.
    """

    def __init__(self, protocols: Sequence[Protocol]) -> None:
        self.protocols = tuple(protocols)
        self.rows: list[dict[str, float]] = []
        self.skipped: list[int] = []
        self._scores: dict[str, list[dict[str, float]]] = {protocol.name: [] for protocol in protocols}
        self._initial: dict[str, list[dict[str, float]]] = {protocol.name: [] for protocol in protocols}

    def add(
        self,
        frame_id: int,
        prediction: Image,
        depth: Image,
        *,
        support: Image,
        region: Labels,
        initial: Image | None = None,
        predicted_support: Image | None = None,
        predicted_region: Labels | None = None,
    ) -> None:
        """Judge one frame; every map is (y, x), metres or labels, and 0 in depth or region does not count.

        Parameters
        ----------
        frame_id : int
            Number of the frame in its source.
        prediction, depth : array
            Predicted and true depth.
        support, region : array
            True region support.
        initial : array, optional
            Depth before the model's second stage, for models that have two: judged beside ``prediction``.
        predicted_support, predicted_region : array, optional
            Predicted region support, where the model has it.
        """
        if not all(protocol.valid(depth).any() for protocol in self.protocols):
            self.skipped.append(frame_id)
            return
        row: dict[str, float] = {"frame_id": frame_id}
        for protocol in self.protocols:
            errors = score(protocol, prediction, depth)
            self._scores[protocol.name].append(errors)
            row |= {f"{protocol.name}.{name}": errors[name] for name in DEPTH_ERRORS}
            if initial is not None:
                before = score(protocol, initial, depth)
                self._initial[protocol.name].append(before)
                row |= {f"initial.{protocol.name}.{name}": before[name] for name in DEPTH_ERRORS}
        if (region > 0).any():
            maps = {"prediction": prediction, "support": predicted_support}
            for name, values in maps.items():
                if values is not None:
                    for truth_name, truth in (("depth", depth), ("support", support)):
                        found = region_errors(values, truth, region)
                        row |= {f"{name}.{truth_name}.{key}": value for key, value in found.items()}
            if predicted_region is not None:
                row |= {
                    f"region.{key}": value for key, value in region_quality(predicted_region, region).items()
                }
        self.rows.append(row)

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """Average the table: protocols, metrics with 95 % bootstrap intervals, per-region statistics.

        Returns
        -------
        dict
            Plain values: ``protocols`` and ``metrics`` by protocol; ``intervals`` likewise, of the mean
            over images; ``regions``: RMSE (m), variance (m²) and instability (m) of each predicted map
            against depth and support; ``partition``: agreement of predicted with true regions, where
            there are any; ``initial``, for models of two stages: the metrics of the depth before the second
            one, and intervals of what the second gains (an image's error before it minus after it).

        Raises
        ------
        InputError
            Where no frame counted.
        """
        if not self.rows:
            raise InputError("evaluation: no frame has a pixel that counts; choose another split or protocol")
        regions: dict[str, dict[str, dict[str, float]]] = {}
        for name in ("prediction", "support"):
            for truth in ("depth", "support"):
                means = self._means(f"{name}.{truth}.")
                if means:
                    regions.setdefault(name, {})[truth] = means | {"instability": instability(means)}
        summary = {
            "protocols": {protocol.name: asdict(protocol) for protocol in self.protocols},
            "frames": len(self.rows),
            "skipped": self.skipped,
            "metrics": self._averages(self._scores),
            "intervals": self._intervals(self._scores, seed),
            "regions": regions,
            "partition": self._means("region."),
        }
        if any(self._initial.values()):
            gained = {
                name: [
                    {error: before[error] - after[error] for error in DEPTH_ERRORS}
                    for before, after in zip(self._initial[name], self._scores[name], strict=True)
                ]
                for name in self._scores
            }
            summary["initial"] = {
                "metrics": self._averages(self._initial),
                "gain_intervals": self._intervals(gained, seed),
            }
        return summary

    def _averages(self, scores: Mapping[str, Sequence[dict[str, float]]]) -> dict[str, dict[str, float]]:
        return {
            protocol.name: average(scores[protocol.name], protocol.averaging) for protocol in self.protocols
        }

    def _intervals(
        self, scores: Mapping[str, Sequence[dict[str, float]]], seed: int
    ) -> dict[str, dict[str, tuple[float, float]]]:
        """Bootstrap intervals of the mean over images; pooled pixels have none."""
        return {
            protocol.name: {
                error: bootstrap_interval([errors[error] for errors in scores[protocol.name]], seed=seed)
                for error in DEPTH_ERRORS
            }
            for protocol in self.protocols
            if protocol.averaging == "image"
        }

    def _means(self, prefix: str) -> dict[str, float]:
        names = dict.fromkeys(name for row in self.rows for name in row if name.startswith(prefix))
        return {
            name.removeprefix(prefix): float(np.mean([row[name] for row in self.rows if name in row]))
            for name in names
        }
