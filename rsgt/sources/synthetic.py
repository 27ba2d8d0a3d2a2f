"""Rendered indoor rooms in the layout of ``nyu_depth_v2_labeled.mat``, or of another data set.

Real frames cannot be shipped, so the demonstration and the tests run on these. A room is furnished from a
seed and seen from two to four places; its labels, instances and depth are exact, its raw depth has the noise
and the holes of a structured-light sensor, and some of its pixels are left unlabelled, as annotators do.
"""

import errno
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import h5py
import numpy as np
import numpy.typing as npt

from rsgt.files import replacing
from rsgt.inputs import InputError
from rsgt.parallel import default_workers
from rsgt.sources.facts import NYU_SHAPE, class_names
from rsgt.sources.rooms.frame import Room, render_room
from rsgt.sources.rooms.tracing import Camera

__all__ = ["NYU_SHAPE", "Layout", "Room", "render_room", "write_rooms"]

T = TypeVar("T")

VERSION = 2
"""Goes up whenever the same seed gives other pixels."""

FileLayout = Literal["frame", "block", "contiguous"]
"""How the file is chunked: one frame a chunk, chunks that span frames, or no chunks at all."""

FolderLayout = Literal["folder", "sunrgbd", "scannet", "hypersim", "parquet"]
"""Whose layout the folder has: the formats of ``rsgt.open_source``."""

Layout = FileLayout | FolderLayout
LAYOUTS: tuple[str, ...] = (*get_args(FileLayout), *get_args(FolderLayout))

GZIP_LEVEL = 3
BLOCK = 46
"""Frames that a chunk spans in the layout ``block``, and that are held in memory there."""

SPARE_BYTES = 2**25
"""Disk space that is left free beside the frames: HDF5's own tables fit in it."""

STACKS = {"images": "u1", "depths": "f4", "rawDepths": "f4", "labels": "u2", "instances": "u1"}
MATLAB_CLASS = {"u1": b"uint8", "u2": b"uint16", "f4": b"single"}
MATLAB_TEXT = (
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema 1.00 ."
)
MATLAB_HEADER = MATLAB_TEXT.ljust(116) + bytes(8) + b"\x00\x02IM"


def write_rooms(
    path: str | os.PathLike[str],
    *,
    frames: int,
    seed: int,
    shape: tuple[int, int] = NYU_SHAPE,
    layout: Layout = "frame",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render rooms into a file with the layout of ``nyu_depth_v2_labeled.mat``, or into another's folder.

    The file is a MATLAB v7.3 (HDF5) file with the official one's datasets, axes (frame, …, x, y as h5py shows
    them) and data types. Its root attribute ``rsgt_synthetic`` (JSON: seed, version) tells it from real data;
    row 0 and 2 of ``accelData`` are the camera's true roll and pitch in radians. It appears under ``path``
    only when it is complete, and its bytes depend on ``frames``, ``seed``, ``shape`` and ``layout`` alone.
    So it is with a folder, whose labels and depth are rounded to what its layout holds.

    Parameters
    ----------
    path
        The file to write, of which an existing one of rendered rooms is replaced; or the folder, which must
        not be there.
    frames
        How many, from the first of the series.
    seed
        Which series of rooms, 0 or more.
    shape
        Rows and columns of each frame.
    layout
        Of the file: chunks of one frame, chunks that span frames, or no chunks. Else that of a folder of
        files, or of SUN RGB-D, ScanNet, Hypersim, or NYU's mirrors in Parquet.
    workers
        Threads that render; by default one for each core.
    progress
        Called with (frames done, frames in all) after each frame.

    Raises
    ------
    InputError
        Where an argument is out of range, embreex is not installed, or the file cannot be written.
    """
    path, workers = Path(path), workers or default_workers()
    if frames < 1 or workers < 1:
        raise InputError(
            f"synthetic rooms: got {frames} frames and {workers} workers, expected 1 or more of both"
        )
    if layout not in LAYOUTS:
        raise InputError(f"layout: got {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if layout in get_args(FolderLayout):
        _write_folder(path, frames, partial(render_room, seed, shape=shape), layout, workers, progress)
        return
    _refuse_foreign(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with (
            closing(_rendered(frames, partial(_frame, seed, shape, layout == "frame"), workers)) as rendered,
            h5py.File(aside, "w", userblock_size=512, libver="earliest") as file,
        ):
            _create_stacks(file, frames, shape, layout)
            rooms = []
            for room in _stored(file, rendered, path.parent):
                rooms.append(room)
                if progress is not None:
                    progress(len(rooms), frames)
            _write_tables(file, rooms)
            file.attrs["rsgt_synthetic"] = json.dumps({"seed": seed, "version": VERSION})
        with aside.open("r+b") as raw:
            raw.write(MATLAB_HEADER)
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        # HDF5 fails once more, with a RuntimeError, when it closes a file that it could not write.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        reason = os.strerror(cause.errno) if cause.errno else str(cause)
        raise InputError(f"cannot write {path}: {reason}; choose another place or make room") from error
    finally:
        aside.unlink(missing_ok=True)


def _refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that is not of rendered rooms: it may be the data set itself."""
    if path.exists():
        try:
            with h5py.File(path, "r") as file:
                ours = "rsgt_synthetic" in file.attrs
        except OSError:
            ours = False
        if not ours:
            raise InputError(f"{path}: exists, and is no file of rendered rooms; choose another name")


