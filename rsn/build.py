"""Which network a model is, and its weights: those that it starts with, or those of a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError, local_path
from rsn import checkpoint
from rsn import config as settings
from rsn.config import Config
from rsn.network import (
    GenerationNetwork,
    RefinementNetwork,
    RegionSupportNetwork,
    build_network,
    load_imagenet_weights,
    refinement_from_generation,
)
from rsn.network.encoder import EfficientNetLite, ResNet34

MOST_CATEGORIES = 2**16
"""As many as the store's type of labels can tell apart."""


def network_name(config: Config) -> str:
    """Name of the network that a model is built as."""
    if config.network.model == "refinement" and config.data.guidance == "predicted":
        return "rsn"
    return config.network.model


def build(config: Config, *, classes: int) -> nn.Module:
    """Build a model's network with the weights that it starts from (paper, section 4).

    ``classes`` is the number of categories of the store (``rsn.dataset.guiding_classes``).

    Raises
    ------
    InputError
        Where weights cannot be read or belong to another network, or a refinement is to be guided by
        predictions and no generation module is given.
    """
    start, name = config.network, network_name(config)
    network = build_network(name, **_arguments(config, classes))
    if start.imagenet:
        load_imagenet_weights(network, start.imagenet)
    if start.generation:
        load_part(network, "generation", local_path(start.generation))
    for encoder in encoders(network):
        for stage in encoder.stages()[: start.frozen_stages]:
            stage.requires_grad_(False)
    if isinstance(network, RegionSupportNetwork):
        started = start.imagenet or start.generation
        if started and isinstance(network.generation.features.encoder, ResNet34):
            refinement_from_generation(network.refinement, network.generation)
    if start.refinement:
        load_part(network, "refinement", local_path(start.refinement))
    if name != start.model:
        if not start.generation:
            raise InputError(
                "guidance: 'predicted' needs a trained generation module; give --generation CKPT"
            )
        network.get_submodule("generation").requires_grad_(False)
    return network


def _arguments(config: Config, classes: int) -> dict[str, Any]:
    """Give what a model's network is built with, but for what the constructor fills in."""
    section, name = config.network, network_name(config)
    arguments: dict[str, Any] = {
        "width": section.width, "norm": section.norm, "checkpointing": section.checkpointing,
    }  # fmt: skip
    if name != "refinement":
        arguments["encoder"] = section.encoder
    if config.loss.category_weight:
        arguments["categories"] = classes
    if name in ("refinement", "rsn"):
        arguments |= {"iterations": section.iterations, "residual": section.residual}
    return arguments


def encoders(network: nn.Module) -> list[ResNet34 | EfficientNetLite]:
    """Find the backbones in a network: one, or none in a refinement."""
    return [part for part in network.modules() if isinstance(part, ResNet34 | EfficientNetLite)]


def rebuild(contents: checkpoint.Contents) -> nn.Module:
    """Rebuild the network of a checkpoint, in evaluation mode, with its running average where it has one.

    Raises
    ------
    InputError
        Where name, arguments, settings and tensors do not describe one network.
    """
    config, told = settings.from_plain(contents["config"]), contents["network"]
    name, classes = network_name(config), told["arguments"].get("categories", 0)
    if type(classes) is not int or not 0 <= classes <= MOST_CATEGORIES:
        raise InputError(f"{contents.path}: got {classes!r} categories; {checkpoint.REMEDY}")
    try:
        with torch.device("meta"):  # nothing of the size that a damaged number says is made
            expected = build_network(name, **_arguments(config, classes))
    except InputError as error:
        raise InputError(f"{contents.path}: {error}; {checkpoint.REMEDY}") from error
    # A file from before an argument was there lacks it.
    filled: Any = expected.arguments
    known = {key: filled[key] for key in told["arguments"] if key in filled}
    if told != {"name": name, "arguments": known}:
        raise InputError(
            f"{contents.path}: got network {told['name']!r} with {told['arguments']}, expected {name!r} with "
            f"{filled}, as its settings say; {checkpoint.REMEDY}"
        )
    for part in ("weights", "average"):
        if contents[part] is not None:
            check_state(f"{contents.path}: its {part}", contents[part], expected.state_dict())
    if (contents["average"] is None) == bool(config.optimizer.ema):
        raise InputError(f"{contents.path}: its running average and its settings differ; {checkpoint.REMEDY}")
    network = build_network(name, **known)
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
            raise InputError(f"{what}: got {has} for {name}, expected {needs}; {checkpoint.REMEDY}")


def _shape_and_type(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def load_part(network: nn.Module, name: str, path: Path) -> None:
    """Put a checkpoint's generation or refinement module into a network that is one or holds one.

    Raises
    ------
    InputError
        Where either has no such module, or they differ in their arguments.
    """
    source = rebuild(checkpoint.load(path))
    kind = {"generation": GenerationNetwork, "refinement": RefinementNetwork}[name]
    target, found = (_part(whole, name, kind) for whole in (network, source))
    if target is None:
        raise InputError(f"{name}: this model has no {name} module; omit --{name}")
    if found is None:
        raise InputError(
            f"{path}: got a checkpoint of {type(source).__name__}, expected one with a {name} module"
        )
    weights = _depth_weights(found)
    shapes = [{key: value.shape for key, value in part.items()} for part in (_depth_weights(target), weights)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{path}: its {name} module was built with {found.arguments}, expected {target.arguments}; "
            "give the same --width, --encoder and --norm"
        )
    target.load_state_dict(weights, strict=False)


def _depth_weights(module: nn.Module) -> dict[str, Tensor]:
    """State of a module without what it predicts beside depth in training."""
    return {key: value for key, value in module.state_dict().items() if not key.startswith("category.")}


def _part(network: nn.Module, name: str, kind: type[nn.Module]) -> nn.Module | None:
    part = network if isinstance(network, kind) else getattr(network, name, None)
    return part if isinstance(part, kind) else None
