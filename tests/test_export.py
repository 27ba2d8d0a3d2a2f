"""ONNX: a graph of any size that computes what the network does."""

import numpy as np
import pytest
import torch
from torch import nn

from rsgt.schema import InputError
from rsn import export
from rsn.experiment import export_checkpoint
from tests.test_evaluation import write_checkpoint

pytestmark = pytest.mark.slow


def runtime():
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    return pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def test_the_graph_gives_depth_in_metres_for_sizes_it_was_not_made_with(tmp_path):
    onnxruntime = runtime()
    path = write_checkpoint(
        tmp_path / "a.ckpt",
        network={"model": "refinement", "iterations": 1},
        data={"guidance": "none"},
        loss={"iteration_weights": [1.0]},
    )
    assert export_checkpoint(path, tmp_path / "a.onnx") < 1e-4
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
    runtime()
    with pytest.raises(RuntimeError, match="the exported graph differs from the network"):
        export.export_onnx(Lies().eval(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_clustering_is_no_graph(tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt", network={"model": "clustering"})
    with pytest.raises(InputError, match="searches for its regions, which ONNX cannot express"):
        export_checkpoint(path, tmp_path / "a.onnx")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(export, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'rsgt\[onnx\]'"):
        export.export_onnx(nn.Identity(), tmp_path / "a.onnx")
