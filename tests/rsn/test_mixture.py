"""Several stores at once: whose frames, how often, in which order, with which labels; runs on two stores."""

import csv
import json
import os
import signal
import tomllib
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import rsn
from rsgt.inputs import DataWarning, InputError
from rsgt.sources.facts import class_map, class_names
from rsgt.store.reader import open_store
from rsn.cli import main
from rsn.data.augmentation import augment
from rsn.data.categories import shared_categories, to_forty
from rsn.data.dataset import EpochBatches, collate, epoch_order
from rsn.data.mixed_frames import MixedFrames
from rsn.data.mixture import divide, mixed, mixed_order
from rsn.data.split import hold_out
from rsn.training import checkpoint, progress
from tests.rooms import write_rooms

FORTY = tuple(class_names("40"))
TINY = {
    "model": "generation", "width": 8, "size": (24, 32), "epochs": 3, "workers": 0, "batch_size": 2,
    "device": "cpu", "validation": 0.2, "seed": 4, "ema": 0.9, "zoom": 1.3, "jitter": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two stores of other sizes and classes: NYU's raw ones, and SUN RGB-D's."""
    folder = tmp_path_factory.mktemp("stores")
    return [
        write_rooms(folder / "nyu.zarr", train=8, test=2, class_names=tuple(class_names("894"))),
        write_rooms(folder / "sun.zarr", train=4, test=2, shape=(40, 60), class_names=FORTY[:37]),
    ]


@pytest.fixture(scope="module")
def finished(pair, tmp_path_factory):
    """A run on both, each half of an epoch."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert rsn.fit(pair, out, stream=None, shares=(1, 1), **TINY).complete
    return out


def write_labels(path, names, **options):
    return open_store(write_rooms(path, train=4, test=0, class_names=tuple(names), **options))


def drawn_of(portions, mixture, epoch, seed=0):
    """An epoch's frames, store by store."""
    order = mixed_order(portions, len(mixture), seed=seed, epoch=epoch)
    positions = [item % len(mixture) for item in order]
    return [[p - part.first for p in positions if 0 <= p - part.first < len(part.store)] for part in portions]


def test_a_store_alone_keeps_its_order(pair):
    for given in (pair[0], str(pair[0]), [pair[0]], open_store(pair[0])):
        alone = mixed(given)
        portions = divide(alone, (), 0.2, 4)
        learn, validate = hold_out(alone.stores[0], 0.2, 4)
        assert (portions[0].learn, portions[0].validate) == (learn, validate)
        assert alone.identity == alone.stores[0].identity
        assert alone.frame_name(2) == "103"
        for epoch in range(5):
            expected = epoch_order(learn, 4, seed=4, epoch=epoch)
            assert mixed_order(portions, len(alone), seed=4, epoch=epoch) == expected


def test_frames_of_several_stores_follow_each_other(pair):
    both = mixed(pair)
    assert (len(both), both.first, both.names) == (16, [0, 10], ["nyu.zarr", "sun.zarr"])
    assert both.identity == "+".join(store.identity for store in both.stores)
    assert (both.frame_name(9), both.frame_name(10)) == ("nyu.zarr 110", "sun.zarr 101")
    portions = divide(both, (), 0.2, 0)
    for part in portions:
        assert (part.learn, part.validate) == hold_out(part.store, 0.2, 0)
    items = MixedFrames(portions, ("depth",), (24, 32), superpixels=9, cache=False)
    batch = collate([items[11], items[3], items[11 + 2 * 16]])
    assert batch["frame"].tolist() == [11, 3, 11]
    assert batch["turn"].tolist() == [0, 0, 2]
    assert batch["rgb"].shape == (3, 3, 24, 32)
    assert torch.equal(batch["depth"][0], batch["depth"][2])


def test_without_shares_an_epoch_has_every_frame_once(pair):
    both = mixed(pair)
    portions = divide(both, (), 0.2, 0)
    assert [part.drawn for part in portions] == [len(part.learn) for part in portions]
    orders = [drawn_of(portions, both, epoch) for epoch in range(3)]
    for order in orders:
        assert [sorted(found) for found in order] == [[*part.learn] for part in portions]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("shares", [(1, 1), (1, 5), (0.7, 0.3), (3e300, 1e300)])
def test_shares_are_kept_and_no_frame_is_favoured(pair, shares):
    both = mixed(pair)
    portions = divide(both, shares, 0, 0)
    total = 12
    assert sum(part.drawn for part in portions) == total
    for part, share in zip(portions, shares, strict=True):
        assert abs(part.drawn - total * (share / sum(shares))) < 1
    counts = [Counter(), Counter()]
    for epoch in range(7):
        for count, found, part in zip(counts, drawn_of(portions, both, epoch), portions, strict=True):
            assert len(found) == part.drawn
            count.update(found)
            times = [count[frame] for frame in part.learn]
            assert max(times) - min(times) <= 1


def test_a_frame_drawn_again_in_an_epoch_has_another_turn(pair):
    both = mixed(pair)
    for epoch in range(5):
        order = mixed_order(divide(both, (1, 5), 0, 0), len(both), seed=3, epoch=epoch)
        assert len(set(order)) == len(order) > len({item % len(both) for item in order})


def test_an_order_follows_from_seed_and_epoch_alone(pair):
    both = mixed(pair)
    portions = divide(both, (1, 2), 0.2, 0)
    order = mixed_order(portions, len(both), seed=1, epoch=2)
    assert order == mixed_order(divide(mixed(pair), (1, 2), 0.2, 0), len(both), seed=1, epoch=2)
    assert order != mixed_order(portions, len(both), seed=2, epoch=2)
    batches = EpochBatches(
        range(len(order)), 2, order=lambda *, epoch: mixed_order(portions, len(both), seed=1, epoch=epoch)
    )
    batches.epoch, batches.first_step = 2, 1
    assert [item for batch in batches for item in batch] == [*order[2 : 2 * batches.steps]]


def listed_mixture(portions, length, seed, epoch):
    """The obvious twin of ``mixed_order``, item by item."""
    streams, chosen = [], []
    for k, part in enumerate(portions):
        own = seed if k == 0 else int(np.random.SeedSequence(seed, spawn_key=(k,)).generate_state(1)[0])
        start, count = epoch * part.drawn, len(part.learn)
        passes = range(start // count, -(-(start + part.drawn) // count))
        whole = [
            (turn - passes[0], frame)
            for turn in passes
            for frame in epoch_order(part.learn, part.store.shard_frames, seed=own, epoch=turn)
        ]
        first = start - passes[0] * count
        streams.append(iter(whole[first : first + part.drawn]))
        chosen += [k] * part.drawn
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(0,)))
    drawn = [(k, *next(streams[k])) for k in rng.permutation(chosen)]
    return [turn * length + portions[k].first + frame for k, turn, frame in drawn]


