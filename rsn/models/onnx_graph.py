"""The ONNX graph about a network: colour of any size to the size that it was trained at, and depth back.

The graph does what ``rsn.predictor`` does with a photo. PyTorch resizes colour of 8 bits in two passes, along
rows and then along columns, each with weights of 15 bits and rounded to 8 bits again (as Pillow does); ONNX's
own ``Resize`` with anti-aliasing differs from that by up to 13 of 255 along the borders. So each pass is a
product with a matrix of the same weights, which the graph makes of the image's size. Colour is taken from
-128 to 127 meanwhile, so that float32 holds each sum exactly (up to eightfold reduction) and rounds the same
ones; ``excess`` is what rounded weights that do not add up to 1 make of the 128 that were taken off.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from rsn.models.inference import LEAST_SIDE

_FUNCTIONS = """
<domain: "rsn", opset_import: ["" : VERSION]>
resized_sides (sides, longest) => (new) {
    exact = Cast <to = 11> (sides)
    most = ReduceMax <keepdims = 0> (exact)
    scale = Div (longest, most)
    scaled = Mul (exact, scale)
    near = Round (scaled)
    least = Constant <value = double {LEAST}> ()
    new = Max (near, least)
}

<domain: "rsn", opset_import: ["" : VERSION]>
resize_matrix (old, new) => (matrix, excess) {
    zero = Constant <value = double {0.0}> ()
    half = Constant <value = double {0.5}> ()
    one = Constant <value = double {1.0}> ()
    two = Constant <value = double {2.0}> ()
    rows = Constant <value = int64[1] {1}> ()
    scale = Div (old, new)
    reach = Max (scale, one)
    numbers = Range (zero, new, one)
    middles = Add (numbers, half)
    centres = Mul (middles, scale)
    below = Unsqueeze (centres, rows)
    pixels = Range (zero, old, one)
    places = Add (pixels, half)
    away = Sub (places, below)
    far = Abs (away)
    relative = Div (far, reach)
    signed = Sub (one, relative)
    tent = Max (signed, zero)
    total = ReduceSum <keepdims = 1> (tent, rows)
    weight = Div (tent, total)
    largest = ReduceMax <keepdims = 0> (weight)
    bits = Constant <value = double[22] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22}> ()
    units = Pow (two, bits)
    highest = Mul (largest, units)
    raised = Add (highest, half)
    stored = Floor (raised)
    limit = Constant <value = double {32768.0}> ()
    fits = Less (stored, limit)
    counted = Cast <to = 11> (fits)
    precision = ReduceSum <keepdims = 0> (counted)
    unit = Pow (two, precision)
    fine = Mul (weight, unit)
    up = Add (fine, half)
    fixed = Floor (up)
    exact = Div (fixed, unit)
    matrix = Cast <to = 1> (exact)
    sums = ReduceSum <keepdims = 0> (exact, rows)
    over = Sub (sums, one)
    middle = Constant <value = double {128.0}> ()
    added = Mul (over, middle)
    excess = Cast <to = 1> (added)
}

<domain: "rsn", opset_import: ["" : VERSION]>
eight_bits (product, excess) => (rounded) {
    half = Constant <value = float {0.5}> ()
    least = Constant <value = float {-128.0}> ()
    most = Constant <value = float {127.0}> ()
    values = Add (product, excess)
    up = Add (values, half)
    whole = Floor (up)
    rounded = Clip (whole, least, most)
}

<domain: "rsn", opset_import: ["" : VERSION, "rsn" : 1]>
seen_by_network (rgb, longest) => (seen) {
    sides = Shape <start = 2, end = 4> (rgb)
    new = rsn.resized_sides (sides, longest)
    old = Cast <to = 11> (sides)
    first = Constant <value = int64 {0}> ()
    second = Constant <value = int64 {1}> ()
    height = Gather (old, first)
    width = Gather (old, second)
    new_height = Gather (new, first)
    new_width = Gather (new, second)
    middle = Constant <value = float {128.0}> ()
    centred = Sub (rgb, middle)
    across, excess_across = rsn.resize_matrix (width, new_width)
    turned = Transpose <perm = [1, 0]> (across)
    narrow = MatMul (centred, turned)
    narrow_bits = rsn.eight_bits (narrow, excess_across)
    down, excess = rsn.resize_matrix (height, new_height)
    last = Constant <value = int64[1] {1}> ()
    excess_down = Unsqueeze (excess, last)
    small = MatMul (down, narrow_bits)
    small_bits = rsn.eight_bits (small, excess_down)
    seen = Add (small_bits, middle)
}

<domain: "rsn", opset_import: ["" : VERSION]>
as_large_as (metres, rgb) => (large) {
    sides = Shape <start = 2, end = 4> (rgb)
    first = Shape <start = 0, end = 2> (metres)
    shape = Concat <axis = 0> (first, sides)
    large = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (metres, , , shape)
}
"""


def around(
    network: Any, *, size: tuple[int, int], outputs: Sequence[str], metadata: Mapping[str, str]
) -> Any:
    """Put a network's graph between the resizing of colour and of depth.

    Parameters
    ----------
    network : onnx.ModelProto
        Its input ``rgb`` is colour (B, 3, h, w), float32 of 0-255; its outputs are (B, 1, h, w) in metres.
    size : (int, int)
        Height and width that it was trained at.
    outputs, metadata
        Names of the outputs; and what the file says of itself, by name.

    Returns
    -------
    onnx.ModelProto
        Input and outputs as before, with axes ``batch``, ``height`` and ``width``: of any size, which the
        outputs have again.
    """
    onnx = import_module("onnx")
    version = next(entry.version for entry in network.opset_import if not entry.domain)
    inner = onnx.compose.add_prefix(network, "network/")
    graph, kind = inner.graph, onnx.TensorProto.FLOAT
    longest = onnx.helper.make_tensor("longest", onnx.TensorProto.DOUBLE, [], [float(max(size))])
    small = [value.name for value in graph.output]
    nodes = [
        onnx.helper.make_node("seen_by_network", ["rgb", "longest"], [graph.input[0].name], domain="rsn"),
        *graph.node,
        *(
            onnx.helper.make_node("as_large_as", [inside, "rgb"], [name], domain="rsn")
            for inside, name in zip(small, outputs, strict=True)
        ),
    ]
    whole = onnx.helper.make_graph(
        nodes,
        "rsn",
        [onnx.helper.make_tensor_value_info("rgb", kind, ["batch", 3, "height", "width"])],
        [onnx.helper.make_tensor_value_info(name, kind, ["batch", 1, "height", "width"]) for name in outputs],
        [*graph.initializer, longest],
    )
    texts = _FUNCTIONS.replace("VERSION", str(version)).replace("LEAST", f"{LEAST_SIDE:.1f}")
    functions = [onnx.parser.parse_function(text) for text in texts.strip().split("\n\n")]
    model = onnx.helper.make_model(
        whole,
        producer_name="rsn",
        ir_version=network.ir_version,
        opset_imports=[*inner.opset_import, onnx.helper.make_opsetid("rsn", 1)],
        functions=[*inner.functions, *functions],
    )
    onnx.helper.set_model_props(model, dict(metadata))
    # Other programs than onnxruntime know no functions of a file's own.
    model = import_module("onnx.inliner").inline_local_functions(model)
    del model.opset_import[[entry.domain for entry in model.opset_import].index("rsn")]
    onnx.checker.check_model(model, full_check=True)
    return model
