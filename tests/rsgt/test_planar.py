"""Planar region support: equal to its twin, true to the invariants, and exact where the scene is planes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsgt.inputs import InputError
from rsgt.regions import kernels, merging, natural_breaks, planar, planes
from rsgt.regions.algorithm import region_support
from tests import reference, reference_planar
from tests.strategies import frames


@st.composite
def noisy(draw, side=8):
    """Frames without ties: what the strategy draws, and noise below its steps."""
    depth, semantic = draw(frames(side=side))
    noise = np.random.default_rng(draw(st.integers(0, 2**32))).uniform(0, 1 / 64, depth.shape)
    return np.where(depth > 0, depth + noise, 0).astype(np.float64), semantic


def seeds(depth, semantic, min_size, regions=0):
    """What is merged: natural breaks, 1.3 for each equal step that a segment spans, 64 at least; by cells."""
    segment = reference.components(semantic, depth > 0)
    delta = np.ptp(depth[depth > 0]) / 10 if (depth > 0).any() else 0
    spans = [np.ptp(depth[segment == s]) for s in range(1, segment.max() + 1)]
    steps = sum(1 + int(span / delta) if delta else 1 for span in spans)
    breaks = max(int(1.3 * steps), 64, regions)
    natural = region_support(depth, semantic, grouping="natural", groups=breaks, min_size=0)
    y, x = (np.array(cells(size)) for size in depth.shape)
    piece = reference.components(natural.region * 169 + y[:, None] * 13 + x, depth > 0)
    return reference.raster_order(reference.merge_small(piece, natural.segment, depth, min_size))


def cells(size):
    """Cell of each pixel of a side, by hand: 13 at most, of 32 pixels at least, and an odd number."""
    n = {0: 1, 1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 5, 7: 7, 8: 7, 9: 9, 10: 9, 11: 11, 12: 11}.get(
        size // 32, 13
    )
    left = [x * n // size for x in range((size + 1) // 2)]
    return left + [n - 1 - cell for cell in left[: size // 2][::-1]]


@pytest.mark.parametrize("size", [1, 14, 96, 97, 200, 479, 480, 640, 1001])
def test_cells(size):
    found = planar.cell_of(size)
    assert found.tolist() == cells(size)
    assert (found[-1] - found[::-1] == found).all()
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found) <= 1).all()


def test_cells_equal_their_twin():
    y, x = np.indices((2, 96))
    noise = np.random.default_rng(0).normal(0, 0.002, x.shape)
    depth = 1 / (0.3 + np.where(x < 50, 0.002, -0.001) * (x - 50) + 0.01 * y + noise)
    depth[1, 40:45] = 0
    semantic = 1 + x // 70
    options = {"surface": "plane", "regions": 30}
    found = region_support(depth, semantic, min_size=0, **options)
    seed = seeds(depth, semantic, 0, 30)
    assert np.array_equal(found.region, reference_planar.merge_planes(depth, seed, found.segment, 30))
    found = region_support(depth, semantic, min_size=3, across_labels=True, **options)
    seed, anywhere = seeds(depth, semantic, 3, 30), np.zeros(depth.shape)
    assert np.array_equal(found.region, reference_planar.merge_planes(depth, seed, anywhere, 30))


@given(noisy(), st.sampled_from([None, 1, 3, 8]))
@settings(max_examples=20)
def test_merging_equals_its_twin(frame, regions):
    depth, semantic = frame
    found = region_support(depth, semantic, surface="plane", regions=regions, min_size=0)
    paper = int(region_support(depth, semantic, min_size=0).region.max())
    seed = seeds(depth, semantic, 0, regions or 0)
    expected = reference_planar.merge_planes(depth, seed, found.segment, regions or paper)
    assert np.array_equal(found.region, expected)
    np.testing.assert_allclose(found.support, reference_planar.support(depth, expected), rtol=1e-5)


@given(noisy(), st.sampled_from([0.01, 0.1, 1.0]), st.sampled_from([0, 5]))
@settings(max_examples=40)
def test_tolerance_and_across_labels_equal_their_twin(frame, tolerance, min_size):
    depth, semantic = frame
    options = {"surface": "plane", "min_size": min_size, "across_labels": True}
    found = region_support(depth, semantic, tolerance=tolerance, **options)
    anywhere = np.zeros(depth.shape)
    expected = reference_planar.merge_planes(depth, seeds(depth, semantic, min_size), anywhere, 1, tolerance)
    assert np.array_equal(found.region, expected)


@given(frames(), st.sampled_from([0, 4]), st.sampled_from([None, 5]), st.booleans())
@settings(max_examples=100)
def test_invariants(frame, min_size, regions, across):
    depth, semantic = frame
    result = region_support(
        depth, semantic, surface="plane", regions=regions, min_size=min_size, across_labels=across
    )
    region, valid = result.region, depth > 0
    assert np.array_equal(region > 0, valid)
    labels, first = np.unique(region[valid], return_index=True)
    assert np.array_equal(labels, np.arange(1, labels.size + 1))
    assert (np.diff(first) > 0).all(), "raster order"
    assert result.planes.shape == (labels.size, 3)
    assert np.array_equal(planes.plane_depth(region, result.planes), result.support)
    paper = region_support(depth, semantic, min_size=min_size)
    assert np.array_equal(paper.segment, result.segment)
    if regions is None and not across:
        assert labels.size >= min(paper.region.max(initial=0), 1)
    for r in labels:
        inside = region == r
        assert ndimage.label(inside, reference.EIGHT)[1] == 1
        off = result.support[inside].astype(float) - depth[inside]
        assert result.residual[r - 1] == pytest.approx((np.sqrt((off**2).mean()), off.var()), abs=1e-5)
        assert result.residual[r - 1, 0] <= depth[inside].std(dtype=float) + 1e-9
        if not result.planes[r - 1, :2].any():
            assert result.support[inside] == pytest.approx(depth[inside].mean(dtype=float), rel=1e-6)
        if min_size == 0 and not across:
            assert np.unique(result.segment[inside]).size == 1


@given(noisy(side=16), st.booleans())
@settings(max_examples=60)
def test_flip(frame, across):
    depth, semantic = frame
    # Two or three pixels are on many planes at once, which is a tie.
    options = {"surface": "plane", "min_size": 6, "across_labels": across, "regions": 3}
    plain = region_support(depth, semantic, **options)
    flipped = region_support(depth[:, ::-1], semantic[:, ::-1], **options)
    assert np.array_equal(reference.raster_order(flipped.region[:, ::-1]), plain.region)
    np.testing.assert_allclose(flipped.support[:, ::-1], plain.support, rtol=1e-5)


@given(frames(), st.sampled_from([2.0**-20, 0.5, 2.0, 2.0**6]))
@settings(max_examples=60)
def test_scaling_by_powers_of_two_is_exact(frame, factor):
    depth, semantic = frame
    options = {"surface": "plane", "min_size": 3, "unit_known": True}
    plain = region_support(depth, semantic, **options)
    scaled = region_support(depth * np.float32(factor), semantic, **options)
    assert np.array_equal(scaled.region, plain.region)
    assert np.array_equal(scaled.support, plain.support * np.float32(factor))
    assert np.array_equal(scaled.planes * factor, plain.planes)


def room(height=60, width=80, noise=0.0):
    """Three walls and a floor, by their planes of inverse depth; and which pixel is of which."""
    y, x = np.indices((height, width))
    sides = np.stack([
        0.4 - 0.004 * x, np.full(x.shape, 0.2), 0.1 + 0.0025 * (x - 20), 0.1 + 0.004 * (y - 20),
    ])  # fmt: skip
    depth = 1 / sides.max(axis=0)
    depth += noise * np.random.default_rng(0).normal(size=depth.shape) * depth**2
    return depth.astype(np.float32), sides.argmax(axis=0) + 1


def test_exact_planes_are_found():
    depth, side = room()
    found = region_support(depth, side, surface="plane", regions=4)
    assert np.array_equal(found.region, reference.raster_order(side))
    assert found.residual[:, 0].max() < 1e-5
    assert np.abs(found.support / depth - 1).max() < 1e-6
    by_tolerance = region_support(depth, side, surface="plane", tolerance=1e-4)
    assert np.array_equal(by_tolerance.region, reference.raster_order(side))


def test_across_labels_a_plane_is_one_whatever_lies_in_it():
    depth, side = room()
    door = side.copy()
    door[30:40, 35:45] = 9  # in the wall straight ahead, whose depth is constant
    options = {"surface": "plane", "tolerance": 1e-4}
    assert region_support(depth, door, **options).region.max() == 5
    found = region_support(depth, door, across_labels=True, **options)
    assert found.region.max() == 4
    assert np.unique(found.region[door == 9]).size == 1


def test_noise_is_not_cut_into_more_planes():
    depth, side = room(noise=0.002)
    found = region_support(depth, side, surface="plane", regions=4)
    assert np.array_equal(found.region, reference.raster_order(side))
    a, b, c = found.planes[found.region[0, 0] - 1]
    assert (a, b, c) == pytest.approx((-0.004, 0, 0.4), abs=2e-3)


def test_far_and_narrow_regions_keep_their_digits():
    """A strip two pixels wide far from the frame's first pixel, and 400 m away."""
    depth = np.full((4, 3000), 2.0)
    y, x = np.indices((2, 40))
    strip = 1 / 400 + 1e-9 * x + 3e-8 * y
    depth[2:, 2950:2990] = 1 / strip
    semantic = np.ones(depth.shape, int)
    semantic[2:, 2950:2990] = 2
    found = region_support(depth, semantic, surface="plane", regions=2)
    a, b, c = found.planes[1]
    assert (a, b) == pytest.approx((1e-9, 3e-8), rel=1e-6)
    assert a * 2950 + b * 2 + c == pytest.approx(1 / 400, rel=1e-12)