class _Frame(NamedTuple):
    """A frame in the file's own axes, deflated already where a chunk is a frame."""

    scene: str
    scene_type: str
    camera: Camera
    stacks: dict[str, Any]


def _frame(seed: int, shape: tuple[int, int], deflate: bool, index: int) -> _Frame:
    room = render_room(seed, index, shape)
    images: dict[str, npt.NDArray[Any]] = {
        "images": room.rgb,
        "depths": room.depth_m,
        "rawDepths": room.raw_depth_m,
        "labels": room.semantic,
        "instances": room.instance,
    }
    # MATLAB is column-major: h5py sees x before y.
    stacks: dict[str, Any] = {name: np.ascontiguousarray(image.T) for name, image in images.items()}
    if deflate:
        stacks = {name: zlib.compress(image.tobytes(), GZIP_LEVEL) for name, image in stacks.items()}
    return _Frame(room.scene, room.scene_type, room.camera, stacks)


def _write_folder(
    path: Path,
    frames: int,
    render: Callable[[int], Room],
    layout: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write rooms as the folder of a data set, whole or not at all."""
    if path.exists():
        raise InputError(f"{path}: exists; choose another name for the folder of layout {layout}")

    def told(rooms: Iterator[Room]) -> Iterator[Room]:
        for done, room in enumerate(rooms, start=1):
            yield room
            if progress is not None:
                progress(done, frames)

    home = import_module(f"rsgt.sources.exports.{layout}")
    try:
        with replacing(path) as aside, closing(_rendered(frames, render, workers)) as rooms:
            home.write(aside, told(rooms))
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose another place or make room"
        ) from error


def _rendered(frames: int, render: Callable[[int], T], workers: int) -> Generator[T, None, None]:
    """Render frames in order on some threads, never more than a few ahead of the reader."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for index in range(frames):
                waiting.append(pool.submit(render, index))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _create_stacks(file: h5py.File, frames: int, shape: tuple[int, int], layout: Layout) -> None:
    for name, dtype in STACKS.items():
        size = (3, *shape[::-1]) if name == "images" else shape[::-1]
        block = (min(frames, BLOCK), *((1,) * (len(size) - 2)), min(20, size[-2]), min(15, size[-1]))
        chunks = {"frame": (1, *size), "block": block, "contiguous": None}[layout]
        packing = {"compression": "gzip", "compression_opts": GZIP_LEVEL} if chunks else {}
        stack = file.create_dataset(name, (frames, *size), dtype, chunks=chunks, **packing)
        stack.attrs["MATLAB_class"] = np.bytes_(MATLAB_CLASS[dtype])


def _stored(file: h5py.File, rendered: Iterator[_Frame], folder: Path) -> Iterator[_Frame]:
    """Write frames as they come, by chunks or in batches; give them back without their pixels."""
    frames, done, batch = len(file["depths"]), 0, list[_Frame]()
    frame_bytes = sum(file[name].nbytes for name in STACKS) // frames
    for index, frame in enumerate(rendered, start=1):
        batch.append(frame)
        deflated = isinstance(frame.stacks["depths"], bytes)
        if deflated or len(batch) == BLOCK or index == frames:
            # HDF5 can crash where a disk fills up, so it is not let come to that.
            if shutil.disk_usage(folder).free < frame_bytes * len(batch) + SPARE_BYTES:
                raise OSError(errno.ENOSPC, "disk full")
            for name in STACKS:
                stack = file[name]
                if deflated:
                    stack.id.write_direct_chunk((done,) + (0,) * (stack.ndim - 1), frame.stacks[name])
                else:
                    stack[done:index] = np.stack([one.stacks[name] for one in batch])
            done, batch = index, []
        yield frame._replace(stacks={})


def _write_tables(file: h5py.File, rooms: list[_Frame]) -> None:
    acceleration = np.zeros((4, len(rooms)), np.float32)
    acceleration[0] = [room.camera.roll for room in rooms]
    acceleration[2] = [room.camera.pitch for room in rooms]
    file.create_dataset("accelData", data=acceleration).attrs["MATLAB_class"] = np.bytes_(b"single")
    _write_strings(file, "names", class_names("894"))
    _write_strings(file, "scenes", [room.scene for room in rooms])
    _write_strings(file, "sceneTypes", [room.scene_type for room in rooms])
    _write_strings(
        file, "rawRgbFilenames", [f"{room.scene}/r-{i}.ppm" for i, room in enumerate(rooms, start=1)]
    )
    _write_strings(
        file, "rawDepthFilenames", [f"{room.scene}/d-{i}.pgm" for i, room in enumerate(rooms, start=1)]
    )
    # MATLAB keeps a map as an opaque object; this is the stub that h5py sees of it.
    stub = file.create_dataset("namesToIds", data=np.array([[0xDD000000, 2, 1, 1, 1, 1]], np.uint32))
    stub.attrs["MATLAB_class"] = np.bytes_(b"containers.Map")


def _write_strings(file: h5py.File, name: str, strings: list[str]) -> None:
    """Write a MATLAB cell array of strings: references to arrays of UTF-16 characters."""
    references = file.require_group("#refs#")
    cells = file.create_dataset(name, (1, len(strings)), h5py.ref_dtype)
    cells.attrs["MATLAB_class"] = np.bytes_(b"cell")
    for i, text in enumerate(strings):
        characters = np.array([[ord(character)] for character in text], np.uint16)
        item = references.create_dataset(f"{name}{i}", data=characters)
        item.attrs["MATLAB_class"] = np.bytes_(b"char")
        cells[0, i] = item.ref
