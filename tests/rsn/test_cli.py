"""The command line of rsn: the three commands, in any order of flags, and one line for every mistake."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from rsn.cli import main
from rsn.config import all_keys, recipe_names
from rsn.experiment import training
from tests.rooms import write_rooms

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "model": "rsn",
    "width": 8,
    "size": "24x32",
    "epochs": 1,
    "workers": 0,
    "batch-size": 2,
    "device": "cpu",
}
QUICK = [text for key, value in SETTINGS.items() for text in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=6, test=2))


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "rsn"
    result = CliRunner().invoke(main, ["fit", *QUICK, "--out", str(out), "--store", store])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"done: {out / 'best.ckpt'}\n"
    assert "epoch 1  loss" in result.stderr
    return out


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def test_every_setting_is_a_flag_with_help():
    text = call("fit", "--help").output
    for _, item, _ in all_keys():
        assert f"--{item.name.replace('_', '-')}" in text


def test_a_run_without_a_best_checkpoint_is_told_in_one_line(trained, store, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(trained / "last.ckpt", run)
    told = call("evaluate", "--store", store, "--checkpoint", run, "--device", "cpu", "--json").stderr
    assert told == f"warning: {run}: has no best.ckpt, so its last.ckpt is used\n"


def test_evaluate_prints_protocol_and_writes_the_record(trained, store, tmp_path):
    out = tmp_path / "record.json"
    arguments = ["--out", out, "--store", store, "--checkpoint", trained / "best.ckpt", "--device", "cpu"]
    result = call(
        "evaluate", *arguments, "--csv", tmp_path / "a.csv", "--split", "test", "--protocol", "paper"
    )
    assert "paper: the whole frame, no cap, filled depth, mean of the images' values" in result.stdout
    for name in ("rmse", "abs_rel", "delta1", "per region, support against depth", "2 frames of test"):
        assert name in result.stdout
    record = json.loads(out.read_text())
    printed = json.loads(call("evaluate", "--json", *arguments).stdout)
    assert printed["metrics"] == record["metrics"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


def test_evaluate_prints_error_by_confidence(trained, store):
    common = ["--store", store, "--checkpoint", trained / "best.ckpt", "--device", "cpu", "--confidence"]
    told = call("evaluate", *common, "--flip").stdout
    assert "confidence by agreement, tenths of 6,1" in told
    assert "the least sure tenth holds" in told
    assert "--flip" in call("evaluate", *common, code=2).stderr


def test_predict_writes_and_says_what_it_saw(trained, tmp_path):
    Image.fromarray(np.full((30, 40, 3), 120, np.uint8)).save(tmp_path / "a.png")
    common = [tmp_path / "a.png", "--checkpoint", trained / "last.ckpt", "--device", "cpu"]
    result = call("predict", *common, "--out", tmp_path / "out", "--fx", 30, "--cx", 20, "--cy", 15)
    assert "a.png: " in result.stdout
    assert (tmp_path / "out" / "a.ply").exists()
    found = json.loads(call("predict", "--json", "--out", tmp_path / "two", *common, "--fov", 90).stdout)
    assert found["focal"] == pytest.approx([20, 20])


def test_a_dry_run_tells_and_does_nothing(store, tmp_path):
    result = call("fit", *QUICK, "--dry-run", "--store", store, "--out", tmp_path / "run", "--lr", "0.25")
    assert f"parameters: {478_878 + 17_868}\n" in result.stdout  # generation and refinement at width 8
    assert tomllib.loads(result.stdout.partition("\n\n")[2])["optimizer"]["lr"] == 0.25
    assert not (tmp_path / "run").exists()
    plan = json.loads(call("fit", *QUICK, "--dry-run", "--json", "--store", store, "--out", tmp_path).stdout)
    assert plan["train_frames"] + plan["validation_frames"] == 6


def test_resume_takes_the_runs_own_settings(trained, store):
    result = call("fit", "--resume", "--store", store, "--out", trained, "--device", "cpu")
    assert result.stdout.startswith("done")
    assert "epoch" not in result.stderr
    result = call("fit", "--resume", "--store", store, "--out", trained, "--lr", "7", code=2)
    assert "lr: got 7.0, but the run in" in result.stderr


def test_a_stopped_run_says_how_to_go_on(store, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "fit_config", lambda *_, **__: False)
    result = call("fit", "--store", store, "--out", tmp_path, code=130)
    assert "go on with --resume" in result.stderr
    result = call("fit", "--json", "--store", store, "--out", tmp_path, code=130)
    assert json.loads(result.stdout)["complete"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit --store absent.zarr --out run", "absent.zarr: no such store"),
        ("fit --store STORE --out run --size 3", "size: got '3', expected two numbers such as 480x640"),
        ("fit --store STORE --out run --lr fast", "lr: got 'fast'"),
        ("fit --store STORE --out run --recipe absent.toml", "absent.toml: cannot read the recipe"),
        ("fit --store STORE --out run --batch-size 5 --devices 2", "expected a multiple of devices"),
        ("fit --store STORE --out run --tensorboard --size 24x32", "pip install tensorboard"),
        ("evaluate --store STORE --checkpoint CKPT --split val", "split: got 'val'"),
        ("evaluate --store STORE --checkpoint CKPT --protocol kitti", "protocol: got 'kitti'"),
        ("evaluate --store STORE --checkpoint CKPT --protocol nyu-eigen", "frames of 480x640, got 48x64"),
        ("evaluate --store STORE --checkpoint CKPT --raw", "expected raw"),
        ("evaluate --store STORE --checkpoint STORE", "no such checkpoint"),
        (
            "evaluate --store STORE --checkpoint CKPT --device cuda",
            "device: got 'cuda', but PyTorch finds none",
        ),
        ("predict a.png --checkpoint CKPT --out out", "a.png: no such image"),
        ("predict broken.png --checkpoint CKPT --out out", "broken.png: cannot be read as an image"),
        ("predict a.png --checkpoint CKPT --out out --fx 1 --fov 2", "intrinsics: give --fx"),
        ("export --checkpoint absent.ckpt --out a.onnx", "absent.ckpt: no such checkpoint"),
        ("evaluate --store STORE --checkpoint nyuu", "or one that comes with the package: nyu, rooms"),
        (
            "report --store STORE --result STORE --out x.html",
            "got --out, another option, expected RECORD",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(trained, store, tmp_path, monkeypatch, arguments, message):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    known = {"STORE": store, "CKPT": str(trained / "best.ckpt")}
    # A photo that cannot be read is an item of a batch found wanting, and not a mistake of the call.
    code = 1 if message.partition(": ")[0] in ("a.png", "broken.png") else 2
    result = call(*(known.get(word, word) for word in arguments.split()), code=code)
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unfinished_store_is_refused(store, tmp_path):
    broken = tmp_path / "half.zarr"
    (broken / ".rsgt-build").mkdir(parents=True)
    (broken / ".rsgt-build" / "plan.json").write_text("{}")
    result = call("fit", "--store", broken, "--out", tmp_path / "run", code=2)
    assert "unfinished store" in result.stderr


def test_help_needs_no_torch_and_a_command_says_what_to_install(store):
    script = "import sys; sys.modules['torch'] = None\nfrom rsn.cli import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", script]
    done = subprocess.run([*command, "fit", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--encoder-lr-scale" in done.stdout
    done = subprocess.run(
        [*command, "fit", "--store", store, "--out", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: rsn needs PyTorch and Lightning Fabric: pip install 'region-support[rsn]'\n"


def test_every_shipped_recipe_is_valid(store, tmp_path):
    recipes = recipe_names()
    assert {name.split("/")[0] for name in recipes} == {"cpu", "paper"}
    small = {"width": 8, "batch-size": 2, "imagenet": "", "generation": "", "frozen-stages": 0}
    small |= {"store": store, "out": tmp_path, "device": "cpu"}
    flags = [text for key, value in small.items() for text in (f"--{key}", value)]
    for recipe in recipes:
        plan = json.loads(call("fit", "--recipe", recipe, "--dry-run", "--json", *flags).stdout)
        assert plan["steps"] > 0
        name = Path(recipe).name
        model = {"iterations": "refinement"} | dict.fromkeys(
            ("ablation", "support", "rooms", "small"), "generation"
        )
        assert plan["config"]["network"]["model"] == model.get(name, name)
