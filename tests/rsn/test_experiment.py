"""Whole runs on made-up rooms: the same seed, a stop, a kill, two processes; and what a run refuses."""

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

import pytest
import torch

import rsn
from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import PAPER
from rsgt.quality.metrics import region_quality
from rsgt.store.predictions import read_prediction
from rsgt.store.reader import open_store
from rsn.config import flat, from_plain, to_plain, to_toml, with_overrides
from rsn.experiment import evaluate, fit_config
from rsn.experiment.assembly import read_trained
from rsn.experiment.training import describe_config
from rsn.models.catalogue import make_model
from rsn.training import checkpoint, progress
from rsn.training.device import resolve_precision
from rsn.training.start import sole_writer
from tests.rooms import write_rooms
from tests.rsn.checkpoints import model_and_network

ROOT = Path(__file__).parents[2]
QUICK = {
    "network": {"model": "refinement", "width": 8},
    "data": {"size": [24, 32], "workers": 0, "validation": 0.2, "zoom": 1.3, "jitter": 0.2},
    "optimizer": {"optimizer": "adamw", "lr": 3e-3, "schedule": "one-cycle"},
    "loss": {"linear_epochs": 1},
    "run": {"epochs": 3, "device": "cpu", "seed": 4},
}


def quick(**changes):
    return from_plain(with_overrides(QUICK, changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=12, test=2)


def run(config, store, out, **options):
    complete = fit_config(config, store, out, stream=None, **options)
    return complete, checkpoint.load(out / "last.ckpt")


def rows(contents):
    return contents["training"]["progress"]["rows"]


def log(out):
    return list(csv.DictReader((out / "log.csv").read_text().splitlines()))


def assert_same(a, b):
    for part in ("weights", "average"):
        assert (a[part] is None) == (b[part] is None)
        for name in a[part] or {}:
            assert torch.equal(a[part][name], b[part][name]), name
    for left, right in zip(a["training"]["progress"]["rows"], b["training"]["progress"]["rows"], strict=True):
        assert {**left, "seconds": 0} == {**right, "seconds": 0}


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, run(quick(ema=0.9), store, out)[1]


def test_a_run_leaves_what_it_promises(finished, store):
    out, last = finished
    files = sorted(file.name for file in out.iterdir())
    assert files == [
        ".lock", "best.ckpt", "config.toml", "curves.png", "last.ckpt", "log.csv", "run.html", "samples",
    ]  # fmt: skip
    assert from_plain(tomllib.loads((out / "config.toml").read_text())) == quick(ema=0.9)
    assert last["config"] == to_plain(quick(ema=0.9))
    assert last["store"] == open_store(store).identity
    logged = log(out)
    assert [row["epoch"] for row in logged] == ["1", "2", "3"]
    assert list(logged[0]) == ["epoch", "loss", "lr", "rmse", "abs_rel", "delta1", "seconds"]
    best = checkpoint.load(out / "best.ckpt")
    assert best["training"] is None
    assert best["epoch"] == 1 + min(range(3), key=lambda i: float(logged[i]["rmse"]))


def test_the_same_seed_gives_the_same_weights(finished, store, tmp_path):
    assert_same(run(quick(ema=0.9, workers=1), store, tmp_path / "again")[1], finished[1])
    other = run(quick(ema=0.9, seed=5, epochs=1), store, tmp_path / "other")[1]
    assert not torch.equal(
        other["weights"]["output.conv.weight"], finished[1]["weights"]["output.conv.weight"]
    )


@pytest.mark.parametrize(
    ("changes", "counted"),
    [({}, 4), ({"space": "linear"}, 6), ({"loss": "rmse"}, 6), ({"space": "log", "loss": "l2"}, 6)],
)
def test_adam_counts_anew_where_the_loss_turns_to_log(store, tmp_path, changes, counted):
    """Three epochs of two steps; linear-then-log turns after the first, and no other loss turns."""
    last = run(quick(**changes), store, tmp_path / "run")[1]
    state = last["training"]["optimizer"]["state"]
    assert {int(weight["step"]) for weight in state.values()} == {counted}


@pytest.mark.parametrize(
    ("stop_at", "changes"),
    [
        (1, {"ema": 0.9}),
        (2, {"ema": 0.9, "cache": True}),
        (5, {"ema": 0.9}),
        (3, {"optimizer": "sgd", "accumulate": 2}),
    ],
)
def test_stopped_and_resumed_is_uninterrupted(finished, store, tmp_path, monkeypatch, stop_at, changes):
    config = quick(**changes)
    whole = finished[1] if "ema" in changes else run(config, store, tmp_path / "whole")[1]

    steps = iter(range(1, 100))
    monkeypatch.setattr(
        progress.Ticker,
        "step",
        lambda *_: os.kill(os.getpid(), signal.SIGTERM) if next(steps) == stop_at else None,
    )
    complete, half = run(config, store, tmp_path / "run")
    assert not complete
    # The signal comes while step `stop_at` is reported; the loop asks at the end of the next one.
    assert (half["epoch"], half["step"]) == divmod(stop_at + 1, 2) or half["step"] == 2
    complete, last = run(config, store, tmp_path / "run", resume=True)
    assert complete
    assert_same(last, whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "constant"}, "at its constant rate this is one run of that many"),
        ({"ema": 0.9}, "the learning rate (one-cycle) goes on at 0.46 of its peak instead of 4e-06"),
        ({"schedule": "constant", "frozen_norm": 0.4}, "statistics are kept from epoch 3 on instead of 2"),
    ],
)
def test_more_epochs_at_a_constant_rate_are_one_long_run(store, tmp_path, changes, said):
    """Of other courses it is said what changes."""
    told = io.StringIO()
    fit_config(quick(epochs=2, **changes), store, tmp_path / "run", stream=None)
    fit_config(quick(**changes), store, tmp_path / "run", resume=True, stream=told)
    assert "epochs: 2 before, 3 now; " in told.getvalue()
    assert said in told.getvalue()
    _, whole = run(quick(**changes), store, tmp_path / "whole")
    last = checkpoint.load(tmp_path / "run" / "last.ckpt")
    if changes == {"schedule": "constant"}:
        assert_same(last, whole)
        for ours, other in zip(optimizer_state(last), optimizer_state(whole), strict=True):
            assert torch.equal(ours, other)
        for name in ("truth.png", "00001.png", "00002.png", "00003.png"):
            pictures = [tmp_path / out / "samples" / name for out in ("run", "whole")]
            assert pictures[0].read_bytes() == pictures[1].read_bytes()
    else:
        pairs = [(value, last["weights"][name]) for name, value in whole["weights"].items()]
        assert not all(torch.equal(*pair) for pair in pairs)


