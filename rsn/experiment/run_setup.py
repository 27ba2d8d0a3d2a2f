"""A run put together from its settings: data, network, optimizer, and the functions that it calls."""

import math
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from rsn.config import Config, to_plain, to_toml
from rsn.data.augmentation import augment
from rsn.data.dataset import Batch, EpochBatches, loader
from rsn.data.mixed_frames import MixedFrames
from rsn.data.mixture import Mixture, Portion, line_of, mixed_order, told
from rsn.experiment.assembly import new_network
from rsn.models.contract import Model
from rsn.models.frames import predict_frames
from rsn.models.weights import encoders
from rsn.training.optimizer import build_optimizer
from rsn.training.run import Run


def new_run(
    config: Config,
    fabric: Fabric,
    model: Model,
    mixture: Mixture,
    portions: list[Portion],
    *,
    out: Path,
    writer: Any,
    stream: TextIO | None,
) -> Run:
    """Put a run together from its settings."""
    data, optimizer, run = config.data, config.optimizer, config.run
    batches, batch_loader = _new_batches(config, fabric, model, mixture, portions)
    fabric.seed_everything(run.seed, verbose=False)
    network = new_network(config, model)
    if run.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    return Run(
        fabric,
        model,
        network,
        _new_optimizer(config, network),
        mixture,
        portions,
        batches=batches,
        batch_loader=batch_loader,
        augment=partial(
            augment,
            seed=run.seed,
            size=data.size,
            flip=data.flip,
            rotation=data.rotation,
            zoom=data.zoom,
            jitter=data.jitter,
        ),
        predict=partial(
            predict_frames,
            fabric,
            model,
            size=data.size,
            batch_size=data.batch_size,
            workers=data.workers,
            superpixels=data.superpixels,
        ),
        out=out,
        settings=to_plain(config),
        recipe="".join(f"# {line_of(part)}\n" for part in told(portions)) + to_toml(config),
        epochs=run.epochs,
        accumulate=optimizer.accumulate,
        clip=optimizer.clip,
        frozen_norm=optimizer.frozen_norm,
        schedule=optimizer.schedule,
        ema=optimizer.ema,
        compiled=run.compile,
        writer=writer,
        stream=stream,
    )


def _new_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    options = config.optimizer
    encoder = [
        weight for part in encoders(network) for stage in part.stages() for weight in stage.parameters()
    ]
    return build_optimizer(
        network.parameters(),
        encoder,
        options.optimizer,
        lr=options.lr,
        encoder_lr_scale=options.encoder_lr_scale,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        # A fused step would scale float16 gradients back by itself, and leave nothing to clip before.
        fused=config.run.precision != "16-mixed",
    )


def _new_batches(
    config: Config, fabric: Fabric, model: Model, mixture: Mixture, portions: list[Portion]
) -> tuple[EpochBatches, DataLoader[Batch]]:
    """Make the order of the training frames, and what loads them in it."""
    data, optimizer = config.data, config.optimizer
    enlarged = (math.ceil(side * data.zoom) for side in data.size)
    # A crop of a frame that is zoom times too large need not be enlarged, as far as a store has it.
    height, width = (
        max(side, min(large, whole))
        for side, large, whole in zip(data.size, enlarged, mixture.shape, strict=True)
    )
    frames = MixedFrames(
        portions,
        model.arrays(training=True),
        (height, width),
        superpixels=data.superpixels,
        cache=data.cache,
    )
    batches = EpochBatches(
        range(sum(portion.drawn for portion in portions)),
        data.batch_size,
        order=partial(mixed_order, portions, len(mixture), seed=config.run.seed),
        process=fabric.global_rank,
        processes=fabric.world_size,
        accumulate=optimizer.accumulate,
    )
    pin = fabric.device.type == "cuda"
    batch_loader = loader(frames, batches, workers=0 if data.cache else data.workers, pin=pin)
    return batches, batch_loader
