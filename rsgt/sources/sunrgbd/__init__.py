"""SUN RGB-D in its official layout: a folder a frame, below the folders of four sensors.

Depth is uint16 with its bits rotated left by three, millimetres when rotated back, in the sensor's maps
(``depth``) as in the in-painted ones (``depth_bfx``). It is not cut at 8 m, as the toolbox does: a wall of
equal depth there would be a region that nobody saw.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources import facts
from rsgt.sources.cameras import read_camera
from rsgt.sources.frame_files import FileSource, FrameFiles
from rsgt.sources.images import image_size, read_colour, read_map
from rsgt.sources.listing import check_folder, has, look
from rsgt.sources.options import SourceOptions
from rsgt.sources.published_split import PublishedSplit, told_split
from rsgt.sources.source import Camera
from rsgt.sources.sunrgbd.samples import depth_files, list_frames
from rsgt.sources.sunrgbd.toolbox import SegmentationFile, read_split

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


def recognises(path: Path) -> bool:
    """Whether a folder has the sensors' folders, or is one of these, of their collections, or of a frame.

    By names of several levels: a user's own folder may be called ``realsense``, too.
    """
    if not path.is_dir():
        return False
    place = path.absolute()
    above = {place.name, place.parent.name} & {*SENSORS}
    _, names = look(place)
    if "SUNRGBDtoolbox" in names or (above and not _COLLECTIONS.isdisjoint({place.name, *names})):
        return True
    whole = any(
        has(place / name / sensor, collection)
        for name in ("", "SUNRGBD")
        for sensor in SENSORS
        for collection in _COLLECTIONS
    )
    return whole or {"image", "depth_bfx"} <= {*names}


def open_frames(path: Path, options: SourceOptions) -> "SunRgbd":
    """Open SUN RGB-D, a part of it, or one frame."""
    check_folder(path, _EXPECTED)
    sensor = options.get("sensor")
    if sensor is not None and sensor not in SENSORS:
        raise InputError(f"--sensor: got {sensor!r}, expected one of {', '.join(SENSORS)}")
    frames, unpaired = list_frames(path, sensor)
    return SunRgbd(path, frames, options, unpaired)


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
    def own_label_sets(self) -> tuple[str, ...]:
        """The 37 classes where their file or pictures of labels are there."""
        known = self._labels_of_all or any("labels" in frame.files for frame in self.frames)
        return (LABELS,) if known else ()

    def names_of(self, labels: str) -> list[str]:
        """Names of the 37 classes: the first 37 of NYU's 40."""
        return facts.class_names("40")[:CLASSES]

    @cached_property
    def _split(self) -> PublishedSplit | None:
        return read_split(self.path, self.options.get("split_table"), self.names)

    @property
    def split(self) -> Sequence[str] | None:
        """The official split, where allsplit.mat is at hand and has all the frames."""
        return self._split.split if self._split else None

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Height and width of each frame's depth map, from the heads of the files that have one."""
        found = {}
        for frame in self.frames:
            with suppress(InputError):  # reading the frame tells what is wrong
                found[frame.name] = image_size(frame.files["depth"])
        return found

    def native_shape(self, frame: FrameFiles) -> tuple[int, int]:
        """Height and width of a frame's own depth map."""
        return self.sizes.get(frame.name) or image_size(frame.files["depth"])

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
        if "size" in self.options or len({shape for _, shape in counts}) < 2:
            return
        parts = [f"{sensor} {h}x{w} ({n:,})" for (sensor, (h, w)), n in sorted(counts.items())]
        height, width = Counter(self.sizes.values()).most_common(1)[0][0]
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
        return Counter(
            (name.split("/")[0] if "/" in name else "frames", size) for name, size in self.sizes.items()
        )

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
        count = sum("labels" in frame.files for frame in self.frames)
        return f"pictures of {count:,} of {len(self.frames):,} frames" if count else "none"

    def details(self) -> dict[str, Any]:
        """Sizes by sensor, where labels come from, and the split, if any."""
        counts = sorted(self._counts().items())
        return {
            "sizes": [{"sensor": sensor, "size": f"{h}x{w}", "frames": n} for (sensor, (h, w)), n in counts],
            "label_source": self._told_labels(),
            "split_source": told_split(lambda: self._split, "allsplit.mat"),
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
