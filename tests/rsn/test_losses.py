import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError
from rsn.models.clustering import ClusteringOutput, clustering_loss
from rsn.models.gradient_loss import SCALES
from rsn.models.losses import (
    DepthLoss,
    category_loss,
    discriminative_loss,
    iterative_loss,
    l1_loss,
    l2_loss,
    region_loss,
    region_losses,
    rmse_loss,
)
from rsn.models.region_means import region_mean_map
from tests.rsn import reference


def batch(seed, *, images=2, shape=(13, 17), labels=9, holes=0.2):
    """Depths (B, 1, H, W) with holes in the target, and labels (B, H, W) with gaps and zeros."""
    generator = torch.Generator().manual_seed(seed)
    prediction = 6 * torch.rand(images, 1, *shape, generator=generator)
    target = 0.5 + 6 * torch.rand(images, 1, *shape, generator=generator)
    target[torch.rand(target.shape, generator=generator) < holes] = 0
    region = torch.randint(0, labels, (images, *shape), generator=generator, dtype=torch.int32)
    return prediction, target, torch.where(region == 2, 0, region)


def slopes(prediction, target):
    """Of the gradient matching term alone, as a run has it."""
    whole = DepthLoss(loss="rmse", log_weight=0.0, metre_weight=0.0, gradient_weight=1.0)
    return whole(prediction, target, torch.zeros(target[:, 0].shape, dtype=torch.int32), 0)


def value_and_gradient(loss, prediction):
    prediction = prediction.clone().requires_grad_()
    value = loss(prediction)
    value.backward()
    return value.detach().double(), prediction.grad.double()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(1, 3),
    labels=st.integers(2, 30),
    log=st.booleans(),
    variance_weight=st.sampled_from([0.0, 0.5]),
)
def test_region_loss_and_its_gradient_equal_a_loop(seed, images, labels, log, variance_weight):
    prediction, target, region = batch(seed, images=images, labels=labels)
    prediction = prediction + 0.01  # two equal maps have no variance to divide
    options = {"log": log, "variance_weight": variance_weight}
    if not ((target[:, 0] > 0) & (region > 0)).any():
        return
    slow, slow_gradient = value_and_gradient(
        lambda p: reference.region_loss(p, target.double(), region, **options), prediction.double()
    )
    fast, gradient = value_and_gradient(lambda p: region_loss(p, target, region, **options), prediction)
    # A region of one pixel has no variance; with few pixels the sums of float32 differ by some 1e-7.
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(gradient, slow_gradient, rtol=1e-4, atol=1e-6)


def test_region_loss_by_hand():
    prediction = torch.tensor([[[[1.0, 3.0, 2.0, 9.0]]]])
    target = torch.tensor([[[[2.0, 1.0, 5.0, 4.0]]]])
    region = torch.tensor([[[1, 1, 7, 0]]])
    # Region 1: (1 + 4) / 2; region 7: 9; the pixel of label 0 does not count.
    assert region_loss(prediction, target, region).item() == pytest.approx((2.5 + 9) / 2)
    # var{1, 4} / 2.5 = 2.25 / 2.5 in region 1, none in region 7.
    with_variance = region_loss(prediction, target, region, variance_weight=2.0).item()
    assert with_variance == pytest.approx(5.75 + 2 * 0.9 / 2)


def test_small_regions_weigh_as_much_as_large_ones_and_images_alike():
    prediction = torch.zeros(2, 1, 4, 5)
    target = torch.ones(2, 1, 4, 5)
    region = torch.ones(2, 4, 5, dtype=torch.int64)
    region[0, 0, 0] = 2
    target[0, 0, 0, 0] = 3
    assert region_loss(prediction, target, region).item() == pytest.approx(((1 + 9) / 2 + 1) / 2)


