"""Models, networks and predictors from settings and checkpoints."""

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from rsgt.inputs import DataWarning, InputError, local_path
from rsn import config as settings
from rsn.config import Config
from rsn.models.catalogue import make_model
from rsn.models.contract import Model
from rsn.models.weight_files import REMEDY
from rsn.models.weights import Part, rebuild, start_weights
from rsn.predictor import Predictor
from rsn.training import checkpoint, hub, published
from rsn.training.device import make_fabric
from rsn.weights import names, shipped

Place = str | os.PathLike[str]

STATE = ("weights", "average", "training")
"""Entries of a checkpoint that hold tensors."""


def load(checkpoint_path: Place | None = None, *, device: str = "auto", flip: bool = False) -> Predictor:
    """Load a trained network, ready to predict.

    Parameters
    ----------
    checkpoint_path : path, optional
        A ``.ckpt`` file, or the folder of a run: its ``best.ckpt``, or, with a warning, its ``last.ckpt``
        where it has no other; a folder of published weights (``rsn.publish``), or ``hf://OWNER/NAME``, and
        ``hf://OWNER/NAME@REVISION``, for one on the Hugging Face Hub. Or the name of weights that come with
        the package (``rsn.weights``): ``nyu``, ``rooms``; without any, these.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    flip : bool
        Average each prediction with the one for the mirrored photo, and say how far they agree.

    Returns
    -------
    Predictor
        It predicts photos (``predict``) and becomes an ONNX graph (``export_onnx``).

    Raises
    ------
    InputError
        Where there is no checkpoint, it is damaged, or the device is not there.
    """
    path = find_checkpoint(shipped(checkpoint_path))
    if not path.exists():
        coming = f", or one that comes with the package: {', '.join(names())}" * bool(names())
        raise InputError(f"{path}: no such checkpoint; give a run's folder or its .ckpt file{coming}")
    fabric = make_fabric(device)
    contents, _, values, model, network = read_trained(path)
    return Predictor(
        model,
        network,
        fabric,
        size=values["size"],
        batch_size=values["batch_size"],
        workers=values["workers"],
        superpixels=values["superpixels"],
        flip=flip,
        checkpoint=path,
        settings=values,
        contents={key: value for key, value in contents.items() if key not in STATE},
    )


def find_checkpoint(place: Place) -> Path:
    """Find the checkpoint of a run's folder: the best one, or with a warning the last; a file is itself.

    So is a folder of published weights; those at ``hf://`` are fetched.

    Raises
    ------
    InputError
        Where a run's folder has neither, or there is nothing at ``hf://``.
    """
    if hub.is_address(os.fspath(place)):
        return hub.fetch(os.fspath(place))
    path = local_path(place)
    if path.name == published.WEIGHTS:
        path = path.parent
    if not path.is_dir() or published.is_published(path):
        return path
    best, last = path / "best.ckpt", path / "last.ckpt"
    if best.exists():
        return best
    if not last.exists():
        raise InputError(
            f"{path}: no such checkpoint: a folder without best.ckpt and last.ckpt, and without published "
            "weights; give that of a run, or a .ckpt file"
        )
    warnings.warn(f"{path}: has no best.ckpt, so its last.ckpt is used", DataWarning, stacklevel=3)
    return last


class Trained(NamedTuple):
    """A checkpoint that was read: its entries, and what its settings (``values`` by key) describe."""

    contents: checkpoint.Contents
    config: Config
    values: dict[str, Any]
    model: Model
    network: nn.Module


def read_trained(path: Path, contents: checkpoint.Contents | None = None) -> Trained:
    """Read a checkpoint, and rebuild its network in evaluation mode on the CPU.

    Parameters
    ----------
    path : Path
        The file, or the folder of published weights.
    contents : Contents, optional
        Its entries, where they are at hand.

    Raises
    ------
    InputError
        As ``rsn.training.checkpoint.load``; and where its settings are wrong, or describe another network
        than its weights.
    """
    if contents is None:
        contents = published.load(path) if published.is_published(path) else checkpoint.load(path)
    try:
        config = settings.from_plain(contents["config"])
    except InputError as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: this checkpoint's settings are wrong: {told}; {REMEDY}") from error
    values, categories = settings.flat(config), contents["network"]["arguments"].get("categories", 0)
    model = make_model(values, classes=categories)
    network = rebuild(contents, path, model, averaged=bool(config.optimizer.ema))
    return Trained(contents, config, values, model, network)


def new_network(config: Config, model: Model) -> nn.Module:
    """Build a model's network with the weights that it starts from (paper, section 4).

    Raises
    ------
    InputError
        Where weights cannot be read or belong to another network, or a refinement is to be guided by
        predictions and no generation module is given.
    """
    section = config.network
    network = model.build()
    given = {"generation": section.generation, "refinement": section.refinement}
    if model.name != section.model and not section.generation:
        raise InputError("guidance: 'predicted' needs a trained generation module; give --generation CKPT")
    parts = {}
    for name, text in given.items():
        if text:
            path = find_checkpoint(shipped(text))
            parts[name] = Part(path, read_trained(path).network)
    start_weights(model, network, imagenet=section.imagenet, parts=parts, frozen_stages=section.frozen_stages)
    return network
