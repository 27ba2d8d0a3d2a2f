"""Protocols, the table of errors, and whole evaluations, against plain NumPy."""

import csv
import json
import math

import numpy as np
import pytest
import torch
import zarr
from torch import nn

import rsgt
import rsn
from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import (
    NYU_EIGEN,
    PAPER,
    PROTOCOLS,
    checked_protocol,
    compared,
    protocol_named,
)
from rsgt.quality.evaluation.table import FrameMaps, Table
from rsgt.quality.metrics import DEPTH_ERRORS, depth_errors
from rsgt.store.reader import open_store
from rsn.config import Config, flat
from rsn.data.resize import joint_bilateral_upsample
from rsn.experiment import evaluate
from rsn.experiment.assembly import read_trained
from rsn.models.catalogue import make_model
from rsn.models.frames import predict_frames
from rsn.models.generation import GenerationOutput
from rsn.models.inference import agreement, infer
from rsn.models.region_means import match_means, region_mean_map
from rsn.training.device import make_fabric
from tests.rooms import room, write_rooms
from tests.rsn.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=4, test=5)


class Oracle(nn.Module):
    """Says what it is told: the depth whose mean colour it sees, here a ramp that is not symmetric."""

    def forward(self, rgb):
        ramp = torch.linspace(1, 3, rgb.shape[-1]).expand(len(rgb), 1, *rgb.shape[-2:])
        return GenerationOutput(ramp + rgb.mean(dim=1, keepdim=True).abs(), None)


def test_the_two_protocols_are_what_the_literature_says():
    assert set(PROTOCOLS) == {"paper", "nyu-eigen", "nyud-mt"}
    assert NYU_EIGEN.crop == (45, 471, 41, 601)
    assert (NYU_EIGEN.cap_m, NYU_EIGEN.reducer, NYU_EIGEN.reference) == (10.0, "image_mean", "filled")
    assert (PAPER.crop, PAPER.cap_m, PAPER.reducer) == (None, None, "image_mean")
    assert (
        str(NYU_EIGEN) == "nyu-eigen: rows 45:471, columns 41:601, cap 10 m, filled depth, "
        "mean of the images' values"
    )


def test_options_are_in_the_name_and_in_the_text():
    protocol = protocol_named("nyu-eigen", flip=True, align="median")
    assert protocol.name == "nyu-eigen+flip+median"
    assert str(protocol).endswith("flip averaging, times the ratio of the medians, truth to prediction")
    assert protocol_named("paper", raw=True).reference == "raw"
    with pytest.raises(InputError, match="protocol: got 'eigen', expected one of paper, nyu-eigen, nyud-mt"):
        protocol_named("eigen")


def test_the_crop_the_cap_and_the_holes_bound_what_counts():
    depth = np.full((480, 640), 5.0, np.float32)
    depth[100, 100], depth[101, 100], depth[102, 100] = 0, 10.5, np.nan
    valid = NYU_EIGEN.valid(depth)
    assert valid.sum() == (471 - 45) * (601 - 41) - 3
    assert valid[45, 41]
    assert valid[470, 600]
    assert not valid[44, 41:601].any()
    assert not valid[471, 41:601].any()
    assert not valid[45:471, 40].any()
    assert not valid[45:471, 601].any()
    assert PAPER.valid(depth).sum() == 480 * 640 - 2


def errors(protocol, prediction, depth):
    return depth_errors(compared(protocol, prediction, depth).maps)


def test_predictions_are_clipped_to_the_protocols_span():
    depth = np.full((480, 640), 8.0, np.float32)
    assert errors(NYU_EIGEN, np.full_like(depth, 50), depth)["rmse"] == pytest.approx(2)
    assert errors(PAPER, np.full_like(depth, 50), depth)["rmse"] == pytest.approx(42)
    assert errors(NYU_EIGEN, np.full_like(depth, -1), depth)["rmse"] == pytest.approx(8 - 1e-3)


