"""Assembly: a run from its settings, a record from a checkpoint, depth from a photo, a graph to export.

With its parts ``rsn.model``, ``rsn.inference`` and ``rsn.run``, the only module that knows all stages;
only the command line and the pipelines know it.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, TextIO

from rsgt.files import replacing, write_csv, write_text
from rsgt.inputs import InputError
from rsn import checkpoint, export, model, naming, predict, report, start
from rsn import config as settings
from rsn.camera import camera_of, check_camera
from rsn.config import Config
from rsn.dataset import (
    EpochBatches,
    Store,
    guiding_classes,
    hold_out,
    open_store,
    write_prediction,
)
from rsn.evaluation import Protocol, Table, check_protocol
from rsn.inference import Array, Predicted, make_fabric, predict_photo, predictions, settled, support_of
from rsn.interrupt import shortages_told
from rsn.photo import open_photo
from rsn.provenance import origin
from rsn.resume import earlier
from rsn.run import Run, sole_writer


def fit(
    config: Config,
    store_path: Path,
    out: Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    stream: TextIO | None = sys.stderr,
) -> bool:
    """Train a model; ``out`` then holds ``last.ckpt``, ``best.ckpt``, ``config.toml`` and ``log.csv``.

    ``best.ckpt`` is the network, without what only a resumed run needs, after the epoch with the lowest
    RMSE on the held-out frames; there is none where nothing is held out. ``.lock`` keeps a second process
    from training into the same folder. The others follow from ``last.ckpt``: whenever a run ends or is
    killed, going on brings them in line. Frames without a valid pixel are left out, counted and named.

    Parameters
    ----------
    config : Config
        Settings of the run.
    store_path, out : Path
        The store to learn from, and the run's folder.
    resume : bool
        Go on from ``last.ckpt``, bit for bit on a CPU; start anew where there is none yet. Where it runs may
        be another, and ``epochs`` more: the learning rate and ``frozen_norm`` follow the share of the new
        number that is done, so that a run of 20 epochs goes on to 40 as one that is half done.
    tensorboard : bool
        Write the log's rows for TensorBoard too.
    stream : text file, optional
        Where progress goes.

    Returns
    -------
    bool
        Whether the run is complete; False after Ctrl-C or SIGTERM, with the state kept.

    Raises
    ------
    InputError
        Where settings, store and folder do not fit each other, another process trains into the folder, no
        frame has valid depth, memory runs out or a loader process ends, or the loss stops being finite.
    """
    start.check_folder(out)
    config, store = settled(config), open_store(store_path)
    contents = earlier(config, store, out, resume=resume)
    learn, validate = hold_out(store, config.data.validation, config.run.seed)
    if contents is None:
        start.check_trainable(config)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    writer = report.tensorboard() if tensorboard else None
    target = model.learnt(config)
    start.check_truth(store, learn, target, "training")
    start.check_truth(store, validate, target, "held-out")
    fabric.launch()
    with sole_writer(out) if fabric.is_global_zero else nullcontext(), start.full_disk_told(out):
        run = Run(fabric, config, store, learn, validate, out=out, writer=writer, stream=stream)
        if contents is not None:
            run.restore(contents)
        return run.train()


def describe(config: Config, store_path: Path) -> dict[str, Any]:
    """Say what ``fit`` would do, without doing it: parameters, frames, steps and settings.

    ``needs`` are the options of trained modules without which it would refuse to begin.
    """
    config, store = settled(config), open_store(store_path)
    learn, validate = hold_out(store, config.data.validation, config.run.seed)
    batches = EpochBatches(learn, config.data.batch_size, shard_frames=store.shard_frames, seed=0)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    weights = list(model.build(config, classes=guiding_classes(store)[1]).parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "trained_parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        "train_frames": len(learn),
        "validation_frames": len(validate),
        "steps": batches.steps * config.run.epochs,
        "arrays": ["rgb", *model.arrays(config, training=True)],
        "device": str(fabric.device),
        "needs": start.missing_starts(config),
        "config": settings.to_plain(config),
    }


def evaluate(
    checkpoint_path: Path,
    store_path: Path,
    protocols: Sequence[Protocol],
    *,
    split: str = "test",
    device: str = "auto",
    save: Path | None = None,
    table: Path | None = None,
    out: Path | None = None,
    stream: TextIO | None = sys.stderr,
) -> dict[str, Any]:
    """Judge a checkpoint on a split of a store, in float32: one pass over the frames, all protocols.

    Frames without a pixel that counts are left out, and named in the record as ``skipped``. What is written
    is there whole once all has succeeded, and not at all else.

    Parameters
    ----------
    checkpoint_path, store_path : Path
        The network, and the frames with their truth.
    protocols : sequence of Protocol
        At least one; they agree in ``flip``.
    split : str
        ``train``, ``test``, or ``validation``: the training frames that the run held out.
    device : str
        As in ``rsn.config.RunConfig``.
    save, table, out : Path, optional
        Where to write the predictions (a Zarr store), the errors of each frame (CSV), and the record (JSON).
    stream : text file, optional
        Where progress goes.

    Returns
    -------
    dict
        The record, of plain values: what ``rsn.evaluation.Table.summary`` gives, with all that shaped it.

    Raises
    ------
    InputError
        Where checkpoint, store, split and protocols do not fit each other.
    """
    begun = time.perf_counter()
    if len({protocol.flip for protocol in protocols}) != 1:
        raise InputError("protocols: got some with flip averaging and some without; judge them apart")
    contents = checkpoint.load(checkpoint_path)
    config = settings.from_plain(contents["config"])
    store = open_store(store_path)
    frames = start.frames_to_judge(config, store, split, contents["store"])
    for protocol in protocols:
        check_protocol(protocol, store.shape, store.attributes["parameters"]["depth"])
    start.check_outputs(save=save, csv=table, out=out)
    start.check_classes(contents, store)
    start.check_counts(store, frames, protocols)
    fabric, result = make_fabric(device), Table(protocols)
    network, flip = fabric.to_device(model.rebuild(contents)), protocols[0].flip
    whole = ("depth", "support", "region")
    maps = predictions(fabric, config, network, store, frames, whole=whole, flip=flip)
    judged = _judged(config, store, maps, result, report.Ticker(len(frames), stream=stream))
    with ExitStack() as written, shortages_told("give more memory, or train with a smaller --batch-size"):
        aside = {path: written.enter_context(replacing(path)) for path in (save, table, out) if path}
        if save is None:
            deque(judged, maxlen=0)
        else:
            source = {"checkpoint": checkpoint_path.name, "store": store.identity, "split": split}
            write_prediction(aside[save], judged, store.frame_id[frames], store.shape, source)
        record = {
            "model": config.network.model,
            "guidance": model.guidance_rule(config),
            "split": split,
            **result.summary(),
            **origin(contents, checkpoint_path.name),
            "store": store.identity,
            "device": str(fabric.device),
            "seconds": time.perf_counter() - begun,
        }
        if table is not None:
            write_csv(aside[table], result.rows)
        if out is not None:
            write_text(aside[out], json.dumps(record, indent=2) + "\n")
    return record


def _judged(
    config: Config, store: Store, maps: Iterator[Predicted], table: Table, ticker: report.Ticker
) -> Iterator[dict[str, Array]]:
    """Pass predicted depths and regions on, and put each frame's errors into the table on the way."""
    for found in maps:
        region = found.region
        if region is None and model.makes_support(config):
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


