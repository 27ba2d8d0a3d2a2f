"""Mean shift of a 16 x 480 x 640 embedding on one core, against scikit-learn's of a 100th of its pixels.

scikit-learn's takes minutes for all of them. The obvious twin is timed on the whole, at the smallest number
of regions.
"""

import numpy as np
import pytest
from sklearn.cluster import MeanShift
from sklearn.metrics import adjusted_rand_score

from rsn.models.mean_shift import mean_shift
from tests.rsn import reference

HEIGHT, WIDTH, CHANNELS = 480, 640, 16


def scene(regions, noise):
    """Embedding (C, H, W) of Voronoi regions whose means are at least 0.68 apart, and their labels."""
    rng = np.random.default_rng(0)
    means = [rng.uniform(-0.5, 0.5, CHANNELS)]
    while len(means) < regions:
        mean = rng.uniform(-0.5, 0.5, CHANNELS)
        if min(np.linalg.norm(mean - other) for other in means) > 0.68:
            means.append(mean)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres = rng.uniform(0, (HEIGHT, WIDTH), (regions, 2))
    labels = np.argmin([(y - row) ** 2 + (x - column) ** 2 for row, column in centres], axis=0)
    embedding = np.array(means, np.float32)[labels]
    embedding += rng.normal(0, noise, embedding.shape).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(embedding, -1, 0)), labels


@pytest.mark.benchmark(group="mean shift")
@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("regions", [40, 70])
def test_ours(benchmark, regions, noise):
    embedding, truth = scene(regions, noise)
    labels = benchmark.pedantic(mean_shift, (embedding,), rounds=5, warmup_rounds=1)
    assert adjusted_rand_score(truth.ravel(), labels.ravel()) > 0.99


@pytest.mark.benchmark(group="mean shift")
def test_obvious_twin(benchmark):
    embedding, _ = scene(40, 0.01)
    labels = benchmark.pedantic(reference.mean_shift, (embedding,), rounds=1)
    np.testing.assert_array_equal(labels, mean_shift(embedding))


@pytest.mark.benchmark(group="mean shift")
def test_scikit_learn_on_a_100th(benchmark):
    embedding, truth = scene(40, 0.01)
    pixels = embedding.reshape(CHANNELS, -1).T[::100]
    labels = benchmark.pedantic(lambda: MeanShift(bandwidth=0.16).fit_predict(pixels), rounds=1)
    assert adjusted_rand_score(truth.ravel()[::100], labels) > 0.99