def test_median_scaling_forgives_a_factor_and_nothing_else():
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 9, (40, 50))
    prediction = depth + rng.normal(0, 0.1, depth.shape)
    scaled = protocol_named("paper", align="median")
    once = errors(scaled, prediction, depth)
    assert errors(scaled, 3.7 * prediction, depth) == pytest.approx(once)
    assert once["rmse"] > 0.05


def test_a_protocol_must_fit_the_store():
    checked_protocol(NYU_EIGEN, (480, 640), "filled")
    with pytest.raises(InputError, match=r"frames of 480x640, got 48x64; use 'paper'"):
        checked_protocol(NYU_EIGEN, (48, 64), "filled")
    with pytest.raises(InputError, match="got a store of raw depth, expected filled; give --raw"):
        checked_protocol(PAPER, (48, 64), "raw")
    with pytest.raises(InputError, match="build a store with `rsgt build --depth raw`"):
        checked_protocol(protocol_named("paper", raw=True), (48, 64), "filled")
    assert checked_protocol(PAPER, (48, 64), "filled") == PAPER
    stored = checked_protocol(PAPER, (48, 64), "stored")
    assert (stored.name, stored.reference) == ("paper", "stored")
    assert str(stored) == "paper: the whole frame, no cap, stored depth, mean of the images' values"
    with pytest.raises(InputError, match="got a store of stored depth, expected raw"):
        checked_protocol(protocol_named("paper", raw=True), (48, 64), "stored")


def test_the_table_is_the_mean_over_images_by_hand():
    table = Table([PAPER])
    region = np.array([[1, 1, 2, 2]])
    support = np.array([[2.0, 2.0, 4.0, 4.0]])
    table.add(FrameMaps(7, np.array([[2.0, 2.0, 4.0, 4.0]]), support, support=support, region=region))
    table.add(
        FrameMaps(
            9,
            np.array([[3.0, 2.0, 4.0, 8.0]]),
            np.array([[2.0, 2.0, 4.0, 0.0]]),
            support=support,
            region=region,
        )
    )
    summary = table.summary()
    assert summary["frames"] == 2
    # Second frame: three valid pixels, one of them off by 1 m at 2 m.
    assert summary["metrics"]["paper"]["image_mean"]["rmse"] == pytest.approx(np.sqrt(1 / 3) / 2)
    assert summary["metrics"]["paper"]["image_mean"]["abs_rel"] == pytest.approx((0.5 / 3) / 2)
    assert summary["metrics"]["paper"]["pixel_pool"]["rmse"] == pytest.approx(np.sqrt(1 / 7))
    # Region 1 of the second frame has errors 1 and 0 against depth: rmse sqrt(1/2), variance 1/4.
    against_depth = summary["regions"]["prediction"]["depth"]
    assert against_depth["rmse"] == pytest.approx((0 + np.sqrt(0.5) / 2) / 2)
    assert against_depth["variance"] == pytest.approx((0.25 / 2) / 2)
    assert against_depth["instability"] == pytest.approx(against_depth["variance"] / against_depth["rmse"])
    # Against the support, region 2 counts whole: errors 0 and 4, rmse sqrt(8), variance 4.
    against_support = summary["regions"]["prediction"]["support"]
    assert against_support["rmse"] == pytest.approx((0 + (np.sqrt(0.5) + np.sqrt(8)) / 2) / 2)
    assert against_support["variance"] == pytest.approx(((0.25 + 4) / 2) / 2)
    low, high = summary["intervals"]["paper"]["rmse"]
    assert (low, high) == (0, pytest.approx(np.sqrt(1 / 3)))


def test_frames_without_truth_are_named_not_counted():
    table = Table([PAPER])
    empty = np.zeros((2, 2))
    table.add(FrameMaps(3, np.ones((2, 2)), empty, support=empty, region=empty.astype(int)))
    with pytest.raises(InputError, match="no frame has a pixel that counts"):
        table.summary()
    table.add(FrameMaps(4, np.ones((2, 2)), np.ones((2, 2)), support=empty, region=empty.astype(int)))
    assert table.summary()["skipped"] == [3]
    assert table.summary()["regions"] == {}


