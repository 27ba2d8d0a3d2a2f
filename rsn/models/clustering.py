"""Clustering variant: regions from a learned embedding, depth refined region by region (paper, section 2)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsn.data.resize import resize_nearest
from rsn.models.contract import Batch, BatchPrediction, Model, Network
from rsn.models.encoders import EncoderName
from rsn.models.generation import DepthFeatures
from rsn.models.layers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Convolution,
    DepthOutput,
    Norm,
    SignedOutput,
    Stage,
    halved_channels,
    initialise,
)
from rsn.models.losses import (
    DepthLoss,
    category_loss,
    discriminative_loss,
    l1_loss,
    mean_over,
    valid_pixels,
)
from rsn.models.mean_shift import mean_shift
from rsn.models.merged_regions import regions_of
from rsn.models.region_means import region_mean_map

EMBEDDING_CHANNELS = 16
REGULARISATION_WEIGHT = 0.001

Search = Literal["mean-shift", "merging"]


class ClusteringOutput(NamedTuple):
    """Every end of the clustering variant; (B, 1, h, w) and in metres unless said.

    They have the size of the features: the input's with ``resnet34``, half of it with
    EfficientNet-Lite.
    """

    embedding: Tensor
    """(B, 16, h, w), no unit."""
    initial: Tensor
    """Pixel-wise depth, >= 0."""
    region: Tensor
    """Labels (B, h, w) that were used: those given, or those found, int32 from 1."""
    support: Tensor
    """Regional depth: the mean of the initial depth over each region; the initial depth where region is 0."""
    offset: Tensor
    """Variance refinement: each pixel's offset from its region's mean depth, of either sign."""
    corrected: Tensor
    """Target refinement: initial depth plus its correction towards the region's mean depth."""
    reliability: Tensor
    """Weight of variance refinement against target refinement, 0 to 1, no unit."""
    refined: Tensor
    """Blended depth, >= 0."""
    category: Tensor | None = None
    """As ``rsn.models.generation.GenerationOutput`` has it."""


