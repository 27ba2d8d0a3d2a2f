"""Losses over regions against the obvious loop: forward and backward on 4 x 480 x 640."""

import pytest
import torch

from rsn.models.losses import discriminative_loss, region_loss
from tests.rsn import reference

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES, HEIGHT, WIDTH = 4, 480, 640


def regions(per_image):
    """Labels (B, H, W) of a jittered grid of about so many regions an image, with holes of 0."""
    generator = torch.Generator().manual_seed(0)
    rows = round((per_image * HEIGHT / WIDTH) ** 0.5)
    columns = round(per_image / rows)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    jitter = torch.randint(0, 12, (IMAGES, 2, HEIGHT, WIDTH), generator=generator)
    row = (y + jitter[:, 0]) * rows // (HEIGHT + 12)
    column = (x + jitter[:, 1]) * columns // (WIDTH + 12)
    region = 1 + row * columns + column
    region[torch.rand(region.shape, generator=generator) < 0.1] = 0
    return region.int()


def depths():
    generator = torch.Generator().manual_seed(1)
    target = 0.5 + 9 * torch.rand(IMAGES, 1, HEIGHT, WIDTH, generator=generator)
    noise = 0.3 * torch.randn(target.shape, generator=generator)
    return (target + noise).clamp_min(0.1), target


def forward_and_backward(loss, values):
    values = values.clone().requires_grad_()
    loss(values).backward()
    return values.grad


def timed(benchmark, loss, values):
    rounds = {"rounds": 5, "warmup_rounds": 1} if benchmark.name.endswith("ours]") else {"rounds": 1}
    return benchmark.pedantic(forward_and_backward, (loss, values), **rounds)


@pytest.mark.benchmark(group="region loss, 500 regions an image")
@pytest.mark.parametrize("loss", [region_loss, reference.region_loss], ids=["ours", "loop"])
@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_region_loss(benchmark, loss, log):
    (prediction, target), region = depths(), regions(500)
    assert 480 < region.max() < 520
    gradient = timed(benchmark, lambda p: loss(p, target, region, log=log), prediction)
    assert torch.isfinite(gradient).all()


@pytest.mark.benchmark(group="discriminative loss, 100 regions an image")
@pytest.mark.parametrize("loss", [discriminative_loss, reference.discriminative_loss], ids=["ours", "loop"])
def test_discriminative_loss(benchmark, loss):
    region = regions(100)
    embedding = 0.3 * torch.randn(IMAGES, 16, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    gradient = timed(benchmark, lambda e: torch.stack(loss(e, region)).sum(), embedding)
    assert torch.isfinite(gradient).all()


def test_the_timed_losses_are_equal():
    prediction, target, region = (values[:1] for values in (*depths(), regions(500)))
    for log in (False, True):
        ours = region_loss(prediction, target, region, log=log).double()
        loop = reference.region_loss(prediction.double(), target.double(), region, log=log)
        torch.testing.assert_close(ours, loop, rtol=1e-6, atol=0)
