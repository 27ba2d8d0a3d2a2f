"""A record from a checkpoint and a store."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from rsgt.files import replacing, write_csv, write_text
from rsgt.store.predictions import write_prediction
from rsn.data.dataset import Store, opened
from rsn.experiment.assembly import Place, load
from rsn.judging import checks
from rsn.judging.frames import FramePrediction
from rsn.judging.protocol import Protocol, chosen_protocols
from rsn.judging.table import Table
from rsn.models.inference import Array, support_of
from rsn.training.interrupt import explain_shortages
from rsn.training.progress import Ticker


def evaluate(
    checkpoint_path: Place,
    store: Place | Store,
    protocols: str | Protocol | Sequence[str | Protocol] = "paper",
    *,
    split: str = "test",
    flip: bool = False,
    raw: bool = False,
    median_scaling: bool = False,
    pooled: bool = False,
    device: str = "auto",
    save: Place | None = None,
    table: Place | None = None,
    out: Place | None = None,
    stream: TextIO | None = sys.stderr,
) -> dict[str, Any]:
    """Judge a checkpoint on a split of a store, in float32: one pass over the frames, all protocols.

    Frames without a pixel that counts are left out, and named in the record as ``skipped``. What is written
    is there whole once all has succeeded, and not at all else.

    Parameters
    ----------
    checkpoint_path, store : path
        The network (a file, or the folder of a run), and the frames with their truth (or an opened store).
    protocols : str, Protocol, or sequence of these
        At least one; they agree in ``flip``.
    split : str
        ``train``, ``test``, or ``validation``: the training frames that the run held out.
    flip, raw, median_scaling, pooled : bool
        Options of the protocols that are given by name (``rsn.judging.protocol.Protocol``).
    device : str
        As in ``rsn.config.RunConfig``.
    save, table, out : path, optional
        Where to write the predictions (a Zarr store), the errors of each frame (CSV), and the record (JSON).
    stream : text file, optional
        Where progress goes; None = nowhere.

    Returns
    -------
    dict
        The record, of plain values: what ``rsn.judging.table.Table.summary`` gives, with all that shaped it.

    Raises
    ------
    InputError
        Where checkpoint, store, split and protocols do not fit each other.
    """
    begun = time.perf_counter()
    save, table, out = (None if place is None else Path(place) for place in (save, table, out))
    judged_by = chosen_protocols(protocols, flip=flip, raw=raw, median_scaling=median_scaling, pooled=pooled)
    predictor, store = load(checkpoint_path, device=device, flip=judged_by[0].flip), opened(store)
    frames = checks.frames_to_judge(
        store,
        split,
        judged_by,
        trained_on=predictor.contents["store"],
        validation=predictor.settings["validation"],
        seed=predictor.settings["seed"],
    )
    checks.check_outputs(save=save, csv=table, out=out)
    result, ticker = Table(judged_by), Ticker(len(frames), stream=stream)
    maps = predictor.predict_frames(store, frames, full_size=("depth", "support", "region"))
    judged = _judged(maps, store, result, ticker, with_regions=predictor.model.predicts_support)
    with ExitStack() as written, explain_shortages("give more memory, or train with a smaller --batch-size"):
        aside = {place: written.enter_context(replacing(place)) for place in (save, table, out) if place}
        if save is None:
            deque(judged, maxlen=0)
        else:
            source = {"checkpoint": predictor.checkpoint.name, "store": store.identity, "split": split}
            write_prediction(aside[save], judged, store.frame_id[frames], store.shape, source)
        record = predictor.origin() | result.summary()
        record |= {"split": split, "store": store.identity, "seconds": time.perf_counter() - begun}
        if table is not None:
            write_csv(aside[table], result.rows)
        if out is not None:
            write_text(aside[out], json.dumps(record, indent=2) + "\n")
    return record


def _judged(
    maps: Iterator[FramePrediction],
    store: Store,
    table: Table,
    ticker: Ticker,
    *,
    with_regions: bool,
) -> Iterator[dict[str, Array]]:
    """Pass predicted depths and regions on, and put each frame's errors into the table on the way."""
    for found in maps:
        region = found.region
        if region is None and with_regions:
            region = support_of(found.depth if found.support is None else found.support).region
        table.add(
            int(store.frame_id[found.frame]),
            found.depth,
            **found.truth,
            initial=found.initial,
            predicted_support=found.support,
            predicted_region=region,
        )
        ticker.step("frames judged")
        yield {"prediction": found.depth} | ({} if region is None else {"region": region})