class ClusteringNetwork(nn.Module):
    """Depth and regions from one colour image: Figure 1 and Algorithm 2.

    Parameters
    ----------
    width, encoder, norm, checkpointing, categories
        As for ``GenerationNetwork``; the features up to the third regression layer are the same.
    search
        How regions are found in use: by ``"mean-shift"`` of the embedding, the paper's Algorithm 2, or by
        ``"merging"`` pixels by initial depth, colour and embedding (``rsn.models.merged_regions``).

    Notes
    -----
    The paper names the parts and gives no layer table; these layers are ours. The shared features are
    the generation module's, brought to ``width`` channels, at their own size. On them sit

    * the initial depth: regression layers 6 to 8;
    * the embedding: with a location map of 3 channels (column and row from -1 to 1, and the distance from
      the centre), two convolutions, then a linear one to 16 channels;
    * variance refinement: (regional depth, features - regional features) to an offset from the regional
      depth;
    * target refinement: (initial depth, regional depth, features) to a correction of the initial depth;
    * reliability r: (features, both refined depths) to a sigmoid;
      refined = r (regional depth + offset) + (1 - r) (initial + correction), at least 0.

    Offset, correction and the logit of r start at 0, hence the refined depth starts as the mean of
    regional and initial depth. Source: the paper, section 2, Algorithm 2.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        encoder: EncoderName = "resnet34",
        norm: Norm = "batch",
        checkpointing: bool = False,
        categories: int = 0,
        search: Search = "mean-shift",
    ) -> None:
        super().__init__()
        shared: dict[str, Any] = {
            "width": width, "encoder": encoder, "norm": norm, "checkpointing": checkpointing,
        }  # fmt: skip
        self.arguments: dict[str, Any] = shared | {"categories": categories, "search": search}
        self.search = search
        self.features = DepthFeatures(**shared)

        def stage(*channels: int) -> list[nn.Module]:
            return [Convolution(inputs, outputs, norm=norm) for inputs, outputs in pairwise(channels)]

        def head(*modules: nn.Module) -> Stage:
            return Stage(*modules, checkpointing=checkpointing)

        _, half, quarter = halved_channels(width, 2)
        self.shared = Convolution(self.features.channels, width, norm=norm)
        self.depth = head(*stage(width, half, quarter), DepthOutput(quarter))
        linear = nn.Conv2d(width, EMBEDDING_CHANNELS, 1)
        self.embedding = head(*stage(width + 3, width, width), linear)
        self.variance = head(*stage(width + 1, half, quarter), SignedOutput(quarter))
        self.target = head(*stage(width + 2, half, quarter), SignedOutput(quarter))
        self.reliability = head(*stage(width + 2, half), SignedOutput(half))
        self.category = nn.Conv2d(2 * self.features.channels, categories, 1) if categories else None
        initialise(self)
        # Distances start near the margins of the discriminative loss, not far beyond them.
        nn.init.normal_(linear.weight, std=0.1 / math.sqrt(half))

    def forward(self, rgb: Tensor, region: Tensor | None = None) -> ClusteringOutput:
        """Map colour to regions and depth.

        Parameters
        ----------
        rgb
            ImageNet-normalised colour (B, 3, H, W).
        region
            Labels (B, H, W) to refine by, 0 = none, as in training, brought to the features' size by nearest
            neighbour; None: they are found (on the CPU), as in use.
        """
        shallow, pooled = self.features.pooled(rgb)
        features = self.shared(self.features.dense(shallow, pooled))
        initial = self.depth(features)
        embedding = self.embedding(torch.cat((features, location_map(features)), dim=1))
        region = self._regions(rgb, initial, embedding) if region is None else _resized(region, features)
        found = self._refined(features, initial, embedding, region)
        return found if self.category is None else found._replace(category=self.category(pooled))

    def _regions(self, rgb: Tensor, initial: Tensor, embedding: Tensor) -> Tensor:
        if self.search == "mean-shift":
            return cluster(embedding)
        mean, std = (rgb.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        colour = F.adaptive_avg_pool2d(rgb * std + mean, (initial.shape[2], initial.shape[3]))
        return regions_of(initial, colour, embedding)[:, 0].to(initial.device)

    def _refined(
        self, features: Tensor, initial: Tensor, embedding: Tensor, region: Tensor
    ) -> ClusteringOutput:
        support = region_mean_map(initial, region)
        difference = features - region_mean_map(features, region)
        offset = self.variance(torch.cat((support, difference), dim=1))
        correction = self.target(torch.cat((initial, support, features), dim=1))
        varied, corrected = support + offset, initial + correction
        reliability = torch.sigmoid(self.reliability(torch.cat((varied, corrected, features), dim=1)))
        refined = torch.relu(reliability * varied + (1 - reliability) * corrected)
        return ClusteringOutput(
            embedding.float(), initial, region, support, offset, corrected, reliability, refined
        )


def location_map(like: Tensor) -> Tensor:
    """Column and row from -1 to 1 and the distance from the centre: (B, 3, H, W) for (B, C, H, W)."""
    batch, _, height, width = like.shape
    row, column = torch.meshgrid(
        torch.linspace(-1, 1, height, device=like.device),
        torch.linspace(-1, 1, width, device=like.device),
        indexing="ij",
    )
    location = torch.stack((column, row, torch.hypot(column, row)))
    return location.to(like.dtype).expand(batch, -1, -1, -1)


def _resized(region: Tensor, like: Tensor) -> Tensor:
    """Bring labels (B, H, W) to the size of (B, C, h, w): the label at the centre of each new pixel."""
    if region.shape[1:] == like.shape[2:]:
        return region
    # float32 holds every label below 2^24 exactly.
    enlarged = F.interpolate(region[:, None].float(), like.shape[2:], mode="nearest-exact")
    return enlarged[:, 0].to(region.dtype)


@torch.no_grad()
def cluster(embedding: Tensor) -> Tensor:
    """Regions of each image by Algorithm 2: embedding (B, 16, h, w) -> labels (B, h, w), int32 from 1.

    The paper's least size of a region, 100 pixels of 480x640, is the same share of a smaller image.
    """
    height, width = embedding.shape[2:]
    least = max(4, round(100 * height * width / (480 * 640)))
    labels = [
        torch.from_numpy(mean_shift(image, min_pixels=least)) for image in embedding.detach().float().cpu()
    ]
    return torch.stack(labels).to(embedding.device)


@dataclass(frozen=True, kw_only=True)
class Clustering(Model):
    """The clustering variant: it refines by the true regions in training, by those that it finds in use."""

    name: ClassVar[str] = "clustering"
    onnx_outputs: ClassVar[tuple[str, ...]] = ()

    encoder: EncoderName
    search: Search
    category_weight: float
    classes: int
    depth_loss: DepthLoss

    def build(self) -> ClusteringNetwork:
        """Build the network; it predicts categories where their loss has a weight."""
        return ClusteringNetwork(
            width=self.width,
            encoder=self.encoder,
            norm=self.norm,
            checkpointing=self.checkpointing,
            categories=self.classes if self.category_weight else 0,
            search=self.search,
        )

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """In training depth and regions, and categories where they are learnt."""
        learnt = ("depth", "region", "semantic") if self.category_weight else ("depth", "region")
        return learnt if training else ()

    def guides(self, batch: Batch) -> tuple[Tensor, ...]:
        """The true regions (B, H, W), by which depth is refined in training."""
        return (batch["region"].squeeze(1),)

    def loss(self, output: ClusteringOutput, batch: Batch, epoch: int) -> Tensor:
        """One loss for every end, at the network's own size, plus the categories' where they are learnt."""
        loss = clustering_loss(output, batch["depth"], partial(self.depth_loss, epoch=epoch))
        if output.category is None:
            return loss
        return loss + self.category_weight * category_loss(output.category, batch["semantic"])

    def predict(self, network: Network, batch: Batch) -> BatchPrediction:
        """Refined and initial depth, the regions that the network finds, their support, and r."""
        output: ClusteringOutput = network(self.colour(batch))
        return BatchPrediction(
            output.refined, output.initial, output.support, output.region, reliability=output.reliability
        )

    def counts(self, batch: Batch) -> Tensor:
        """Pixels with depth and a region."""
        return (batch["depth"] > 0) & (batch["region"] > 0)


def clustering_loss(
    output: ClusteringOutput, target: Tensor, depth_loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Train every end of the clustering variant together: one sum of these parts, each with weight 1.

    * embedding: pull + push + 0.001 regularisation over the regions;
    * initial depth and refined (blended) depth: ``depth_loss`` against depth;
    * variance refinement: the mean |offset - (depth - regional mean of depth)|, in metres;
    * target refinement: ``l1_loss`` of the corrected depth against the regional mean of depth.

    The regions are those that the network used (``output.region``), which must be the true ones; their
    means are over pixels of valid depth only. The blend gets its reliability from the refined depth's part
    alone.

    Parameters
    ----------
    output
        What ``ClusteringNetwork`` returned.
    target
        Depth (B, 1, H, W) in metres, brought to the network's own size; not > 0 does not count.
    depth_loss
        Loss of depth (B, 1, h, w) against its truth, given with the regions (B, h, w).

    Notes
    -----
    The paper gives the parts, and weights for none of them: these are ours. Source: the paper, section 2,
    Algorithm 2.
    """
    target = resize_nearest(target, (output.initial.shape[2], output.initial.shape[3]))
    valid = valid_pixels(target)
    used = torch.where(valid.squeeze(1), output.region, 0)
    regional = valid & (used > 0).unsqueeze(1)
    pull, push, regularisation = discriminative_loss(output.embedding, output.region)
    mean = region_mean_map(torch.where(valid, target, 0), used)
    offset = torch.where(regional, output.offset.float() - (target - mean), 0).abs()
    return (
        (pull + push + REGULARISATION_WEIGHT * regularisation)
        + depth_loss(output.initial, target, output.region)
        + depth_loss(output.refined, target, output.region)
        + mean_over(offset, regional)
        + l1_loss(output.corrected, mean, regional)
    )
