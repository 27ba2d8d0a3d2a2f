"""ONNX: a graph of any size that computes what the network does."""

import errno

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from rsgt.inputs import InputError
from rsn.data.resize import resize_antialiased, resize_bilinear
from rsn.experiment import load
from rsn.models import export
from rsn.models.inference import working_size
from tests.rsn.checkpoints import write_checkpoint

pytestmark = pytest.mark.slow


SIZES = [(1, 1), (37, 64), (96, 128), (480, 640), (1080, 1920), (900, 600), (3, 200)]
SMALL = {"size": [72, 96], "workers": 0, "batch_size": 2}
WHOLE = {"network": {"model": "rsn", "iterations": 1, "encoder": "efficientnet_lite0", "width": 8},
         "loss": {"iteration_weights": [1.0]}}  # fmt: skip


def opened(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def photo(shape, seed=0):
    """Blocks of colour with noise, to which a network says something else everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (7, 9, 3))
    rows, columns = (np.arange(side) * blocks // side for side, blocks in zip(shape, (7, 9), strict=True))
    return (coarse[rows][:, columns] + rng.integers(-40, 40, (*shape, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A predictor that was trained at 72x96, the graph of its network, and what the export says."""
    folder = tmp_path_factory.mktemp("exported")
    path = write_checkpoint(folder / "a.ckpt", data=SMALL, **WHOLE)
    predictor = load(path, device="cpu")
    worst = predictor.export_onnx(folder / "a.onnx")
    return predictor, folder / "a.onnx", worst


@pytest.mark.parametrize("shape", SIZES, ids=lambda shape: "x".join(map(str, shape)))
def test_the_graph_gives_what_predict_gives_at_any_size(exported, shape):
    predictor, path, _ = exported
    photos = [photo(shape, seed) for seed in range(2)]
    expected = np.stack([found.depth for found in predictor.predict(photos)])
    rgb = np.stack(photos).transpose(0, 3, 1, 2).astype(np.float32)
    session = opened(path)
    depth, support = session.run(["depth", "support"], {"rgb": rgb})
    assert depth.shape == support.shape == (2, 1, *shape)
    assert np.ptp(expected) > 0.1 or shape == (1, 1)
    np.testing.assert_allclose(depth[:, 0], expected, rtol=1e-3, atol=1e-4)
    (alone,) = session.run(["depth"], {"rgb": rgb[:1]})
    np.testing.assert_allclose(alone[0, 0], predictor.predict(photos[0]).depth, rtol=1e-3, atol=1e-4)


def test_the_graph_says_what_it_is(exported, tmp_path):
    predictor, path, worst = exported
    assert worst < 1e-4
    session = opened(path)
    assert [(one.name, one.shape) for one in (*session.get_inputs(), *session.get_outputs())] == [
        ("rgb", ["batch", 3, "height", "width"]),
        ("depth", ["batch", 1, "height", "width"]),
        ("support", ["batch", 1, "height", "width"]),
    ]
    told = session.get_modelmeta().custom_metadata_map
    assert told["rsn"] == predictor.contents["rsn"]
    assert {key: told[key] for key in ("height", "width", "units", "model", "commit", "epoch")} == {
        "height": "72", "width": "96", "units": "metres", "model": "rsn", "commit": "0a1b", "epoch": "3",
    }  # fmt: skip
    model = onnx.load(path)
    assert [entry.domain for entry in model.opset_import] == [""]
    assert not model.functions
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.ckpt", "a.onnx"]


class Colour(nn.Module):
    def forward(self, rgb):
        return rgb[:, :1] + 1


@pytest.mark.parametrize("shape", [(5, 40), (96, 128), (100, 31), (300, 500), (241, 320)])
@pytest.mark.parametrize("size", [(24, 32), (240, 320)])
def test_colour_is_resized_as_pytorch_resizes_eight_bits(tmp_path_factory, shape, size):
    """A network that gives its red back: all but a few pixels to the bit, and those by one of 255."""
    path = tmp_path_factory.mktemp("colour") / "a.onnx"
    session = opened(written(path, size))
    rgb = photo(shape).transpose(2, 0, 1)[None]
    (red,) = session.run(None, {"rgb": rgb.astype(np.float32)})
    seen = resize_antialiased(torch.from_numpy(rgb), working_size(shape, size)).float()[:, :1] + 1
    off = np.abs(red - resize_bilinear(seen, shape).numpy())
    assert off.max() <= 1 + 1e-3
    assert (off > 1e-2).mean() < 0.05


def written(path, size):
    export.export_onnx(Colour().eval(), path, size=size)
    return path


class Lies(nn.Module):
    """Computes something else from the second call on."""

    calls = 0

    def forward(self, rgb):
        if not torch.compiler.is_exporting():
            self.calls += 1
        return rgb[:, :1] + self.calls


def test_a_graph_that_differs_is_not_written(tmp_path):
    with pytest.raises(RuntimeError, match="the exported graph differs from the network"):
        export.export_onnx(Lies().eval(), tmp_path / "a.onnx", size=(24, 32))
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
        export.export_onnx(nn.Identity(), tmp_path / "a.onnx", size=(24, 32))


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
        export.export_onnx(Lies().eval(), path, size=(24, 32))
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    assert path.read_text() == "old"
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


class NotANumber(nn.Module):
    def forward(self, rgb):
        return rgb[:, :1] * torch.nan


def test_a_graph_that_computes_nothing_is_not_written(tmp_path):
    with pytest.raises(RuntimeError, match="the exported graph differs from the network by inf"):
        export.export_onnx(NotANumber().eval(), tmp_path / "a.onnx", size=(24, 32))
    assert list(tmp_path.iterdir()) == []
