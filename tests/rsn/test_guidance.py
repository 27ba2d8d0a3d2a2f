"""What a refinement is guided by, against plain NumPy."""

import numpy as np
import pytest
import torch

from rsn.data.superpixels import superpixels
from rsn.models.refinement import guidance_channels
from tests.rooms import room


@pytest.fixture
def batch():
    rooms = [room(seed, (18, 24)) for seed in range(2)]
    names = ("depth", "support", "semantic", "rgb")
    arrays = {name: np.stack([r[name] for r in rooms]) for name in names}
    arrays["semantic"][:, 5:8] = 0
    batch = {
        name: torch.from_numpy(arrays[name].astype(np.float32))[:, None] for name in ("depth", "support")
    }
    batch["semantic"] = torch.from_numpy(arrays["semantic"].astype(np.int32))[:, None]
    batch["rgb"] = torch.from_numpy(arrays["rgb"]).permute(0, 3, 1, 2)
    return batch


def test_true_support_is_guidance_and_first_depth(batch):
    guide, coarse = guidance_channels(batch, "ground-truth", count=40)
    assert guide is coarse is batch["support"]


def test_no_guidance_is_zeros(batch):
    guide, coarse = guidance_channels(batch, "none", count=40)
    assert guide.shape == coarse.shape == batch["depth"].shape
    assert not guide.any()
    assert not coarse.any()


def test_labels_are_a_share_of_their_count_and_grant_nothing(batch):
    guide, coarse = guidance_channels(batch, "semantic", count=40)
    assert torch.equal(guide, batch["semantic"] / 40)
    assert not coarse.any()


def test_true_means_are_those_of_each_image_and_category(batch):
    _, coarse = guidance_channels(batch, "semantic", count=40, coarse="mean")
    for i in range(2):
        depth, labels = batch["depth"][i, 0].numpy(), batch["semantic"][i, 0].numpy()
        expected = np.zeros_like(depth)
        for label in np.unique(labels[labels > 0]):
            inside = labels == label
            expected[inside] = depth[inside & (depth > 0)].mean()
        assert np.allclose(coarse[i, 0].numpy(), expected, atol=1e-5)


def test_superpixels_cover_the_image_and_follow_it(batch):
    labels = superpixels(batch["rgb"][0].permute(1, 2, 0).numpy(), 12)
    assert labels.shape == (1, 18, 24)
    assert labels.min() == 1
    assert 4 <= labels.max() <= 24
    assert labels.dtype == torch.int32
