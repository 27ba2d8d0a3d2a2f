"""What a network costs as an ONNX graph: frames a second and errors, float32 and int8, against PyTorch.

``python -m benchmarks.bench_onnx CHECKPOINT STORE [FRAMES] [THREADS]`` exports, quantises in two ways
(weights alone, ``dynamic``; weights and activations of the convolutions, ``static``, by 32 training frames),
and judges each on so many test frames (evenly spaced, 64 by default) by the protocol ``nyu-eigen``. It prints
one JSON object.
"""

import json
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization

import rsgt
import rsn
from rsgt.quality.evaluation.protocol import PROTOCOLS, compared
from rsgt.quality.metrics import depth_measures
from rsgt.store.schema import SPLITS

CALIBRATED_BY = 32
CONVOLUTIONS = ["Conv", "ConvTranspose"]


class Frames(quantization.CalibrationDataReader):
    """Colour of some frames, as the graph takes it."""

    def __init__(self, store, places):
        self.feed = ({"rgb": colour(store, place)} for place in places)

    def get_next(self):
        return next(self.feed, None)


def colour(store, place):
    """Colour of a frame, (1, 3, y, x) float32."""
    return store.read("rgb", place, place + 1).transpose(0, 3, 1, 2).astype(np.float32)


def spread(store, split, count):
    """Positions of at most so many frames of a split, evenly spaced."""
    places = np.flatnonzero(store.split == SPLITS[split])
    return [
        int(place) for place in places[np.linspace(0, len(places) - 1, min(count, len(places))).astype(int)]
    ]


def quantised(graph, folder, store):
    """The graph with weights of 8 bits, and with activations of 8 bits, too."""
    prepared, paths = (
        folder / "prepared.onnx",
        {name: folder / f"{name}.onnx" for name in ("dynamic", "static")},
    )
    quantization.quant_pre_process(graph, prepared, skip_symbolic_shape=True)
    quantization.quantize_dynamic(prepared, paths["dynamic"], op_types_to_quantize=CONVOLUTIONS)
    quantization.quantize_static(
        prepared, paths["static"], Frames(store, spread(store, "train", CALIBRATED_BY)),
        op_types_to_quantize=CONVOLUTIONS, per_channel=True, reduce_range=False,
        calibrate_method=quantization.CalibrationMethod.Percentile,
    )  # fmt: skip
    return paths


def judged(predict, store, places, protocol):
    """Frames a second, and means over images of the errors."""
    predict(colour(store, places[0]))
    spent, errors = 0.0, []
    for place in places:
        rgb = colour(store, place)
        begun = time.perf_counter()
        depth = predict(rgb)
        spent += time.perf_counter() - begun
        truth = store.read("depth", place, place + 1)[0]
        errors.append(depth_measures(compared(protocol, depth[0, 0], truth).maps).values)
    means = {name: float(np.mean([one[name] for one in errors])) for name in ("rmse", "abs_rel", "delta1")}
    return {"frames_per_second": round(len(places) / spent, 2)} | {k: round(v, 5) for k, v in means.items()}


def session(path, threads):
    """A function from colour to depth that runs a graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    found = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda rgb: found.run(["depth"], {"rgb": rgb})[0]


def main(checkpoint, place, frames=64, threads=2):
    """Print one JSON object: a figure for each form of the network."""
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(threads)
    store, predictor = rsgt.open(place), rsn.load(checkpoint, device="cpu")
    protocol, places = PROTOCOLS["nyu-eigen"], spread(rsgt.open(place), "test", frames)
    found = {"size": list(predictor.size), "frames": len(places), "threads": threads, "forms": {}}

    def pytorch(rgb):
        return predictor.predict(rgb[0].transpose(1, 2, 0).astype(np.uint8)).depth[None, None]

    with TemporaryDirectory() as name:
        graph = Path(name) / "float32.onnx"
        found["difference"] = predictor.export_onnx(graph)
        forms = {"float32": graph, **quantised(graph, Path(name), store)}
        for form, path in forms.items():
            figures = judged(session(path, threads), store, places, protocol)
            found["forms"][form] = figures | {"mb": round(path.stat().st_size / 1e6, 2)}
        found["forms"]["pytorch with regions"] = judged(pytorch, store, places, protocol)
    exact = found["forms"]["float32"]["rmse"]
    for form in ("dynamic", "static"):
        found["forms"][form]["more_rmse"] = round(found["forms"][form]["rmse"] / exact - 1, 5)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5]))