def test_an_image_without_regions_is_left_out_and_nothing_at_all_is_zero():
    prediction, target, region = batch(1)
    alone = region_loss(prediction[:1], target[:1], region[:1])
    region[1] = 0
    torch.testing.assert_close(region_loss(prediction, target, region), alone)
    value, gradient = value_and_gradient(
        lambda p: region_loss(p, target, torch.zeros_like(region)), prediction
    )
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("hole", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "loss",
    [
        l2_loss,
        lambda p, q: l2_loss(p, q, log=True),
        l1_loss,
        rmse_loss,
        lambda p, q: rmse_loss(p, q, log_weight=1.0),
        slopes,
        lambda p, q: region_loss(p, q, torch.ones(p[:, 0].shape, dtype=torch.int64), variance_weight=1.0),
        lambda p, q: region_loss(p, q, torch.ones(p[:, 0].shape, dtype=torch.int64), log=True),
    ],
)
def test_invalid_pixels_never_count_and_get_no_gradient(loss, hole):
    prediction, target, _ = batch(3, holes=0.0)
    target[:, :, :8] = hole
    with_holes, gradient = value_and_gradient(lambda p: loss(p, target), prediction)
    without, _ = value_and_gradient(lambda p: loss(p, target[:, :, 8:]), prediction[:, :, 8:])
    torch.testing.assert_close(with_holes, without, rtol=1e-6, atol=0)
    assert not gradient[:, :, :8].any()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("log", [False, True])
def test_gradients_are_finite_at_zero_depth_and_at_a_perfect_prediction(log):
    _, target, region = batch(5)
    for prediction in (torch.zeros_like(target), target):
        for loss in (
            lambda p: region_loss(p, target, region, log=log, variance_weight=1.0),
            lambda p: l2_loss(p, target, log=log),
            lambda p: l1_loss(p, target),
            lambda p: rmse_loss(p, target, log_weight=1.0),
            lambda p: slopes(p, target),
        ):
            value, gradient = value_and_gradient(loss, prediction)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()


def test_l2_and_l1_by_hand():
    prediction, target = torch.tensor([[[[1.0, 2.0, 3.0, 5.0]]]]), torch.tensor([[[[1.1, 1.0, 8.0, 0.0]]]])
    assert l2_loss(prediction, target).item() == pytest.approx((0.01 + 1 + 25) / 3)
    logs = [math.log(1.1), math.log(2), math.log(8 / 3)]
    assert l2_loss(prediction, target, log=True).item() == pytest.approx(
        sum(x * x for x in logs) / 3, rel=1e-5
    )
    metres = (0.1 + 1 + 5) / 3
    expected = 2 * sum(logs) / 3 + 0.5 * metres
    assert l1_loss(prediction, target, log_weight=2, metre_weight=0.5).item() == pytest.approx(
        expected, rel=1e-5
    )
    only_first = torch.tensor([[[[True, False, False, True]]]])
    assert l2_loss(prediction, target, only_first).item() == pytest.approx(0.01, rel=1e-5)


def test_rmse_loss_is_the_mean_of_the_images_errors():
    prediction = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 5.0]]], [[[1.0, 1.0]]]])
    target = torch.tensor([[[[2.0, 4.0]]], [[[6.0, 0.0]]], [[[0.0, 0.0]]]])
    metres, logs = (math.sqrt((1 + 4) / 2) + 3) / 2, math.log(2)
    assert rmse_loss(prediction, target).item() == pytest.approx(metres, rel=1e-6)
    assert rmse_loss(prediction, target, log_weight=2, metre_weight=0.5).item() == pytest.approx(
        2 * logs + 0.5 * metres, rel=1e-5
    )


def test_gradient_loss_is_that_of_every_pair():
    prediction, target, _ = batch(11, shape=(18, 25))
    prediction += 0.1
    error = (prediction + 1e-6).log() - target.log()
    total = 0.0
    for step in SCALES:
        for down, right in ((0, step), (step, 0)):
            differences = [
                (error[k, 0, y + down, x + right] - error[k, 0, y, x]).abs().item()
                for k in range(len(target))
                for y in range(0, 18 - down, step)
                for x in range(0, 25 - right, step)
                if target[k, 0, y, x] > 0 and target[k, 0, y + down, x + right] > 0
            ]
            total += sum(differences) / len(differences)
    assert slopes(prediction, target).item() == pytest.approx(total / len(SCALES), rel=1e-5)
    assert slopes(3 * target, target).item() == pytest.approx(0, abs=1e-5)  # a factor has no shape
    assert slopes(prediction, torch.zeros_like(target)).item() == 0
    assert slopes(prediction[..., :1, :1], target[..., :1, :1]).item() == 0
    plain, with_slopes = (DepthLoss(loss="rmse", metre_weight=0.3, gradient_weight=w) for w in (0.0, 2.0))
    region = torch.zeros(target[:, 0].shape, dtype=torch.int32)
    torch.testing.assert_close(
        with_slopes(prediction, target, region, 0),
        plain(prediction, target, region, 0) + 2 * slopes(prediction, target),
    )


