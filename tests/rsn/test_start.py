"""What is said before any work: starts, places, frames without depth; and what a cluster's variables do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import PAPER
from rsgt.store.reader import open_store
from rsn.cli import main
from rsn.config import from_plain, with_overrides
from rsn.data.split import hold_out
from rsn.experiment import evaluate, evaluation, fit_config, load
from rsn.training import checkpoint
from rsn.training.loop import Progress, train
from tests.rooms import write_rooms
from tests.rsn.test_loop import data, line, pieces

ROOT = Path(__file__).parents[2]
QUICK = {
    "network": {"model": "refinement", "width": 8, "iterations": 1},
    "data": {"size": [16, 16], "workers": 0, "validation": 0.2},
    "loss": {"loss": "rmse", "iteration_weights": [1.0]},
    "optimizer": {"optimizer": "adamw"},
    "run": {"epochs": 1, "device": "cpu"},
}


def quick(**changes):
    return from_plain(with_overrides(QUICK, changes))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_rooms(tmp_path_factory.mktemp("rooms") / "store.zarr", train=12, test=3, shape=(24, 32))


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    assert fit_config(quick(), store, out, stream=None)
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frozen_norm": 1.0, "model": "rsn"}, "give --generation CKPT and --refinement CKPT"),
        ({"frozen_norm": 1.0, "model": "generation"}, "give --generation CKPT, or a smaller"),
        ({"frozen_norm": 0.6}, "give --refinement CKPT"),
        (
            {"frozen_norm": 1.0, "guidance": "predicted", "refinement": "a"},
            "give --generation CKPT, or a smal",
        ),
        ({"batch_size": 1}, "a single value for batch normalisation .* or --norm group"),
        ({"batch_size": 2, "accumulate": 2}, "a single value for batch normalisation"),
        ({"lr": float("inf")}, "lr: got inf"),
    ],
)
def test_what_a_run_lacks_is_said_before_it(store, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        fit_config(quick(**changes), store, tmp_path / "run", stream=None)
    assert not (tmp_path / "run").exists()


def test_one_frame_at_a_time_is_enough_for_group_normalisation(store, tmp_path):
    assert fit_config(quick(batch_size=1, norm="group"), store, tmp_path / "run", stream=None)


def test_statistics_that_are_kept_need_trained_modules_which_a_dry_run_names(store, tmp_path):
    arguments = ["fit", "--store", store, "--out", tmp_path / "run", "--recipe", "cpu/rsn"]
    arguments += ["--generation", "", "--width", 8, "--frozen-norm", 1, "--device", "cpu", "--batch-size", 2]
    told = CliRunner().invoke(main, [*map(str, arguments), "--dry-run"])
    assert "needs: --generation CKPT, --refinement CKPT" in told.stdout
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 2
    assert "give --generation CKPT and --refinement CKPT, or a smaller --frozen-norm\n" in done.stderr


def test_the_whole_network_is_one_command(store, tmp_path):
    """It begins from weights that come with the package, and needs no other run before it."""
    arguments = ["fit", "--store", store, "--recipe", "cpu/rsn", "--out", tmp_path / "run", "--device", "cpu"]
    arguments += ["--epochs", 1, "--size", "48x64", "--batch-size", 2, "--precision", "32"]
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "last.ckpt").exists()


def held_out(store, config):
    return hold_out(open_store(store), config.data.validation, config.run.seed)


@pytest.mark.parametrize("loss", ["rmse", "region", "l2"])
def test_frames_without_depth_are_left_out_counted_and_named(tmp_path, capsys, loss):
    frames = {"train": 12, "test": 3, "shape": (24, 32)}
    config = quick(loss=loss, batch_size=2, epochs=2, validation=0.3)
    learn, validate = held_out(write_rooms(tmp_path / "whole.zarr", **frames), config)
    store = write_rooms(tmp_path / "store.zarr", **frames, without_depth=(learn[0], validate[0], 12))
    assert fit_config(config, store, tmp_path / "run", stream=sys.stdout)
    told = capsys.readouterr().out
    assert f"1 without a valid pixel to judge by, left out: frame {101 + validate[0]}" in told
    assert f"1 without a valid pixel to learn from, left out: frame {101 + learn[0]}" in told
    rows = checkpoint.load(tmp_path / "run" / "last.ckpt")["training"]["progress"]["rows"]
    assert [row["skipped"] for row in rows] == [1, 1]
    record = evaluate(tmp_path / "run" / "best.ckpt", store, [PAPER], device="cpu", stream=None)
    assert record["skipped"] == [113]
    assert record["frames"] == 2
    arguments = [
        "evaluate",
        "--store",
        store,
        "--checkpoint",
        tmp_path / "run" / "best.ckpt",
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert "1 without a pixel that counts, left out: frame 113" in done.stdout
    assert done.exit_code == 1  # some were left out


@pytest.mark.parametrize(("part", "message"), [(0, "training frames"), (1, "held-out frames")])
def test_nothing_but_frames_without_depth_is_said_before_the_work(tmp_path, part, message):
    frames = {"train": 12, "test": 3, "shape": (24, 32)}
    lacking = held_out(write_rooms(tmp_path / "whole.zarr", **frames), quick())[part]
    store = write_rooms(tmp_path / "store.zarr", **frames, without_depth=tuple(lacking))
    with pytest.raises(InputError, match=message):
        fit_config(quick(), store, tmp_path / "run", stream=None)
    assert not (tmp_path / "run").exists()


def test_no_test_frame_with_depth_leaves_no_predictions(trained, tmp_path):
    store = write_rooms(tmp_path / "store.zarr", train=4, test=3, shape=(24, 32), without_depth=(4, 5, 6))
    with pytest.raises(InputError, match="none of 3 frames has a pixel that counts"):
        evaluate(
            trained / "best.ckpt", store, [PAPER], device="cpu", save=tmp_path / "maps.zarr", stream=None
        )
    assert not (tmp_path / "maps.zarr").exists()


def test_a_step_of_empty_frames_changes_no_weight_and_no_mean():
    progress = Progress()
    setup, options = pieces(line(), data(), epochs=1, counts=lambda batch: batch is not skipped)
    batches = data()
    skipped = batches[0][1]
    skipped["y"] = torch.full((4, 1), 1e9)
    options["batches"] = lambda epoch, step: batches[epoch][step:]
    train(*setup, progress, **options)
    assert progress.rows[0]["loss"] < 1e3


@pytest.mark.parametrize("option", ["save", "table", "out"])
def test_an_evaluation_that_fails_leaves_nothing_and_may_be_run_again(
    trained, store, tmp_path, monkeypatch, option
):
    paths = {"save": tmp_path / "maps.zarr", "table": tmp_path / "a.csv", "out": tmp_path / "a.json"}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    where = {"save": (evaluation, "write_prediction"), "table": (evaluation, "write_csv"),
             "out": (evaluation, "write_text")}[option]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(*where, full)
        with pytest.raises(OSError, match="No space"):
            evaluate(trained / "best.ckpt", store, [PAPER], device="cpu", stream=None, **paths)
    assert not list(tmp_path.iterdir())
    record = evaluate(trained / "best.ckpt", store, [PAPER], device="cpu", stream=None, **paths)
    assert json.loads(paths["out"].read_text())["frames"] == record["frames"] == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "a.json", "maps.zarr"]


@pytest.mark.parametrize("options", [{"save": "FILE/maps.zarr"}, {"table": "FILE/a.csv"}, {"out": ""}])
def test_places_that_cannot_be_written_to_are_refused_first(trained, store, tmp_path, monkeypatch, options):
    monkeypatch.setattr("rsn.predictor.predict_frames", None)
    (tmp_path / "FILE").write_text("")
    paths = {key: tmp_path / value for key, value in options.items()}
    with pytest.raises(InputError, match="expected a"):
        evaluate(trained / "best.ckpt", store, [PAPER], device="cpu", stream=None, **paths)
    with pytest.raises(InputError, match="is a file, expected a folder"):
        fit_config(quick(), store, tmp_path / "FILE", stream=None)
    with pytest.raises(InputError, match="is a file, expected a folder"):
        fit_config(quick(), store, tmp_path / "FILE" / "run", stream=None)


SLURM = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "77",
         "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "2"}  # fmt: skip


@pytest.mark.parametrize("names", [["SLURM_NTASKS"], ["SLURM_NTASKS_PER_NODE"], [*SLURM], ["LOCAL_RANK"]])
def test_a_clusters_variables_do_not_concern_one_process(trained, store, tmp_path, monkeypatch, names):
    for name in names:
        monkeypatch.setenv(name, SLURM.get(name, "1"))
    common = ["--store", str(store), "--device", "cpu"]
    checked = [*common, "--checkpoint", str(trained / "best.ckpt"), "--json"]
    done = CliRunner().invoke(main, ["evaluate", *checked])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["fit", "--resume", "--out", str(trained), *common])
    assert (done.exit_code, done.stdout) == (0, f"done: {trained / 'best.ckpt'}\n"), done.output


def test_a_run_goes_on_to_more_epochs_and_never_to_fewer(store, tmp_path):
    out = tmp_path / "run"
    assert fit_config(quick(epochs=2), store, out, stream=None)
    common = ["fit", "--resume", "--store", str(store), "--out", str(out)]
    done = CliRunner().invoke(main, [*common, "--epochs", "1"])
    assert done.exit_code == 2
    assert "epochs: got 1, but the run to resume is already in epoch 2" in done.stderr
    assert CliRunner().invoke(main, [*common, "--epochs", "3"]).exit_code == 0
    last = checkpoint.load(out / "last.ckpt")
    assert (last["epoch"], last["config"]["run"]["epochs"]) == (3, 3)
    assert "epochs = 3" in (out / "config.toml").read_text()
    done = CliRunner().invoke(main, [*common, "--lr", "7"])
    assert "omit --lr" in done.stderr


def test_every_version_that_trained_is_recorded(store, tmp_path, monkeypatch):
    out = tmp_path / "run"
    assert fit_config(quick(), store, out, stream=None)
    monkeypatch.setattr("rsn.training.run.versions", lambda: {"torch": "9.9"})
    for _ in range(2):
        assert fit_config(quick(epochs=2), store, out, resume=True, stream=None)
    record = evaluate(out / "last.ckpt", store, [PAPER], device="cpu", stream=None)
    first, second = record["checkpoint"]["versions"]
    assert (first["torch"], second["torch"]) == (str(torch.__version__), "9.9")


def test_lost_weights_of_the_best_epoch_are_missed(store, tmp_path):
    out = tmp_path / "run"
    assert fit_config(quick(epochs=3, lr=0.0), store, out, stream=None)
    (out / "best.ckpt").unlink()
    (out / "log.csv").unlink()
    # Only the batch statistics move: whichever epoch was the best, it is found or missed.
    try:
        fit_config(quick(epochs=3, lr=0.0), store, out, resume=True, stream=None)
    except InputError as error:
        assert "expected the weights of epoch" in str(error)  # noqa: PT017
    else:
        assert checkpoint.load(out / "best.ckpt")["epoch"] == 3
    assert len((out / "log.csv").read_text().splitlines()) == 4


def test_another_number_of_categories_is_refused(store, tmp_path):
    assert fit_config(quick(guidance="semantic"), store, tmp_path / "run", stream=None)
    names = tuple(f"class{i}" for i in range(13))
    other = write_rooms(tmp_path / "other.zarr", train=4, test=2, shape=(24, 32), class_names=names)
    with pytest.raises(InputError, match="guided by 40 categories, got a store of 13"):
        evaluate(tmp_path / "run" / "best.ckpt", other, [PAPER], device="cpu", stream=None)
    with pytest.raises(InputError, match="guided by 40 categories, got a store of 13"):
        load(tmp_path / "run" / "best.ckpt", device="cpu").predict_frames(other, [0])


@pytest.mark.slow
def test_a_killed_loader_process_is_one_line_and_the_run_goes_on(store, tmp_path):
    """As the kernel kills it where memory runs out."""
    script = (
        "import os, signal, sys\n"
        "from rsn.data.dataset import Frames\n"
        "import rsn.cli\n"
        "whole = Frames._decoded\n"
        "def killed(self, frame):\n"
        "    if os.path.exists('now') and self.arrays: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(self, frame)\n"
        "Frames._decoded = killed\n"
        "rsn.cli.main(sys.argv[1:])\n"
    )
    common = ["fit", "--store", store, "--out", tmp_path / "run", "--resume", "--model", "refinement"]
    common += ["--width", 8, "--size", "16x16", "--epochs", 2, "--device", "cpu", "--workers", 1]
    command = [sys.executable, "-c", script, *map(str, common)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    (tmp_path / "now").touch()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "a loader process has ended" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    (tmp_path / "now").unlink()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_folder_without_a_state_is_neither_resumed_nor_overwritten(trained, store, tmp_path):
    """Its last.ckpt is lost, a link to an unmounted disk, or it is a folder of somebody's own."""
    for left in (("best.ckpt",), ("log.csv", "config.toml"), ("best.ckpt", "log.csv", "config.toml")):
        for resume in (False, True):
            out = tmp_path / "-".join([*left, str(resume)])
            out.mkdir()
            for name in left:
                shutil.copy(trained / name, out / name)
            before = {file.name: file.read_bytes() for file in out.iterdir()}
            with pytest.raises(InputError, match=r"contains .* but no last\.ckpt"):
                fit_config(quick(), store, out, resume=resume, stream=None)
            assert before == {file.name: file.read_bytes() for file in out.iterdir()}
    out = tmp_path / "link"
    out.mkdir()
    (out / "last.ckpt").symlink_to(tmp_path / "unmounted" / "last.ckpt")
    with pytest.raises(InputError, match=r"contains last\.ckpt but"):
        fit_config(quick(), store, out, resume=True, stream=None)


