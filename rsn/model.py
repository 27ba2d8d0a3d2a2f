"""What each model reads, puts out and minimises: the assembly of one forward pass.

``generation``, ``rsn`` and ``clustering`` see colour alone; ``refinement`` also sees its guidance. A
refinement that is guided by *predicted* region support is built as the whole network, with the
generation module frozen: its checkpoint is complete in itself.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsn.build import build, encoders, network_name, rebuild
from rsn.config import Config
from rsn.dataset import nearest
from rsn.guidance import guidance_channels
from rsn.loss import category_loss, clustering_loss, iterative_loss, l1_loss, l2_loss, region_loss, rmse_loss
from rsn.network import ClusteringOutput, GenerationOutput, RegionSupportOutput
from rsn.network.encoder import IMAGENET_MEAN, IMAGENET_STD

__all__ = [
    "Batch", "FromColour", "Prediction", "arrays", "build", "check_needs_colour_only", "encoders",
    "enlarged_along", "guidance_rule", "learnt", "loss", "makes_support", "network_name", "normalise",
    "outputs", "predicted", "rebuild", "turns_to_log",
]  # fmt: skip

Batch = Mapping[str, Tensor]


class Prediction(NamedTuple):
    """What a model says about a batch: metres (B, 1, H, W), and labels (B, H, W) from 1.

    ``initial`` is the depth that a network with two stages of its own has before the second one.
    """

    depth: Tensor
    initial: Tensor | None = None
    support: Tensor | None = None
    region: Tensor | None = None


def arrays(config: Config, *, training: bool) -> tuple[str, ...]:
    """Name the store's arrays that a model needs beside colour; nothing else is read."""
    names = {"depth", "region", *_guidance_arrays(config)} if training else set(_guidance_arrays(config))
    if training and (config.network.model == "rsn" or config.loss.target == "support"):
        names.add("support")
    if training and config.loss.category_weight:
        names.add("semantic")
    return tuple(sorted(names))


def _guidance_arrays(config: Config) -> tuple[str, ...]:
    kind = config.data.guidance
    if network_name(config) != "refinement" or kind == "none":
        return ()
    if kind == "ground-truth":
        return ("support",)
    return (kind, "depth") if config.data.coarse == "mean" else (kind,)


def enlarged_along(config: Config) -> str | None:
    """Array of the store that is known of a prediction at the store's own size; None = none.

    A refinement by true region support is given that support: where depth jumps, and its regions' means.
    """
    return "support" if _guidance_arrays(config) == ("support",) else None


def learnt(config: Config) -> str:
    """Name the array of a store that a model's depth learns, and is judged by in training."""
    return config.loss.target if config.network.model == "generation" else "depth"


def makes_support(config: Config) -> bool:
    """Whether region support is what a model, or its generation module, was trained to predict."""
    return network_name(config) == "rsn" or (
        config.network.model == "generation" and config.loss.target == "support"
    )


def guidance_rule(config: Config) -> dict[str, str] | None:
    """Say what a refinement is guided by and what its first coarse depth is; None for other models."""
    name, kind = network_name(config), config.data.guidance
    if name == "rsn":
        return {"guidance": "predicted region support", "coarse": "predicted region support"}
    if name != "refinement":
        return None
    if kind == "ground-truth":
        return {"guidance": "true region support", "coarse": "true region support"}
    if kind == "none" or config.data.coarse == "zeros":
        return {"guidance": kind, "coarse": "zeros"}
    return {"guidance": kind, "coarse": f"true mean depth of each {kind} segment"}


def check_needs_colour_only(config: Config) -> None:
    """Refuse a refinement whose guidance comes from a store's truth, where there is colour alone."""
    if network_name(config) == "refinement" and config.data.guidance != "none":
        raise InputError(
            f"this refinement is guided by {config.data.guidance} labels of a store, which a photo has not; "
            "give a checkpoint of generation, rsn or clustering"
        )


def normalise(rgb: Tensor) -> Tensor:
    """Turn colour (B, 3, H, W), uint8 or float of 0-255, into the networks' input."""
    mean = torch.tensor(IMAGENET_MEAN, device=rgb.device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=rgb.device)[:, None, None]
    return (rgb / 255 - mean) / std


