"""A network's weights: those that it starts with, or those of a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.models.clustering import ClusteringNetwork
from rsn.models.contract import Model
from rsn.models.encoders import EfficientNetLite, ResNet34
from rsn.models.generation import GenerationNetwork
from rsn.models.imagenet import load_imagenet_weights
from rsn.models.refinement import RefinementNetwork
from rsn.models.weight_files import REMEDY


class Part:
    """A checkpoint whose generation or refinement module another network starts from."""

    def __init__(self, path: Path, network: nn.Module) -> None:
        self.path, self.network = path, network


def start_weights(
    model: Model, network: nn.Module, *, imagenet: str, parts: Mapping[str, Part], frozen_stages: int
) -> None:
    """Give a new network the weights that it starts with (paper, section 4).

    Parameters
    ----------
    model, network
        The model, and its network with random weights.
    imagenet : str
        Source of the encoder's ImageNet weights (``rsn.models.imagenet``); empty = random.
    parts : mapping
        ``generation`` or ``refinement`` to the checkpoint that this module starts from.
    frozen_stages : int
        Stages of the encoder, from its stem on, that keep their weights.

    Raises
    ------
    InputError
        Where weights cannot be read or belong to another network.
    """
    if imagenet:
        load_imagenet_weights(network, imagenet)
    if "generation" in parts:
        load_part(network, "generation", parts["generation"])
    for encoder in encoders(network):
        for stage in encoder.stages()[:frozen_stages]:
            stage.requires_grad_(False)
    model.start(network, trained_encoder=bool(imagenet) or "generation" in parts)
    if "refinement" in parts:
        load_part(network, "refinement", parts["refinement"])


def encoders(network: nn.Module) -> list[ResNet34 | EfficientNetLite]:
    """Find the backbones in a network: one, or none in a refinement."""
    return [part for part in network.modules() if isinstance(part, ResNet34 | EfficientNetLite)]


def rebuild(contents: Mapping[str, Any], path: Path | None, model: Model, *, averaged: bool) -> nn.Module:
    """Rebuild the network of a checkpoint, in evaluation mode, with its running average where it has one.

    Parameters
    ----------
    contents, path
        Entries of the checkpoint (``rsn.training.checkpoint``), and its file, for messages.
    model : Model
        As its settings describe it.
    averaged : bool
        Whether it has a running average, by its settings.

    Raises
    ------
    InputError
        Where name, arguments, settings and tensors do not describe one network.
    """
    try:
        with torch.device("meta"):  # nothing of the size that a damaged number says is made
            expected = model.build()
    except InputError as error:
        raise InputError(f"{path}: {error}; {REMEDY}") from error
    # A file from before an argument was there lacks it.
    filled: Any = expected.arguments
    told = contents["network"]
    known = {key: filled[key] for key in told["arguments"] if key in filled}
    if told != {"name": model.name, "arguments": known}:
        raise InputError(
            f"{path}: got network {told['name']!r} with {told['arguments']}, expected {model.name!r} with "
            f"{filled}, as its settings say; {REMEDY}"
        )
    for part in ("weights", "average"):
        if contents[part] is not None:
            check_state(f"{path}: its {part}", contents[part], expected.state_dict())
    if (contents["average"] is None) == averaged:
        raise InputError(f"{path}: its running average and its settings differ; {REMEDY}")
    network = model.build()
    network.load_state_dict(contents["average"] or contents["weights"])
    return network.eval()


def check_state(what: str, got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse a state dict that has not exactly the names, shapes and types of another.

    Raises
    ------
    InputError
        Names the first tensor that is missing, too much or another; ``what`` says whose.
    """
    for name in sorted(expected.keys() | got.keys()):
        has, needs = (_shape_and_type(side.get(name)) for side in (got, expected))
        if has != needs:
            raise InputError(f"{what}: got {has} for {name}, expected {needs}; {REMEDY}")


def _shape_and_type(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def load_part(network: nn.Module, name: str, source: Part) -> None:
    """Put a checkpoint's generation or refinement module into a network that is one or holds one.

    Of a generation module, the clustering variant takes the features.

    Raises
    ------
    InputError
        Where either has no such module, or they differ in their arguments.
    """
    kind = {"generation": GenerationNetwork, "refinement": RefinementNetwork}[name]
    target, found = (_part(whole, name, kind) for whole in (network, source.network))
    if name == "generation" and isinstance(network, ClusteringNetwork):
        target = network
    if target is None:
        raise InputError(f"{name}: this model has no {name} module; omit --{name}")
    if found is None:
        raise InputError(
            f"{source.path}: got a checkpoint of {type(source.network).__name__}, expected one with a {name} "
            "module"
        )
    own, weights = _shared_weights(target, target), _shared_weights(found, target)
    shapes = [{key: value.shape for key, value in part.items()} for part in (own, weights)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{source.path}: its {name} module was built with {found.arguments}, expected "
            f"{target.arguments}; give the same --width, --encoder and --norm"
        )
    target.load_state_dict(weights, strict=False)


def _shared_weights(module: nn.Module, target: nn.Module) -> dict[str, Tensor]:
    """State that a module gives another: not what it predicts beside depth in training.

    The clustering variant has the generation module's features, and ends of its own.
    """
    state = module.state_dict()
    if isinstance(target, ClusteringNetwork):
        return {key: value for key, value in state.items() if key.startswith("features.")}
    return {key: value for key, value in state.items() if not key.startswith("category.")}


def _part(network: nn.Module, name: str, kind: type[nn.Module]) -> nn.Module | None:
    part = network if isinstance(network, kind) else getattr(network, name, None)
    return part if isinstance(part, kind) else None
