"""The table of errors that the predictions of a split get under some protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.metrics import (
    DEPTH_ERRORS,
    bootstrap_interval,
    instability,
    measures_of,
    region_errors,
    region_quality,
)
from rsgt.quality.pooling import Pool
from rsn.judging.protocol import Image, Protocol, score

Labels = npt.NDArray[np.integer[Any]]


_REDUCERS = {"image": "image_mean", "pixel": "pixel_pool"}


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
            protocol.name: _reduced(scores[protocol.name])[_REDUCERS[protocol.averaging]]
            for protocol in self.protocols
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


def _reduced(scores: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Errors of images, as ``score`` returned them, by each reducer."""
    pool = Pool()
    for errors in scores:
        pool.add(measures_of(errors))
    return pool.reduced()