def optimizer_state(contents):
    state = contents["training"]["optimizer"]["state"]
    return [value for weight in state.values() for value in weight.values()]


def test_killed_and_resumed_is_uninterrupted(finished, store, tmp_path):
    """SIGKILL at a moment that nobody chose; what is there then is whole, and the log has each epoch once."""
    out = tmp_path / "run"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(quick(ema=0.9, workers=1)), encoding="utf-8")
    command = [sys.executable, "-m", "rsn", "fit", "--store", store, "--out", out, "--recipe", recipe]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while not (out / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    complete, last = run(quick(ema=0.9), store, out, resume=True)
    assert complete
    assert_same(last, finished[1])
    assert [row["epoch"] for row in log(out)] == ["1", "2", "3"]


def test_two_processes_are_one_with_the_same_batches(store, tmp_path):
    """Two gloo processes on CPU.

    Group normalisation, as batch statistics are each process's own; SGD, as the first steps of Adam take
    the sign of a gradient, hence any rounding of it, for a step of full length. The rate is low because
    training itself is chaotic: at the recipe's 1e-3 and momentum 0.99, one process whose initial weights
    are 1e-7 (relative) away from another's is 2 % away in the loss of its second epoch.
    """
    config = quick(
        norm="group",
        model="rsn",
        epochs=2,
        optimizer="sgd",
        lr=1e-4,
        momentum=0.9,
        schedule="constant",
        ema=0.5,
    )
    _, alone = run(config, store, tmp_path / "one")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(config), encoding="utf-8")
    command = [sys.executable, "-m", "rsn", "fit", "--store", store, "--out", tmp_path / "two"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--recipe", recipe, "--devices", "2"], cwd=ROOT, check=True, env=environment)
    both = checkpoint.load(tmp_path / "two" / "last.ckpt")
    assert rows(alone)[1]["loss"] < 0.8 * rows(alone)[0]["loss"]
    for one, two in zip(rows(alone), rows(both), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["rmse"] == pytest.approx(one["rmse"], rel=1e-4)
    for name, value in alone["weights"].items():
        assert torch.allclose(both["weights"][name], value, rtol=1e-4, atol=1e-5), name


def test_a_compiled_network_is_the_same_network(store, tmp_path, monkeypatch):
    """Traced, and run as it was traced: generating code takes minutes, and is PyTorch's own affair."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    _, plain = run(quick(epochs=1, ema=0.5), store, tmp_path / "plain")
    _, compiled = run(quick(epochs=1, ema=0.5, compile=True), store, tmp_path / "compiled")
    assert_same(plain, compiled)


NEEDS_CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "32"),
        pytest.param("cuda", "32", marks=NEEDS_CUDA),
        pytest.param("cuda", "bf16-mixed", marks=NEEDS_CUDA),
        pytest.param("cuda", "16-mixed", marks=NEEDS_CUDA),
    ],
)
@pytest.mark.parametrize("name", ["rsn", "clustering"])
def test_a_device_trains_judges_and_hands_its_network_on(store, tmp_path, name, device, precision):
    """The checkpoint of any device is judged on the CPU, to the same figures as where it was trained."""
    config = quick(model=name, device=device, precision=precision, epochs=1, validation=0)
    _, last = run(config, store, tmp_path / "run")
    assert math.isfinite(rows(last)[0]["loss"])
    path = tmp_path / "run" / "last.ckpt"
    there, here = (evaluate(path, store, [PAPER], device=d, stream=None)["metrics"]["paper"]["image_mean"]
                   for d in (device, "cpu"))  # fmt: skip
    # The clustering network finds its regions by a search, which rounding can lead elsewhere.
    assert there["rmse"] == pytest.approx(here["rmse"], rel=1e-3 if name == "rsn" else 0.05)


@pytest.mark.parametrize(
    ("processor", "graphics", "expected"),
    [
        ({"avx2": True}, None, "32"),
        ({"avx512_bf16": True}, None, "bf16-mixed"),
        ({"amx_bf16": True}, None, "bf16-mixed"),
        ({"avx512_bf16": True}, False, "32"),
        ({"avx2": True}, True, "bf16-mixed"),
    ],
)
def test_automatic_precision_is_bfloat16_where_the_device_computes_in_it(
    monkeypatch, processor, graphics, expected
):
    """``graphics`` says whether a GPU does; None = there is none."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(graphics is not None))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: graphics)
    assert resolve_precision("auto", "auto") == expected
    on_cpu = "32" if processor == {"avx2": True} else "bf16-mixed"
    assert resolve_precision("auto", "cpu") == on_cpu
    assert resolve_precision("32", "auto") == "32"


def test_a_run_keeps_the_arithmetic_that_automatic_stood_for(monkeypatch, store, tmp_path):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    config = quick(precision="auto", device="cpu", epochs=1)
    _, last = run(config, store, tmp_path / "run")
    assert last["config"]["run"]["precision"] == "bf16-mixed"
    assert 'precision = "bf16-mixed"' in (tmp_path / "run" / "config.toml").read_text()
    assert describe_config(config, store)["config"]["run"]["precision"] == "bf16-mixed"


def test_a_checkpoint_alone_rebuilds_its_network(finished):
    _, last = finished
    network = read_trained(Path("last.ckpt"), last).network
    for name, value in network.state_dict().items():
        assert torch.equal(value, last["average"][name])
    assert not network.training


def test_resuming_a_finished_run_changes_nothing(finished, store):
    out, last = finished
    complete, again = run(quick(ema=0.9), store, out, resume=True)
    assert complete
    assert_same(again, last)


@pytest.mark.parametrize("name", ["generation", "clustering"])
def test_every_model_learns_something(store, tmp_path, name):
    """On the same three batches over and over, the loss falls; what finds regions also saves them."""
    config = quick(model=name, epochs=4, rotation=0, flip=False, zoom=1, jitter=0, space="log", validation=0)
    _, last = run(config, store, tmp_path)
    losses = [row["loss"] for row in rows(last)]
    assert losses[-1] < 0.8 * losses[0]
    assert not (tmp_path / "best.ckpt").exists()
    save = tmp_path / "p.zarr"
    record = evaluate(tmp_path / "last.ckpt", store, [PAPER], device="cpu", save=save, stream=None)
    assert (save / "region").exists() == (name == "clustering")
    if name == "clustering":
        region, numbers = read_prediction(save, "region")
        opened = open_store(store)
        first = opened.frame_id.tolist().index(numbers[0])
        truth = opened.read("region", first, first + 1)[0]
        assert region[0].min() > 0
        assert set(record["partition"]) == set(region_quality(region[0], truth))


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": "none"},
        {"guidance": "semantic", "coarse": "mean"},
        {"guidance": "superpixel", "superpixels": 12},
    ],
)
def test_every_guidance_trains_and_is_stated(store, tmp_path, changes):
    run(quick(epochs=1, **changes), store, tmp_path / "run")
    record = evaluate(tmp_path / "run" / "last.ckpt", store, [PAPER], device="cpu", stream=None)
    assert record["guidance"]["guidance"] == changes["guidance"]
    assert record["guidance"]["coarse"].startswith("true mean" if "coarse" in changes else "zeros")


