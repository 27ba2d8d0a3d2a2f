"""Parameter groups, the course of the learning rate, and the running average."""

import pytest
import torch
from torch import nn

from rsn.training.optimizer import build_optimizer, lr_factor, reset_optimizer_state, update_ema


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_the_rate_peaks_at_one(schedule):
    course = [lr_factor(schedule, step / 1000) for step in range(1001)]
    assert max(course) == pytest.approx(1)
    assert min(course) >= 0


def test_the_rates_ends_and_turns():
    assert [lr_factor("constant", done) for done in (0, 0.5, 1)] == [1, 1, 1]
    assert [lr_factor("cosine", done) for done in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [lr_factor("one-cycle", done) for done in (0, 0.15, 0.3, 1)] == pytest.approx(
        [0.04, 0.52, 1, 4e-6]
    )


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_encoder_learns_at_its_own_rate_and_frozen_weights_not_at_all(name):
    network = nn.ModuleDict({"encoder": nn.Linear(2, 2), "rest": nn.Linear(2, 2), "frozen": nn.Linear(2, 2)})
    network["frozen"].requires_grad_(False)
    optimizer = build_optimizer(
        network.parameters(), network["encoder"].parameters(), name, lr=0.1, encoder_lr_scale=0.4
    )
    by_rate = {group["peak_lr"]: group["params"] for group in optimizer.param_groups}
    assert list(by_rate) == pytest.approx([0.04, 0.1])
    for parts, group in zip(("encoder", "rest"), by_rate.values(), strict=True):
        assert all(a is b for a, b in zip(group, network[parts].parameters(), strict=True))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_adams_steps_follow_the_rate_again_after_gradients_of_another_size(name):
    """SGD's momentum is the paper's rule, and stays; Adam would go on with a hundredth of its step."""
    weight = nn.Parameter(torch.tensor(0.0))
    optimizer = build_optimizer([weight], [], name, lr=0.1, weight_decay=0.0)

    def step(gradient):
        before = weight.item()
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        return before - weight.item()

    for _ in range(50):
        step(100.0)
    if name == "sgd":
        kept = optimizer.state[weight]["momentum_buffer"].clone()
        reset_optimizer_state(optimizer)
        assert torch.equal(optimizer.state[weight]["momentum_buffer"], kept)
        return
    reset_optimizer_state(optimizer)
    assert step(1.0) == pytest.approx(0.1, rel=1e-4)


def test_the_average_is_the_exponential_one_and_starts_short():
    values = [3.0, 5.0, 11.0]
    average, expected = {"w": torch.tensor(1.0), "n": torch.tensor(0)}, 1.0
    for step, value in enumerate(values, 1):
        update_ema(average, {"w": torch.tensor(value), "n": torch.tensor(step)}, 0.9, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average["w"]) == pytest.approx(expected)
    assert int(average["n"]) == 3
