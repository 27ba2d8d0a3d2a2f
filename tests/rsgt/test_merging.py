"""Regions of little variance: equal to a slow twin, and true to what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsgt.inputs import InputError
from rsgt.regions.merging import merged_regions
from tests import reference

CROSS = ndimage.generate_binary_structure(2, 1)


@st.composite
def maps(draw, side=6, channels=2):
    """Noise, which has no ties; some pixels are not finite."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.normal(size=(draw(st.integers(1, channels)), height, width))
    values[:, rng.random((height, width)) < draw(st.sampled_from([0, 0.3, 1]))] = np.nan
    return values


def squared_error(values, inside):
    of = values[:, inside]
    return float(((of - of.mean(axis=1, keepdims=True)) ** 2).sum())


def twin(values, regions):
    """Try every pair that touches, and merge the best, until there are few enough."""
    valid = np.isfinite(values).all(axis=0)
    label = np.where(valid, np.arange(1, valid.size + 1).reshape(valid.shape), 0)
    while True:
        present = np.unique(label[label > 0]).tolist()
        costs = []
        for a in present:
            around = ndimage.binary_dilation(label == a, CROSS) & (label > a)
            for b in np.unique(label[around]).tolist():
                parts = [squared_error(values, label == one) for one in (a, b)]
                costs.append((squared_error(values, (label == a) | (label == b)) - sum(parts), a, b))
        if len(present) <= regions or not costs:
            return reference.raster_order(label)
        _, a, b = min(costs)
        label[label == b] = a


@settings(max_examples=60)
@given(maps(), st.integers(1, 5))
def test_it_merges_as_its_twin(values, regions):
    assert np.array_equal(merged_regions(values, regions), twin(values, regions))


@settings(max_examples=40)
@given(maps(side=12), st.integers(1, 9))
def test_regions_are_connected_dense_and_few_enough(values, regions):
    found = merged_regions(values, regions)
    valid = np.isfinite(values).all(axis=0)
    assert found.dtype == np.int32
    assert np.array_equal(found > 0, valid)
    labels = np.unique(found[valid]).tolist()
    assert labels == [*range(1, len(labels) + 1)]
    for label in labels:
        assert ndimage.label(found == label, CROSS)[1] == 1
    pieces = ndimage.label(valid, CROSS)[1]
    assert len(labels) == min(max(regions, pieces), np.count_nonzero(valid))


def test_surfaces_are_found_whatever_their_colour():
    """Two walls, each with a picture: two regions by depth alone, four where colour counts enough."""
    depth = np.full((20, 30), 2.0)
    depth[:, 15:] = 3.0
    colour = np.zeros((20, 30))
    colour[5:9, 3:8] = colour[5:9, 20:25] = 1.0
    walls = merged_regions(depth[None], 2)
    assert np.array_equal(walls, 1 + (depth == 3))
    both = merged_regions(np.stack([depth, 5 * colour]), 4)
    assert len(np.unique(both)) == 4
    for region in range(1, 5):
        assert np.ptp(depth[both == region]) == np.ptp(colour[both == region]) == 0


def test_a_scale_is_a_weight():
    values = np.random.default_rng(0).normal(size=(2, 15, 15))
    assert np.array_equal(merged_regions(values, 8), merged_regions(4 * values, 8))
    alone = merged_regions(values[:1], 8)
    assert np.array_equal(merged_regions(values * [[[1.0]], [[1e-9]]], 8), alone)


@pytest.mark.parametrize(("shape", "regions"), [((4, 4), 2), ((1, 1, 4, 4), 2), ((1, 4, 4), 0)])
def test_what_it_refuses(shape, regions):
    with pytest.raises(InputError, match="merged regions: got maps of shape"):
        merged_regions(np.zeros(shape), regions)
