"""Surface normals: planes at known angles, an obvious twin, rendered rooms, and where there are none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError
from rsgt.quality.judged import judged
from rsgt.quality.normals import Intrinsics, known_intrinsics, normal_angles, normal_map, normal_measures
from rsgt.quality.pooling import Pool
from rsgt.sources.cameras import nyu_camera
from tests import reference_measures as reference
from tests.rendered import SHAPE, rooms

CAMERA = Intrinsics(60.0, 55.0, 30.3, 22.8)
LONG = Intrinsics(520.0, 500.0, 11.0, 14.5)
"""Every fourth pixel is a neighbour, as of NYU's camera."""


def plane(normal, distance=2.0, shape=(48, 64)):
    return reference.plane_depth(shape, CAMERA, normal, distance).astype(np.float32)


def tilted(degrees):
    """Normal turned about the vertical axis out of the optical one."""
    return math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees))


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.6, 0, 0.8), (0.3, -0.8, 0.6), (-0.2, 0.1, 1)])
def test_the_normal_of_a_plane_is_that_of_the_plane(normal):
    """At every pixel, the border's and the steep ones with few near neighbours among them."""
    depth = plane(normal)
    found = normal_map(depth, (depth > 0) & (depth < 50), CAMERA)
    expected = np.array(normal) / np.linalg.norm(normal)
    known = ~np.isnan(found[..., 0])
    assert known.mean() > 0.5
    np.testing.assert_allclose(found[known], np.broadcast_to(expected, found[known].shape), atol=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 5.0, 11.0, 12.0, 25.0, 40.0])
def test_a_plane_tilted_by_a_known_angle_errs_by_it(degrees):
    target, prediction = plane((0, 0, 1)), plane(tilted(degrees))
    values = normal_measures(judged(prediction, target, target > 0), CAMERA).values
    assert values["normal_mean"] == pytest.approx(degrees, abs=1e-3)
    assert values["normal_median"] == pytest.approx(degrees, abs=1e-3)
    for name, bound in (("normal_11", 11.25), ("normal_22", 22.5), ("normal_30", 30.0)):
        assert values[name] == (degrees < bound)


def test_scale_turns_no_normal_but_a_shift_does():
    target = plane((0.4, 0.2, 1))
    valid = target > 0
    scaled = normal_measures(judged(1.7 * target, target, valid), CAMERA).values
    assert scaled["normal_mean"] == pytest.approx(0, abs=1e-3)
    assert normal_measures(judged(target, target, valid), CAMERA).values["normal_mean"] == 0
    assert normal_measures(judged(target + 0.5, target, valid), CAMERA).values["normal_mean"] > 1


def test_an_edge_mixes_no_surfaces():
    """Two walls one before the other: neighbours beyond the edge are another surface's."""
    target = np.where(np.arange(64) < 32, plane(tilted(20)), plane(tilted(-10), 5.0)).astype(np.float32)
    found = normal_map(target, target > 0, CAMERA)[1:-1, 1:-1]  # corners have too few neighbours
    np.testing.assert_allclose(found[:, :31], np.broadcast_to(tilted(20), (46, 31, 3)), atol=1e-4)
    np.testing.assert_allclose(found[:, 31:], np.broadcast_to(tilted(-10), (46, 31, 3)), atol=1e-4)


def test_a_frame_of_half_the_size_has_the_same_normals():
    camera = nyu_camera((480, 640))
    half = nyu_camera((240, 320))
    rng = np.random.default_rng(0)
    shape = (24, 32)
    coarse = 2 + np.cumsum(rng.normal(0, 0.01, shape), axis=1)
    fine = np.kron(coarse, np.ones((2, 2)))
    values = [
        normal_measures(judged(1.02 * depth**1.1, depth, depth > 0), known_intrinsics(one)).values[
            "normal_mean"
        ]
        for depth, one in ((fine, camera), (coarse, half))
    ]
    assert values[0] == pytest.approx(values[1], rel=0.2)


def test_a_ragged_prediction_does_not_escape():
    """A prediction whose pixels are near none of their neighbours is judged at every pixel of the truth."""
    target = plane((0, 0, 1))
    ragged = target * np.random.default_rng(0).uniform(0.3, 3, target.shape).astype(np.float32)
    found = normal_angles(ragged, target, target > 0, CAMERA)
    assert found.size == target.size
    assert np.median(found) > 30


