"""A record from a checkpoint and a store."""

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import torch

from rsgt.files import replacing, write_csv, write_text
from rsgt.inputs import InputError
from rsgt.quality.confidence import ConfidenceTable
from rsgt.quality.evaluation.alignment import Alignment
from rsgt.quality.evaluation.checks import check_outputs, checked_protocols
from rsgt.quality.evaluation.protocol import Protocol, chosen_protocols, compared
from rsgt.quality.evaluation.record import FORM, record_text
from rsgt.quality.evaluation.table import Table, frame_maps
from rsgt.store.predictions import write_prediction
from rsgt.store.schema import ALL, SPLITS, largest_category
from rsn.data.dataset import Store, opened
from rsn.data.split import hold_out, split_frames
from rsn.experiment.assembly import Place, load
from rsn.models.frames import FramePrediction
from rsn.models.inference import Array
from rsn.models.merged_regions import regions_of
from rsn.predictor import Predictor
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
    align: Alignment = "none",
    measures: str | Sequence[str] = "depth",
    confidence: bool = False,
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
        The network, as ``load`` takes it, and the frames with their truth (or an opened store).
    protocols : str, Protocol, or sequence of these
        At least one; they agree in ``flip`` and ``align``.
    split : str
        ``train``, ``test``, ``validation`` (which the run held out), or ``all``, training frames among them.
    flip, raw, align : bool, bool, str
        Options of the protocols that are given by name (``rsgt.quality.evaluation.protocol.Protocol``).
    measures : str or sequence of str
        Some of ``rsgt.quality.measures.SETS``, or ``all``; ``depth`` always is among them.
    confidence : bool
        Say how the error falls with confidence, by the first protocol; needs ``flip``.
    device : str
        As in ``rsn.config.RunConfig``.
    save, table, out : path, optional
        Where to write the predictions (a Zarr store), the errors of each frame (CSV), and the record (JSON).
    stream : text file, optional
        Where progress goes; None = nowhere.

    Returns
    -------
    dict
        The record, of plain values: ``rsgt.quality.evaluation.table.Table.summary`` with all that shaped it.

    Raises
    ------
    InputError
        Where checkpoint, store, split and protocols do not fit each other.
    """
    begun = time.perf_counter()
    save, table, out = (None if place is None else Path(place) for place in (save, table, out))
    judged_by = chosen_protocols(protocols, flip=flip, raw=raw, align=align)
    predictor, store = load(checkpoint_path, device=device, flip=judged_by[0].flip), opened(store)
    frames = _frames_of(store, split, predictor)
    judged_by = checked_protocols(store, frames, judged_by)
    check_outputs(save=save, csv=table, out=out)
    result = Table(judged_by, measures=measures, categories=largest_category(store.class_names))
    ticker = Ticker(len(frames), stream=stream)
    predicted = predictor.predict_frames(store, frames, full_size=result.truth)
    predicted, sure = _with_confidence(predicted, judged_by[0]) if confidence else (predicted, {})
    judged = _judged(predicted, store, result, ticker, with_regions=predictor.model.predicts_support)
    with ExitStack() as written, explain_shortages("give more memory, or train with a smaller --batch-size"):
        aside = {place: written.enter_context(replacing(place)) for place in (save, table, out) if place}
        if save is None:
            deque(judged, maxlen=0)
        else:
            source = {"checkpoint": predictor.checkpoint.name, "store": store.identity, "split": split}
            write_prediction(aside[save], judged, store.frame_id[frames], store.shape, source)
        record = {"form": FORM} | predictor.origin() | result.summary()
        record |= {"confidence": {name: of.summary() for name, of in sure.items()}} if sure else {}
        seconds = time.perf_counter() - begun
        record |= {"damaged": [], "split": split, "store": store.identity, "seconds": seconds}
        if table is not None:
            write_csv(aside[table], result.rows)
        if out is not None:
            write_text(aside[out], record_text(record))
    return record


def _with_confidence(
    predicted: Iterator[FramePrediction], protocol: Protocol
) -> tuple[Iterator[FramePrediction], dict[str, ConfidenceTable]]:
    """Pass predictions on, and put each frame's error against its confidence into tables on the way.

    They are there once all frames have passed: of ``agreement`` with the mirrored image, and of the network's
    own ``reliability``, where it has one.
    """
    if not protocol.flip:
        raise InputError("confidence: it comes of the mirrored image; predict that, too (--flip)")
    tables: dict[str, ConfidenceTable] = {}

    def passed_on() -> Iterator[FramePrediction]:
        for found in predicted:
            maps = compared(protocol, found.depth, found.truth["depth"]).maps
            for name, share in (("agreement", found.confidence), ("reliability", found.reliability)):
                if share is not None:
                    tables.setdefault(name, ConfidenceTable()).add(share, maps)
            yield found

    return passed_on(), tables


def _judged(
    predicted: Iterator[FramePrediction],
    store: Store,
    table: Table,
    ticker: Ticker,
    *,
    with_regions: bool,
) -> Iterator[dict[str, Array]]:
    """Pass predicted depths and regions on, and put each frame's errors into the table on the way."""
    for found in predicted:
        region = found.region
        if region is None and with_regions:
            base = torch.from_numpy(found.depth if found.support is None else found.support)[None, None]
            rgb = torch.from_numpy(store.read("rgb", found.frame, found.frame + 1)).permute(0, 3, 1, 2)
            region = regions_of(base, rgb / 255)[0, 0].numpy()
        table.add(
            frame_maps(
                store,
                found.frame,
                found.truth,
                found.depth,
                initial=found.initial,
                predicted_support=found.support,
                predicted_region=region,
            )
        )
        ticker.step("frames judged")
        maps = {"initial": found.initial, "support": found.support, "region": region}
        yield {"prediction": found.depth} | {key: value for key, value in maps.items() if value is not None}


def _frames_of(store: Store, split: str, predictor: Predictor) -> Sequence[int]:
    """Positions of a split's frames; ``validation`` are those that the network's run held out."""
    known = (*SPLITS, "validation", ALL)
    if split not in known:
        raise InputError(f"split: got {split!r}, expected one of {', '.join(known)}")
    if split != "validation":
        return split_frames(store, split)
    if store.identity not in predictor.contents["store"].split("+"):
        raise InputError(
            f"split: got 'validation', but the run held out frames of another store than {store.path}, "
            "and may have learnt from these; use train or test"
        )
    held = hold_out(store, predictor.settings["validation"], predictor.settings["seed"])[1]
    if not held:
        raise InputError(
            f"split: got 'validation', but the run held nothing out of {store.path}; use train or test"
        )
    return held
