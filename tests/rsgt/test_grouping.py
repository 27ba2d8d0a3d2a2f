"""Groupings by steps of equal ratio and by natural breaks: equal to their twins, optimal, invariant."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from rsgt import builder
from rsgt.cli.commands import main
from rsgt.inputs import InputError
from rsgt.quality.verification import verify
from rsgt.regions import natural_breaks
from rsgt.regions.algorithm import region_support
from rsgt.sources import open_source
from rsgt.store import reader
from tests import reference, reference_grouping
from tests.strategies import frames

histograms = st.lists(
    st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any).map(np.array), min_size=1, max_size=4
)
widths = st.sampled_from([0.25, 0.5, 1.0, 3.0])


def natural_groups(counts, width, groups):
    """Run the kernel and cut its answer into the segments' own group numbers."""
    offset = np.cumsum([0, *map(len, counts)])
    group = natural_breaks.natural_groups(offset, np.concatenate(counts), np.array(width), groups)
    return [group[a:b] for a, b in itertools.pairwise(offset)]


@given(frames(), st.integers(1, 12), st.sampled_from([0, 4]))
@settings(max_examples=100)
def test_log_equals_its_twin(frame, bins, min_size):
    depth, semantic = frame
    result = region_support(depth, semantic, grouping="log", bins=bins, min_size=min_size)
    region, segment = reference_grouping.region_support(depth, semantic, "log", bins, None, min_size)
    assert np.array_equal(result.region, region)
    assert np.array_equal(result.segment, segment)


@given(frames(side=8), st.integers(1, 12), st.sampled_from([None, 1, 5, 20]), st.sampled_from([0, 4]))
@settings(max_examples=60)
def test_natural_equals_its_twin(frame, bins, groups, min_size):
    depth, semantic = frame
    result = region_support(depth, semantic, grouping="natural", bins=bins, groups=groups, min_size=min_size)
    region, segment = reference_grouping.region_support(depth, semantic, "natural", bins, groups, min_size)
    assert np.array_equal(result.region, region)
    assert np.array_equal(result.segment, segment)


@given(histograms, st.lists(widths, min_size=4, max_size=4), st.integers(1, 20))
@settings(max_examples=150)
def test_no_other_hand_out_of_groups_has_less_error(counts, width, groups):
    width = width[: len(counts)]
    found = natural_groups(counts, width, groups)
    held = [len(np.unique(group[count > 0])) for group, count in zip(found, counts, strict=True)]
    occupied = [np.count_nonzero(count) for count in counts]
    assert sum(held) == max(len(counts), min(groups, sum(occupied)))
    error = sum(
        reference_grouping.squared_error(np.where(group == g, count, 0)) * w**2
        for group, count, w in zip(found, counts, width, strict=True)
        for g in np.unique(group)
    )
    answers = [
        [e * w**2 for e, _ in reference_grouping.best_breaks(c, groups)]
        for c, w in zip(counts, width, strict=True)
    ]
    least = min(
        sum(answer[k - 1] for answer, k in zip(answers, shares, strict=True))
        for shares in itertools.product(*[range(1, len(answer) + 1) for answer in answers])
        if sum(shares) == sum(held)
    )
    assert error == pytest.approx(least, rel=1e-12, abs=1e-12)


@given(histograms.map(lambda counts: counts[0]))
@settings(max_examples=100)
def test_no_other_breaks_have_less_error(count):
    occupied = np.flatnonzero(count)
    for k, (error, _) in enumerate(reference_grouping.best_breaks(count, len(count)), 1):
        least = min(
            sum(
                reference_grouping.squared_error(np.where((at >= a) & (at < b), count, 0))
                for a, b in itertools.pairwise(cuts)
            )
            for at in [np.arange(len(count))]
            for inner in itertools.combinations(occupied[1:].tolist(), k - 1)
            for cuts in [[0, *inner, len(count)]]
        )
        assert error == pytest.approx(least, rel=1e-12, abs=1e-12)


