"""A run from its settings."""

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rsn.config import Config, flat, from_plain, read_recipe, to_plain, with_overrides
from rsn.data.dataset import EpochBatches, Store, guidance_classes, opened
from rsn.data.split import hold_out
from rsn.experiment.assembly import Place, new_network, read_trained
from rsn.experiment.run_setup import new_run
from rsn.models.catalogue import make_model
from rsn.models.contract import Model
from rsn.training import checkpoint, progress, resume, start
from rsn.training.device import make_fabric, resolve_precision


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What ``fit`` came to.

    Attributes
    ----------
    complete : bool
        Whether all epochs are done; False after Ctrl-C or SIGTERM, with the state saved.
    checkpoint : Path
        ``best.ckpt`` of the run, or its ``last.ckpt`` where nothing was held out.
    is_main : bool
        Whether this is the process that speaks for all, of a run on several devices.
    """

    complete: bool
    checkpoint: Path
    is_main: bool = True


def fit(
    store: Place | Store,
    out: Place,
    *,
    recipe: Place | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    stream: TextIO | None = sys.stderr,
    **settings: Any,  # ``rsn.config`` alone has their names, types and ranges, and checks them
) -> FitResult:
    """Train a model on a store.

    ``out`` then holds ``last.ckpt`` (to resume), ``best.ckpt`` (the network after the epoch with the lowest
    RMSE on the held-out frames; none where nothing is held out), ``config.toml`` (the settings, itself a
    recipe) and ``log.csv``. ``.lock`` keeps a second process from training into the same folder. The others
    follow from ``last.ckpt``: whenever a run ends or is killed, going on brings them in line. Frames without
    a valid pixel are left out, counted and named.

    Parameters
    ----------
    store, out : path
        The store to learn from (or an opened one), and the run's folder.
    recipe : str or path, optional
        Name of a recipe that comes with the package, such as ``"cpu/generation"``, or a TOML file.
    resume : bool
        Go on from ``last.ckpt``, with its settings, bit for bit on a CPU; start anew where there is none yet.
        Where it runs may be another, and ``epochs`` more: the learning rate and ``frozen_norm`` follow the
        share of the new number that is done, so that a run of 20 epochs goes on to 40 as one that is half
        done.
    tensorboard : bool
        Write the log's rows for TensorBoard too.
    stream : text file, optional
        Where progress goes; None = nowhere.
    **settings
        Any key of ``rsn.config`` by its name, such as ``epochs=10``; it lies over the recipe's.

    Returns
    -------
    FitResult
        Whether it is complete, and the checkpoint to use.

    Raises
    ------
    InputError
        For an unknown setting (the nearest one is named); where settings, store and folder do not fit each
        other, another process trains into the folder, no frame has valid depth, memory runs out or a loader
        process ends, or the loss stops being finite.
    """
    out = Path(out)
    config = _configured(recipe, settings, run=out if resume else None)
    complete = fit_config(config, store, out, resume=resume, tensorboard=tensorboard, stream=stream)
    best = out / "best.ckpt"
    return FitResult(
        complete=complete,
        checkpoint=best if best.exists() else out / "last.ckpt",
        is_main=config.run.devices == 1 or os.environ.get("LOCAL_RANK", "0") == "0",
    )


def fit_config(
    config: Config,
    store: Place | Store,
    out: Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    stream: TextIO | None = sys.stderr,
) -> bool:
    """Train a model by settings that are complete; say whether the run is. The rest is as for ``fit``."""
    start.check_folder(out)
    config, store = _resolved(config), opened(store)
    contents = _earlier(config, store, out, resume_run=resume)
    learn, validate = hold_out(store, config.data.validation, config.run.seed)
    model = make_model(flat(config), classes=guidance_classes(store)[1])
    if contents is None:
        _check_trainable(config, model)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    writer = progress.tensorboard() if tensorboard else None
    start.check_valid_depth(store, learn, model.target_array, "training")
    start.check_valid_depth(store, validate, model.target_array, "held-out")
    fabric.launch()
    with start.sole_writer(out) if fabric.is_global_zero else nullcontext(), start.explain_full_disk(out):
        run = new_run(config, fabric, model, store, learn, validate, out=out, writer=writer, stream=stream)
        if contents is not None:
            run.restore(contents)
        return run.train()


def describe(
    store: Place | Store,
    *,
    recipe: Place | None = None,
    resume_from: Place | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Say what ``fit`` would do, without doing it.

    Parameters
    ----------
    store, recipe, **settings
        As for ``fit``.
    resume_from : path, optional
        Folder of a run that ``fit`` would go on with.

    Returns
    -------
    dict
        Numbers of parameters, frames and steps, the arrays that it reads, the device, the settings
        (``config``), and as ``needs`` the options of trained modules without which it would refuse to begin.
    """
    run = None if resume_from is None else Path(resume_from)
    return describe_config(_configured(recipe, settings, run=run), store)


