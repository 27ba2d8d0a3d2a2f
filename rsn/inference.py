"""A network in use: where it runs, and what it says about frames of a store or about a photo."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsgt.regions.algorithm import RegionSupport, region_support
from rsn import model
from rsn.config import Config
from rsn.dataset import Frames, Store, guiding_classes, loader, nearest, shrink
from rsn.device import make_fabric, settled
from rsn.model import Batch, Prediction
from rsn.regional import regional_mean_map

__all__ = [
    "Array", "Photo", "Predicted", "enlarge", "enlarge_along", "infer", "make_fabric", "match_means",
    "predict_photo", "predictions", "settled", "support_of",
]  # fmt: skip

Array = npt.NDArray[Any]


class Predicted(NamedTuple):
    """One frame: what was predicted, (y, x), float32 metres or int32 labels, and the truth asked for."""

    frame: int
    depth: Array
    initial: Array | None
    support: Array | None
    region: Array | None
    truth: dict[str, Array]


class Photo(NamedTuple):
    """What a photo shows, (y, x): depth and region support in float32 metres, int32 labels from 1."""

    depth: Array
    support: Array
    region: Array


def predictions(
    fabric: Fabric,
    config: Config,
    network: nn.Module,
    store: Store,
    frames: Sequence[int],
    *,
    whole: Sequence[str],
    flip: bool = False,
) -> Iterator[Predicted]:
    """Predict frames of a store, one by one, at the store's own size.

    Parameters
    ----------
    fabric, config, network
        Where it runs, the settings it was trained with, and the network in evaluation mode.
    store, frames
        The store and the positions of the frames in it.
    whole : sequence of str
        Arrays of the store to hand out beside the predictions.
    flip : bool
        Average with the prediction for the mirrored frame.
    """
    data, along = config.data, model.enlarged_along(config)
    reader = Frames(
        store,
        model.arrays(config, training=False),
        data.size,
        whole=[*whole, along] if along else whole,
        superpixels=data.superpixels,
    )
    classes = guiding_classes(store)[1]
    size = data.batch_size
    batches = [list(frames[first : first + size]) for first in range(0, len(frames), size)]
    for batch in loader(reader, batches, workers=data.workers):
        inputs = {name: value for name, value in batch.items() if not name.startswith("whole_")}
        with fabric.autocast():
            prediction = infer(
                config,
                network,
                fabric.to_device(inputs),
                store.shape,
                classes=classes,
                flip=flip,
                along=(batch[along], batch["whole_" + along]) if along else None,
            )
        for i, frame in enumerate(batch["frame"].tolist()):
            truth = {name: batch["whole_" + name][i, 0].numpy() for name in whole}
            initial, support, region = (
                None if value is None else value[i, 0].numpy() for value in prediction[1:]
            )
            yield Predicted(frame, prediction.depth[i, 0].numpy(), initial, support, region, truth)


def predict_photo(
    fabric: Fabric, config: Config, network: nn.Module, rgb: Array, *, flip: bool = False
) -> Photo:
    """Predict a photo (y, x, 3), uint8, at its own size.

    The network sees the photo in its own shape, its longer side as long as in training: nothing is squeezed
    or turned. Regions are made at that size, and enlarged by nearest neighbour; a region that a smaller
    photo has no pixel of is left out, so that labels stay dense.

    Returns
    -------
    Photo
        Each region has one support, the mean over the region of what the network says.

    Raises
    ------
    InputError
        Where what the network says is not finite.
    """
    shape = (rgb.shape[0], rgb.shape[1])
    scale = max(config.data.size) / max(shape)
    size = (max(8, round(shape[0] * scale)), max(8, round(shape[1] * scale)))
    image = shrink(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None], size)
    with fabric.autocast():
        found = infer(config, network, {"rgb": fabric.to_device(image)}, size, flip=flip)
    base = found.depth if found.support is None else found.support
    region = found.region
    if region is None:
        region = torch.from_numpy(support_of(base[0, 0].numpy()).region)[None, None]
    # An average with the mirrored photo varies within the regions of the photo itself.
    support = regional_mean_map(base, region[:, 0])
    region = nearest(region, shape)[0, 0]
    there = torch.bincount(region.flatten()) > 0
    there[0] = False
    dense = there.cumsum(0).int() * there
    return Photo(
        enlarge(found.depth, shape)[0, 0].numpy(),
        nearest(support, shape)[0, 0].numpy(),
        dense[region].int().numpy(),
    )


@torch.no_grad()
def infer(
    config: Config,
    network: nn.Module,
    batch: Batch,
    shape: tuple[int, int],
    *,
    classes: int = 1,
    flip: bool = False,
    along: tuple[Tensor, Tensor] | None = None,
) -> Prediction:
    """Predict a batch and bring the result to another size: metres bilinearly, labels by nearest neighbour.

    Parameters
    ----------
    config, network
        Settings that it was trained with, and the network in evaluation mode.
    batch : mapping of Tensor
        Colour and guidance at the size that the network is to work at, on its device.
    shape : (int, int)
        Height and width of the result.
    classes : int
        Categories of the store, for semantic guidance (``rsn.dataset.guiding_classes``).
    flip : bool
        Average metres with the prediction for the mirrored batch.
    along : (Tensor, Tensor), optional
        True region support at the network's size and at ``shape``: depth is enlarged along its borders
        (``enlarge_along``) and gets its means (``match_means``).

    Returns
    -------
    Prediction
        On the CPU: float32 metres and int32 labels, all (B, 1, y, x).
    """
    if network.training:
        raise RuntimeError("a network predicts in evaluation mode only")
    found = model.predicted(model.outputs(config, network, batch, classes=classes))
    other = None
    if flip:
        mirrored = {name: value.flip(-1) if value.ndim == 4 else value for name, value in batch.items()}
        other = model.predicted(model.outputs(config, network, mirrored, classes=classes))

    def metres(name: Literal["initial", "support"]) -> Tensor | None:
        values = getattr(found, name)
        return None if values is None else enlarge(_averaged(values, other and getattr(other, name)), shape)

    depth = _averaged(found.depth, other and other.depth)
    if not all(values.isfinite().all() for values in (depth, found.support) if values is not None):
        raise InputError(
            "the network predicts depth that is not finite: its weights are of a run that diverged; "
            "give another checkpoint"
        )
    return Prediction(
        match_means(enlarge_along(depth, *along), along[1]) if along else enlarge(depth, shape),
        metres("initial"),
        metres("support"),
        None if found.region is None else nearest(found.region[:, None].int().cpu(), shape),
    )


def _averaged(metres: Tensor, mirrored: Tensor | None) -> Tensor:
    return metres if mirrored is None else (metres + mirrored.flip(-1)) / 2


def enlarge(metres: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bring metres (B, 1, H, W) to another size bilinearly: float32 on the CPU."""
    return F.interpolate(metres.float(), shape, mode="bilinear", align_corners=False).cpu()