def predict_photos(
    checkpoint_path: Path,
    photos: Sequence[Path],
    out: Path,
    *,
    focal: tuple[float, float] | None = None,
    centre: tuple[float, float] | None = None,
    fov: float | None = None,
    flip: bool = False,
    device: str = "auto",
    points: int = 1_000_000,
) -> Iterator[dict[str, Any]]:
    """Predict photos, and write for each what ``rsn.predict`` can, under the photo's name.

    A photo that cannot be predicted does not keep the others from it. What an earlier call wrote is no
    photo and is passed over; a photo given twice is predicted once.

    Parameters
    ----------
    checkpoint_path, photos, out : Path
        The network, the photos, and the folder to write to (``rsn.naming.output_names`` says under which
        names).
    focal, centre : (float, float), optional
        fx, fy and cx, cy in pixels of the photo; without them ``fov`` counts, then the photo's EXIF, then
        NYU's camera; and the middle.
    fov : float, optional
        Horizontal field of view in degrees.
    flip : bool
        Average with the prediction for the mirrored photo.
    device : str
        As in ``rsn.config.RunConfig``.
    points : int
        Most points of a cloud; 0 = no cloud.

    Yields
    ------
    dict
        Per photo: ``photo``, ``out`` (the stem of its files), ``nearest_m``, ``median_m``, ``farthest_m``
        (of pixels with depth), ``regions``, ``focal``, ``focal_source`` (``option``, ``exif`` or
        ``assumed``: NYU's camera), ``notes``; of one that failed ``photo`` and ``error``; of one passed
        over ``photo`` and ``skipped``.

    Raises
    ------
    InputError
        Where options, checkpoint or folder are of no use for any photo.
    OSError
        Where the folder cannot be written to, or the disk is full.
    """
    check_camera(focal, centre, fov)
    naming.check_output(out, points)
    chosen, skipped = naming.choose(photos)
    contents = checkpoint.load(checkpoint_path)
    config = settings.from_plain(contents["config"])
    model.check_needs_colour_only(config)
    fabric = make_fabric(device)
    network = fabric.to_device(model.rebuild(contents))
    out.mkdir(parents=True, exist_ok=True)
    for path in skipped:
        yield {"photo": str(path), "skipped": "it is what a prediction wrote"}
    for path, name in chosen.items():
        try:
            naming.check_overwrites(out / name, chosen)
            opened = open_photo(path)
            camera = camera_of(opened.rgb.shape, opened.focal, focal=focal, centre=centre, fov=fov)
            with shortages_told("make the photo smaller"):
                found = predict_photo(fabric, config, network, opened.rgb, flip=flip)
            notes = [*opened.notes, *predict.check_depth(found.depth)]
            written = predict.write_all(out / name, opened.rgb, *found, camera, points=points)
            yield {"photo": str(path), **written, "notes": notes}
        except InputError as error:
            yield {"photo": str(path), "error": str(error).removeprefix(f"{path}: ")}
        except MemoryError:
            yield {"photo": str(path), "error": "too large for this machine's memory; make it smaller"}


def export_checkpoint(checkpoint_path: Path, path: Path) -> float:
    """Write a checkpoint's network as ONNX (``rsn.export``): colour of 0-255 in, metres out.

    Raises
    ------
    InputError
        Where the file cannot be written, the network needs more than colour, or it finds its regions by a
        search that is no graph.
    """
    export.check_file(path)
    contents = checkpoint.load(checkpoint_path)
    config = settings.from_plain(contents["config"])
    model.check_needs_colour_only(config)
    if config.network.model == "clustering":
        raise InputError("export: the clustering model searches for its regions, which ONNX cannot express")
    whole = model.FromColour(config, model.rebuild(contents)).eval()
    names = ("depth", "support") if model.network_name(config) == "rsn" else ("depth",)
    return export.export_onnx(whole, path, outputs=names)
