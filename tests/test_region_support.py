"""Algorithm 1: equal to its twins, and true to the paper's invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsgt import kernels
from rsgt.region_support import region_support
from rsgt.schema import InputError
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
@settings(max_examples=150, deadline=None)
def test_default_equals_its_twin(frame, bins, min_size, unlabelled):
    depth, semantic = frame
    result = region_support(depth, semantic, bins=bins, min_size=min_size, unlabelled=unlabelled)
    equal(result, reference.default_region_support(depth, semantic, unlabelled == "ignore", bins, min_size))


@given(frames(holes=False), bins)
@settings(max_examples=150, deadline=None)
def test_published_equals_its_twin(frame, bins):
    depth, semantic = frame
    result = region_support(depth, semantic, variant="published", bins=bins)
    assert result.support.dtype == np.float64
    equal(result, reference.published_region_support(depth, semantic, bins))


@given(frames(), st.sampled_from([0, 4]), bins)
@settings(max_examples=100, deadline=None)
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
@settings(max_examples=100, deadline=None)
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
        ({"semantic": np.full((2, 2), 70000)}, "0 to 65535"),
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
@settings(max_examples=100, deadline=None)
def test_region_statistics_equal_their_twin(frame, min_size):
    depth, semantic = frame
    region = region_support(depth, semantic, min_size=min_size).region
    n = int(region.max())
    got = kernels.region_statistics(region, depth, semantic, n)
    if n:
        for column, expected in zip(got, reference.region_statistics(region, depth, semantic), strict=True):
            np.testing.assert_allclose(column, expected, rtol=1e-6, atol=1e-12)


@given(frames())
@settings(max_examples=100, deadline=None)
def test_count_pieces(frame):
    _, semantic = frame
    label = semantic.astype(np.int32)
    assert kernels.count_pieces(label) == reference.components(label, label > 0).max()


def test_transposes_equal_numpy():
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (2, 3, 70, 50), np.uint8)
    out = np.empty((2, 50, 70, 3), np.uint8)
    kernels.transpose_rgb(rgb, out)
    assert np.array_equal(out, rgb.transpose(0, 3, 2, 1))
    labels = rng.integers(0, 10, (2, 70, 50), np.uint8)
    mapped = np.empty((2, 50, 70), np.uint16)
    table = rng.integers(0, 99, 9).astype(np.uint16)
    assert kernels.transpose_labels(labels, table, mapped) == 9
    assert np.array_equal(mapped, np.append(table, 0)[labels].transpose(0, 2, 1))
    depth = rng.random((1, 70, 50), np.float32)
    depth[0, 3, 4], depth[0, 5, 5], depth[0, 0, 0] = np.nan, -1, np.inf
    turned = np.empty((1, 50, 70), np.float32)
    assert kernels.transpose_depth(depth, turned) == 3
    assert np.array_equal(turned, depth.transpose(0, 2, 1), equal_nan=True)


@pytest.mark.parametrize("variant", ["default", "published"])
def test_real_frames_equal_the_twin(real_mat, variant):
    from rsgt.source import open_source

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