def test_each_group_gains_at_most_what_the_one_before_gained():
    rng = np.random.default_rng(0)
    for _ in range(20):
        errors = [e for e, _ in reference_grouping.best_breaks(rng.integers(0, 50, 24) ** 2, 24)]
        gains = -np.diff(errors)
        assert (np.diff(gains) <= 1e-9 * errors[0]).all()


def test_k_means_never_does_better():
    rng = np.random.default_rng(1)
    depth = np.concatenate([rng.normal(m, s, 400) for m, s in ((2, 0.1), (3, 0.4), (6, 0.2), (7, 0.6))])
    count = np.histogram(depth, 256)[0]
    (group,) = natural_groups([count], [1.0], 5)
    error = sum(reference_grouping.squared_error(np.where(group == g, count, 0)) for g in range(5))
    centres = np.repeat(np.arange(256.0), count)[:, None]
    means = np.array([centres[group[centres[:, 0].astype(int)] == g].mean() for g in range(5)])[:, None]
    assert KMeans(5, init=means, n_init=1).fit(centres).inertia_ == pytest.approx(error)
    assert KMeans(5, n_init=10, random_state=0).fit(centres).inertia_ >= error * (1 - 1e-9)


def noisy_frame(seed):
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 4, (6, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint16)
    y, x = np.mgrid[: semantic.shape[0], : semantic.shape[1]]
    depth = 1 + semantic / 3 + (x + 2 * y) / 40 + rng.integers(0, 2**10, semantic.shape) / 2**11
    depth[:3, :5] = 0
    return depth.astype(np.float32), semantic


@pytest.mark.parametrize("grouping", ["log", "natural"])
@pytest.mark.parametrize("min_size", [0, 20])
def test_invariants(grouping, min_size):
    for seed in range(4):
        depth, semantic = noisy_frame(seed)
        result = region_support(depth, semantic, grouping=grouping, min_size=min_size)
        region, valid = result.region, depth > 0
        assert np.array_equal(region > 0, valid)
        assert np.array_equal(reference.raster_order(region), region)
        assert np.array_equal(reference.components(region, valid), region), "8-connected"
        n = np.bincount(region[valid])
        mean = np.bincount(region[valid], depth[valid].astype(float))[1:] / n[1:]
        np.testing.assert_allclose(result.support[valid], mean[region[valid] - 1], rtol=1e-6)
        assert (n[1:] >= min_size).all()
        flipped = region_support(depth[:, ::-1], semantic[:, ::-1], grouping=grouping, min_size=min_size)
        assert np.array_equal(reference.raster_order(flipped.region[:, ::-1]), region)
        twice = region_support(2 * depth, semantic, grouping=grouping, min_size=min_size)
        assert np.array_equal(twice.region, region)
        np.testing.assert_allclose(twice.support, 2 * result.support, rtol=1e-6)


def test_natural_breaks_do_not_move_with_the_depth():
    depth, semantic = noisy_frame(9)
    plain = region_support(depth, semantic, grouping="natural")
    further = region_support(np.where(depth > 0, depth + 4, 0), semantic, grouping="natural")
    assert np.array_equal(further.region, plain.region)


def test_hand_computed_breaks():
    # Five steps of 0.8 m put 2 m and 2.4 m of the wall together with 1 m or 5 m; natural breaks do not.
    depth = np.array([[1.0, 1.0, 2.0, 2.4, 5.0, 5.0]], np.float32)
    wall = np.ones((1, 6), int)
    result = region_support(depth, wall, grouping="natural", groups=3, min_size=0)
    assert result.region.tolist() == [[1, 1, 2, 2, 3, 3]]
    # One group more goes to the wall's 2 m and 2.4 m, not to the lamp, whose depths differ by less.
    lamp = np.array([[1, 1, 1, 1, 1, 1, 2, 2]])
    depth = np.array([[1.0, 1.0, 2.0, 2.4, 5.0, 5.0, 3.0, 3.1]], np.float32)
    assert region_support(depth, lamp, grouping="natural", groups=4, min_size=0).region.tolist() == [
        [1, 1, 2, 2, 3, 3, 4, 4]
    ]
    assert region_support(depth, lamp, grouping="natural", groups=5, min_size=0).region.tolist() == [
        [1, 1, 2, 3, 4, 4, 5, 5]
    ]


