"""True planes as guidance: what they restore of a predicted depth, against plain NumPy."""

import numpy as np
import torch

import rsgt
from rsn.data.resize import joint_bilateral_upsample, resize_nearest
from rsn.experiment.assembly import read_trained
from rsn.models.frames import predict_frames
from rsn.models.region_planes import enlarge_along_planes, match_planes
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