def enlarge_along(metres: Tensor, small: Tensor, large: Tensor, spread_m: float = 0.8) -> Tensor:
    """Bring metres to the size of a guide that is known at both sizes: joint bilateral upsampling.

    Each pixel is a mean of the 4x4 nearest pixels of ``metres``, weighted by their distance (linear, 0 at two
    pixels) and by how near the guide is there to the guide here (a Gaussian), so that depth jumps where the
    guide jumps, to the pixel (Kopf et al., 2007). 0.8 m did best on held-out frames (docs/log.md).

    Parameters
    ----------
    metres, small : Tensor
        What is enlarged, and the guide at its size: (B, 1, h, w), metres.
    large : Tensor
        The guide at the size of the result: (B, 1, H, W), metres.
    spread_m : float
        Standard deviation of the Gaussian.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU; ``metres`` itself where the sizes are equal.
    """
    metres, small, large = (value.float().cpu() for value in (metres, small, large))
    if metres.shape == large.shape:
        return metres
    rows, columns = (_taps(*sides) for sides in zip(metres.shape[2:], large.shape[2:], strict=True))
    total, weights = torch.zeros_like(large), torch.zeros_like(large)
    for row, by_row in rows:
        for column, by_column in columns:
            away = small[:, :, row][:, :, :, column] - large
            # The small addend keeps a mean where nothing about a pixel is like it.
            weight = by_row[:, None] * by_column * (torch.exp(-((away / spread_m) ** 2) / 2) + 1e-6)
            total += weight * metres[:, :, row][:, :, :, column]
            weights += weight
    return total / weights


def match_means(metres: Tensor, support: Tensor) -> Tensor:
    """Scale depth, region by region, so that its mean over a region is what region support says it is.

    True support is the mean of the true depth, so that this takes error away and adds none (exactly so for
    the shift that it is nearly, a projection on all depths with these means). Pixels of one value are one
    region. Source: ours; the paper has no such step.

    Parameters
    ----------
    metres : Tensor
        Predicted depth, (B, 1, H, W), metres.
    support : Tensor
        True region support of that size, metres; 0 = no region: depth stays as it is.

    Returns
    -------
    Tensor
        (B, 1, H, W), float32 on the CPU.
    """
    metres, support = metres.float().cpu(), support.float().cpu()
    region = torch.stack([frame.unique(return_inverse=True)[1] + 1 for frame in support[:, 0]])
    means = regional_mean_map(metres, torch.where(support[:, 0] > 0, region, 0))
    return torch.where((support > 0) & (means > 0), metres * (support / means), metres)


def _taps(small: int, large: int) -> list[tuple[Tensor, Tensor]]:
    """Of each of ``large`` pixels, the four nearest of ``small`` in turn: their places and weights."""
    centre = (torch.arange(large) + 0.5) * small / large - 0.5
    places = [centre.floor() + step for step in (-1, 0, 1, 2)]
    return [
        (place.clamp(0, small - 1).long(), (1 - (centre - place).abs() / 2).clamp_min(0)) for place in places
    ]


def support_of(metres: Array) -> RegionSupport:
    """Regions of a predicted map (y, x) by Algorithm 1, with the whole frame as one category.

    It is how a network without a segmentation of its own yields one: of its support, or of its depth.
    """
    return region_support(metres, np.zeros(metres.shape, np.uint16), unit_known=True)
