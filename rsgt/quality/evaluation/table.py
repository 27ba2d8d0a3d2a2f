"""The table of errors that the predictions of a split get under some protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.quality.evaluation.alignment import Kind
from rsgt.quality.evaluation.protocol import PAPER, Image, Protocol, judged_map, score
from rsgt.quality.metrics import (
    DEPTH_ERRORS,
    bootstrap_interval,
    instability,
    measures_of,
    region_errors,
    region_quality,
)
from rsgt.quality.pooling import Pool

Labels = npt.NDArray[np.integer[Any]]
Row = dict[str, Any]


class Table:
    """Errors of many frames: a row each, with columns such as ``paper.rmse``.

    Parameters
    ----------
    protocols : sequence of Protocol
        Every frame is judged by each of them; they agree in ``align``.
    kind : str
        What the predictions are, one of ``alignment.KINDS``.

    Attributes
    ----------
    rows : list of dict
        Rows so far, each with ``frame_id`` and ``name``.
    skipped : list of int
        Ids of frames without a pixel that counts.
    """

    def __init__(self, protocols: Sequence[Protocol], kind: Kind = "depth") -> None:
        self.protocols = tuple(protocols)
        self.kind: Kind = kind
        self.rows: list[Row] = []
        self.skipped: list[int] = []
        names = [protocol.name for protocol in protocols]
        self._pools, self._initial = ({name: Pool() for name in names} for _ in range(2))
        self._invalid = dict.fromkeys(names, 0)
        # Regions are judged over the whole frame, by whichever protocol.
        self._whole = replace(PAPER, align=self.protocols[0].align)

    def add(
        self,
        frame_id: int,
        prediction: Image,
        depth: Image,
        *,
        support: Image,
        region: Labels,
        name: str = "",
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
            Predicted depth (of the table's ``kind``) and true depth.
        support, region : array
            True region support.
        name : str
            Name of the frame in its source.
        initial : array, optional
            Depth before the model's second stage, for models that have two: judged beside ``prediction``.
        predicted_support, predicted_region : array, optional
            Predicted region support, where the model has it.
        """
        if not all(protocol.valid(depth).any() for protocol in self.protocols):
            self.skipped.append(frame_id)
            return
        row: Row = {"frame_id": frame_id, "name": name}
        for protocol in self.protocols:
            errors = score(protocol, prediction, depth, self.kind)
            self._pools[protocol.name].add(measures_of(errors))
            self._invalid[protocol.name] += int(errors["invalid_pixels"])
            row |= {f"{protocol.name}.{error}": errors[error] for error in DEPTH_ERRORS}
            if initial is not None:
                before = score(protocol, initial, depth, self.kind)
                self._initial[protocol.name].add(measures_of(before))
                row |= {f"initial.{protocol.name}.{error}": before[error] for error in DEPTH_ERRORS}
        if (region > 0).any():
            metres = judged_map(self._whole, prediction, depth, self.kind)[0]
            maps = {"prediction": metres, "support": predicted_support}
            for of, values in maps.items():
                if values is not None:
                    for truth_name, truth in (("depth", depth), ("support", support)):
                        found = region_errors(values, truth, region)
                        row |= {f"{of}.{truth_name}.{key}": value for key, value in found.items()}
            if predicted_region is not None:
                row |= {
                    f"region.{key}": value for key, value in region_quality(predicted_region, region).items()
                }
        self.rows.append(row)

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """Average the table by each reducer, with 95 % bootstrap intervals and per-region statistics.

        Returns
        -------
        dict
            Plain values. ``protocols`` by name; ``metrics`` by protocol, reducer
            (``rsgt.quality.pooling.REDUCERS``) and error; ``intervals`` by protocol and error, of the mean
            over images; ``invalid_pixels`` by protocol, how many predictions said nothing where they count;
            ``regions``: RMSE (m), variance (m²) and instability of each predicted map against depth and
            support; ``partition``: agreement of predicted with true regions, where there are any;
            ``initial``, for models of two stages: the metrics of the depth before the second one, and
            intervals of what the second gains (an image's error before it minus after it); ``by_frame``:
            ``frame_id``, ``name`` and, by protocol and error, each frame's own error (``None`` = it has
            none).

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
        errors = {name: pool.images() for name, pool in self._pools.items()}
        summary = {
            "protocols": {protocol.name: asdict(protocol) for protocol in self.protocols},
            "frames": len(self.rows),
            "skipped": self.skipped,
            "metrics": {name: pool.reduced() for name, pool in self._pools.items()},
            "intervals": _intervals(errors, seed),
            "invalid_pixels": dict(self._invalid),
            "regions": regions,
            "partition": self._means("region."),
        }
        if any(pool.frames for pool in self._initial.values()):
            before = {name: pool.images() for name, pool in self._initial.items()}
            gained = {
                name: {error: before[name][error] - values for error, values in found.items()}
                for name, found in errors.items()
            }
            summary["initial"] = {
                "metrics": {name: pool.reduced() for name, pool in self._initial.items()},
                "gain_intervals": _intervals(gained, seed),
            }
        return summary | {"by_frame": self._by_frame(errors)}

    def _by_frame(self, errors: Mapping[str, Mapping[str, Image]]) -> dict[str, Any]:
        return {
            **{key: [row[key] for row in self.rows] for key in ("frame_id", "name")},
            **{
                name: {
                    error: [None if np.isnan(value) else value for value in values.tolist()]
                    for error, values in found.items()
                }
                for name, found in errors.items()
            },
        }

    def _means(self, prefix: str) -> dict[str, float]:
        names = dict.fromkeys(name for row in self.rows for name in row if name.startswith(prefix))
        return {
            name.removeprefix(prefix): float(np.mean([row[name] for row in self.rows if name in row]))
            for name in names
        }


def _intervals(
    errors: Mapping[str, Mapping[str, Image]], seed: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Bootstrap intervals of the mean over images, by protocol and error."""
    return {
        name: {
            error: bootstrap_interval(values[~np.isnan(values)], seed=seed) for error, values in of.items()
        }
        for name, of in errors.items()
    }
