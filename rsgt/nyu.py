"""``nyu_depth_v2_labeled.mat`` (and the v1 file), streamed along its own chunk grid.

MATLAB writes HDF5 with its axes reversed, so that h5py sees (frame, x, y); here they become (frame, y, x).
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from rsgt import kernels, schema
from rsgt.chunks import InflateError, Place, first_frame, stream
from rsgt.schema import InputError, LabelSet
from rsgt.source import DepthKind

Array = npt.NDArray[Any]
_STACKS = {
    "images": ("uint8", 4),
    "depths": ("float32", 3),
    "rawDepths": ("float32", 3),
    "labels": ("uint16", 3),
    "instances": ("uint8", 3),
}
_REQUIRED = ("images", "depths", "labels", "names")
_FACTS = "the official file is nyu_depth_v2_labeled.mat, 2.8 GB, from the data set's page"


def _explain_unreadable(path: Path, error: OSError) -> InputError:
    """Say what a file that HDF5 refuses is, as far as its first bytes tell."""
    if path.is_dir():
        return InputError(f"{path}: is a folder, expected a .mat file; {_FACTS}")
    if not path.exists():
        return InputError(f"{path}: no such file; {_FACTS}")
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:1] == b"<":
        found = "is an HTML or XML page saved under this name; download again and look at the size"
    elif head.startswith(b"MATLAB 5.0"):
        found = "is a MATLAB 5 file (is it splits.mat?); expected MATLAB 7.3 = HDF5"
    elif "truncated" in str(error):
        found = f"is truncated at {path.stat().st_size:,} bytes; download again and compare the size"
    else:
        found = f"can't be opened as HDF5 ({error})"
    return InputError(f"{path}: {found}; {_FACTS}")


class NyuFile:
    """A labelled NYU Depth file as a source of frames (see ``rsgt.source.Source``).

    Parameters
    ----------
    path
        The .mat file. Datasets have the axes of the official file: images (frame, channel, x, y), the
        others (frame, x, y).

    Raises
    ------
    InputError
        Where the file is missing, no HDF5, truncated, or lacks a dataset or has one of another shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._check()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @cached_property
    def _file(self) -> Any:
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise _explain_unreadable(self.path, error) from error

    def _check(self) -> None:
        missing = [name for name in _REQUIRED if name not in self._file]
        if missing:
            raise InputError(
                f"{self.path}: has no {', '.join(missing)} (it has {', '.join(self._file) or 'nothing'}); "
                + _FACTS
            )
        frames, _, width, height = (*self._file["images"].shape, 0, 0, 0, 0)[:4]
        for name, (dtype, rank) in _STACKS.items():
            if name not in self._file:
                continue
            data = self._file[name]
            expected = (frames, 3, width, height) if rank == 4 else (frames, width, height)
            if data.shape != expected or data.dtype.kind != np.dtype(dtype).kind:
                raise InputError(
                    f"{self.path}: {name} is {data.dtype} {data.shape}, expected {dtype} {expected}; {_FACTS}"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        _, _, width, height = self._file["images"].shape
        return height, width

    @property
    def frame_ids(self) -> range:
        """Frames go by their number, from 1, as in the official split."""
        return range(1, self._file["images"].shape[0] + 1)

    @property
    def has_instances(self) -> bool:
        """Whether the file tells apart objects of one category (the v1 file does not)."""
        return "instances" in self._file

    @property
    def is_synthetic(self) -> bool:
        """Whether ``rsgt synth`` made the file."""
        return "rsgt_synthetic" in self._file.attrs

    @property
    def is_official(self) -> bool:
        """Whether these are NYU Depth v2's 1449 frames: their number, size and class names agree."""
        facts = schema.nyu_facts()
        same = len(self.frame_ids) == facts["frames"] and self.shape == (480, 640)
        return same and not self.is_synthetic and schema.label_set(self._names) == "894"

    @property
    def intrinsics(self) -> dict[str, float]:
        """The colour camera, scaled to the frame's size; the labelled depth lies on its plane."""
        camera = schema.nyu_facts()["intrinsics_rgb"]
        height, width = self.shape
        scale = {"fx": width / 640, "cx": width / 640, "fy": height / 480, "cy": height / 480}
        return {name: camera[name] * factor for name, factor in scale.items()}

    def _strings(self, name: str) -> list[str]:
        """Read a MATLAB cell array of strings: references to columns of UTF-16 code units."""
        return ["".join(map(chr, self._file[ref][()].ravel())) for ref in self._file[name][()].ravel()]

    @cached_property
    def _names(self) -> list[str]:
        return self._strings("names")

    @cached_property
    def scenes(self) -> list[str]:
        """Scene of each frame."""
        if "scenes" not in self._file:
            return [f"frame {i}" for i in self.frame_ids]
        return self._strings("scenes")

    def class_names(self, labels: LabelSet) -> list[str]:
        """Names of the classes 1, 2, … of a label set.

        Raises
        ------
        InputError
            For 40 or 13 classes where the file's raw names are not NYU Depth v2's, whose map it is.
        """
        if labels == "894":
            return self._names
        if schema.label_set(self._names) != "894":
            raise InputError(
                f"{self.path}: has its own {len(self._names)} class names, which no map to {labels} classes "
                "is known for; use --labels 894"
            )
        return schema.class_names(labels)

    def identity(self) -> dict[str, Any]:
        """Name, size and fingerprint: SHA-256 over 64 evenly spaced blocks of 64 KiB and the size.

        A fingerprint and not the hash of the whole file, which would take longer than reading the frames;
        it tells apart files and finds truncation, not a single altered byte.
        """
        size = self.path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with self.path.open("rb") as file:
            for k in range(64):
                file.seek(max(0, size - 65536) * k // 63)
                digest.update(file.read(65536))
        return {
            "kind": "synthetic" if self.is_synthetic else "nyu",
            "name": self.path.name,
            "bytes": size,
            "fingerprint": digest.hexdigest(),
            "frames": len(self.frame_ids),
        }

    def describe(self) -> dict[str, Any]:
        """Identity, scenes, labels and every stack's shape, dtype, chunk grid, filter and stored size."""
        arrays = {}
        for name in (name for name in _STACKS if name in self._file):
            data = self._file[name]
            arrays[name] = {
                "shape": list(data.shape),
                "dtype": str(data.dtype),
                "chunks": list(data.chunks) if data.chunks else None,
                "compression": data.compression,
                "bytes": data.id.get_storage_size(),
            }
        return {
            **self.identity(),
            "official_split": self.is_official,
            "scenes": len(set(self.scenes)),
            "classes": len(self._names),
            "intrinsics": self.intrinsics,
            "arrays": arrays,
        }

    def rgb(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint8]:
        """Colour, (frame, y, x, channel) uint8."""
        out = self._room(out, frames, np.uint8, 3)

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            channel, x, y = window
            kernels.transpose_rgb(block, out[rows, y, x, channel])

        self._stream("images", frames, place)
        return out

    def depth(
        self, frames: Sequence[int], kind: DepthKind = "filled", out: Array | None = None
    ) -> npt.NDArray[np.float32]:
        """Depth in metres, (frame, y, x) float32; 0 = none (holes of the raw depth).

        Raises
        ------
        InputError
            Where a value is NaN, infinite or negative, or raw depth is asked of a file without it.
        """
        name = {"filled": "depths", "raw": "rawDepths"}[kind]
        if name not in self._file:
            raise InputError(f"{self.path}: has no {name}; use --depth filled")
        out = self._room(out, frames, np.float32)

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            x, y = window
            if not (block.min() >= 0 and block.max() < np.inf):  # false for NaN, too
                where = frames[rows][first_frame(~((block >= 0) & (block < np.inf)))] + 1
                raise InputError(
                    f"{self.path}: {name} of frame {where} has values that are NaN, infinite or negative; "
                    "expected metres with 0 for a hole; mend the frame or leave it out (--frames)"
                )
            out[rows, y, x] = block.swapaxes(1, 2)

        self._stream(name, frames, place)
        return out

    def semantic(
        self, frames: Sequence[int], labels: LabelSet = "894", out: Array | None = None
    ) -> npt.NDArray[np.uint16]:
        """Category, (frame, y, x) uint16, 0 = unlabelled.

        Raises
        ------
        InputError
            Where a label has no name, or the label set no map (see ``class_names``).
        """
        known = self.class_names("894")
        table = np.arange(len(known) + 1, dtype=np.uint16)
        if labels != "894" and self.class_names(labels):
            table = schema.class_map(labels)
        return self._labels("labels", frames, out, table, f"0..{len(known)}, as many as names")

    def instance(self, frames: Sequence[int], out: Array | None = None) -> npt.NDArray[np.uint16]:
        """Counter of the object within its category, (frame, y, x) uint16, 0 = none; all 0 without them."""
        if not self.has_instances:
            out = self._room(out, frames, np.uint16)
            out[:] = 0
            return out
        return self._labels("instances", frames, out, np.arange(65536, dtype=np.uint16), "0..65535")

    def _room(self, out: Array | None, frames: Sequence[int], dtype: npt.DTypeLike, *channels: int) -> Array:
        """Take the caller's memory where it is given, else fresh memory."""
        shape = (len(frames), *self.shape, *channels)
        if out is None:
            return np.empty(shape, dtype)
        if out.shape != shape or out.dtype != dtype:
            raise ValueError(f"out: got {out.dtype} {out.shape}, expected {np.dtype(dtype)} {shape}")
        return out

    def _labels(
        self, name: str, frames: Sequence[int], out: Array | None, table: Array, expected: str
    ) -> Array:
        out = self._room(out, frames, np.uint16)
        identical = np.array_equal(table, np.arange(len(table)))

        def place(block: Array, rows: slice, window: tuple[slice, ...]) -> None:
            x, y = window
            largest = int(block.max())
            if largest >= len(table):
                where = frames[rows][first_frame(block >= len(table))] + 1
                raise InputError(
                    f"{self.path}: {name} of frame {where} holds {largest}, expected {expected}; "
                    "the file is damaged or another one"
                )
            turned = block.swapaxes(1, 2)
            out[rows, y, x] = turned if identical else table[turned]

        self._stream(name, frames, place)
        return out

    def _stream(self, name: str, frames: Sequence[int], place: Place) -> None:
        try:
            stream(self._file[name], frames, place)
        except (OSError, InflateError) as error:
            raise InputError(
                f"{self.path}: {name} can't be read ({error}); the file is damaged, download it again"
            ) from error