def test_what_no_plane_fits_better_keeps_the_mean():
    # The plane through a near and two far depths goes behind the camera.
    depth = np.array([[1.0, 60.0, 1.0, 60.0, 1.0, 60.0, 1.0, 60.0]])
    found = region_support(depth, np.ones(depth.shape, int), surface="plane", regions=1)
    assert found.planes[0].tolist() == [0, 0, pytest.approx(1 / 30.5)]
    assert np.unique(found.support).tolist() == [30.5]
    assert found.residual[0] == pytest.approx((29.5, 29.5**2))


@pytest.mark.parametrize("values", [(1e-38, 1, 3e38), (1e-3, 2, 6e4), (1e-30, 1e-20, 1e30)])
def test_any_depth_within_float32(values):
    rng = np.random.default_rng(0)
    depth = (rng.choice(values, (9, 12)) * rng.uniform(0.5, 1, (9, 12))).astype(np.float32)
    found = region_support(depth, surface="plane", regions=3, min_size=0, unit_known=True)
    assert found.region.max() >= 3
    assert np.isfinite(found.support).all()
    assert (found.support > 0).all()
    assert np.isfinite(found.residual[:, 0]).all()


def test_ten_thousand_seeds_and_again():
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 9, (150, 160)).astype(np.float32)
    options = {"surface": "plane", "min_size": 0, "regions": 100}
    seed = region_support(depth, grouping="natural", groups=100, min_size=0).region
    assert seed.max() > 10_000
    found = region_support(depth, **options)
    assert found.region.max() == 100
    assert np.array_equal(region_support(depth, **options).region, found.region)