def test_partitions_are_compared_where_there_are_any():
    table = Table([PAPER])
    truth = np.repeat([[1, 2, 3, 4]], 4, axis=0)
    depth = truth.astype(float)
    table.add(FrameMaps(1, depth, depth, support=depth, region=truth, predicted_region=truth[:, ::-1]))
    assert table.summary()["partition"] == pytest.approx({"adjusted_rand": 1, "v_measure": 1, "covering": 1})


def test_what_a_second_stage_gains_is_paired_frame_by_frame():
    table = Table([PAPER])
    for k, (before, after) in enumerate([(1.5, 1.0), (2.0, 1.25), (0.5, 1.0)]):
        depth = np.full((2, 2), 1.0)
        maps = {"support": depth, "region": np.ones((2, 2), int)}
        table.add(FrameMaps(k, after * depth, depth, **maps, initial=before * depth))
    initial = table.summary()["initial"]
    # Errors before: 0.5, 1, 0.5; after: 0, 0.25, 0.
    assert initial["metrics"]["paper"]["image_mean"]["rmse"] == pytest.approx(2 / 3)
    assert initial["metrics"]["paper"]["pixel_pool"]["rmse"] == pytest.approx(np.sqrt(1.5 / 3))
    low, high = initial["gain_intervals"]["paper"]["rmse"]
    assert (low, high) == (pytest.approx(0.5), pytest.approx(0.75))
    table.add(
        FrameMaps(9, np.ones((2, 2)), np.ones((2, 2)), support=np.ones((2, 2)), region=np.ones((2, 2), int))
    )
    with pytest.raises(ValueError, match="broadcast"):
        table.summary()


def test_flip_averaging_is_the_mean_of_both_ways_round():
    rgb = torch.randint(0, 255, (2, 3, 12, 16), dtype=torch.uint8)
    network, model = Oracle().eval(), make_model(flat(Config()), classes=1)
    one, two = (infer(model, network, {"rgb": image}, (12, 16)).depth for image in (rgb, rgb.flip(-1)))
    both = infer(model, network, {"rgb": rgb}, (12, 16), flip=True).depth
    assert torch.allclose(both, (one + two.flip(-1)) / 2)
    assert not torch.allclose(both, one)


def test_predictions_come_at_the_stores_size():
    prediction = infer(
        make_model(flat(Config()), classes=1), Oracle().eval(), {"rgb": torch.zeros(1, 3, 12, 16)}, (48, 61)
    )
    assert prediction.depth.shape == (1, 1, 48, 61)
    assert prediction.depth.dtype == torch.float32


def test_enlarging_along_a_guide_jumps_where_the_guide_jumps():
    large = torch.full((1, 1, 23, 30), 1.0)
    large[..., 13:] = 6.0
    small = torch.full((1, 1, 6, 8), 1.0)
    small[..., 3:] = 6.0  # the fourth pixel's centre is 13.1
    metres = 0.5 * small
    assert torch.allclose(joint_bilateral_upsample(metres, small, large), 0.5 * large, atol=1e-4)
    assert joint_bilateral_upsample(large, large, large) is large


def test_enlarging_along_a_guide_is_its_definition():
    rng = torch.Generator().manual_seed(3)
    metres, small = (5 * torch.rand(2, 1, 4, 5, generator=rng) for _ in range(2))
    large = 5 * torch.rand(2, 1, 11, 9, generator=rng)
    found = joint_bilateral_upsample(metres, small, large, sigma_m=0.7)
    assert found.shape == large.shape
    for frame, y, x in ((0, 0, 0), (1, 5, 4), (0, 10, 8), (1, 3, 7)):
        row, column = (y + 0.5) * 4 / 11 - 0.5, (x + 0.5) * 5 / 9 - 0.5
        total = weights = 0.0
        for i in range(math.floor(row) - 1, math.floor(row) + 3):
            for j in range(math.floor(column) - 1, math.floor(column) + 3):
                k, m = min(max(i, 0), 3), min(max(j, 0), 4)
                near = max(1 - abs(row - i) / 2, 0) * max(1 - abs(column - j) / 2, 0)
                away = float(small[frame, 0, k, m] - large[frame, 0, y, x])
                weight = near * (math.exp(-((away / 0.7) ** 2) / 2) + 1e-6)
                total, weights = total + weight * float(metres[frame, 0, k, m]), weights + weight
        assert float(found[frame, 0, y, x]) == pytest.approx(total / weights, rel=1e-4)