def test_where_too_few_neighbours_count_there_is_no_normal():
    depth = plane((0, 0, 1))
    valid = np.zeros(depth.shape, bool)
    valid[20:23, 20:23] = True  # nine pixels, each a neighbour of all others
    assert (
        np.argwhere(~np.isnan(normal_map(depth, valid, CAMERA)[..., 0])).tolist()
        == np.argwhere(valid).tolist()
    )
    valid[20, 20] = False
    assert np.isnan(normal_map(depth, valid, CAMERA)).all()
    values = normal_measures(judged(depth, depth, valid), CAMERA).values
    assert all(math.isnan(value) for value in values.values())


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (9, 16), (17, 16), (3, 3), (0, 5)])
def test_small_maps(shape):
    depth = plane((0.1, 0.2, 1), shape=(48, 64))[: shape[0], : shape[1]]
    expected = reference.angles(depth * 2, depth, depth > 0, CAMERA)
    assert normal_angles(depth * 2, depth, depth > 0, CAMERA).size == expected.size


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 26),
    width=st.integers(1, 26),
    rough=st.sampled_from([0.0, 0.01, 0.04]),
    holes=st.sampled_from([0.0, 0.3]),
    hidden=st.booleans(),
    camera=st.sampled_from([CAMERA, LONG]),
)
def test_equal_to_the_obvious_twin(seed, height, width, rough, holes, hidden, camera):
    rng = np.random.default_rng(seed)
    target = plane((*rng.normal(0, 0.3, 2), 1), rng.uniform(1, 5), (height, width))
    target = (
        np.abs(target) * rng.choice([1, 1.5], (height, 1)) * rng.lognormal(0, rough, target.shape)
    ).clip(0.1, 20)
    target = target.astype(np.float32)
    prediction = (target * rng.lognormal(0, 0.05, target.shape)).astype(np.float32)
    valid = rng.random(target.shape) >= holes
    valid[: height // 2] &= not hidden
    expected = reference.angles(prediction, target, valid, camera)
    found = normal_angles(prediction, target, valid, camera)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    map_found = normal_map(target, valid, camera)
    np.testing.assert_allclose(map_found, reference.normals(target, target, valid, camera), atol=1e-6)


def test_the_surfaces_of_a_rendered_room_are_smooth_and_face_the_camera():
    room = rooms(1)[0]
    camera = known_intrinsics(nyu_camera(SHAPE))
    depth = room.depth_m
    found = normal_map(depth, depth > 0, camera)
    known = ~np.isnan(found[..., 0])
    assert known.mean() > 0.8
    assert ((found * reference.points(depth, camera)).sum(axis=-1)[known] > 0).mean() > 0.99
    values = normal_measures(judged(depth, depth, depth > 0), camera).values
    assert values == {"normal_mean": 0, "normal_median": 0, "normal_11": 1, "normal_22": 1, "normal_30": 1}


def test_images_pool_to_the_angles_of_all_pixels():
    rng = np.random.default_rng(1)
    pool, every = Pool(), []
    for k in range(3):
        target = plane((0.1 * k, 0, 1))
        prediction = (target * rng.lognormal(0, 0.01 * (k + 1), target.shape)).astype(np.float32)
        pool.add(normal_measures(judged(prediction, target, target > 0), CAMERA))
        every.append(normal_angles(prediction, target, target > 0, CAMERA))
    every = np.concatenate(every)
    found = pool.reduced()["pixel_pool"]
    assert found["normal_mean"] == pytest.approx(every.mean(), rel=1e-5)
    assert found["normal_median"] == pytest.approx(np.median(every), rel=4e-3)
    assert found["normal_22"] == pytest.approx(np.mean(every < 22.5))


def test_no_camera_no_normals():
    depth = plane((0, 0, 1))
    assert known_intrinsics({}) is None
    assert normal_measures(judged(depth, depth, depth > 0), None) is None
    assert known_intrinsics({"fx": 60.0, "fy": 55.0, "cx": 30.3, "cy": 22.8}) == CAMERA


def test_what_cannot_be_judged_is_refused():
    depth = plane((0, 0, 1))
    broken = depth.copy()
    broken[3, 3] = np.nan
    with pytest.raises(InputError, match="1 predictions are not finite"):
        normal_measures(judged(broken, depth, depth > 0), CAMERA)
    with pytest.raises(InputError, match="target is not > 0"):
        normal_measures(judged(depth, broken, depth > 0), CAMERA)
    with pytest.raises(InputError, match="expected one shape"):
        normal_measures(judged(depth[1:], depth, depth > 0), CAMERA)
    assert normal_measures(judged(broken, depth, np.isfinite(broken)), CAMERA) is not None
