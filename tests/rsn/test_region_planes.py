"""Planes and a predicted depth: what true ones restore, and what its own make of it, against plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import rsgt
from rsn.data.resize import joint_bilateral_upsample, resize_nearest
from rsn.experiment.assembly import read_trained
from rsn.models.frames import predict_frames
from rsn.models.inference import infer
from rsn.models.region_planes import blend_planes, enlarge_along_planes, match_planes
from rsn.training.device import make_fabric
from tests import reference_planar
from tests.conftest import smooth_frames, write_nyu
from tests.rsn.checkpoints import write_checkpoint


def planar(region, depth):
    """True planar support of frames (B, y, x) by the slow twin."""
    return torch.stack([
        torch.from_numpy(reference_planar.support(z.numpy(), r.numpy()))
        for r, z in zip(region, depth, strict=True)
    ])[:, None].float()  # fmt: skip


def test_regions_get_the_planes_of_their_support_and_keep_their_shape():
    rng = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    region = (1 + 2 * (x > 13).int() + (y > 8).int())[None].repeat(2, 1, 1)
    region[0, 3:5, 3:20], region[1, 0, 0] = 0, 5  # some without, and a region of one pixel
    slope = 1 / (0.3 + 0.01 * region * (x / 30) - 0.02 * (y / 20) * (region - 2))
    truth = slope + 0.03 * torch.rand(2, 20, 30, generator=rng)
    support = planar(region, truth)
    shape = 0.02 * torch.rand(2, 1, 20, 30, generator=rng)
    metres = support * (1.3 + 0.01 * x - 0.02 * y) + shape
    found = match_planes(metres, support, region)
    assert found.dtype == torch.float32
    assert torch.equal(found[support == 0], metres[support == 0])
    for frame in range(2):
        for label in range(1, 6 if frame else 5):
            inside = (region[frame] == label).numpy()
            s = support[frame, 0].numpy()[inside].astype(float)
            rows, columns = np.nonzero(inside)

            def plane(depth, where=(rows, columns), weight=s**2):
                basis = np.stack([np.ones(weight.size), *where], axis=1) * weight[:, None]
                return basis @ np.linalg.lstsq(basis, weight / depth, rcond=1e-9)[0] / weight

            own = metres[frame, 0].numpy()[inside].astype(float)
            expected = own * plane(own) * s
            np.testing.assert_allclose(found[frame, 0].numpy()[inside], expected, rtol=1e-5)
    before, after = ((maps - truth[:, None])[support > 0].square().mean() for maps in (metres, found))
    assert after < 0.1 * before
    # A depth that is the support already, and one that is another plane throughout, become the support.
    assert torch.allclose(match_planes(support, support, region), support, rtol=1e-6)
    tilted = 1 / (1 / support.clamp_min(1e-9) + 0.1 + 0.002 * x) * (support > 0)
    assert torch.allclose(match_planes(tilted, support, region), support, rtol=1e-5)
    nothing = torch.zeros_like(metres)
    assert torch.equal(match_planes(nothing, support, region), nothing)


def test_what_corrects_nothing_gives_planes_back_at_their_own_size():
    rng = torch.Generator().manual_seed(6)
    large = 1 + 4 * torch.rand(1, 1, 24, 32, generator=rng)
    large[..., :2, :] = 0
    small = resize_nearest(large, (6, 8))
    found = enlarge_along_planes(small, small, large)
    assert torch.allclose(found[large > 0], large[large > 0])
    assert torch.equal(found[large == 0], joint_bilateral_upsample(small, small, large)[large == 0])


def test_depth_is_drawn_towards_its_own_planes_and_nothing_else():
    rng = torch.Generator().manual_seed(7)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    region = (1 + (x > 13).int())[None]
    region[0, :3] = 0
    surfaces = 1 / torch.where(x > 13, 0.2 + 0.004 * y, 0.5 - 0.006 * x)[None, None]
    metres = surfaces * (1 + 0.1 * torch.rand(1, 1, 20, 30, generator=rng))
    metres[0, 0, 10, 5] = 0
    found = {share: blend_planes(metres, region, share) for share in (0.0, 0.6, 1.0)}
    assert found[0.6].dtype == torch.float32
    assert torch.allclose(found[0.0], metres)
    for maps in found.values():
        assert torch.equal(maps[:, :, :3], metres[:, :, :3])
        assert maps[0, 0, 10, 5] == 0
    assert torch.allclose(found[0.6], 0.4 * metres + 0.6 * found[1.0], rtol=1e-5)
    for label in (1, 2):
        inside = ((region[0] == label) & (metres[0, 0] > 0)).numpy()
        own, (rows, columns) = metres[0, 0].numpy()[inside].astype(float), np.nonzero(inside)
        basis = np.stack([np.ones(own.size), rows, columns], axis=1)
        plane = basis @ np.linalg.lstsq(basis * own[:, None] ** 2, own, rcond=1e-9)[0]
        np.testing.assert_allclose(found[1.0][0, 0].numpy()[inside], 1 / plane, rtol=1e-5)
    assert torch.allclose(blend_planes(surfaces, region, 1.0), surfaces, rtol=1e-5)


def test_a_plane_that_fits_badly_leaves_depth_alone():
    metres = torch.full((1, 1, 10, 12), 2.0)
    metres[..., 4:] = 9.0
    region = torch.ones(1, 10, 12, dtype=torch.int32)
    found = blend_planes(metres, region, 1.0)
    kept = found == metres
    assert kept.any()
    assert not kept.all()
    assert ((found / metres)[~kept] > 0.5).all()
    assert ((found / metres)[~kept] < 2).all()
    nothing = torch.zeros_like(metres)
    assert torch.equal(blend_planes(nothing, region, 0.6), nothing)


@pytest.mark.parametrize("flip", [False, True])
def test_the_whole_network_predicts_the_planes_of_regions_in_its_support(tmp_path, flip):
    rng = torch.Generator().manual_seed(8)
    rgb = torch.randint(0, 255, (2, 3, 48, 64), dtype=torch.uint8, generator=rng)
    rgb[..., :30] //= 4
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": "rsn", "planes": 0.6, "initial": "depth"})
    trained = read_trained(path)

    def predicted(planes):
        model = replace(trained.model, planes=planes)
        return infer(model, trained.network, {"rgb": rgb}, (60, 80), flip=flip)

    plain, blended = predicted(0.0), predicted(trained.model.planes)
    assert plain.region is None
    assert blended.region is not None
    assert blended.region.shape == (2, 1, 60, 80)
    assert blended.region.amax(dim=(1, 2, 3)).tolist() == [70, 70]
    assert torch.equal(blended.depth, blend_planes(plain.depth, blended.region[:, 0], 0.6))
    assert not torch.allclose(blended.depth, plain.depth, rtol=1e-4)
    for name in ("initial", "support"):
        assert torch.equal(getattr(blended, name), getattr(plain, name))


def test_a_planar_store_guides_by_its_planes(tmp_path):
    store = rsgt.build(
        write_nyu(tmp_path / "a.mat", smooth_frames(4, (96, 128))), tmp_path / "s.zarr", surface="plane",
        regions=40,
    )  # fmt: skip
    path = write_checkpoint(
        tmp_path / "a.ckpt",
        network={"model": "refinement", "residual": True},
        data={"size": [24, 32], "guidance": "ground-truth"},
    )
    trained = read_trained(path)
    options = {"size": (24, 32), "batch_size": 2, "workers": 0, "superpixels": 9, "full_size": ["support"]}
    frames = predict_frames(make_fabric("cpu"), trained.model, trained.network, store, range(4), **options)
    for found in frames:
        assert not np.array_equal(found.depth, found.truth["support"])
        # A network that corrects hardly anything yet gives the planes back, with their slopes and borders.
        np.testing.assert_allclose(found.depth, found.truth["support"], rtol=0.02)
