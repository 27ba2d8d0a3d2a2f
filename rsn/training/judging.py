"""A network judged on the held-out frames of a run, between two epochs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rsgt.quality.evaluation.protocol import PAPER, compared
from rsgt.quality.metrics import depth_measures
from rsgt.quality.pooling import Pool
from rsn.data.mixture import Portion
from rsn.models.frames import FramePrediction
from rsn.training.loop import Row


def judge(
    predict: Callable[..., Iterator[FramePrediction]],
    portions: Sequence[Portion],
    target: str,
    stop_asked: Callable[[], bool],
    look: Callable[[Portion, int, Any, Any], None],
) -> tuple[Row, list[int]] | None:
    """Give the errors on held-out frames, each at its store's size, as columns of the log.

    Parameters
    ----------
    predict : callable
        (store, frames, full_size=, classes=) -> predictions of these frames.
    portions : sequence of Portion
        What is held out of each store: something of each.
    target : str
        Array of the stores that it is judged by.
    stop_asked : callable
        Whether to leave off.
    look : callable
        Is shown every frame: its portion, its position there, its predicted and its true depth (y, x).

    Returns
    -------
    row, skipped
        Means over images by the protocol ``paper``, of several stores also of each; and positions in the
        mixture of frames without a valid pixel. None where a stop was asked for.
    """
    scores = [Pool() for _ in portions]
    everything, skipped = Pool(), []
    for part, own in zip(portions, scores, strict=True):
        for predicted in predict(part.store, part.validate, full_size=[target], classes=part.classes):
            if stop_asked():
                return None
            truth = predicted.truth[target]
            look(part, predicted.frame, predicted.depth, truth)
            if PAPER.valid(truth).any():
                errors = depth_measures(compared(PAPER, predicted.depth, truth).maps)
                own.add(errors)
                everything.add(errors)
            else:
                skipped.append(part.first + predicted.frame)
    means = everything.reduced()["image_mean"]
    row = {name: means[name] for name in ("rmse", "abs_rel", "delta1")}
    if len(portions) > 1:
        for part, own in zip(portions, scores, strict=True):
            if own.frames:
                row[f"rmse {part.name}"] = own.reduced()["image_mean"]["rmse"]
    return row | ({"skipped": float(len(skipped))} if skipped else {}), skipped