@pytest.mark.parametrize("swapped", ["best.ckpt", "last.ckpt"])
def test_files_of_two_runs_in_one_folder_are_told(store, tmp_path, swapped):
    runs = [tmp_path / "one", tmp_path / "two"]
    for seed, run in enumerate(runs):
        assert fit_config(quick(seed=seed), store, run, stream=None)
    shutil.copy(runs[1] / swapped, runs[0] / swapped)
    before = {file.name: file.read_bytes() for file in runs[0].iterdir() if file.is_file()}
    config = quick(seed=int(swapped == "last.ckpt"), epochs=2)
    with pytest.raises(InputError, match=r"best\.ckpt: is of another run than last\.ckpt"):
        fit_config(config, store, runs[0], resume=True, stream=None)
    assert before == {file.name: file.read_bytes() for file in runs[0].iterdir() if file.is_file()}


def test_held_out_frames_are_those_of_the_run_s_own_store(trained, tmp_path):
    other = write_rooms(tmp_path / "other.zarr", train=14, test=3, shape=(24, 32))
    with pytest.raises(InputError, match="held out frames of another store"):
        evaluate(trained / "best.ckpt", other, [PAPER], split="validation", device="cpu", stream=None)
    with pytest.raises(InputError, match="expected one of train, test, validation"):
        evaluate(trained / "best.ckpt", other, [PAPER], split="nope", device="cpu", stream=None)


def test_a_full_disk_names_the_command_that_goes_on(store, tmp_path, monkeypatch):
    sync, left = os.fsync, iter(range(3))

    def full(file):
        if next(left, None) is None:
            raise OSError(28, "No space left on device", str(tmp_path))
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; free some and .* with --resume"):
        fit_config(quick(), store, tmp_path / "run", stream=None)
    monkeypatch.undo()
    assert fit_config(quick(), store, tmp_path / "run", resume=True, stream=None)


@pytest.mark.parametrize("text", ["run = [1]", "[run]\nepochs = " + "9" * 5000, "a = " + "[" * 3000])
def test_recipes_beyond_reading(store, tmp_path, text):
    recipe = tmp_path / "a.toml"
    recipe.write_text(text)
    arguments = ["fit", "--store", store, "--out", tmp_path / "run", "--recipe", recipe, "--epochs", 1]
    done = CliRunner(catch_exceptions=False).invoke(main, [*map(str, arguments)])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
