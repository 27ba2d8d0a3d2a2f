"""SUN RGB-D in its official layout: a folder a frame, below the folders of four sensors.

Depth is uint16 with its bits rotated left by three, millimetres when rotated back, in the sensor's maps
(``depth``) as in the in-painted ones (``depth_bfx``). It is not cut at 8 m, as the toolbox does: a wall of
equal depth there would be a region that nobody saw.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources import facts
from rsgt.sources.cameras import read_camera
from rsgt.sources.frame_files import FileSource, FrameFiles, natural, unique_names
from rsgt.sources.images import image_size, read_colour, read_map
from rsgt.sources.listing import check_folder, has, look, pictures, walk
from rsgt.sources.options import SourceOptions
from rsgt.sources.published_split import PublishedSplit
from rsgt.sources.source import NO_LABELS, Camera
from rsgt.sources.sunrgbd_toolbox import SegmentationFile, key_of, read_split

Array = npt.NDArray[Any]

OPTIONS = frozenset({"size", "sensor", "split_table"})

SENSORS = ("kv1", "kv2", "realsense", "xtion")
_COLLECTIONS = frozenset(
    {"NYUdata", "b3dodata", "kinect2data", "align_kv2", "sun3ddata", "xtion_align_data"}
    | {"lg", "sa", "sh", "shr"}
)
_EXPECTED = "SUN RGB-D's folder (with kv1, kv2, realsense, xtion), one of these, or that of one frame"
LABELS = "37"
CLASSES = 37
DEEPEST = 7
MAPS = {"filled": "depth_bfx", "raw": "depth"}
"""Folder of each kind of depth."""

_DATE = re.compile(r"(?<!\d)(20\d\d)[-_](\d\d?)[-_](\d\d?)[-_]")


def recognises(path: Path) -> bool:
    """Whether a folder has the sensors' folders, or is one of these, of their collections, or of a frame."""
    if not path.is_dir():
        return False
    _, names = look(path)
    found = {*names, path.absolute().name}
    if "SUNRGBDtoolbox" in found or not found.isdisjoint({*SENSORS, *_COLLECTIONS}):
        return True
    return {"image", "depth_bfx"} <= {*names} or any(
        has(path / name, "image", "depth_bfx") for name in names[:3]
    )


def open_frames(path: Path, options: SourceOptions) -> "SunRgbd":
    """Open SUN RGB-D, a part of it, or one frame."""
    check_folder(path, _EXPECTED)
    sensor = options.get("sensor")
    if sensor is not None and sensor not in SENSORS:
        raise InputError(f"--sensor: got {sensor!r}, expected one of {', '.join(SENSORS)}")
    frames, unpaired = list_frames(path, sensor)
    return SunRgbd(path, frames, options, unpaired)


def list_frames(path: Path, sensor: str | None = None) -> tuple[list[FrameFiles], list[str]]:
    """List frames in natural order of their folders, and what was left out.

    A frame's files have names of their own, so that the only picture in a folder is taken. Its name is its
    path from the sensor's folder on, as the publishers' tables call it.
    """
    frames: list[FrameFiles] = []
    unpaired: list[str] = []
    top = path.absolute()  # in full, since a worker may read them from another folder
    for folder, (files, names) in walk(top, DEEPEST):
        if "SUNRGBDtoolbox" in names:
            names.remove("SUNRGBDtoolbox")
        if "image" not in names or not {*MAPS.values()} & {*names}:
            continue
        key = key_of(str(folder)) or (folder.relative_to(top).as_posix() if folder != top else top.name)
        if sensor is None or key.startswith(f"{sensor}/"):
            frame = _frame(folder, files, names, key, unpaired)
            frames += [frame] if frame else []
        names.clear()
    kinds = [kind for kind in MAPS if any(kind in depth_files(frame) for frame in frames)]
    whole = []
    for frame in frames:
        lacks = [MAPS[kind] for kind in kinds if kind not in depth_files(frame)]
        if lacks:
            unpaired.append(f"{frame.name}: has no {' and no '.join(lacks)}")
        else:
            whole.append(frame)
    whole.sort(key=lambda frame: natural(frame.name))
    unique_names(path, (frame.name for frame in whole))
    return whole, unpaired