def test_iterative_loss_weighs_the_outputs():
    prediction, target, region = batch(7)
    outputs = [prediction, prediction + 0.5, prediction * 0.9]
    parts = [region_loss(output, target, region, log=True) for output in outputs]
    expected = 0.2 * parts[0] + 0.3 * parts[1] + 0.5 * parts[2]
    torch.testing.assert_close(iterative_loss(parts), expected)
    squared = [l2_loss(output, target) for output in outputs]
    last = iterative_loss(squared, (0, 0, 1))
    torch.testing.assert_close(last, l2_loss(outputs[2], target))
    with pytest.raises(InputError, match="expected 2, one an iteration"):
        iterative_loss(parts[:2])
    whole = DepthLoss(space="log").iterative(outputs, target, region, 0, (0.2, 0.3, 0.5))
    torch.testing.assert_close(whole, expected)


@pytest.mark.parametrize("variance_weight", [0.0, 0.5])
def test_several_predictions_against_one_truth_have_the_losses_of_each_alone(variance_weight):
    prediction, target, region = batch(7)
    options = {"log": True, "variance_weight": variance_weight}
    outputs = torch.stack([prediction, prediction + 0.5, prediction * 0.9])
    value, slope = value_and_gradient(
        lambda maps: torch.stack(region_losses([*maps], target, region, **options)).sum(), outputs
    )
    alone = [value_and_gradient(lambda p: region_loss(p, target, region, **options), one) for one in outputs]
    torch.testing.assert_close(value, sum(each for each, _ in alone))
    assert torch.equal(slope, torch.stack([each for _, each in alone]))


def test_shapes_that_would_broadcast_are_refused():
    for loss in (l2_loss, l1_loss, rmse_loss):
        with pytest.raises(InputError, match="expected one shape"):
            loss(torch.ones(2, 1, 4, 4), torch.ones(2, 4, 4))
    labels = torch.ones(2, 4, 4, dtype=torch.int32)
    with pytest.raises(InputError, match="expected one shape"):
        region_losses([torch.ones(2, 1, 4, 4), torch.ones(1, 1, 4, 4)], torch.ones(2, 1, 4, 4), labels)
    with pytest.raises(InputError, match="regions"):
        region_loss(torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4, dtype=torch.int32))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), images=st.integers(1, 3), labels=st.integers(2, 12))
def test_discriminative_loss_and_its_gradient_equal_a_loop(seed, images, labels):
    _, _, region = batch(seed, images=images, labels=labels)
    region[0, 0, 0] = 1
    generator = torch.Generator().manual_seed(seed)
    embedding = 0.3 * torch.randn(images, 16, *region.shape[1:], generator=generator)
    for term in range(3):
        slow, slow_gradient = value_and_gradient(
            lambda e, term=term: reference.discriminative_loss(e, region)[term] + 0 * e.sum(),
            embedding.double(),
        )
        fast, gradient = value_and_gradient(
            lambda e, term=term: discriminative_loss(e, region)[term], embedding
        )
        torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(gradient, slow_gradient, rtol=1e-4, atol=1e-7)


def test_discriminative_loss_by_hand():
    embedding = torch.tensor([[[[0.0, 0.4, 1.0, 9.0]]]])  # one channel
    region = torch.tensor([[[1, 1, 2, 0]]])
    pull, push, regularisation = discriminative_loss(embedding, region, pull_margin=0.1, push_margin=0.5)
    # Means 0.2 and 1.0: both pixels of region 1 are 0.2 away, and the means 0.8 apart.
    assert pull.item() == pytest.approx((0.1**2 + 0) / 2, rel=1e-5)
    assert push.item() == pytest.approx(0.2**2, rel=1e-5)
    assert regularisation.item() == pytest.approx(0.6)