def test_predicted_guidance_trains_the_refinement_alone(store, tmp_path):
    run(quick(model="generation", target="support", epochs=1), store, tmp_path / "g")
    generation = tmp_path / "g" / "last.ckpt"
    config = quick(guidance="predicted", generation=str(generation), epochs=1)
    _, last = run(config, store, tmp_path / "r")
    before = checkpoint.load(generation)["weights"]
    after = {
        k.removeprefix("generation."): v for k, v in last["weights"].items() if k.startswith("generation.")
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert last["network"]["name"] == "rsn"
    record = evaluate(tmp_path / "r" / "last.ckpt", store, [PAPER], device="cpu", stream=None)
    assert record["regions"].keys() == {"prediction", "support"}
    alone = evaluate(generation, store, [PAPER], device="cpu", stream=None)
    assert record["initial"]["metrics"]["paper"]["image_mean"] == pytest.approx(
        alone["metrics"]["paper"]["image_mean"], rel=1e-6
    )
    assert "initial" not in alone

    whole = quick(model="rsn", generation=str(generation), refinement=str(tmp_path / "r" / "last.ckpt"))
    network = model_and_network(whole)[1]
    assert all(torch.equal(value, last["weights"][name]) for name, value in network.state_dict().items())


def test_categories_are_learned_beside_depth_and_left_behind(store, tmp_path):
    config = quick(model="generation", category_weight=0.5, epochs=1)
    assert make_model(flat(config), classes=40).arrays(training=True) == ("depth", "region", "semantic")
    assert make_model(flat(config), classes=40).arrays(training=False) == ()
    _, last = run(config, store, tmp_path / "run")
    assert last["weights"]["category.bias"].shape == (40,)
    assert last["weights"]["category.bias"].abs().max() > 0.1 * config.optimizer.lr
    path = tmp_path / "run" / "last.ckpt"
    evaluate(path, store, [PAPER], device="cpu", stream=None)
    whole = model_and_network(quick(model="rsn", generation=str(path)))[1].state_dict()
    assert "generation.category.bias" not in whole
    assert torch.equal(whole["generation.output.conv.weight"], last["weights"]["output.conv.weight"])


@pytest.mark.parametrize(
    ("model", "changes"), [("rsn", {}), ("rsn", {"initial": "depth"}), ("clustering", {})]
)
def test_every_network_with_an_encoder_learns_categories_and_starts_from_a_generation(
    store, tmp_path, monkeypatch, model, changes
):
    """Given as the name of weights that come with the package; the clustering variant takes the features."""
    run(quick(model="generation", category_weight=0.5, epochs=1), store, tmp_path / "g")
    monkeypatch.setattr("rsn.weights.FOLDER", tmp_path / "shipped")
    rsn.publish(tmp_path / "g" / "last.ckpt", tmp_path / "shipped" / "taught", terms="")
    given = rsn.load("taught", device="cpu").network.state_dict()
    config = quick(model=model, category_weight=0.5, generation="taught", epochs=1, **changes)
    assert "semantic" in make_model(flat(config), classes=40).arrays(training=True)
    fresh = model_and_network(config)[1].state_dict()
    shared = [key for key in given if key.startswith("features.")]
    prefix = "generation." if model == "rsn" else ""
    assert shared
    assert all(torch.equal(fresh[prefix + key], given[key]) for key in shared)
    for key in [key for key in fresh if key.startswith("initial.")]:
        assert torch.equal(fresh[key], given["output." + key.removeprefix("initial.")])
    assert any(key.startswith("initial.") for key in fresh) == bool(changes)
    _, last = run(config, store, tmp_path / "run")
    assert last["weights"][f"{prefix}category.bias"].abs().max() > 0.1 * config.optimizer.lr
    record = evaluate(tmp_path / "run" / "last.ckpt", store, [PAPER], device="cpu", stream=None)
    if model == "rsn":
        coarse = "predicted depth" if changes else "predicted region support"
        assert record["guidance"] == {"guidance": "predicted region support", "coarse": coarse}
    with pytest.raises(InputError, match=r"its generation module was built with .*'width': 8, .* expected"):
        model_and_network(quick(model=model, generation="taught", width=16))


def test_batch_statistics_are_kept_in_the_last_share_of_the_epochs(store, tmp_path):
    config = quick(frozen_norm=0.7)
    _, last = run(config, store, tmp_path / "run")
    steps = describe_config(config, store)["steps"] // 3
    counts = {int(count) for name, count in last["weights"].items() if name.endswith("num_batches_tracked")}
    assert counts == {3 * steps}  # of one epoch in three, three iterations a step


@pytest.mark.parametrize("encoder", ["resnet34", "efficientnet_lite0"])
def test_frozen_stages_stay_as_they_start(store, tmp_path, encoder):
    changes = {"model": "generation", "encoder": encoder, "epochs": 1, "ema": 0.5}
    run(quick(**changes), store, tmp_path / "start")
    start = tmp_path / "start" / "last.ckpt"
    config = quick(**changes, generation=str(start), frozen_stages=2, seed=1)
    _, last = run(config, store, tmp_path / "run")
    before, after, average = checkpoint.load(start)["average"], last["weights"], last["average"]
    first, second = ("features.encoder." + part for part in (
        ("conv1", "layer1") if encoder == "resnet34" else ("backbone.stem", "backbone.blocks.0")
    ))  # fmt: skip
    third = "features.encoder." + ("layer2" if encoder == "resnet34" else "backbone.blocks.1")
    for name in before:
        if name.startswith((first + ".", second + ".")):
            assert torch.equal(before[name], after[name]), name
            assert torch.equal(before[name], average[name]), name
        elif name.startswith(third + ".") and name.endswith("weight"):
            assert not torch.equal(before[name], after[name]), name


def test_describe_does_nothing_but_tell(store):
    plan = describe_config(quick(), store)
    assert (plan["train_frames"], plan["validation_frames"], plan["steps"]) == (8, 4, 6)
    assert plan["arrays"] == ["rgb", "depth", "region", "support"]
    assert plan["parameters"] == plan["trained_parameters"] > 10_000


def test_only_what_a_model_needs_is_read():
    def arrays(**changes):
        return make_model(flat(quick(**changes)), classes=40).arrays(training=True)

    assert arrays(model="generation") == ("depth", "region")
    assert arrays(model="generation", target="support") == ("depth", "region", "support")
    assert arrays(guidance="semantic") == ("depth", "region", "semantic")
    assert arrays(model="clustering") == ("depth", "region")
    assert make_model(flat(quick(model="rsn")), classes=40).arrays(training=False) == ()
    assert make_model(flat(quick()), classes=40).arrays(training=False) == ("support",)
    assert make_model(flat(quick(guidance="semantic", coarse="mean")), classes=40).arrays(training=False) == (
        "depth",
        "semantic",
    )


def test_a_run_is_not_overwritten_nor_resumed_as_another(finished, store, tmp_path):
    out, _ = finished
    with pytest.raises(InputError, match="already contains a run; give --resume"):
        run(quick(ema=0.9), store, out)
    with pytest.raises(InputError, match="lr: got 0.5, but the run in .* has 0.003"):
        run(quick(ema=0.9, lr=0.5), store, out, resume=True)
    other = write_rooms(tmp_path / "other.zarr", train=10, test=2)
    with pytest.raises(InputError, match="trained on another store"):
        run(quick(ema=0.9), other, out, resume=True)


def test_two_runs_do_not_share_a_folder(store, tmp_path):
    out = tmp_path / "run"
    with sole_writer(out), pytest.raises(InputError, match="another process trains into it"):
        run(quick(epochs=1), store, out)
    assert run(quick(epochs=1), store, out)[0]


def test_resume_without_a_checkpoint_begins(store, tmp_path):
    assert run(quick(epochs=1), store, tmp_path / "new", resume=True)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda"}, "device: got 'cuda', but PyTorch finds none"),
        ({"precision": "16-mixed"}, "'16-mixed' needs a GPU"),
        ({"batch_size": 64}, "batch_size: got 64 with 8 frames"),
        ({"guidance": "predicted"}, "needs a trained generation module"),
        ({"generation": "REFINEMENT"}, "this model has no generation module"),
        ({"model": "rsn", "generation": "REFINEMENT"}, "got a checkpoint of RefinementNetwork"),
        ({"width": 16, "refinement": "REFINEMENT"}, "give the same --width"),
        ({"generation": "absent.ckpt"}, "absent.ckpt: no such checkpoint"),
        ({"imagenet": "package"}, "ImageNet weights: got a RefinementNetwork"),
        ({"optimizer": "sgd", "lr": 1e30, "schedule": "constant"}, "the loss is not finite at epoch"),
    ],
)
def test_a_run_that_cannot_be_says_why(finished, store, tmp_path, changes, message):
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    trained = str(finished[0] / "last.ckpt")
    changes = {key: trained if value == "REFINEMENT" else value for key, value in changes.items()}
    with pytest.raises(InputError, match=message):
        run(quick(**changes), store, tmp_path / "run")