def _frame(
    folder: Path, names: list[str], folders: list[str], key: str, unpaired: list[str]
) -> FrameFiles | None:
    colour = _only_picture(folder / "image", key, unpaired)
    maps = [_only_picture(folder / name, key, unpaired) for name in MAPS.values() if name in folders]
    depth = [file for file in maps if file is not None]
    if colour is None or not depth:
        return None
    # The usual kind is ``depth``, another one goes by its own name.
    files = {"rgb": colour, "depth": depth[0], **({"raw": depth[1]} if len(depth) > 1 else {})}
    # Written by those who unpack the labels once and for all.
    if "label37.png" in names:
        files["labels"] = folder / "label37.png"
    elif "label" in folders and (labels := sorted(pictures(look(folder / "label")[0]))):
        files["labels"] = folder / "label" / labels[0]
    return FrameFiles(key, scene_of(key), files)


def depth_files(frame: FrameFiles) -> dict[str, Path]:
    """Depth map of each kind that a frame has."""
    files = [frame.files[name] for name in ("depth", "raw") if name in frame.files]
    return {kind: file for kind, place in MAPS.items() for file in files if file.parent.name == place}


def _only_picture(folder: Path, key: str, unpaired: list[str]) -> Path | None:
    found = sorted(pictures(look(folder)[0]))
    if len(found) == 1:
        return folder / found[0]
    count = f"{len(found)} pictures ({found[0]}, {found[1]})" if found else "no picture"
    unpaired.append(f"{key}: {folder.name}/ has {count}, expected one")
    return None


def scene_of(key: str) -> str:
    """What is not to be cut by a split, of a frame's path from the sensor on.

    SUN3D: the place, with all its scans. Frames with a date: all of that day, of any sensor, since three
    sensors took the same rooms. NYU's frames go by scene: a run of them that is all in the official training
    set, or all in the test set, is whole scenes. Berkeley's say nothing of their places, and are one scene.
    """
    parts = key.split("/")
    if "sun3ddata" in parts[:-2]:
        return "/".join(parts[: parts.index("sun3ddata") + 2])
    number = re.fullmatch(r"NYU(\d{4})", parts[-1])
    if number and 1 <= int(number[1]) <= facts.nyu_facts()["frames"]:
        return f"NYUdata/from {_run_of_nyu(int(number[1])):04d}"
    if date := _DATE.search(parts[-1]):
        return f"{date[1]}-{int(date[2]):02d}-{int(date[3]):02d}"
    return "/".join(parts[:-1]) or key


def _run_of_nyu(number: int) -> int:
    """First frame of the run of official training frames, or of test frames, that a NYU frame is in."""
    train = facts.official_train_frames()
    while number > 1 and (number - 1 in train) == (number in train):
        number -= 1
    return number


