"""Rendered rooms as Parquet: the columns and the stretched labels of a mirror of NYU Depth v2 on the Hub.

``data/train-00000-of-00001.parquet`` and ``data/test-…`` with ``id``, ``rgb``, ``depth`` (16 bit, mm),
``semantic`` (40 classes times 65535 / 40, as that mirror has them) and ``instance``, all as PNG,
and beside them ``scene``.
"""

import io
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.files import replacing
from rsgt.inputs import InputError
from rsgt.sources.exports.maps import classes40, millimetres, objects
from rsgt.sources.rooms.frame import Room

Array = npt.NDArray[Any]

ROWS_A_GROUP = 8
TEST_EVERY = 3
"""Every third room is for testing."""

TEXTS = ("id", "scene")
IMAGES = ("rgb", "depth", "semantic", "instance")


def write(out: Path, rooms: Iterable[Room]) -> None:
    """Write rooms as they come, a few in memory; each file appears when it is complete.

    Depth is rounded to millimetres. Objects of a frame are counted over all categories.

    Parameters
    ----------
    out
        The folder to write; ``data/`` is made in it.
    rooms
        Frames; views of one room follow each other.

    Raises
    ------
    InputError
        Where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise InputError(
            f"{out}: writing Parquet needs pyarrow: pip install 'region-support[parquet]'"
        ) from error
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    texts = [pa.field(name, pa.string()) for name in TEXTS]
    fields = [*texts, *(pa.field(name, image) for name in IMAGES)]
    schema = pa.schema(fields, {"huggingface": json.dumps(_features())})
    (out / "data").mkdir(parents=True, exist_ok=True)
    scenes: dict[str, int] = {}
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        waiting: dict[str, list[Mapping[str, Any]]] = {}

        def flush(part: str) -> None:
            if part not in writers:
                path = out / "data" / f"{part}-00000-of-00001.parquet"
                writers[part] = stack.enter_context(
                    ParquetWriter(stack.enter_context(replacing(path)), schema)
                )
            writers[part].write_table(pa.Table.from_pylist(waiting.pop(part), schema))

        for number, room in enumerate(rooms, start=1):
            place = scenes.setdefault(room.scene, len(scenes))
            part = "test" if place % TEST_EVERY == TEST_EVERY - 1 else "train"
            named = {"id": f"{number:05}", "scene": room.scene}
            waiting.setdefault(part, []).append({**named, **_images(room, number)})
            if len(waiting[part]) == ROWS_A_GROUP:
                flush(part)
        for part in list(waiting):
            flush(part)


def _images(room: Room, number: int) -> dict[str, Any]:
    maps = {
        "rgb": room.rgb,
        "depth": millimetres(room.depth_m),
        "semantic": np.rint(classes40(room) * (65535 / 40)).astype(np.uint16),
        "instance": objects(room).astype(np.uint16),
    }
    return {name: {"bytes": _png(values), "path": f"{number:05}.png"} for name, values in maps.items()}


def _png(values: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG", compress_level=3)
    return file.getvalue()


def _features() -> dict[str, Any]:
    """What the Hub's library notes of the columns, so that it shows images."""
    features: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in TEXTS}
    return {"info": {"features": features | {name: {"_type": "Image"} for name in IMAGES}}}