def test_discriminative_loss_has_finite_gradients_where_all_is_equal_and_with_one_region():
    embedding = torch.zeros(1, 16, 4, 6, requires_grad=True)
    region = torch.arange(24).view(1, 4, 6) // 8
    for labels in (region, torch.ones_like(region), torch.zeros_like(region)):
        embedding.grad = None
        torch.stack(discriminative_loss(embedding, labels)).sum().backward()
        assert torch.isfinite(embedding.grad).all()


def test_losses_are_deterministic():
    prediction, target, region = batch(11, shape=(40, 50), labels=40)
    embedding = torch.randn(2, 16, 40, 50, generator=torch.Generator().manual_seed(0))
    first, second = (
        [
            value_and_gradient(lambda p: region_loss(p, target, region, variance_weight=1.0), prediction),
            value_and_gradient(lambda e: torch.stack(discriminative_loss(e, region)).sum(), embedding),
        ]
        for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_category_loss_is_the_mean_over_labelled_pixels():
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 4, 6, 7, generator=generator)
    category = torch.randint(0, 5, (2, 1, 6, 7), generator=generator, dtype=torch.int32)
    share = logits.double().exp() / logits.double().exp().sum(dim=1, keepdim=True)
    right = [
        share[b, int(c) - 1, y, x].log()
        for b, _, y, x in torch.cartesian_prod(*map(torch.arange, category.shape)).tolist()
        if (c := category[b, 0, y, x]) > 0
    ]
    expected = -torch.stack(right).mean().item()
    assert category_loss(logits, category).item() == pytest.approx(expected, rel=1e-5)
    value, slope = value_and_gradient(lambda one: category_loss(one, torch.zeros_like(category)), logits)
    assert value == 0
    assert not slope.any()
    large = category.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert category_loss(logits, large).item() == pytest.approx(expected, rel=1e-5)


def test_clustering_loss_is_the_sum_of_its_ends():
    prediction, target, region = batch(13)
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, 1, 13, 17, generator=generator) for _ in range(3)]
    embedding = torch.randn(2, 16, 13, 17, generator=generator)
    output = ClusteringOutput(
        embedding=embedding, initial=prediction, region=region, support=prediction, offset=maps[0],
        corrected=prediction + 0.1 * maps[1].abs(), reliability=maps[2].sigmoid(), refined=prediction + 0.3,
    )  # fmt: skip
    known = torch.where((target[:, 0] > 0), region, 0)
    mean = region_mean_map(target, known)
    counted = (known > 0)[:, None]
    pull, push, regularisation = discriminative_loss(embedding, region)
    expected = (
        pull + push + 0.001 * regularisation
        + l2_loss(output.initial, target) + l2_loss(output.refined, target)
        + (output.offset - (target - mean)).abs()[counted].mean()
        + l1_loss(output.corrected, mean, counted)
    )  # fmt: skip
    found = clustering_loss(output, target, lambda depth, truth, _: l2_loss(depth, truth))
    torch.testing.assert_close(found, expected)


def test_a_perfect_output_leaves_the_embedding_s_size_alone():
    _, target, region = batch(17, holes=0.0)
    mean = region_mean_map(target, region)
    embedding = torch.nn.functional.one_hot(region.long(), 16).permute(0, 3, 1, 2).float()
    output = ClusteringOutput(
        embedding=embedding, initial=target, region=region, support=mean, offset=target - mean,
        corrected=mean, reliability=torch.ones_like(target), refined=target,
    )  # fmt: skip
    regional = partial(DepthLoss(space="log"), epoch=0)
    assert clustering_loss(output, target, regional).item() == pytest.approx(0.001, abs=1e-6)


def test_regional_means_keep_images_apart_and_unlabelled_pixels_as_they_are():
    values = torch.arange(12.0).view(2, 1, 2, 3)
    region = torch.tensor([[[1, 1, 0], [3, 3, 3]], [[1, 0, 0], [1, 2, 2]]])
    expected = torch.tensor([[[0.5, 0.5, 2], [4, 4, 4]], [[7.5, 7, 8], [7.5, 10.5, 10.5]]])[:, None]
    torch.testing.assert_close(region_mean_map(values, region), expected)
