"""Each network learns four real frames by heart: data, forward pass, loss and loop fit together."""

from functools import partial

import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric

from rsgt.cli.commands import main
from rsn.config import from_plain
from rsn.data.dataset import Frames, collate, open_store
from rsn.models.inference import infer
from rsn.training.loop import Progress, train
from rsn.training.optimizer import build_optimizer, lr_factor
from tests.rsn.checkpoints import model_and_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(real_mat, tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "four.zarr"
    arguments = ["build", "--nyu", str(real_mat), "--out", str(path), "--frames", "3,8,13,20"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return open_store(path)


@pytest.mark.parametrize(("name", "steps"), [("generation", 200), ("refinement", 350), ("rsn", 250)])
def test_four_real_frames_are_learnt_to_under_5_cm(store, name, steps):
    """Measured as in use: in evaluation mode, at the size that was learnt."""
    config = from_plain(
        {
            "network": {"model": name, "width": 16, "norm": "group"},
            "data": {"size": [9, 12]},
            "loss": {"loss": "l2", "space": "linear"},
        }
    )
    torch.manual_seed(0)
    model, network = model_and_network(config, classes=894)
    fabric = Fabric(accelerator="cpu")
    optimizer = build_optimizer(network.parameters(), [], "adamw", lr=1e-2, weight_decay=0)
    wrapped, optimizer = fabric.setup(network, optimizer)
    frames = Frames(store, ("depth", "support", "region"), config.data.size)
    batch = collate([frames[i] for i in range(4)])

    def loss(batch, epoch):
        return model.loss(model.forward(wrapped, batch), batch, epoch)

    train(
        fabric, wrapped, optimizer, Progress(), epochs=1, steps=steps, accumulate=1, clip=0,
        frozen_norm_epochs=0, batches=lambda epoch, step: [batch] * steps, loss_of=loss,
        lr_factor=partial(lr_factor, "one-cycle"),
        update_ema=lambda step: None, judge=dict, save=lambda progress: None,
        report=lambda progress, loss: None,
        stop_asked=lambda: False,
    )  # fmt: skip
    network.eval()
    error = infer(model, network, batch, config.data.size).depth - batch["depth"]
    assert error.square().mean(dim=(1, 2, 3)).sqrt().mean() < 0.05
