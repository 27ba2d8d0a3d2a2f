"""Which frames, in which order, at which size: rsn.dataset on small real stores."""

import multiprocessing
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import rsgt
from rsgt.inputs import InputError
from rsgt.sources import facts
from rsgt.store.reader import open_store
from rsgt.store.schema import TEST
from rsn.data.dataset import EpochBatches, Frames, collate, epoch_order, guidance_classes, loader
from rsn.data.resize import resize_antialiased, resize_nearest
from rsn.data.split import hold_out, split_frames
from tests.rooms import room, write_rooms

ARRAYS = ("depth", "support", "region", "semantic")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=14, test=4))


def test_a_frame_is_what_the_store_holds(store):
    item = Frames(store, ARRAYS, store.shape)[5]
    expected = room(5, store.shape)
    assert int(item["frame"]) == 5
    assert np.array_equal(item["rgb"].permute(1, 2, 0).numpy(), expected["rgb"])
    for name in ARRAYS:
        assert item[name].shape == (1, *store.shape)
        assert np.array_equal(item[name][0].numpy(), expected[name])
    assert [item[name].dtype for name in ARRAYS] == [torch.float32, torch.float32, torch.int32, torch.int32]


def test_a_smaller_size_keeps_support_and_region_together(store):
    item = Frames(store, ARRAYS, (17, 23))[2]
    full = room(2, store.shape)
    pairs = set(zip(full["region"].ravel(), full["support"].ravel(), strict=True))
    assert set(zip(item["region"].numpy().ravel(), item["support"].numpy().ravel(), strict=True)) <= pairs
    assert item["rgb"].shape == (3, 17, 23)


def test_labels_without_names_count_as_unlabelled(tmp_path):
    """A folder's labels may be any numbers, and nobody has said what they are."""
    nameless = open_store(write_rooms(tmp_path / "nameless.zarr", train=2, test=1, class_names=()))
    assert nameless.read("semantic", 0, 1).max() > 0
    assert guidance_classes(nameless)[1] == 0
    assert Frames(nameless, ["semantic"])[0]["semantic"].max() == 0


def test_a_raw_label_of_nyu_guides_as_one_of_40_classes(store, tmp_path):
    assert guidance_classes(store)[1] == 40
    raw = facts.class_names("894")
    nyu = open_store(write_rooms(tmp_path / "nyu.zarr", train=2, test=1, class_names=tuple(raw)))
    table, count = guidance_classes(nyu)
    names = facts.class_names("40")
    assert count == 40
    assert [names[table[1 + raw.index(name)] - 1] for name in ("wall", "bed")] == ["wall", "bed"]
    item = Frames(nyu, ["semantic"], nyu.shape)[0]
    assert np.array_equal(item["semantic"][0].numpy(), table[nyu.read("semantic", 0, 1)[0]])
    assert item["semantic"].dtype == torch.int32