def test_regions_get_the_means_of_their_support_and_keep_their_shape():
    rng = torch.Generator().manual_seed(4)
    truth = 1 + torch.rand(2, 1, 20, 30, generator=rng)
    region = torch.randint(0, 6, (2, 20, 30), generator=rng)
    support = region_mean_map(truth, region) * (region[:, None] > 0)
    metres = truth + 0.5 * torch.rand(2, 1, 20, 30, generator=rng)
    found = match_means(metres, support)
    assert torch.equal(found[support == 0], metres[support == 0])
    assert found.dtype == torch.float32
    for frame in range(2):
        for label in range(1, 6):
            inside = region[frame] == label
            assert float(found[frame, 0][inside].mean()) == pytest.approx(
                float(truth[frame, 0][inside].mean())
            )
            ratio = (found / metres)[frame, 0][inside]
            assert float(ratio.max() - ratio.min()) < 1e-5
    assert (found - truth).square().mean() < (metres - truth).square().mean()
    nothing = torch.zeros_like(metres)
    assert torch.equal(match_means(nothing, support), nothing)


def test_only_true_region_support_is_a_guide_to_enlarge_along(store_path, tmp_path):
    store = open_store(store_path)
    for guidance, sharp in (("ground-truth", True), ("none", False)):
        path = write_checkpoint(
            tmp_path / f"{guidance}.ckpt",
            network={"model": "refinement", "residual": True},
            data={"size": [store.shape[0] // 4, store.shape[1] // 4], "guidance": guidance},
        )
        trained = read_trained(path)
        size = trained.config.data.size
        options = {"size": size, "batch_size": 2, "workers": 0, "superpixels": 9, "full_size": ["support"]}
        found = next(
            predict_frames(make_fabric("cpu"), trained.model, trained.network, store, [0], **options)
        )
        true, jumps = (np.abs(np.diff(maps, axis=1)) for maps in (found.truth["support"], found.depth))
        # A network that corrects nothing yet gives the support, or one depth, back; bilinearly, a jump is
        # spread over four pixels, a quarter for each.
        assert (true > 1).any()
        if sharp:
            assert np.median(jumps[true > 1] / true[true > 1]) > 0.6
        else:
            assert jumps.max() < 0.01


def test_a_network_in_training_mode_predicts_nothing():
    with pytest.raises(RuntimeError, match="evaluation mode"):
        infer(
            make_model(flat(Config()), classes=1),
            Oracle().train(),
            {"rgb": torch.zeros(1, 3, 12, 16)},
            (12, 16),
        )


def test_a_record_holds_all_that_shaped_it(store_path, tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt")
    table, save = tmp_path / "frames.csv", tmp_path / "pred.zarr"
    protocols = [PAPER]
    record = evaluate(path, store_path, protocols, device="cpu", table=table, save=save, stream=None)
    record = json.loads(json.dumps(record))
    store = open_store(store_path)
    assert record["protocols"]["paper"]["cap_m"] is None
    assert (record["split"], record["frames"], record["seed"]) == ("test", 5, 0)
    assert (record["store"], record["trained_on"]) == (store.identity, "elsewhere")
    assert record["config"]["network"]["width"] == 8
    assert record["checkpoint"]["epoch"] == 3
    assert record["checkpoint"]["commit"] == "0a1b"
    assert set(record["metrics"]["paper"]["image_median"]) == set(DEPTH_ERRORS)
    assert set(record["versions"]) == {"rsn", "torch", "numpy", "python"}
    assert record["seconds"] > 0
    assert record["commit"]

    predict_frames = zarr.open_group(str(save), mode="r")
    assert np.array_equal(predict_frames["frame"][:], store.frame_id[4:])
    maps = predict_frames["prediction"][:]
    rmse = []
    for frame, prediction in zip(range(4, 9), maps, strict=True):
        depth = room(frame, (48, 64))["depth"]
        error = np.maximum(prediction, 1e-3) - depth
        rmse.append(np.sqrt(np.mean(error[depth > 0].astype(float) ** 2)))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [int(row["frame_id"]) for row in rows] == store.frame_id[4:].tolist()
    assert [float(row["paper.rmse"]) for row in rows] == pytest.approx(rmse, rel=1e-6)
    assert record["metrics"]["paper"]["image_mean"]["rmse"] == pytest.approx(np.mean(rmse), rel=1e-6)


def test_the_batch_size_changes_no_prediction(store_path, tmp_path):
    """In training mode, batch statistics would: the research code evaluated that way."""
    one = evaluate(
        write_checkpoint(tmp_path / "1.ckpt", data={"batch_size": 1}),
        store_path,
        [PAPER],
        device="cpu",
        stream=None,
    )
    five = evaluate(
        write_checkpoint(tmp_path / "5.ckpt", data={"batch_size": 5}),
        store_path,
        [PAPER],
        device="cpu",
        stream=None,
    )
    for reducer, errors in one["metrics"]["paper"].items():
        assert errors == pytest.approx(five["metrics"]["paper"][reducer], rel=1e-4)


def test_half_precision_training_is_judged_in_float32_anywhere(store_path, tmp_path):
    half = write_checkpoint(tmp_path / "h.ckpt", run={"precision": "16-mixed"})
    full = write_checkpoint(tmp_path / "f.ckpt")
    one, two = (evaluate(path, store_path, [PAPER], device="cpu", stream=None) for path in (half, full))
    assert one["metrics"] == two["metrics"]


def test_models_of_support_report_it_and_its_regions(store_path, tmp_path):
    rsn = write_checkpoint(tmp_path / "rsn.ckpt", network={"model": "rsn"})
    record = evaluate(rsn, store_path, [PAPER], device="cpu", stream=None)
    assert set(record["regions"]) == {"prediction", "support"}
    assert set(record["regions"]["support"]) == {"depth", "support"}
    assert set(record["partition"]) == {"adjusted_rand", "v_measure", "covering"}
    assert record["guidance"] == {
        "guidance": "predicted region support",
        "coarse": "predicted region support",
    }
    depth = evaluate(write_checkpoint(tmp_path / "g.ckpt"), store_path, [PAPER], device="cpu", stream=None)
    assert set(depth["regions"]) == {"prediction"}
    assert depth["partition"] == {}
    assert depth["guidance"] is None


def test_validation_is_what_the_run_held_out(store_path, tmp_path):
    identity = open_store(store_path).identity
    path = write_checkpoint(tmp_path / "a.ckpt", identity, data={"validation": 0.4})
    record = evaluate(path, store_path, [PAPER], split="validation", device="cpu", stream=None)
    assert (record["split"], record["frames"]) == ("validation", 2)
    whole = evaluate(path, store_path, [PAPER], split="all", device="cpu", stream=None)
    assert (whole["split"], whole["frames"]) == ("all", 9)
    none = write_checkpoint(tmp_path / "b.ckpt", identity, data={"validation": 0.0})
    with pytest.raises(InputError, match="the run held nothing out"):
        evaluate(none, store_path, [PAPER], split="validation", device="cpu", stream=None)


def test_what_does_not_fit_is_refused_before_any_work(store_path, tmp_path, monkeypatch):
    monkeypatch.setattr("rsn.predictor.predict_frames", None)
    path = write_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="split: got 'val'"):
        evaluate(path, store_path, [PAPER], split="val", stream=None)
    with pytest.raises(InputError, match="its crop is for frames of 480x640"):
        evaluate(path, store_path, [NYU_EIGEN], stream=None)
    with pytest.raises(InputError, match="judge them apart"):
        evaluate(path, store_path, [PAPER, protocol_named("paper", flip=True)], stream=None)
    with pytest.raises(InputError, match="exists; choose another path"):
        evaluate(path, store_path, [PAPER], save=tmp_path, stream=None)
    with pytest.raises(InputError, match="no such store"):
        evaluate(path, tmp_path / "absent.zarr", [PAPER], stream=None)


@pytest.mark.parametrize("measures", ["depth", "all"])
def test_saved_maps_give_the_record_of_the_checkpoint(store_path, tmp_path, measures):
    path, save = write_checkpoint(tmp_path / "a.ckpt"), tmp_path / "maps.zarr"
    protocols = ["paper", "nyud-mt"]
    # An untrained network is off by decades, which is refused of maps that nothing is granted to.
    asked = {"align": "median", "measures": measures}
    one = evaluate(path, store_path, protocols, **asked, device="cpu", save=save, stream=None)
    two = rsgt.evaluate(store_path, save, protocols=protocols, **asked)
    told = ("protocols", "measures", "images", "metrics", "intervals", "invalid_pixels", "regions")
    for key in (*told, "partition", "by_frame"):
        assert one[key] == two[key], key


@pytest.mark.parametrize("options", [{}, {"flip": True, "split": "train"}])
def test_a_page_takes_a_checkpoints_record_with_its_saved_maps(store_path, tmp_path, options):
    path, save, out = write_checkpoint(tmp_path / "a.ckpt"), tmp_path / "maps.zarr", tmp_path / "r.json"
    record = evaluate(path, store_path, device="cpu", save=save, out=out, stream=None, **options)
    page = rsgt.result_page(store_path, [(out, save)], tmp_path / "page.html")
    for figure in record["metrics"][next(iter(record["metrics"]))]["pixel_pool"].values():
        assert f"{figure:.4f}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (24, 32), (50, 41)])
def test_agreement_is_what_a_plain_loop_finds(shape):
    rng = np.random.default_rng(0)
    one, other = rng.uniform(0.5, 6, (2, *shape))
    one[0, 0] = 0
    half = round(max(shape) / 20 / 2)
    found = agreement(*(torch.from_numpy(values)[None, None] for values in (one, other)))[0, 0].numpy()
    assert found.dtype == np.float32
    for y, x in np.ndindex(shape):
        rows, columns = (slice(max(0, at - half), at + half + 1) for at in (y, x))
        apart = np.abs(one - other)[rows, columns].mean()
        spread = math.sqrt(apart * (one[y, x] + other[y, x]) / 2)
        assert found[y, x] == pytest.approx(0 if one[y, x] == 0 else 1 / (1 + spread), rel=1e-5)
    same = torch.from_numpy(other)[None, None]
    assert (agreement(same, same) == 1).all()


@pytest.mark.parametrize(("name", "sources"), [("generation", 1), ("clustering", 2)])
def test_error_is_told_by_tenths_of_confidence(store_path, tmp_path, name, sources):
    """As by the predictions themselves; without it the record has none."""
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": name})
    record = evaluate(path, store_path, flip=True, confidence=True, device="cpu", stream=None)
    found = record["confidence"]
    assert list(found) == ["agreement", "reliability"][:sources]
    store, predictor = open_store(store_path), rsn.load(path, device="cpu", flip=True)
    tests = [position for position in range(len(store.frame_id)) if store.split[position] == 1]
    predicted = [*predictor.predict_frames(store, tests, full_size=["depth"])]
    counts = np.concatenate([one.truth["depth"].ravel() > 1e-3 for one in predicted])
    error = np.concatenate([abs(one.depth - one.truth["depth"]).ravel() for one in predicted])[counts]
    sure = np.concatenate([one.confidence.ravel() for one in predicted])[counts]
    order = np.argsort(sure, kind="stable")
    worst = error[order][: error.size // 10].mean()
    assert found["agreement"]["pixels"] == error.size
    assert found["agreement"]["tenths"][0]["mae"] == pytest.approx(worst, rel=0.02)
    with pytest.raises(InputError, match="it comes of the mirrored image; predict that, too"):
        evaluate(path, store_path, confidence=True, device="cpu", stream=None)
