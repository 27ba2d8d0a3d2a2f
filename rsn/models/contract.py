"""What every model answers: what it reads, its forward pass, its loss, what it predicts, what guides it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from rsn.models.layers import IMAGENET_MEAN, IMAGENET_STD, Norm

Batch = Mapping[str, Tensor]
"""Named tensors that share their first axis (``rsn.data.dataset``)."""

Network = Callable[..., Any]
"""A model's network, as it is or wrapped for training (by Fabric, by ``torch.compile``)."""


class BatchPrediction(NamedTuple):
    """What a model predicts for a batch: metres (B, 1, h, w), and labels (B, h, w) from 1.

    ``initial`` is the depth before the second stage, of a model that has two of its own. ``confidence`` comes
    of the mirrored batch (``rsn.models.inference.infer``), ``reliability`` of the network itself; both go
    from 0 to 1, (B, 1, h, w).
    """

    depth: Tensor
    initial: Tensor | None = None
    support: Tensor | None = None
    region: Tensor | None = None
    confidence: Tensor | None = None
    reliability: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """A model: how its network is built, trained and used. It holds plain values, and no weights.

    A subclass is a frozen dataclass in a file of its own and a line of ``rsn.models.catalogue``. Its fields
    are the settings that it needs, by the names that ``rsn.config`` gives them; ``make_model`` there
    fills them. Beside these it may have ``classes`` (number of the store's categories), ``depth_loss``
    (``rsn.models.losses.DepthLoss``) and ``frozen_generation`` (whether its generation module stays as it
    is).

    Attributes
    ----------
    name : str
        Of the network, in checkpoints.
    parts : tuple of str
        Modules of which it is made up, each of which can start from a checkpoint of its own, by the settings
        of that name.
    onnx_outputs : tuple of str
        What the network gives as an ONNX graph; empty where it cannot be one.
    """

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()
    onnx_outputs: ClassVar[tuple[str, ...]] = ("depth",)

    width: int
    norm: Norm
    checkpointing: bool
    channels_last: bool

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the network, with random weights; its ``arguments`` are what it was built with."""

    def start(self, network: nn.Module, *, trained_encoder: bool) -> None:  # noqa: B027 - most need nothing
        """Prepare a new network for training, once its encoder and generation module have their weights."""

    def with_classes(self, classes: int) -> Self:
        """The same model for a store of so many categories; its network stays as it was built."""
        known: dict[str, Any] = {"classes": classes} if hasattr(self, "classes") else {}
        return replace(self, **known)

    @property
    def target_array(self) -> str:
        """Array of a store that the model's depth learns, and is judged by in training."""
        return "depth"

    @property
    def predicts_support(self) -> bool:
        """Whether region support is what the model, or its generation module, was trained to predict."""
        return False

    @property
    def upsampling_guide(self) -> str | None:
        """Array of a store along whose borders depth is enlarged: given, not predicted."""
        return None

    @property
    def plane_share(self) -> float:
        """Share of the planes of predicted regions in predicted depth (``rsn.models.region_planes``)."""
        return 0.0

    @property
    def guidance_rule(self) -> dict[str, str] | None:
        """What a refinement is guided by and what its first coarse depth is; None for other models."""
        return None

    @abstractmethod
    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """Arrays of a store that it reads beside colour, sorted; none in use: it needs colour alone."""

    def forward(self, network: Network, batch: Batch) -> Any:
        """Run the network on a batch as in training; ``loss`` takes what comes out."""
        return network(self.colour(batch), *self.guides(batch))

    def guides(self, batch: Batch) -> tuple[Tensor, ...]:
        """Give what the network takes beside colour in training: maps of the batch's size; most take none."""
        return ()

    @abstractmethod
    def loss(self, output: Any, batch: Batch, epoch: int) -> Tensor:
        """Loss of a batch in an epoch (from 0); paper, sections 3 and 4."""

    @abstractmethod
    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Predict a batch as in use, from colour and what guides the model."""

    @abstractmethod
    def counts(self, batch: Batch) -> Tensor:
        """Pixels that the loss learns from, (B, 1, H, W) bool."""

    def turns_to_log(self, epoch: int) -> bool:
        """Whether the loss measures in log depth from this epoch (from 0) on, and in metres before it."""
        return False

    def colour(self, batch: Batch) -> Tensor:
        """Normalise the colour of a batch, uint8 or float of 0-255, by ImageNet's mean and deviation."""
        rgb = batch["rgb"]
        mean = torch.tensor(IMAGENET_MEAN, device=rgb.device)[:, None, None]
        std = torch.tensor(IMAGENET_STD, device=rgb.device)[:, None, None]
        rgb = (rgb / 255 - mean) / std
        return rgb.contiguous(memory_format=torch.channels_last) if self.channels_last else rgb
