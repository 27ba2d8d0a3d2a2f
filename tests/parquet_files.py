"""Writers of the schemas that the mirrors of NYU Depth v2 on the Hub have, and of others, for tests."""

import io
import json

import numpy as np
from PIL import Image

from rsgt.sources.facts import class_map


def nested(values):
    """A column of nested lists, of an array (row, …)."""
    import pyarrow as pa

    column = pa.array(np.ascontiguousarray(values).reshape(-1))
    for size in values.shape[:0:-1]:
        column = pa.ListArray.from_arrays(np.arange(0, len(column) + 1, size, dtype=np.int32), column)
    return column


def encoded(images, kind="PNG", *, plain=False):
    """A column of encoded images: the Hub's Image, or plain bytes."""
    import pyarrow as pa

    contents = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind)
        contents.append(file.getvalue())
    if plain:
        return pa.array(contents, pa.binary())
    cells = [{"bytes": content, "path": None} for content in contents]
    return pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def write_table(path, columns, *, group=4, features=None, **how):
    """Write columns as a file with so many rows a row group; returns the path."""
    import pyarrow as pa
    from pyarrow.parquet import write_table as write

    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    write(table, path, row_group_size=group, **how)
    return path


def tanganke(arrays):
    """Nested lists: colour and depth as floats, channel first, 13 classes from 0 with -1 = none."""
    labels = class_map("13")[arrays["labels"]].astype(np.int64) - 1
    return {
        "image": nested(arrays["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255),
        "segmentation": nested(labels),
        "depth": nested(arrays["depths"][:, None]),
        "noise": nested(arrays["depths"][:, None]),
    }


def jagennath(arrays, *, first=0, stretched=True):
    """Encoded images with an id: depth in millimetres, 40 classes stretched over 16 bits, or raw labels."""
    labels, objects = (arrays[name].astype(np.uint16) for name in ("labels", "instances"))
    if stretched:
        labels = np.rint(class_map("40")[labels] * (65535 / 40)).astype(np.uint16)
        objects = np.rint(objects * (65535 / 37)).astype(np.uint16)
    return {
        "id": [str(first + k) for k in range(len(labels))],
        "rgb": encoded(arrays["images"]),
        "depth": encoded(np.rint(arrays["depths"] * 1000).astype(np.uint16)),
        "semantic": encoded(labels),
        "instance": encoded(objects),
    }


def wyrx(arrays, *, none=255):
    """Encoded images: 40 classes from 0 in 8 bits with 255 = none, depth in some unit."""
    labels = class_map("40")[arrays["labels"]].astype(np.int64) - 1
    return {
        "image": encoded(arrays["images"]),
        "depth": encoded(np.rint(arrays["depths"] * 1000).astype(np.uint16)),
        "label": encoded(np.where(labels < 0, none, labels).astype(np.uint8)),
    }