def test_more_groups_never_hurt_and_the_default_is_as_many_as_equal_steps():
    depth, semantic = noisy_frame(2)
    errors = []
    for groups in (1, 10, 40, 100, 400):
        support = region_support(depth, semantic, grouping="natural", groups=groups, min_size=0).support
        errors.append(float(np.square(support - depth).sum()))
    assert errors == sorted(errors, reverse=True)
    valid = depth > 0
    segment = reference.components(semantic, valid)
    delta = (depth[valid].max() - depth[valid].min()) / 10
    equal = sum(
        len(np.unique(reference.half_open_groups(depth[segment == s].astype(float), delta)))
        for s in range(1, segment.max() + 1)
    )
    default = region_support(depth, semantic, grouping="natural")
    assert np.array_equal(
        default.region, region_support(depth, semantic, grouping="natural", groups=equal).region
    )


@pytest.mark.parametrize("grouping", ["log", "natural"])
def test_one_depth_one_region(grouping):
    result = region_support(np.full((3, 4), 2, np.float32), np.ones((3, 4), int), grouping=grouping)
    assert result.region.tolist() == [[1] * 4] * 3
    empty = region_support(np.zeros((3, 4), np.float32), np.ones((3, 4), int), grouping=grouping)
    assert not empty.region.any()


def build(source_path, out, parameters, **options):
    source = open_source(source_path)
    return builder.build_plan(source, out, builder.plan_build(source, parameters, shard_frames=4), **options)


def test_a_store_of_natural_breaks_verifies_and_refuses_another_grouping(nyu_file, tmp_path):
    parameters = builder.Parameters(grouping="natural", groups=30, min_size=4)
    path = build(nyu_file[0], tmp_path / "s.zarr", parameters).path
    opened = reader.open_store(path)
    assert opened.attributes["parameters"]["grouping"] == "natural"
    assert opened.attributes["parameters"]["groups"] == 30
    depth, semantic = (opened.read(name, 3, 4)[0] for name in ("depth", "semantic"))
    expected = region_support(depth, semantic, grouping="natural", groups=30, min_size=4)
    assert np.array_equal(opened.read("region", 3, 4)[0], expected.region)
    assert verify(path).problems == []
    with pytest.raises(InputError, match="grouping is 'natural', asked 'log'; groups is 30, asked None"):
        build(nyu_file[0], path, builder.Parameters(grouping="log", min_size=4))


def test_build_takes_grouping_and_groups(nyu_file, tmp_path):
    common = ["build", "--nyu", str(nyu_file[0]), "--out", str(tmp_path / "s.zarr"), "--dry-run", "--json"]
    result = CliRunner().invoke(main, [*common, "--grouping", "natural", "--groups", "50"])
    assert result.exit_code == 0
    parameters = json.loads(result.stdout)["parameters"]
    assert (parameters["grouping"], parameters["groups"]) == ("natural", 50)
    assert json.loads(CliRunner().invoke(main, common).stdout)["parameters"]["grouping"] == "equal"
    for options, message in (
        (["--groups", "50"], "groups: got 50 with grouping 'equal'"),
        (["--grouping", "log", "--variant", "published"], "the published variant has equal steps only"),
        (["--grouping", "natural", "--groups", "0"], "groups: got 0, expected at least 1"),
    ):
        result = CliRunner().invoke(main, [*common, *options])
        assert result.exit_code == 2
        assert message in result.stderr


def test_an_unknown_grouping_is_named():
    with pytest.raises(InputError, match="grouping: got 'quantile', expected one of equal, log, natural"):
        region_support(np.ones((2, 2)), np.ones((2, 2), int), grouping="quantile")
