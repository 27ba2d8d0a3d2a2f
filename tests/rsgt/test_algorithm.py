"""Algorithm 1: equal to its twins, and true to the paper's invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsgt.inputs import InputError
from rsgt.regions import kernels
from rsgt.regions.algorithm import region_support
from tests import reference
from tests.strategies import frames

bins = st.integers(1, 12)
min_sizes = st.sampled_from([0, 1, 2, 3, 5, 9, 40])


def equal(result, expected):
    assert np.array_equal(result.region, expected[0])
    assert np.array_equal(result.segment, expected[2])
    np.testing.assert_allclose(
        result.support, expected[1], rtol=1e-6 if result.support.dtype == "f4" else 1e-12
    )


@given(frames(), bins, min_sizes, st.sampled_from(["cluster", "ignore"]))
@settings(max_examples=150)
def test_default_equals_its_twin(frame, bins, min_size, unlabelled):
    depth, semantic = frame
    result = region_support(depth, semantic, bins=bins, min_size=min_size, unlabelled=unlabelled)
    equal(result, reference.default_region_support(depth, semantic, unlabelled == "ignore", bins, min_size))


@given(frames(holes=False), bins)
@settings(max_examples=150)
def test_published_equals_its_twin(frame, bins):
    depth, semantic = frame
    result = region_support(depth, semantic, variant="published", bins=bins)
    assert result.support.dtype == np.float64
    equal(result, reference.published_region_support(depth, semantic, bins))


@given(frames(), st.sampled_from([0, 4]), bins)
@settings(max_examples=100)
def test_default_invariants(frame, min_size, bins):
    depth, semantic = frame
    result = region_support(depth, semantic, bins=bins, min_size=min_size)
    region, valid = result.region, depth > 0
    assert np.array_equal(region > 0, valid)
    labels, first = np.unique(region[valid], return_index=True)
    assert np.array_equal(labels, np.arange(1, labels.size + 1))
    assert (np.diff(first) > 0).all(), "raster order"
    for r in labels:
        inside = region == r
        assert ndimage.label(inside, reference.EIGHT)[1] == 1
        assert result.support[inside] == pytest.approx(depth[inside].mean(dtype=np.float64), rel=1e-6)
        if min_size == 0:
            assert np.unique(result.segment[inside]).size == 1


@given(frames(), bins)
@settings(max_examples=100)
def test_flip_shift_and_scale(frame, bins):
    depth, semantic = frame
    plain = region_support(depth, semantic, bins=bins, min_size=0)
    flipped = region_support(depth[:, ::-1], semantic[:, ::-1], bins=bins, min_size=0)
    assert np.array_equal(reference.raster_order(flipped.region[:, ::-1]), plain.region)
    further = region_support(np.where(depth > 0, depth + 4, 0), semantic, bins=bins, min_size=0)
    assert np.array_equal(further.region, plain.region)
    np.testing.assert_allclose(further.support[depth > 0], plain.support[depth > 0] + 4, rtol=1e-6)
    twice = region_support(2 * depth, semantic, bins=bins, min_size=0)
    assert np.array_equal(twice.region, plain.region)
    np.testing.assert_allclose(twice.support, 2 * plain.support, rtol=1e-6)


def test_merging_is_flip_invariant_without_ties():
    rng = np.random.default_rng(0)
    semantic = rng.integers(1, 4, (8, 8)).repeat(6, 0).repeat(6, 1).astype(np.uint16)
    depth = (1 + semantic + rng.integers(0, 2**12, semantic.shape) / 2**11).astype(np.float32)
    plain = region_support(depth, semantic, min_size=12)
    flipped = region_support(depth[:, ::-1], semantic[:, ::-1], min_size=12)
    assert plain.region.max() < region_support(depth, semantic, min_size=0).region.max()
    assert np.array_equal(reference.raster_order(flipped.region[:, ::-1]), plain.region)


def test_hand_computed_frame():
    # Wall (1) from 1 to 5 m in two plateaus, lamp (2) at 2 m; the frame's range is 4 m, a step 0.4 m.
    depth = np.array([[1, 1, 2, 5], [1, 1, 2, 5]], np.float32)
    semantic = np.array([[1, 1, 2, 1], [1, 1, 2, 1]])
    result = region_support(depth, semantic, min_size=0)
    assert result.region.tolist() == [[1, 1, 2, 3], [1, 1, 2, 3]]
    assert result.support.tolist() == [[1, 1, 2, 5], [1, 1, 2, 5]]
    assert result.segment.tolist() == [[1, 1, 2, 3], [1, 1, 2, 3]]
    # Published: one instance a category, highest id first; 1 m and 5 m are bounds, which strict steps lose.
    published = region_support(depth, semantic, variant="published")
    assert published.segment.tolist() == [[2, 2, 1, 2], [2, 2, 1, 2]]
    assert published.support.tolist() == [[0, 0, 2, 0], [0, 0, 2, 0]]
    assert published.region.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0]]


def test_small_region_prefers_its_own_segment():
    depth = np.full((6, 9), 2.0, np.float32)
    depth[:, 5:] = 2.0625
    depth[2, 2] = 8.0  # far from its own wall's mean, nearer to nothing
    semantic = np.ones((6, 9), int)
    semantic[:, 5:] = 2
    merged = region_support(depth, semantic, min_size=4)
    assert merged.region.max() == 2
    assert merged.region[2, 2] == merged.region[0, 0]
    kept = region_support(depth, semantic, min_size=1)
    assert kept.region.max() == 3


def test_instances_split_objects_of_one_category():
    depth = np.full((2, 4), 3.0, np.float32)
    semantic = np.array([[5, 5, 5, 0]] * 2)
    instance = np.array([[1, 1, 2, 3]] * 2)
    assert region_support(depth, semantic, min_size=0).region.tolist() == [[1, 1, 1, 2]] * 2
    split = region_support(depth, semantic, instance, min_size=0)
    assert split.region.tolist() == [[1, 1, 2, 3]] * 2


def test_invalid_depth_and_empty_frames():
    depth = np.array([[np.nan, np.inf, -1.0, 0.0, 2.0]], np.float32)
    result = region_support(depth, np.ones((1, 5), int), min_size=9)
    assert result.region.tolist() == [[0, 0, 0, 0, 1]]
    assert result.support.tolist() == [[0, 0, 0, 0, 2]]
    empty = region_support(np.zeros((3, 2), np.float32), np.ones((3, 2), int))
    assert not empty.region.any()
    assert not empty.support.any()
    flat = region_support(np.full((3, 2), 4.0), np.ones((3, 2), int), variant="published")
    assert not flat.region.any()  # a range of 0 m has no step, and the published loop never starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"semantic": np.ones((2, 3), int)}, "semantic: got shape"),
        ({"semantic": np.full((2, 2), -1)}, "from -1 to -1"),
        ({"semantic": np.full((2, 2), 2**31)}, "0 to 2,147,483,647"),
        ({"semantic": np.ones((2, 2))}, "expected integers"),
        ({"bins": 0}, "bins: got 0"),
        ({"min_size": -1}, "min_size: got -1"),
        ({"unlabelled": "drop"}, "unlabelled: got 'drop'"),
        ({"variant": "new"}, "variant: got 'new'"),
        ({"variant": "published", "instance": np.ones((2, 2), int)}, "knows categories only"),
        ({"variant": "published", "depth_m": np.full((2, 2), np.nan)}, "needs finite depth"),
        ({"depth_m": np.ones((2, 2, 1)), "semantic": np.ones((2, 2, 1), int)}, "shape (y, x)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"depth_m": np.ones((2, 2)), "semantic": np.ones((2, 2), int)}
    with pytest.raises(InputError) as caught:
        region_support(**{**good, **arguments})
    assert message in str(caught.value)


@given(frames(), min_sizes)
@settings(max_examples=100)
def test_region_statistics_equal_their_twin(frame, min_size):
    depth, semantic = frame
    region = region_support(depth, semantic, min_size=min_size).region
    n = int(region.max())
    got = kernels.region_statistics(region, depth, semantic, n)
    if n:
        for column, expected in zip(got, reference.region_statistics(region, depth, semantic), strict=True):
            np.testing.assert_allclose(column, expected, rtol=1e-6, atol=1e-12)


@given(frames())
@settings(max_examples=100)
def test_count_pieces(frame):
    _, semantic = frame
    label = semantic.astype(np.int32)
    assert kernels.count_pieces(label) == reference.components(label, label > 0).max()


def test_transposed_colour_equals_numpy():
    rgb = np.random.default_rng(1).integers(0, 256, (2, 3, 70, 50), np.uint8)
    out = np.empty((2, 50, 70, 3), np.uint8)
    kernels.transpose_rgb(rgb, out)
    assert np.array_equal(out, rgb.transpose(0, 3, 2, 1))


@pytest.mark.parametrize("variant", ["default", "published"])
def test_real_frames_equal_the_twin(real_mat, variant):
    from rsgt.sources import open_source

    source = open_source(real_mat)
    for k in (0, 9, 17):
        depth, semantic = source.depth([k])[0], source.semantic([k])[0]
        if variant == "published":
            expected = reference.published_region_support(depth, semantic, 10)
            result = region_support(depth, semantic, variant="published")
            assert np.array_equal(result.segment, expected[2])
            assert np.array_equal(result.region, expected[0])
            np.testing.assert_allclose(result.support, expected[1], rtol=1e-9)
        else:  # the twin's merging takes minutes on a whole frame
            crop = np.s_[100:220, 200:360]
            expected = reference.default_region_support(depth[crop], semantic[crop], False, 10, 32)
            equal(region_support(depth[crop], semantic[crop], min_size=32), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth_m": np.full((2, 2), 2700, np.uint16)}, "millimetres? divide by 1000"),
        ({"depth_m": np.full((2, 2), 3)}, "millimetres? divide by 1000"),
        ({"depth_m": np.full((2, 2), 2700.0)}, "median of 2,700, expected metres; millimetres"),
        ({"depth_m": np.array([[0, 700], [np.nan, 900]])}, "median of 800"),
        ({"depth_m": np.array([[1e300, 1], [1, 1]])}, "within float32"),
        ({"depth_m": np.ones((2, 2), complex)}, "got complex128"),
        ({"depth_m": np.ones((2, 2), bool)}, "got bool"),
        ({"depth_m": np.full((2, 2), "1.0")}, "expected floats"),
        ({"depth_m": np.full((2, 2), None)}, "got object"),
        ({"depth_m": [[1.0, 2.0], [1.0]]}, "can't be made a NumPy array"),
        ({"depth_m": np.ones((0, 2)), "semantic": np.ones((0, 2), int)}, "without a pixel"),
        ({"depth_m": 1.0, "semantic": 1}, "shape (y, x)"),
        ({"semantic": np.ones((2, 2), bool)}, "got bool"),
        ({"semantic": np.full((2, 2), "wall")}, "expected integers"),
        ({"semantic": np.full((2, 2), 2**63, np.uint64)}, "from 0 to 2,147,483,647"),
        ({"instance": np.full((2, 2), -1)}, "instance: got int64 from -1"),
        (
            {"variant": "published", "depth_m": np.ma.masked_equal([[1.0, 2], [3, 4]], 3)},
            "needs finite depth",
        ),
        ({"bins": 10**9}, "bins: got 1000000000, expected at least 1 and at most 10000"),
        ({"bins": 2.5}, "a whole number"),
        ({"bins": True}, "a whole number"),
        ({"min_size": 10**30}, "min_size: got 1"),
        ({"grouping": "natural", "groups": 10**30}, "groups: got 1"),
        ({"grouping": "natural", "groups": "3"}, "groups: got '3'"),
    ],
)
def test_what_is_no_depth_in_metres_no_label_and_no_number_is_refused(arguments, message):
    test_bad_arguments_are_named(arguments, message)


@pytest.mark.parametrize("metres", [0.01, 3.0, 80.0, 400.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_plausible_depths_pass_indoors_and_out(metres, dtype):
    depth = np.full((2, 3), metres, dtype)
    depth[0, 0] = 60000  # the sky, as many data sets mark it
    assert region_support(depth, np.ones((2, 3), int), min_size=0).region.min() == 1


def test_a_mask_is_not_dropped():
    depth = np.ma.masked_equal(np.array([[1, 1, 2, 2]], np.float32), 2)
    ones = np.ones((1, 4), np.uint16)
    assert region_support(depth, ones, min_size=0).region.tolist() == [[1, 1, 0, 0]]
    semantic = np.ma.masked_array(ones, [[False, False, True, True]])
    result = region_support(np.ones((1, 4)), semantic, min_size=0, unlabelled="ignore")
    assert result.region.tolist() == [[1, 1, 0, 0]]
    instance = np.ma.masked_array(ones, [[False, False, True, True]])
    assert region_support(np.ones((1, 4)), ones, instance, min_size=0).region.tolist() == [[1, 1, 2, 2]]


def test_arrays_of_other_libraries():
    xarray, torch = pytest.importorskip("xarray"), pytest.importorskip("torch")
    depth, semantic = np.array([[1.0, 1, 4, 4]]), np.ones((1, 4), np.int64)
    expected = region_support(depth, semantic, min_size=0).region
    for make in (xarray.DataArray, torch.tensor, np.ndarray.tolist, np.asfortranarray):
        assert np.array_equal(region_support(make(depth), make(semantic), min_size=0).region, expected)
    assert np.array_equal(region_support(depth[:, ::-1], semantic[:, ::-1], min_size=0).region, expected)
    with pytest.raises(InputError, match="depth_m: can't be made a NumPy array"):
        region_support(torch.tensor(depth, requires_grad=True), semantic)


def test_no_labels_are_one_category():
    depth = np.random.default_rng(0).uniform(1, 5, (12, 16)).astype(np.float32)
    one = region_support(depth, np.ones((12, 16), int))
    equal(region_support(depth), (one.region, one.support, one.segment))
    instance = np.repeat([[1, 2]], 12, 0).repeat(8, 1)
    apart = region_support(depth, instance=instance, min_size=0)
    equal(region_support(depth, instance, min_size=0), (apart.region, apart.support, apart.segment))


@pytest.mark.parametrize("variant", ["default", "published"])
def test_ids_of_other_data_sets_are_only_names(variant):
    """Ids up to 2³¹ - 1, in whatever order: the same regions as of small ones in that order."""
    rng = np.random.default_rng(1)
    depth, small = rng.uniform(1, 5, (12, 16)).astype(np.float32), rng.integers(0, 4, (12, 16))
    large = np.array([0, 7, 70_000, 2**31 - 1])[small]
    expected = region_support(depth, small, variant=variant, unlabelled="ignore")
    found = region_support(depth, large, variant=variant, unlabelled="ignore")
    equal(found, (expected.region, expected.support, expected.segment))
    if variant == "default":
        key = region_support(depth, np.ones_like(small), np.where(small, large, 0), min_size=0)
        equal(region_support(depth, small + 1, min_size=0), (key.region, key.support, key.segment))


def test_more_labels_than_the_kernels_tell_apart():
    labels = np.arange(2**16).reshape(256, 256)
    depth = np.ones((256, 256), np.float32)
    assert region_support(depth, labels, min_size=0, bins=1).region.max() == 2**16
    with pytest.raises(InputError, match="65,536 different labels, expected at most 65,535"):
        region_support(depth, labels + 1)
    labels = np.minimum(labels, 2**16 - 2) + 2**20
    assert region_support(depth, labels, bins=1, min_size=0).region.max() == 2**16 - 1
