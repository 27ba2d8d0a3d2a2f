"""What a run tells: the time that is left on a terminal, whole lines elsewhere, and the log."""

import csv
import io
import sys

import pytest

from rsgt import files
from rsgt.inputs import InputError
from rsn.training import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_the_time_that_is_left(monkeypatch):
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    ticker = progress.Ticker(400, done=40, stream=stream)
    ticker.step("loss 1")
    assert stream.getvalue().endswith("41/400  loss 1  0:59:50 left")
    ticker.step("loss 2", steps=9)
    assert stream.getvalue().endswith("50/400  loss 2  0:11:40 left")
    ticker.line("epoch 1")
    assert stream.getvalue().endswith("\r\x1b[Kepoch 1\n")


def test_a_file_sees_whole_lines_only():
    stream = io.StringIO()
    ticker = progress.Ticker(10, stream=stream)
    ticker.step("loss 1")
    ticker.line("epoch 1")
    assert stream.getvalue() == "epoch 1\n"
    silent = progress.Ticker(10, stream=None)
    silent.step("loss 1")
    silent.line("epoch 1")


def test_the_log_is_written_whole(tmp_path):
    path = tmp_path / "log.csv"
    files.write_csv(path, [{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 1 / 3, "rmse": 2.0}])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert rows[0] == {"epoch": "1", "loss": "0.1", "rmse": ""}
    assert float(rows[1]["loss"]) == 1 / 3
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        progress.tensorboard()