@pytest.mark.parametrize("shares", [(), (1, 5), (0.7, 0.3)])
def test_an_order_of_several_stores_is_drawn_item_by_item(pair, shares):
    both = mixed(pair)
    portions = divide(both, shares, 0.2, 0)
    for epoch in range(6):
        found = mixed_order(portions, len(both), seed=2, epoch=epoch)
        assert [*found] == listed_mixture(portions, len(both), 2, epoch)


def test_stores_are_mixed_within_an_epoch(tmp_path):
    paths = [write_rooms(tmp_path / f"{n}.zarr", train=n, test=0, shape=(16, 24)) for n in (40, 42)]
    both = mixed(paths)
    order = mixed_order(divide(both, (), 0, 0), len(both), seed=0, epoch=0)
    for first in range(0, 80, 20):
        assert 4 <= sum(position < 40 for position in order[first : first + 20]) <= 16


def test_a_frame_is_changed_otherwise_at_its_next_turn():
    batch = {
        "frame": torch.tensor([3, 3, 3]),
        "turn": torch.tensor([0, 1, 0]),
        "rgb": torch.randint(0, 256, (1, 3, 24, 32), dtype=torch.uint8).repeat(3, 1, 1, 1),
    }
    options = {"seed": 0, "epoch": 1, "size": (24, 32), "flip": True, "rotation": 5, "zoom": 1.2, "jitter": 0}
    changed = augment(batch, **options)
    assert changed.keys() == {"frame", "rgb"}
    assert torch.equal(changed["rgb"][0], changed["rgb"][2])
    assert not torch.equal(changed["rgb"][0], changed["rgb"][1])
    first = augment({name: batch[name][:1] for name in ("frame", "rgb")}, **options)
    assert torch.equal(first["rgb"][0], changed["rgb"][0])


def test_classes_are_brought_to_the_forty():
    assert np.array_equal(to_forty(class_names("894")), class_map("40"))
    assert to_forty(FORTY).tolist() == list(range(41))
    assert to_forty(FORTY[:37]).tolist() == list(range(38))
    thirteen = dict(zip(class_names("13"), to_forty(class_names("13"))[1:], strict=True))
    assert thirteen["tv"] == FORTY.index("television") + 1
    assert thirteen["bed"] == FORTY.index("bed") + 1
    assert thirteen["furniture"] == thirteen["table"] == 0  # desks too: it is no single one of the 40
    assert to_forty(["Night_Stand", "robot", "floor-mat"]).tolist() == [0, 32, 0, 20]
    assert to_forty(["robot", "drone"]) is None
    assert not to_forty([]).any()


