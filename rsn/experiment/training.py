"""A run from its settings."""

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rsn.config import Config, flat, from_plain, read_recipe, to_plain, with_overrides
from rsn.data.dataset import EpochBatches
from rsn.data.mixture import Mixture, Place, Portion, Stores, divide, mixed, told
from rsn.experiment.assembly import new_network, read_trained
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
    store: Stores,
    out: Place,
    *,
    recipe: Place | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    stream: TextIO | None = sys.stderr,
    **settings: Any,  # ``rsn.config`` alone has their names, types and ranges, and checks them
) -> FitResult:
    """Train a model on a store, or on several together.

    Of several, each epoch draws as many frames as they have together, in proportion to these, or as
    ``shares`` says; every frame is brought to ``size``, and held-out frames are those of every store. Labels
    are read by models that need them, and then brought to NYU's 40 classes where the stores' classes differ.

    ``out`` then holds ``last.ckpt`` (to resume), ``best.ckpt`` (the network after the epoch with the lowest
    RMSE on the held-out frames; none where nothing is held out), ``config.toml`` (the settings, itself a
    recipe), ``log.csv``, ``curves.png`` and ``run.html``, which show its course, with predictions of some
    held-out frames by epoch (``samples``). ``.lock`` keeps a second process from training into the same
    folder. The others follow from ``last.ckpt``: whenever a run ends or is killed, going on brings them in
    line. Frames without a valid pixel are left out, counted and named.

    Parameters
    ----------
    store, out : path
        The store to learn from (or an opened one, or a sequence of these), and the run's folder.
    recipe : str or path, optional
        Name of a recipe that comes with the package, such as ``"cpu/generation"``, or a TOML file.
    resume : bool
        Go on from ``last.ckpt``, with its settings, bit for bit on a CPU; start anew where there is none yet.
        Where it runs may be another, and ``epochs`` more, also of a finished run. At a constant rate it is
        then, bit for bit on a CPU, the run that was begun with that number. Other schedules and
        ``frozen_norm`` follow the share of the new number that is done, so that a run of 20 epochs goes on to
        40 as one that is half done; what changes is said.
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
        For an unknown setting (the nearest one is named); where settings, stores and folder do not fit each
        other, another process trains into the folder, no frame has valid depth, memory runs out or a loader
        process ends, or the loss stops being finite.
    """
    out = Path(out)
    config, sized = _configured(recipe, settings, run=out if resume else None)
    complete = fit_config(
        config, store, out, sized=sized, resume=resume, tensorboard=tensorboard, stream=stream
    )
    best = out / "best.ckpt"
    return FitResult(
        complete=complete,
        checkpoint=best if best.exists() else out / "last.ckpt",
        is_main=config.run.devices == 1 or os.environ.get("LOCAL_RANK", "0") == "0",
    )


def fit_config(
    config: Config,
    store: Stores,
    out: Path,
    *,
    sized: bool = True,
    resume: bool = False,
    tensorboard: bool = False,
    stream: TextIO | None = sys.stderr,
) -> bool:
    """Train a model by settings that are complete; say whether the run is. The rest is as for ``fit``.

    ``sized`` says whether somebody chose the size, which several stores of different sizes need.
    """
    start.check_folder(out)
    config, mixture = _resolved(config), mixed(store)
    contents = _earlier(config, mixture, out, resume_run=resume)
    portions, model = _chosen(config, mixture, sized=sized)
    if contents is None:
        _check_trainable(config, model)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    writer = progress.tensorboard() if tensorboard else None
    for part in portions:
        start.check_valid_depth(part.store, part.learn, model.target_array, "training")
        start.check_valid_depth(part.store, part.validate, model.target_array, "held-out")
    fabric.launch()
    with start.sole_writer(out) if fabric.is_global_zero else nullcontext(), start.explain_full_disk(out):
        run = new_run(config, fabric, model, mixture, portions, out=out, writer=writer, stream=stream)
        if contents is not None:
            run.restore(contents)
        return run.train()


def describe(
    store: Stores,
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
        (``config``), and as ``needs`` the options of trained modules without which it would refuse to begin;
        of several stores as ``stores`` what it takes from each of them.
    """
    run = None if resume_from is None else Path(resume_from)
    config, sized = _configured(recipe, settings, run=run)
    return describe_config(config, store, sized=sized)


def describe_config(config: Config, store: Stores, *, sized: bool = True) -> dict[str, Any]:
    """Describe a run by settings that are complete; ``sized`` as for ``fit_config``."""
    config, mixture = _resolved(config), mixed(store)
    portions, model = _chosen(config, mixture, sized=sized)
    batches = EpochBatches(range(sum(part.drawn for part in portions)), config.data.batch_size)
    fabric = make_fabric(config.run.device, config.run.devices, config.run.precision)
    weights = list(new_network(config, model).parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "trained_parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        "train_frames": sum(len(part.learn) for part in portions),
        "validation_frames": sum(len(part.validate) for part in portions),
        "steps": batches.steps * config.run.epochs,
        "arrays": ["rgb", *model.arrays(training=True)],
        "device": str(fabric.device),
        "needs": [f"--{part} CKPT" for part in _missing_parts(config, model) or ()],
        **({"stores": told(portions)} if len(portions) > 1 else {}),
        "config": to_plain(config),
    }


def _configured(recipe: Place | None, given: Mapping[str, Any], *, run: Path | None) -> tuple[Config, bool]:
    """Lay single settings over a recipe, and both over the settings of the run that is resumed, if any.

    Returns them, and whether any of these gives a size.
    """
    plain = read_recipe(recipe) if recipe else {}
    if run is not None and (run / "last.ckpt").exists():
        from_plain(plain)
        given = {key: value for section in plain.values() for key, value in section.items()} | dict(given)
        plain = checkpoint.load(run / "last.ckpt")["config"]
    plain = with_overrides(plain, given)
    return from_plain(plain), "size" in plain.get("data", {})


def _chosen(config: Config, mixture: Mixture, *, sized: bool) -> tuple[list[Portion], Model]:
    """Choose what a run takes from each store, and its model, once stores and settings fit each other."""
    if not sized:
        mixture.check_sizes()
    portions = divide(mixture, config.data.shares, config.data.validation, config.run.seed)
    model = make_model(flat(config), classes=mixture.classes)
    if "semantic" in model.arrays(training=True):
        remedy = "--category-weight 0" if config.loss.category_weight else "another --guidance"
        mixture.check_labels(remedy, guided="semantic" in model.arrays(training=False))
    return portions, model


def _resolved(config: Config) -> Config:
    """Put the arithmetic in that ``precision = "auto"`` stands for here: a checkpoint tells which it was."""
    precision = resolve_precision(config.run.precision, config.run.device)
    return from_plain(with_overrides(to_plain(config), {"precision": precision}))


def _earlier(config: Config, mixture: Mixture, out: Path, *, resume_run: bool) -> checkpoint.Contents | None:
    """Read the state that a run goes on from, and compare it with the settings; None where there is none."""
    contents = resume.read_earlier(out, mixture, resume=resume_run)
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