def describe_config(config: Config, store: Place | Store) -> dict[str, Any]:
    """Describe a run by settings that are complete."""
    config, store = _resolved(config), opened(store)
    learn, validate = hold_out(store, config.data.validation, config.run.seed)
    batches = EpochBatches(learn, config.data.batch_size, shard_frames=store.shard_frames, seed=0)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    model = make_model(flat(config), classes=guidance_classes(store)[1])
    weights = list(new_network(config, model).parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "trained_parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        "train_frames": len(learn),
        "validation_frames": len(validate),
        "steps": batches.steps * config.run.epochs,
        "arrays": ["rgb", *model.arrays(training=True)],
        "device": str(fabric.device),
        "needs": [f"--{part} CKPT" for part in _missing_parts(config, model) or ()],
        "config": to_plain(config),
    }


def _configured(recipe: Place | None, given: Mapping[str, Any], *, run: Path | None) -> Config:
    """Lay single settings over a recipe, and both over the settings of the run that is resumed, if any."""
    plain = read_recipe(recipe) if recipe else {}
    if run is not None and (run / "last.ckpt").exists():
        from_plain(plain)
        given = {key: value for section in plain.values() for key, value in section.items()} | dict(given)
        plain = checkpoint.load(run / "last.ckpt")["config"]
    return from_plain(with_overrides(plain, given))


def _resolved(config: Config) -> Config:
    """Put the arithmetic in that ``precision = "auto"`` stands for here: a checkpoint tells which it was."""
    precision = resolve_precision(config.run.precision, config.run.device)
    return from_plain(with_overrides(to_plain(config), {"precision": precision}))


def _earlier(config: Config, store: Store, out: Path, *, resume_run: bool) -> checkpoint.Contents | None:
    """Read the state that a run goes on from, and compare it with the settings; None where there is none."""
    contents = resume.read_earlier(out, store, resume=resume_run)
    if contents is not None:
        trained = read_trained(out / "last.ckpt", contents)
        now, then = to_plain(config), to_plain(trained.config)
        resume.check_settings(out, contents, now=now, then=then, epochs=config.run.epochs)
    return contents


def _check_trainable(config: Config, model: Model) -> None:
    if config.network.norm == "batch":
        start.check_batch_norm(
            batch_size=config.data.batch_size,
            passes=config.run.devices * config.optimizer.accumulate,
            size=config.data.size,
            frozen_norm=config.optimizer.frozen_norm,
            epochs=config.run.epochs,
            model=config.network.model,
            missing=_missing_parts(config, model),
        )


def _missing_parts(config: Config, model: Model) -> list[str] | None:
    """Modules without whose trained weights the settings make no sense; None: there is no giving them.

    Batch normalisation that keeps its statistics in every epoch needs some: an untrained module has none.
    """
    network, run = config.network, config.run
    if network.norm != "batch" or round(config.optimizer.frozen_norm * run.epochs) < run.epochs:
        return []
    return [part for part in model.parts if not getattr(network, part)] if model.parts else None
