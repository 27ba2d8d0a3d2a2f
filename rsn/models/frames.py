"""Predictions of a store's frames, at the store's own size, beside the truth that they are judged by."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from lightning_fabric import Fabric
from torch import nn

from rsn.data.dataset import Frames, Store, loader
from rsn.models.contract import Model
from rsn.models.inference import Array, Guide, infer


class FramePrediction(NamedTuple):
    """One frame: what was predicted, (y, x), and the truth asked for.

    Float32 metres, int32 labels, and float32 from 0 to 1 of ``confidence`` (with ``flip``) and
    ``reliability`` (of a model that has one); None is what there is none of.
    """

    frame: int
    depth: Array
    initial: Array | None
    support: Array | None
    region: Array | None
    truth: dict[str, Array]
    confidence: Array | None = None
    reliability: Array | None = None


def predict_frames(
    fabric: Fabric,
    model: Model,
    network: nn.Module,
    store: Store,
    frames: Sequence[int],
    *,
    size: tuple[int, int],
    batch_size: int,
    workers: int,
    superpixels: int,
    full_size: Sequence[str],
    flip: bool = False,
    classes: npt.NDArray[np.uint16] | None = None,
) -> Iterator[FramePrediction]:
    """Predict frames of a store, one by one, at the store's own size.

    Parameters
    ----------
    fabric, model, network
        Where it runs, the model, and its network in evaluation mode.
    store, frames
        The store and the positions of the frames in it.
    size, batch_size, workers, superpixels
        Height and width that the network works at, and the rest as in ``rsn.config.DataConfig``.
    full_size : sequence of str
        Arrays of the store to hand out beside the predictions.
    flip : bool
        Average with the prediction for the mirrored frame.
    classes : uint16 array, optional
        Table from the store's categories to those that guide the model (``rsn.data.dataset.Frames``).
    """
    along = model.upsampling_guide
    beside = [] if along is None else [along, "region"] if store.planar else [along]
    reader = Frames(
        store,
        model.arrays(training=False),
        size,
        full_size=[*full_size, *beside],
        superpixels=superpixels,
        classes=classes,
    )
    batches = [list(frames[first : first + batch_size]) for first in range(0, len(frames), batch_size)]
    for batch in loader(reader, batches, workers=workers):
        inputs = {name: value for name, value in batch.items() if not name.startswith("full_")}
        with fabric.autocast():
            prediction = infer(
                model,
                network,
                fabric.to_device(inputs),
                store.shape,
                flip=flip,
                along=Guide(batch[along], *(batch["full_" + name] for name in beside)) if along else None,
            )
        for i, frame in enumerate(batch["frame"].tolist()):
            truth = {name: batch["full_" + name][i, 0].numpy() for name in full_size}
            initial, support, region, *sure = (
                None if value is None else value[i, 0].numpy() for value in prediction[1:]
            )
            depth = prediction.depth[i, 0].numpy()
            yield FramePrediction(frame, depth, initial, support, region, truth, *sure)