def test_stores_of_the_same_classes_keep_them(tmp_path):
    own = [write_labels(tmp_path / f"own{k}", ("robot", "drone", "arm"), shard_frames=k) for k in (1, 2)]
    none = write_labels(tmp_path / "none", ())
    tables, count, labels = shared_categories([*own, none])
    assert (count, labels) == (3, None)
    assert [table[:4].tolist() for table in tables] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 0, 0, 0]]
    nyu = write_labels(tmp_path / "nyu", class_names("894"))
    tables, count, labels = shared_categories([nyu, own[0], none])
    assert (count, labels) == (40, "40")
    assert tables[1] is None
    assert not tables[2].any()


def test_labels_of_a_mixture_are_those_of_the_forty(tmp_path):
    nyu = write_labels(tmp_path / "nyu", class_names("894"))
    own = write_labels(tmp_path / "own", ("sofa", "robot", "lamp"), shape=(40, 60))
    both = mixed([nyu, own])
    items = MixedFrames(divide(both, (), 0, 0), ("semantic",), (24, 32), superpixels=9, cache=False)
    raw = set(np.unique(nyu.read("semantic", 0, 1)))
    assert set(items[0]["semantic"].unique().tolist()) <= set(class_map("40")[sorted(raw)].tolist())
    found = set(items[len(nyu)]["semantic"].unique().tolist())
    assert found == {FORTY.index("sofa") + 1, 0, FORTY.index("lamp") + 1}


def test_a_run_on_two_stores_says_what_it_learnt_from(finished, pair):
    last = checkpoint.load(finished / "last.ckpt")
    stores = [open_store(path) for path in pair]
    assert last["store"] == "+".join(store.identity for store in stores)
    assert [part["identity"] for part in last["stores"]] == [store.identity for store in stores]
    assert last["config"]["data"]["shares"] == [1, 1]
    assert (last["classes"], last["labels"]) == (40, "40")
    rows = list(csv.DictReader((finished / "log.csv").read_text().splitlines()))
    assert len(rows) == 3
    for row in rows:
        assert row["share nyu.zarr"] == row["share sun.zarr"] == "0.5"
        low, high = sorted(float(row[f"rmse {path.name}"]) for path in pair)
        assert low <= float(row["rmse"]) <= high
    text = (finished / "config.toml").read_text()
    assert text.startswith("# store nyu.zarr: share 0.5, ")
    assert tomllib.loads(text)["data"]["shares"] == [1, 1]


def test_it_is_judged_on_each_of_its_stores_and_on_others(finished, pair, tmp_path):
    seed = TINY["seed"]
    for path in pair:
        record = rsn.evaluate(finished, path, split="validation", device="cpu", stream=None)
        assert record["frames"] == len(hold_out(open_store(path), 0.2, seed)[1])
        assert [part["name"] for part in record["trained_on"]] == ["nyu.zarr", "sun.zarr"]
        best = progress.best_epoch(checkpoint.load(finished / "last.ckpt")["training"]["progress"]["rows"])
        row = checkpoint.load(finished / "last.ckpt")["training"]["progress"]["rows"][best - 1]
        mean = record["metrics"]["paper"]["image_mean"]["rmse"]
        assert mean == pytest.approx(row[f"rmse {path.name}"], rel=1e-5)
    other = write_rooms(tmp_path / "other.zarr", train=6, test=2)
    assert rsn.evaluate(finished, other, device="cpu", stream=None)["frames"] == 2
    with pytest.raises(InputError, match="held out frames of another store than .*other.zarr"):
        rsn.evaluate(finished, other, split="validation", device="cpu", stream=None)


