"""Random change of batches: the image and its arrays move as one, and depth stays true."""

import numpy as np
import pytest
import torch

from rsn.data.augmentation import augment
from tests.rooms import room

SIZE = (36, 48)
STILL = {"flip": False, "rotation": 0.0, "zoom": 1.0, "jitter": 0.0}


@pytest.fixture(scope="module")
def batch():
    rooms = [room(seed, SIZE) for seed in range(6)]
    maps = {
        name: torch.from_numpy(np.stack([r[name] for r in rooms]))[:, None]
        for name in ("depth", "support", "region")
    }
    rgb = torch.from_numpy(np.stack([r["rgb"] for r in rooms])).permute(0, 3, 1, 2)
    return {"frame": torch.arange(10, 16), "rgb": rgb, **maps}


def changed(batch, **change):
    return augment(batch, seed=3, epoch=1, size=SIZE, **(STILL | change))


def test_nothing_asked_nothing_changed(batch):
    result = changed(batch)
    for name in batch:
        assert torch.allclose(result[name].float(), batch[name].float(), atol=1e-2)
    assert torch.equal(result["region"], batch["region"])
    assert result["region"].dtype == torch.int32


def test_a_mirrored_frame_is_mirrored_in_every_array(batch):
    result = changed(batch, flip=True)
    mirrored = [not torch.equal(result["region"][i], batch["region"][i]) for i in range(6)]
    assert 0 < sum(mirrored) < 6
    for i, mirror in enumerate(mirrored):
        for name in batch.keys() - {"frame"}:
            expected = batch[name][i].flip(-1) if mirror else batch[name][i]
            assert torch.allclose(result[name][i].float(), expected.float(), atol=1e-2)


@pytest.mark.parametrize("change", [{"rotation": 10.0}, {"flip": True, "rotation": 10.0, "zoom": 1.5}])
def test_arrays_move_with_each_other_and_support_stays_valid(batch, change):
    result = changed(batch, **change)
    for i in range(6):
        known = {
            int(r): float(s)
            for r, s in zip(batch["region"][i].ravel(), batch["support"][i].ravel(), strict=True)
        }
        seen = {
            int(r): float(s)
            for r, s in zip(result["region"][i].ravel(), result["support"][i].ravel(), strict=True)
        }
        ratios = [seen[label] / known[label] for label in seen if label]
        assert np.allclose(ratios, ratios[0])
        assert 1 / 1.5 - 1e-6 <= ratios[0] <= 1 + 1e-6
        inside = result["region"][i] > 0
        assert torch.equal(inside, result["support"][i] > 0)
        assert (result["depth"][i][inside] > 0).all()


def test_a_rotation_by_a_known_angle_turns_the_image(batch):
    """A bright spot on the horizontal axis lands where trigonometry, in pixels, puts it."""
    size = (101, 201)
    turned = []
    for frame in range(24):
        rgb = torch.zeros(1, 3, *size, dtype=torch.uint8)
        rgb[..., 48:53, 148:153] = 255
        only = {"frame": torch.tensor([frame]), "rgb": rgb}
        result = augment(only, seed=0, epoch=0, size=size, flip=False, rotation=30.0, zoom=1.0, jitter=0.0)[
            "rgb"
        ][0, 0]
        y, x = (
            float((result * axis).sum() / result.sum())
            for axis in torch.meshgrid(torch.arange(101.0), torch.arange(201.0), indexing="ij")
        )
        assert np.hypot(y - 50, x - 100) == pytest.approx(50, abs=0.2)
        turned.append(np.degrees(np.arctan2(y - 50, x - 100)))
    assert -30.5 < min(turned) < -15
    assert 15 < max(turned) < 30.5


def test_zoom_enlarges_and_brings_nearer(batch):
    """In a zoomed frame a square is z times as wide and its depth z times as small."""
    depth = torch.full((1, 1, 120, 160), 5.0)
    depth[..., 50:70, 70:90] = 2.0
    for frame in range(5):
        only = {
            "frame": torch.tensor([frame]),
            "rgb": torch.zeros(1, 3, 120, 160, dtype=torch.uint8),
            "depth": depth,
        }
        result = augment(
            only, seed=0, epoch=0, size=(120, 160), flip=False, rotation=0.0, zoom=1.3, jitter=0.0
        )
        zoom = 2.0 / float(result["depth"].min())
        assert 1 <= zoom <= 1.3
        assert float(result["depth"].max()) == pytest.approx(5 / zoom)
        area = int((result["depth"] < 3 / zoom).sum())
        assert area == pytest.approx(400 * zoom**2, rel=0.1)


def test_a_crop_may_be_taken_from_a_larger_frame(batch):
    result = augment(batch, seed=0, epoch=0, size=(18, 24), flip=True, rotation=5.0, zoom=2.0, jitter=0.1)
    assert result["rgb"].shape == (6, 3, 18, 24)
    assert result["region"].shape == (6, 1, 18, 24)


def test_what_is_drawn_depends_on_seed_epoch_and_frame_alone(batch):
    change = {"size": SIZE, "flip": True, "rotation": 10.0, "zoom": 1.4, "jitter": 0.3}
    whole = augment(batch, seed=1, epoch=2, **change)
    alone = augment({name: value[3:4] for name, value in batch.items()}, seed=1, epoch=2, **change)
    for name in whole:
        assert torch.equal(whole[name][3:4], alone[name])
    for other in ({"seed": 2, "epoch": 2}, {"seed": 1, "epoch": 3}):
        assert not torch.equal(augment(batch, **other, **change)["rgb"], whole["rgb"])


def test_recolouring_leaves_the_maps_alone_and_colour_in_range(batch):
    result = changed(batch, jitter=0.5)
    assert torch.equal(result["depth"], batch["depth"])
    assert not torch.allclose(result["rgb"], batch["rgb"].float(), atol=5)
    assert result["rgb"].min() >= 0
    assert result["rgb"].max() <= 255
