"""ONNX: a graph of any size that computes what the network does."""

import errno

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from rsgt.inputs import InputError
from rsn.experiment import load
from rsn.models import export
from tests.rsn.checkpoints import write_checkpoint

pytestmark = pytest.mark.slow


def test_the_graph_gives_depth_in_metres_for_sizes_it_was_not_made_with(tmp_path):
    path = write_checkpoint(
        tmp_path / "a.ckpt",
        network={"model": "refinement", "iterations": 1},
        data={"guidance": "none"},
        loss={"iteration_weights": [1.0]},
    )
    assert load(path, device="cpu").export_onnx(tmp_path / "a.onnx") < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 64, 48), (3, 3, 37, 91)):
        (depth,) = session.run(["depth"], {"rgb": np.full(shape, 99, np.float32)})
        assert depth.shape == (shape[0], 1, *shape[2:])
    assert [file.name for file in tmp_path.glob("*.onnx*")] == ["a.onnx"]


class Lies(nn.Module):
    """Computes something else from the second call on."""

    calls = 0

    def forward(self, rgb):
        if not torch.compiler.is_exporting():
            self.calls += 1
        return rgb[:, :1] + self.calls


def test_a_graph_that_differs_is_not_written(tmp_path):
    with pytest.raises(RuntimeError, match="the exported graph differs from the network"):
        export.export_onnx(Lies().eval(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_clustering_is_no_graph(tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": "clustering"})
    with pytest.raises(InputError, match="searches for its regions, which ONNX cannot express"):
        load(path, device="cpu").export_onnx(tmp_path / "a.onnx")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(export, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'region-support\[onnx\]'"):
        export.export_onnx(nn.Identity(), tmp_path / "a.onnx")


@pytest.mark.parametrize("kind", ["folder", "no folder", "under a file"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(torch.onnx, "export", None)
    predictor = load(write_checkpoint(tmp_path / "a.ckpt"), device="cpu")
    (tmp_path / "file").write_text("")
    path = {"folder": tmp_path, "no folder": tmp_path / "no" / "a.onnx"}.get(
        kind, tmp_path / "file" / "a.onnx"
    )
    with pytest.raises(InputError, match="is a folder" if kind == "folder" else "there is no folder"):
        predictor.export_onnx(path)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_export_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error):
    def fail(_network, _example, path, **_):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch.onnx, "export", fail)
    path = tmp_path / "a.onnx"
    path.write_text("old")
    with pytest.raises(type(error)) as caught:
        export.export_onnx(Lies().eval(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    assert path.read_text() == "old"
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


class NotANumber(nn.Module):
    def forward(self, rgb):
        return rgb[:, :1] * torch.nan


def test_a_graph_that_computes_nothing_is_not_written(tmp_path):
    with pytest.raises(RuntimeError, match="the exported graph differs from the network by inf"):
        export.export_onnx(NotANumber().eval(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