@pytest.mark.parametrize(("stop_at", "changes"), [(2, {}), (7, {"workers": 1}), (5, {"cache": True})])
def test_stopped_and_resumed_is_uninterrupted(finished, pair, tmp_path, monkeypatch, stop_at, changes):
    steps = iter(range(1, 100))
    with monkeypatch.context() as patch:
        patch.setattr(
            progress.Ticker,
            "step",
            lambda *_: os.kill(os.getpid(), signal.SIGTERM) if next(steps) == stop_at else None,
        )
        half = rsn.fit(pair, tmp_path / "run", stream=None, shares=(1, 1), **TINY | changes)
    assert not half.complete
    assert rsn.fit(pair, tmp_path / "run", resume=True, stream=None).complete
    one, two = (checkpoint.load(out / "last.ckpt") for out in (finished, tmp_path / "run"))
    for part in ("weights", "average"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    for left, right in zip(*(c["training"]["progress"]["rows"] for c in (one, two)), strict=True):
        assert {**left, "seconds": 0} == {**right, "seconds": 0}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ((1, 0), "the same stores in another order; give --store .*nyu.zarr --store .*sun.zarr"),
        ((0,), "2 stores, 1 of which not among"),
        ((0, 1, 2), "2 stores, 0 of which not among"),
        ((0, 2), "2 stores, 1 of which not among"),
    ],
)
def test_a_run_goes_on_with_its_own_stores_alone(finished, pair, tmp_path, chosen, message):
    third = write_rooms(tmp_path / "third.zarr", train=6, test=2)
    with pytest.raises(InputError, match=message):
        rsn.fit([[*pair, third][k] for k in chosen], finished, resume=True, stream=None)
    with pytest.raises(InputError, match=r"shares: got \[1.0, 2.0\], but the run in .* has \[1.0, 1.0\]"):
        rsn.fit(pair, finished, resume=True, stream=None, shares="1,2")


def test_guided_by_labels_of_different_sets(pair, tmp_path):
    """Trained on 894 and 37 classes, judged on either, and on a third set that has some of the 40."""
    tiny = TINY | {"model": "refinement", "guidance": "semantic", "epochs": 1}
    rsn.fit(pair, tmp_path / "run", stream=None, **tiny)
    own = write_labels(tmp_path / "own.zarr", ("sofa", "robot", "lamp"))
    for store in (*pair, own):
        record = rsn.evaluate(tmp_path / "run", store, split="train", device="cpu", stream=None)
        assert record["guidance"]["guidance"] == "semantic"
    unknown = write_labels(tmp_path / "unknown.zarr", ("robot", "drone", "arm"))
    with pytest.raises(InputError, match="guided by 40 categories, got a store of 3"):
        rsn.evaluate(tmp_path / "run", unknown, split="train", device="cpu", stream=None)