def test_nearest_takes_the_pixel_at_the_centre():
    row = torch.arange(6)[None, None]
    assert resize_nearest(row, (1, 3)).tolist() == [[[1, 3, 5]]]
    assert resize_nearest(row, (1, 2)).tolist() == [[[1, 4]]]
    assert resize_nearest(row, (1, 12)).tolist() == [[[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]]


def test_shrinking_a_chequered_image_gives_its_mean_not_its_pattern():
    chequered = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 200
    small = resize_antialiased(chequered.to(torch.uint8).expand(1, 3, 64, 64), (16, 16))
    assert (small.int() - 100).abs().max() <= 13


def test_a_cached_frame_is_decoded_once(store, monkeypatch):
    frames = Frames(store, ("depth",), (12, 16), cache=True)
    first = frames[3]
    monkeypatch.setattr(type(store), "read", None)
    assert frames[3] is first


def test_split_frames(store):
    assert [*split_frames(store, "train")] == list(range(14))
    assert [*split_frames(store, "test")] == list(range(14, 18))
    with pytest.raises(InputError, match="split: got 'val', expected one of train, test"):
        split_frames(store, "val")


def test_a_split_without_frames_is_named(tmp_path):
    only = open_store(write_rooms(tmp_path / "train.zarr", train=2, test=0))
    told = r"train.zarr: no frame is in split 'test' \(2 in train\); choose --split train or all, or build it"
    with pytest.raises(InputError, match=told):
        split_frames(only, "test")
    with pytest.raises(InputError, match=told):
        rsgt.statistics(only, "test")
    tested = open_store(write_rooms(tmp_path / "test.zarr", train=0, test=2))
    with pytest.raises(InputError, match=r"'train' \(2 in test\); build it with --split-file"):
        hold_out(tested, 0.2, 0)


@pytest.mark.parametrize("seed", range(5))
def test_validation_takes_whole_training_scenes(store, seed):
    learn, validate = hold_out(store, 0.2, seed)
    assert sorted([*learn, *validate]) == [*split_frames(store, "train")]
    assert len(validate) == 4  # 0.2 x 14 = 2.8 frames, scenes of two
    assert not set(store.scene[learn]) & set(store.scene[validate])
    assert TEST not in store.split[learn + validate]
    assert hold_out(store, 0.2, seed) == (learn, validate)


def test_validation_differs_by_seed_can_be_none_and_never_all(store):
    assert len({tuple(hold_out(store, 0.2, seed)[1]) for seed in range(8)}) > 1
    learn, validate = hold_out(store, 0.0, 0)
    assert ([*learn], [*validate]) == (list(range(14)), [])
    learn, validate = hold_out(store, 0.9, 0)
    assert (len(learn), len(validate)) == (2, 12)  # 0.9 x 14 = 12.6 frames, but a scene stays


def test_of_a_single_scene_nothing_is_held_out(tmp_path):
    learn, validate = hold_out(open_store(write_rooms(tmp_path / "s.zarr", train=2, test=2)), 0.2, 0)
    assert ([*learn], [*validate]) == ([0, 1], [])


def test_the_order_is_a_permutation_that_seed_and_epoch_fix():
    frames = list(range(3, 100, 2))
    order = epoch_order(frames, 8, seed=1, epoch=2)
    assert sorted(order) == frames
    assert order == epoch_order(frames, 8, seed=1, epoch=2)
    assert order != epoch_order(frames, 8, seed=1, epoch=3)
    assert order != epoch_order(frames, 8, seed=2, epoch=2)


def test_the_order_stays_within_a_window_of_shards():
    order = epoch_order(range(64), 4, seed=0, epoch=0, window=2)
    for first in range(0, 64, 8):
        assert len({frame // 4 for frame in order[first : first + 8]}) == 2
    assert [*order[:8]] != sorted(order[:8])


def listed_order(frames, shard_frames, *, seed, epoch, window=16):
    """The obvious twin of ``epoch_order``, with lists."""
    rng = np.random.default_rng((seed, epoch))
    shards = {}
    for frame in frames:
        shards.setdefault(frame // shard_frames, []).append(frame)
    shuffled = [shards[key] for key in rng.permutation(sorted(shards))]
    order = []
    for first in range(0, len(shuffled), window):
        near = [frame for shard in shuffled[first : first + window] for frame in shard]
        order += rng.permutation(near).tolist()
    return order


@given(
    st.sets(st.integers(0, 300)), st.integers(1, 40), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)
)
def test_the_order_is_that_of_lists(frames, shard_frames, seed, epoch, window):
    options = {"seed": seed, "epoch": epoch, "window": window}
    found = epoch_order(sorted(frames), shard_frames, **options)
    assert [*found] == listed_order(sorted(frames), shard_frames, **options)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_processes_and_passes_share_the_same_global_batches(processes, accumulate):
    def steps(process, processes, accumulate):
        batches = EpochBatches(
            range(40), 12, shard_frames=4, seed=5, process=process, processes=processes, accumulate=accumulate
        )
        parts = list(batches)
        assert len(parts) == len(batches)
        assert batches.steps == 3
        return [list(chain(*parts[i : i + accumulate])) for i in range(0, len(parts), accumulate)]

    whole = steps(0, 1, 1)
    shared = zip(*(steps(process, processes, accumulate) for process in range(processes)), strict=True)
    assert whole == [list(chain(*parts)) for parts in shared]


def test_batches_can_start_inside_an_epoch():
    batches = EpochBatches(range(20), 4, shard_frames=4, seed=0)
    batches.epoch = 3
    whole = list(batches)
    batches.first_step = 2
    assert list(batches) == whole[2:]


def test_too_few_frames_for_a_batch_are_named():
    with pytest.raises(InputError, match="batch_size: got 8 with 5 frames"):
        EpochBatches(range(5), 8, shard_frames=4, seed=0)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_loader_processes_of_every_kind_give_the_same_batches(store, method):
    frames = Frames(store, ("depth", "region"), (12, 16))
    parts = [[0, 7], [3, 12]]
    alone = list(loader(frames, parts, workers=0))
    others = DataLoader(
        frames,
        batch_sampler=parts,
        collate_fn=collate,
        num_workers=1,
        multiprocessing_context=multiprocessing.get_context(method),
    )
    for expected, got in zip(alone, others, strict=True):
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_batch_has_its_channels_second(store):
    (batch,) = loader(Frames(store, ("depth",), store.shape), [[2, 9]], workers=0)
    assert batch["rgb"].shape == (2, 3, *store.shape)
    assert np.array_equal(batch["rgb"][1].permute(1, 2, 0).numpy(), room(9, store.shape)["rgb"])
    assert batch["depth"].shape == (2, 1, *store.shape)
    assert batch["frame"].tolist() == [2, 9]


def test_loading_leaves_the_random_numbers_alone(store):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(loader(Frames(store, (), (12, 16)), [[0], [1]], workers=0))
    assert torch.equal(torch.rand(3), expected)
