import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import MeanShift
from sklearn.metrics import adjusted_rand_score

from rsgt.inputs import InputError
from rsn.models.mean_shift import mean_shift
from tests.rsn import reference


def scene(seed, *, shape=(24, 32), regions=6, noise=0.02, channels=16, apart=0.68):
    """Embedding (C, H, W) of Voronoi regions with means at least ``apart`` from one another, and labels."""
    rng = np.random.default_rng(seed)
    means = [rng.uniform(-0.6, 0.6, channels)]
    while len(means) < regions:
        mean = rng.uniform(-0.6, 0.6, channels)
        if min(np.linalg.norm(mean - other) for other in means) > apart:
            means.append(mean)
    grid = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1)[:, :, None]
    labels = ((grid - rng.uniform(0, shape, (regions, 2))) ** 2).sum(axis=-1).argmin(axis=-1)
    embedding = np.array(means)[labels] + rng.normal(0, noise, (*shape, channels))
    return np.moveaxis(embedding, -1, 0).astype(np.float32), labels


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from([0.0, 0.02, 0.04, 0.08]),
    apart=st.sampled_from([0.1, 0.3, 0.68]),
    channels=st.sampled_from([3, 16]),
    options=st.fixed_dictionaries(
        {
            "min_pixels": st.sampled_from([1, 5, 30]),
            "max_regions": st.sampled_from([2, 70]),
            "max_steps": st.sampled_from([1, 10]),
        }
    ),
)
def test_equal_to_the_obvious_implementation(seed, noise, apart, channels, options):
    embedding, _ = scene(seed, shape=(14, 18), noise=noise, apart=apart, channels=channels)
    np.testing.assert_array_equal(
        mean_shift(embedding, **options), reference.mean_shift(embedding, **options)
    )


def smooth():
    y, x = np.mgrid[:30, :40] / 30
    phase = np.random.default_rng(0).uniform(1, 5, (16, 3))
    return np.array([0.15 * np.sin(a * x + b * y + c) for a, b, c in phase]).astype(np.float32)


def scattered(channels=16, shape=(20, 30)):
    return np.random.default_rng(0).normal(0, 0.14, (channels, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("embedding", "bandwidth", "regions"),
    [
        (smooth(), 0.16, 8),
        (scattered(), 0.4, 5),
        (scattered(3, (50, 60)), 0.03, 50),  # more groups would be needed than there may be
    ],
)
def test_equal_to_the_obvious_implementation_where_nothing_is_well_apart(embedding, bandwidth, regions):
    options = {"bandwidth": bandwidth, "min_pixels": 3, "max_regions": 200}
    labels = mean_shift(embedding, **options)
    assert labels.max() >= regions
    np.testing.assert_array_equal(labels, reference.mean_shift(embedding, **options))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn_and_the_truth_where_regions_are_well_apart(seed):
    embedding, truth = scene(seed, regions=8)
    labels = mean_shift(embedding, min_pixels=5)
    pixels = embedding.reshape(16, -1).T
    theirs = MeanShift(bandwidth=0.16, seeds=pixels[::7]).fit_predict(pixels)
    assert adjusted_rand_score(theirs, labels.ravel()) >= 0.99
    assert adjusted_rand_score(truth.ravel(), labels.ravel()) >= 0.99


def test_labels_are_dense_int32_and_the_same_for_tensor_array_and_layout():
    embedding, _ = scene(3, noise=0.04)
    labels = mean_shift(embedding, min_pixels=10)
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == set(range(1, labels.max() + 1))
    np.testing.assert_array_equal(labels, mean_shift(embedding, min_pixels=10))
    tensor = torch.from_numpy(embedding).requires_grad_()
    np.testing.assert_array_equal(labels, mean_shift(tensor, min_pixels=10))
    strided = np.asfortranarray(embedding.astype(np.float64))
    np.testing.assert_array_equal(labels, mean_shift(strided, min_pixels=10))


def test_one_region_where_none_is_large_enough_and_no_more_than_allowed():
    noise = np.random.default_rng(0).normal(size=(16, 12, 15)).astype(np.float32)
    assert (mean_shift(noise) == 1).all()
    embedding, _ = scene(5, regions=8)
    assert mean_shift(embedding, min_pixels=5, max_regions=3).max() == 3
    assert (mean_shift(np.zeros((16, 1, 1), np.float32)) == 1).all()


def test_shifting_the_embedding_changes_no_label():
    embedding, _ = scene(8, noise=0.03)
    np.testing.assert_array_equal(
        mean_shift(embedding, min_pixels=10), mean_shift(embedding + 4, min_pixels=10)
    )


@pytest.mark.parametrize(
    "embedding", [np.zeros((4, 5)), np.full((16, 4, 5), np.nan), np.zeros((1, 16, 4, 5))]
)
def test_what_is_no_embedding_is_refused(embedding):
    with pytest.raises(InputError, match="expected finite"):
        mean_shift(embedding)