def test_unknown_labels_hinder_only_those_who_read_them(pair, tmp_path):
    unknown = write_rooms(tmp_path / "own.zarr", train=4, test=0, class_names=("robot", "drone", "arm"))
    none = write_rooms(tmp_path / "none.zarr", train=6, test=0, class_names=())
    with pytest.raises(InputError, match=r"own.zarr: got unknown classes .*, or give --category-weight 0"):
        rsn.describe([*pair, unknown], **TINY, category_weight=0.2)
    guided = {**TINY, "model": "refinement", "guidance": "semantic"}
    with pytest.raises(InputError, match="own.zarr: got unknown classes .*, or give another --guidance"):
        rsn.describe([*pair, unknown], **guided)
    with pytest.raises(InputError, match="none.zarr: got no labels to be guided by; give another --guidance"):
        rsn.describe(none, **guided)
    assert rsn.describe([*pair, none], **guided)["train_frames"] == 12
    rsn.fit([pair[0], none], tmp_path / "some", stream=None, **TINY | {"epochs": 1, "category_weight": 0.2})
    rsn.fit([*pair, unknown, none], tmp_path / "all", stream=None, **TINY | {"epochs": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": "1"}, "shares: got 1 for 2 stores; give one number for each --store"),
        ({"shares": "1,2,3"}, "shares: got 3 for 2 stores"),
        ({"shares": "1,0"}, "shares: got 1, 0, expected numbers above 0"),
        ({"shares": [1, -2.0]}, "shares: got 1, -2, expected numbers above 0"),
        ({"shares": "1,nan"}, "shares: got nan, expected a value of type float"),
        ({"shares": "inf,1"}, "shares: got inf, 1, expected numbers above 0"),
        ({"shares": "1,1000"}, r"shares: got 1 for .*nyu.zarr, less than one of an epoch's \d+ frames"),
        ({"shares": ""}, "shares: got '', expected a value of type float"),
        ({"shares": "a,b"}, "shares: got 'a', expected a value of type float"),
        ({"batch_size": 64}, "batch_size: got 64 with 8 frames to learn from"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(pair, changes, message):
    with pytest.raises(InputError, match=message):
        rsn.describe(pair, **TINY | changes)


def test_stores_that_do_not_go_together(pair, tmp_path):
    with pytest.raises(InputError, match="nyu.zarr and .*nyu.zarr hold the same frames; give one of them"):
        rsn.fit([*pair, pair[0]], tmp_path / "run", stream=None, **TINY)
    unsized = {key: value for key, value in TINY.items() if key != "size"}
    with pytest.raises(InputError, match=r"nyu.zarr of 48x64, .*sun.zarr of 40x60\); give --size HxW"):
        rsn.fit(pair, tmp_path / "run", stream=None, **unsized)
    with pytest.raises(InputError, match="store: got none"):
        rsn.fit([], tmp_path / "run", stream=None, **TINY)
    with pytest.raises(InputError, match="shares: got 2 for 1 store;"):
        rsn.fit(pair[0], tmp_path / "run", stream=None, shares=(1, 1), **TINY)
    small = write_rooms(tmp_path / "small.zarr", train=2, test=2)
    other = write_rooms(tmp_path / "other.zarr", train=1, test=2)
    for stores in ([small], [small, other]):
        with pytest.raises(InputError, match="validation: got 0.2, but all training .* of one scene"):
            rsn.fit(stores, tmp_path / "run", stream=None, **TINY)
    tested = write_rooms(tmp_path / "tested.zarr", train=0, test=3)
    with pytest.raises(
        InputError, match="^[^:]*tested.zarr: no frame is in split 'train' .3 in test.; build it"
    ):
        rsn.fit([pair[0], tested], tmp_path / "run", stream=None, **TINY)
    blind = write_rooms(tmp_path / "blind.zarr", train=4, test=0, without_depth=(0, 1, 2, 3))
    with pytest.raises(InputError, match="blind.zarr: none of the .* training frames"):
        rsn.fit([pair[0], blind], tmp_path / "run", stream=None, **TINY)


def test_of_a_store_of_one_scene_all_is_learnt_and_that_is_said(pair, tmp_path):
    small = write_rooms(tmp_path / "small.zarr", train=2, test=2)
    with pytest.warns(DataWarning, match="small.zarr: .* of one scene, so that none of them is held") as said:
        rsn.fit([pair[0], small], tmp_path / "run", stream=None, **TINY | {"epochs": 1})
    assert len(said) == 1
    parts = checkpoint.load(tmp_path / "run" / "last.ckpt")["stores"]
    assert [(part["train_frames"], part["validation_frames"]) for part in parts] == [(6, 2), (2, 0)]
    options = {"split": "validation", "device": "cpu", "stream": None}
    assert rsn.evaluate(tmp_path / "run", pair[0], **options)["frames"] == 2
    with pytest.raises(InputError, match="the run held nothing out of .*small.zarr; use train or test"):
        rsn.evaluate(tmp_path / "run", small, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rsn.describe([pair[0], small], **TINY | {"validation": 0})


def test_stores_of_one_name_are_told_apart(pair, tmp_path):
    (tmp_path / "more").mkdir()
    other = write_rooms(tmp_path / "more" / "nyu.zarr", train=6, test=0)
    assert mixed([pair[0], other]).names == ["1:nyu.zarr", "2:nyu.zarr"]


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def test_the_command_line_takes_several_stores(pair, tmp_path):
    flags = [
        text for key, value in TINY.items() if key != "size" for text in (f"--{key.replace('_', '-')}", value)
    ]
    common = ["fit", *flags, "--epochs", 1, "--out", tmp_path / "run"]
    both = ["--store", pair[0], "--store", pair[1]]
    plan = call(*common, *both, "--size", "24x32", "--dry-run").stdout
    assert "store nyu.zarr: share 0.75, 6 frames an epoch of 6 to learn from, 2 held out\n" in plan
    assert "store sun.zarr: share 0.25, 2 frames an epoch of 2 to learn from, 2 held out\n" in plan
    assert "shares" not in plan
    told = json.loads(
        call(*common, *both, "--size", "24x32", "--dry-run", "--json", "--shares", "1,3").stdout
    )
    assert [part["drawn"] for part in told["stores"]] == [2, 6]
    assert told["config"]["data"]["shares"] == [1, 3]
    refused = call(*common, *both, code=2).stderr
    assert "give --size HxW" in refused
    assert len(refused.splitlines()) == 1
    done = call(*common, *both, "--size", "24x32", "--shares", "1,3")
    assert "store nyu.zarr: share 0.25, 2 frames an epoch of 6" in done.stderr
    swapped = call(
        "fit", "--resume", "--out", tmp_path / "run", "--store", pair[1], "--store", pair[0], code=2
    )
    assert "in another order" in swapped.stderr
    going_on = ["fit", "--resume", "--out", tmp_path / "run", *both, "--epochs", 2]
    assert call(*going_on).stdout.startswith("done")
    record = call(
        "evaluate", "--checkpoint", tmp_path / "run", "--store", pair[1], "--split", "validation", "--json"
    )
    assert json.loads(record.stdout)["frames"] == 2