class SunRgbd(FileSource):
    """Frames of SUN RGB-D."""

    kind = "sunrgbd"

    @cached_property
    def depth_kinds(self) -> tuple[str, ...]:
        """``filled`` is the in-painted depth, ``raw`` the sensor's with 0 where it saw nothing."""
        return tuple(depth_files(self.frames[0]))

    @cached_property
    def _labels_of_all(self) -> SegmentationFile | None:
        return SegmentationFile.beside(self.path)

    @cached_property
    def label_sets(self) -> tuple[str, ...]:
        """The 37 classes where their file or pictures of labels are there."""
        known = self._labels_of_all or any("labels" in frame.files for frame in self.frames)
        return (LABELS,) if known else (NO_LABELS,)

    def class_names(self, labels: str | None = None) -> list[str]:
        """Names of the 37 classes: the first 37 of NYU's 40."""
        if (labels or self.label_sets[0]) == NO_LABELS:
            return []
        if labels not in (None, LABELS):
            raise InputError(f"labels: got {labels!r}, expected one of {', '.join(self.label_sets)}")
        return facts.class_names("40")[:CLASSES]

    @cached_property
    def _split(self) -> PublishedSplit | None:
        return read_split(self.path, self.options.get("split_table"), self.names)

    @property
    def split(self) -> Sequence[str] | None:
        """The official split, where allsplit.mat is at hand and has all the frames."""
        return self._split.split if self._split else None

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each frame's depth map, from the heads of the files."""
        return [image_size(frame.files["depth"]) for frame in self.frames]

    @cached_property
    def _size_of(self) -> dict[str, tuple[int, int]]:
        return dict(zip(self.names, self.sizes, strict=True))

    def native_shape(self, frame: FrameFiles) -> tuple[int, int]:
        """Height and width of a frame's own depth map."""
        return self._size_of[frame.name]

    def native_camera(self, frame: FrameFiles) -> Camera:
        """The frame's own intrinsics.txt; unknown where there is none."""
        file = frame.files["rgb"].parent.parent / "intrinsics.txt"
        return read_camera(str(file)) if file.is_file() else {}

    def _check_size(self, frame: FrameFiles, what: str, shape: Sequence[int]) -> None:
        if what == "depth":
            self._check_sizes()
        super()._check_size(frame, what, shape)

    def _check_sizes(self) -> None:
        """Refuse frames of several sizes where nobody said which one they are to have."""
        counts = self._counts()
        if "size" in self.options or len({shape for _, shape in counts}) == 1:
            return
        parts = [f"{sensor} {h}x{w} ({n:,})" for (sensor, (h, w)), n in sorted(counts.items())]
        height, width = Counter(self.sizes).most_common(1)[0][0]
        sensors = {sensor for sensor, _ in counts}
        selects = len(sensors) > 1 and any(
            len([1 for one, _ in counts if one == sensor]) == 1 for sensor in sensors
        )
        selection = f", --sensor {'|'.join(sorted(sensors))} selects" if selects else ""
        raise InputError(
            f"{self.path}: frames are of several sizes: {', '.join(parts)}; a store holds one: "
            f"--size {height}x{width} brings all to it{selection}"
        )

    def _counts(self) -> Counter[tuple[str, tuple[int, int]]]:
        sensors = [name.split("/")[0] if "/" in name else "frames" for name in self.names]
        return Counter(zip(sensors, self.sizes, strict=True))

    def identity(self) -> dict[str, Any]:
        """As that of any files; frames of several sizes need one to be named."""
        self._check_sizes()
        return super().identity()

    def told_options(self) -> dict[str, Any]:
        """Options, and where labels come from."""
        size = {"label_bytes": self._labels_of_all.path.stat().st_size} if self._labels_of_all else {}
        return {**self.options, "labels": self._told_labels(), **size}

    def _told_labels(self) -> str:
        if self._labels_of_all:
            return self._labels_of_all.path.name
        return "label37.png" if self.label_sets == (LABELS,) else "none"

    def details(self) -> dict[str, Any]:
        """Sizes by sensor, where labels come from, and the split, if any."""
        counts = sorted(self._counts().items())
        return {
            "sizes": [{"sensor": sensor, "size": f"{h}x{w}", "frames": n} for (sensor, (h, w)), n in counts],
            "labels": self._told_labels(),
            "split": self._split.told() if self._split else "none: no allsplit.mat (--split-table)",
        }

    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame."""
        return read_colour(frame.files["rgb"])

    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Depth of a frame: the bits rotated back by three, millimetres."""
        file = depth_files(frame).get(kind)
        if file is None:
            raise InputError(
                f"{self.path}: depth: got {kind!r}, expected one of {', '.join(self.depth_kinds)}"
            )
        stored = read_map(file, "depth")
        if stored.dtype != np.uint16:
            raise InputError(
                f"{file}: depth is {stored.dtype}, expected 16 bits; a picture of 8 bits has "
                "lost it, so take the official file"
            )
        return ((stored >> 3) | (stored << 13)).astype(np.float32) / np.float32(1000)

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """Classes 1 to 37 of a frame."""
        self.class_names(labels)
        if labels == NO_LABELS:
            return None
        if self._labels_of_all:
            values = self._labels_of_all.read(frame.name)
        elif "labels" in frame.files:
            values = read_map(frame.files["labels"], "labels")
        else:
            return None
        if values.max() > CLASSES:
            raise InputError(
                f"{self.path}: labels of frame {frame.name} hold {values.max()}, expected 0 to {CLASSES}; "
                "take seglabel of SUNRGBD2Dseg.mat"
            )
        return values