def test_holes_and_empty_frames():
    depth = np.array([[np.nan, np.inf, -1.0, 0.0, 2.0]], np.float32)
    found = region_support(depth, surface="plane")
    assert found.region.tolist() == [[0, 0, 0, 0, 1]]
    assert found.support.tolist() == [[0, 0, 0, 0, 2]]
    empty = region_support(np.zeros((3, 2), np.float32), surface="plane")
    assert not empty.region.any()
    assert empty.planes.shape == (0, 3)
    assert empty.residual.shape == (0, 2)
    semantic = np.array([[0, 0, 1, 1]])
    ignored = region_support(np.ones((1, 4)), semantic, surface="plane", unlabelled="ignore")
    assert ignored.region.tolist() == [[0, 0, 1, 1]]


@given(noisy())
@settings(max_examples=60)
def test_moments_of_parts_are_those_of_the_whole(frame):
    """And the plane of any region is NumPy's least-squares one."""
    depth, semantic = frame
    runs = kernels.segment_runs(depth, semantic, False)
    if not runs.starts.size:
        return
    component = kernels.connect(runs.starts, runs.ends, runs.row, runs.key, runs.starts.size)
    n = int(component.max()) + 1
    parts = planes.region_moments(depth, runs, component, n, 1.0)
    whole = planes.region_moments(depth, runs, np.zeros_like(component), 1, 1.0)[0]
    joined = parts[0]
    for r in range(1, n):
        both = np.empty(planes.MOMENTS)
        planes.join_moments(joined, parts[r], both)
        joined = both
    np.testing.assert_allclose(joined, whole, rtol=1e-9, atol=1e-9)
    expected = reference_planar.squared_error(depth, depth > 0)
    assert planes.squared_error(whole) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(noisy(side=12), st.integers(1, 3))
