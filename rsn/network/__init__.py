"""The networks: each maps ImageNet-normalised colour (B, 3, H, W) to depth in metres (B, 1, H, W)."""

from collections.abc import Callable
from typing import Any

from torch import nn

from rsgt.inputs import InputError
from rsn.network.clustering import ClusteringNetwork, ClusteringOutput
from rsn.network.generation import GenerationNetwork, GenerationOutput
from rsn.network.imagenet import load_imagenet_weights, refinement_from_generation
from rsn.network.refinement import RefinementNetwork
from rsn.network.rsn import RegionSupportNetwork, RegionSupportOutput

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "generation": GenerationNetwork,
    "refinement": RefinementNetwork,
    "rsn": RegionSupportNetwork,
    "clustering": ClusteringNetwork,
}

__all__ = [
    "NETWORKS",
    "ClusteringNetwork",
    "ClusteringOutput",
    "GenerationNetwork",
    "GenerationOutput",
    "RefinementNetwork",
    "RegionSupportNetwork",
    "RegionSupportOutput",
    "build_network",
    "load_imagenet_weights",
    "refinement_from_generation",
]


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build the network of that name from its constructor's arguments, such as its ``arguments``.

    Raises
    ------
    InputError
        Where there is no network of that name.
    """
    if name not in NETWORKS:
        raise InputError(f"model: got {name!r}, expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**arguments)