def outputs(config: Config, network: nn.Module, batch: Batch, *, classes: int) -> Any:
    """Run the network on a batch; what comes out is the network's own.

    A clustering network refines by the batch's true regions in training, else by those that it finds.
    """
    rgb = normalise(batch["rgb"])
    if config.run.channels_last:
        rgb = rgb.contiguous(memory_format=torch.channels_last)
    if network_name(config) == "refinement":
        kind = config.data.guidance
        count = config.data.superpixels if kind == "superpixel" else classes
        guide, coarse = guidance_channels(batch, kind, count=count, coarse=config.data.coarse)
        return network(rgb, guide, coarse)
    if config.network.model == "clustering" and network.training:
        return network(rgb, batch["region"].squeeze(1))
    return network(rgb)


def predicted(output: Any) -> Prediction:
    """Read what a network put out."""
    if isinstance(output, RegionSupportOutput):
        return Prediction(output.outputs[-1], output.support, output.support)
    if isinstance(output, ClusteringOutput):
        return Prediction(output.refined, output.initial, output.support, output.region)
    return Prediction(output[-1] if isinstance(output, list) else output)


def loss(config: Config, output: Any, batch: Batch, epoch: int) -> Tensor:
    """Loss of a batch in an epoch (from 0): paper, sections 3 and 4.

    ``linear-then-log`` measures errors in metres for the first ``linear_epochs``, then in log depth.
    A network with a support of its own adds that support's loss, against the true support.
    """
    if isinstance(output, ClusteringOutput):
        size = (output.initial.shape[2], output.initial.shape[3])
        # The network learns from the true regions, and gives them back at its own size.
        return clustering_loss(output, nearest(batch["depth"], size))
    if isinstance(output, RegionSupportOutput):
        total = _refinement_loss(config, output.outputs, batch, epoch)
        if output.support.requires_grad:
            total = total + config.loss.support_weight * _loss(
                config, output.support, "support", batch, epoch
            )
        return total
    if isinstance(output, list):
        return _refinement_loss(config, output, batch, epoch)
    if isinstance(output, GenerationOutput):
        category = nearest(batch["semantic"], (output.category.shape[2], output.category.shape[3])).squeeze(1)
        depth_loss = _loss(config, output.depth, config.loss.target, batch, epoch)
        return depth_loss + config.loss.category_weight * category_loss(output.category, category)
    return _loss(config, output, config.loss.target, batch, epoch)


def turns_to_log(config: Config, epoch: int) -> bool:
    """Whether the loss measures in log depth from this epoch (from 0) on, and in metres before it."""
    spaced = config.loss.loss in ("region", "l2") and config.network.model != "clustering"
    return spaced and epoch > 0 and _is_log(config, epoch) and not _is_log(config, epoch - 1)


def _is_log(config: Config, epoch: int) -> bool:
    space = config.loss.space
    return space == "log" or (space == "linear-then-log" and epoch >= config.loss.linear_epochs)


def _loss(config: Config, prediction: Tensor, target: str, batch: Batch, epoch: int) -> Tensor:
    settings, truth = config.loss, batch[target]
    log = _is_log(config, epoch)
    if settings.loss == "region":
        return region_loss(
            prediction, truth, batch["region"].squeeze(1), log=log, variance_weight=settings.variance_weight
        )
    if settings.loss == "l2":
        return l2_loss(prediction, truth, log=log)
    both = l1_loss if settings.loss == "l1" else rmse_loss
    return both(prediction, truth, log_weight=settings.log_weight, metre_weight=settings.metre_weight)


def _refinement_loss(config: Config, refined: list[Tensor], batch: Batch, epoch: int) -> Tensor:
    return iterative_loss(
        refined, lambda depth: _loss(config, depth, "depth", batch, epoch), config.loss.iteration_weights
    )


class FromColour(nn.Module):
    """A network that takes colour of 0-255, and gives depth, or depth and support, alone."""

    def __init__(self, config: Config, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map colour (B, 3, H, W), float32 of 0-255, to metres (B, 1, H, W)."""
        found = predicted(outputs(self.config, self.network, {"rgb": rgb}, classes=1))
        return found.depth if found.support is None else (found.depth, found.support)