@settings(max_examples=60)
def test_planes_equal_their_twin_and_are_no_worse_than_the_mean(frame, kinds):
    """Regions of any shape, connected or not, with depths that lie far apart."""
    depth, semantic = frame
    depth = depth ** np.float64(2)
    region = np.where(depth > 0, 1 + semantic % kinds, 0)
    region = np.searchsorted(np.unique(region[region > 0]), region, "left") * (region > 0) + (region > 0)
    runs = kernels.segment_runs(depth, region.astype(np.uint16), False)
    if not runs.starts.size:
        return
    of_run, n = (runs.key - 1).astype(np.int64), int(region.max())
    scale = planes.depth_scale(runs.frame_high)
    moments = planes.region_moments(depth, runs, of_run, n, scale)
    found, residual, support = planes.fit_planes(depth, runs, of_run, moments, scale)
    expected = reference_planar.support(depth, region)
    np.testing.assert_allclose(support, expected, rtol=1e-4)
    assert np.array_equal(planes.plane_depth(region, found), support)
    for r in range(1, n + 1):
        assert residual[r - 1, 0] <= depth[region == r].std() + 1e-9


def test_a_step_in_metres_counts_what_lies_far_from_the_plane():
    """A wall at 6 m with a hand at 1 m before it: by inverse depth alone it would count a sixth."""
    depth = np.full((40, 40), 6.0)
    depth[18:22, 18:22] = 1.0
    found = region_support(depth, surface="plane", regions=1)
    off = found.support - depth
    assert found.region.max() == 1
    assert abs(off.mean()) < 0.01  # the mean has the least squared error


def test_a_tolerance_is_what_a_merge_may_cost():
    """Two walls 10 cm apart: what one plane leaves is the cost of making them one."""
    depth = np.full((40, 40), 2.0)
    depth[:, 20:] = 2.1
    together = region_support(depth, surface="plane", regions=1)
    cost = float(((together.support - depth) ** 2).sum())
    limit = np.sqrt(cost / (0.01 * depth.size))
    for factor, expected in ((0.95, 2), (1.05, 1)):
        found = region_support(depth, surface="plane", tolerance=factor * limit)
        assert found.region.max() == expected


def test_merging_knows_only_its_pairs():
    moments = np.zeros((3, planes.MOMENTS))
    moments[:, 0] = moments[:, 1] = 1
    moments[:, 2] = [0, 1, 2]
    pairs = np.array([[0, 2]], np.int32)
    assert merging.merge_regions(moments, pairs, 1, np.inf, False).tolist() == [0, 1, 0]
    assert merging.merge_regions(moments, pairs, 1, 0.0, False).tolist() == [0, 1, 0]
    assert natural_breaks.BINS == 256  # what the twin's seeds are made of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"surface": "sphere"}, "surface: got 'sphere'"),
        ({"surface": "constant", "regions": 3}, "regions: is for planes"),
        ({"surface": "constant", "tolerance": 0.1}, "tolerance: is for planes"),
        ({"surface": "constant", "across_labels": True}, "across_labels: is for planes"),
        ({"variant": "published"}, "a variant and a grouping of their own"),
        ({"grouping": "natural"}, "a variant and a grouping of their own"),
        ({"regions": 3, "tolerance": 0.1}, "exclude each other"),
        ({"regions": 0}, "regions: got 0"),
        ({"regions": 2.5}, "a whole number"),
        ({"tolerance": 0}, "tolerance: got 0"),
        ({"tolerance": np.nan}, "tolerance: got nan"),
        ({"tolerance": "1"}, "tolerance: got '1'"),
        ({"across_labels": 1}, "across_labels: got 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError) as caught:
        region_support(np.ones((2, 2)), **{"surface": "plane", **arguments})
    assert message in str(caught.value)
