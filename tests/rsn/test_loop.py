"""The loop alone, on networks that are small enough to reason about."""

import math

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from rsgt.inputs import InputError
from rsn.training.loop import Progress, train

STEPS = 4


def pieces(network, batches, **changes):
    """What ``train`` takes: SGD on the squared error of y = network(x)."""
    fabric = Fabric(accelerator="cpu")
    optimizer = torch.optim.SGD([{"params": network.parameters(), "peak_lr": 0.1}], lr=0.1, momentum=0.5)
    wrapped, optimizer = fabric.setup(network, optimizer)
    options = {
        "epochs": 2,
        "steps": STEPS,
        "accumulate": 1,
        "clip": 0.0,
        "frozen_norm_epochs": 0,
        "batches": lambda epoch, step: batches[epoch][step * changes.get("accumulate", 1) :],
        "loss_of": lambda batch, epoch: (wrapped(batch["x"]) - batch["y"]).square().mean(),
        "lr_factor": lambda done: 1.0,
        "update_ema": lambda steps: None,
        "judge": dict,
        "save": lambda progress: None,
        "report": lambda progress, loss: None,
        "stop_asked": lambda: False,
        **changes,
    }
    return (fabric, wrapped, optimizer), options


def line(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def data(per_epoch=STEPS, size=4):
    rng = torch.Generator().manual_seed(5)
    return [
        [
            {"frame": torch.arange(size), "x": torch.randn(size, 3, generator=rng), "y": torch.ones(size, 1)}
            for _ in range(per_epoch)
        ]
        for _ in range(2)
    ]


def test_batch_normalisation_stops_learning_statistics_but_not_weights():
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    norm, states, modes = network[0], [], []
    batches = [*data()[:1], *data()]
    setup, options = pieces(
        network,
        batches,
        epochs=3,
        frozen_norm_epochs=2,
        update_ema=lambda steps: modes.append(norm.training),
        save=lambda progress: states.append(
            {name: value.clone() for name, value in norm.state_dict().items()}
        ),
    )
    assert train(*setup, Progress(), **options)
    first, second, third = states
    assert modes == [True] * STEPS + [False] * 2 * STEPS
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], third[name])
    assert not torch.equal(first["weight"], second["weight"])
    assert not torch.equal(second["weight"], third["weight"])


def test_it_does_what_a_plain_loop_does():
    network, twin, batches = line(), line(), data()
    progress, reported, seen = Progress(), [], []
    setup, options = pieces(
        network,
        batches,
        report=lambda p, loss: reported.append(loss),
        update_ema=seen.append,
        judge=lambda: {"rmse": 7.0},
    )
    assert train(*setup, progress, **options)

    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.5)
    losses = []
    for batch in [*batches[0], *batches[1]]:
        loss = (twin(batch["x"]) - batch["y"]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert torch.equal(network.weight, twin.weight)
    assert reported == losses
    assert seen == list(range(1, 9))
    assert [row["loss"] for row in progress.rows] == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4])
    assert [row["epoch"] for row in progress.rows] == [1, 2]
    assert all(row["rmse"] == 7 and row["lr"] == 0.1 for row in progress.rows)
    assert (progress.epoch, progress.step) == (2, 0)


def test_it_overfits_one_batch():
    network = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
    batch = data()[0][0]
    setup, options = pieces(network, [[batch] * 300], epochs=1, steps=300)
    train(*setup, Progress(), **options)
    assert (network(batch["x"]) - batch["y"]).abs().max() < 0.05


def test_accumulated_batches_make_the_step_of_the_whole():
    whole, parts = data(), data()
    halves = [
        [{k: v[i : i + 2] for k, v in batch.items()} for batch in epoch for i in (0, 2)] for epoch in parts
    ]
    one, two = line(), line()
    setup, options = pieces(one, whole)
    train(*setup, Progress(), **options)
    setup, options = pieces(two, halves, accumulate=2)
    train(*setup, Progress(), **options)
    assert torch.allclose(one.weight, two.weight, atol=1e-6)


def test_the_rate_sees_the_share_of_the_run_that_is_done():
    shares = []
    setup, options = pieces(line(), data(), lr_factor=lambda done: shares.append(done) or 0.5)
    train(*setup, Progress(), **options)
    assert shares == [i / 8 for i in range(8)]
    assert setup[2].param_groups[0]["lr"] == 0.05


def test_gradients_are_clipped_to_the_norm():
    network = line()
    before = torch.cat([network.weight.flatten(), network.bias]).clone()
    setup, options = pieces(network, data(), epochs=1, steps=1, clip=1e-3)
    train(*setup, Progress(), **options)
    after = torch.cat([network.weight.flatten(), network.bias])
    assert (after - before).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


@pytest.mark.parametrize("stop_at", [1, 3, 4, 6])
def test_a_stop_is_kept_at_its_step_and_gone_on_from(stop_at):
    whole = line()
    setup, options = pieces(whole, data())
    train(*setup, Progress(), **options)

    network, progress, kept = line(), Progress(), []
    setup, options = pieces(network, data())
    options["save"] = lambda p: kept.append((p.epoch, p.step))
    asked = iter([False] * (stop_at - 1) + [True])
    assert not train(*setup, progress, **options | {"stop_asked": lambda: next(asked)})
    assert kept[-1] == ((stop_at - 1) // 4, (stop_at - 1) % 4 + 1)
    assert train(*setup, progress, **options)
    assert torch.equal(network.weight, whole.weight)
    assert len(progress.rows) == 2


def test_frozen_parts_keep_their_batch_statistics():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    network[0].requires_grad_(False)
    setup, options = pieces(network, data())
    train(*setup, Progress(), **options)
    assert network[0].num_batches_tracked == 0
    assert network[2].num_batches_tracked == 8


class Fails(nn.Module):
    def forward(self, x):
        return torch.where(x > 1.9, math.nan, x)


def test_a_loss_that_is_not_finite_names_where_it_came_from():
    network = nn.Sequential(nn.Linear(3, 3), nn.Sequential(Fails(), nn.Linear(3, 1)))
    batches = data()
    batches[1][2]["x"][0] = 1e6
    batches[1][2]["frame"] = torch.tensor([31, 7, 2, 9])
    setup, options = pieces(network, batches)
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(3) * 1e-3)
    with pytest.raises(
        InputError, match=r"epoch 2, step 3, with frames \[31, 7, 2, 9\]: it starts in layer 1\.0;"
    ):
        train(*setup, Progress(), **options)


def test_a_loss_that_fails_by_itself_is_told_apart():
    setup, options = pieces(line(), data())
    options["loss_of"] = lambda batch, epoch: setup[1](batch["x"]).mean() * math.inf
    with pytest.raises(InputError, match="it starts in the loss, after the layers"):
        train(*setup, Progress(), **options)
