"""ScanNet's frames as its SensReader exports them, and the ready-made ``scannet_frames_25k``.

Both have a folder a scan, with ``color`` and ``depth``. The first numbers frames without padding, and labels
them with raw ids at the colour's size; the second pads, and its labels are NYU's 40 classes already. Colour
and labels are brought to the depth map's size, whose camera is given.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.inputs import InputError, read_text
from rsgt.sources import facts
from rsgt.sources.cameras import read_camera
from rsgt.sources.frame_files import FileSource, FrameFiles, natural
from rsgt.sources.images import read_colour, read_map
from rsgt.sources.listing import check_folder, has, look, nearby, pictures, walk
from rsgt.sources.options import SourceOptions
from rsgt.sources.published_split import PublishedSplit
from rsgt.sources.scannet_tables import TABLE, LabelTable, read_split
from rsgt.sources.source import MASKS, NO_LABELS, Camera

Array = npt.NDArray[Any]

OPTIONS = frozenset({"size", "label_table", "split_table"})

_EXPECTED = "a folder of a scan with color/ and depth/, or a folder of such folders"
_SCAN = re.compile(r"(scene\d{4})_\d{2}")
_FOLDERS = {
    "rgb": ("color",),
    "depth": ("depth",),
    "labels": ("label-filt", "label"),
    "instances": ("instance-filt", "instance"),
}
"""Folders of each map: the first that is there."""

_CAMERAS = tuple(
    f"{folder}{name}"
    for folder in ("intrinsic/", "intrinsics/", "")
    for name in ("intrinsic_depth.txt", "intrinsics_depth.txt")
)
DEPTH_SHIFT = 1000.0
"""Units of a depth file in a metre, in every release."""

DEEPEST = 3
NYU40, RAW = "40", "raw"


def recognises(path: Path) -> bool:
    """Whether a folder is a scan, or has one among its first sub-folders, or those of its ``scans``."""
    if not path.is_dir():
        return False
    if has(path, "color", "depth"):
        known = _SCAN.fullmatch(path.absolute().name) is not None
        return known or any((path / name).is_file() for name in (*_CAMERAS, "_info.txt"))
    places = [path, *(path / name for name in ("scans", "scannet_frames_25k") if (path / name).is_dir())]
    return any(
        has(place / name, "color", "depth")
        for place in places
        for name in [name for name in look(place)[1] if _SCAN.fullmatch(name)][:3]
    )


def open_frames(path: Path, options: SourceOptions) -> "ScanNet":
    """Open a scan, or all below a folder."""
    check_folder(path, _EXPECTED)
    frames, unpaired = list_frames(path)
    return ScanNet(path, frames, options, unpaired)


def list_frames(path: Path) -> tuple[list[FrameFiles], list[str]]:
    """List frames by scan and number, and what was left out for want of a file."""
    scans: list[tuple[str, dict[str, dict[str, Path]]]] = []
    for folder, (_, names) in walk(path, DEEPEST):
        if "color" in names and "depth" in names:
            name = folder.relative_to(path).as_posix()
            scans.append((path.absolute().name if name == "." else name.split("/")[-1], _maps(folder, names)))
            names.clear()
    unpaired: list[str] = []
    frames = []
    labelled = any("labels" in maps for _, maps in scans)
    for name, maps in sorted(scans, key=lambda scan: natural(scan[0])):
        frames += _frames(name, maps, labelled, unpaired)
    for one, two in zip(frames, frames[1:], strict=False):
        if one.name == two.name:
            raise InputError(f"{path}: two frames are called {one.name}; give the folder of one of them")
    return frames, unpaired


def _maps(folder: Path, names: list[str]) -> dict[str, dict[str, Path]]:
    """Files of each map by their number, written without padding; what is no number goes by itself."""
    maps = {}
    for kind, places in _FOLDERS.items():
        place = next((folder / one for one in places if one in names), None)
        if place is not None:
            files = [place / name for name in pictures(look(place)[0])]
            maps[kind] = {file.stem.lstrip("0") or "0": file for file in files}
            if len(maps[kind]) != len(files):
                count = Counter(file.stem.lstrip("0") or "0" for file in files)
                raise InputError(
                    f"{place}: two files are of frame {count.most_common(1)[0][0]}, expected one; remove one"
                )
    return maps


def _frames(
    scan: str, maps: dict[str, dict[str, Path]], labelled: bool, unpaired: list[str]
) -> list[FrameFiles]:
    """Frames of a scan that have colour, depth and, where there are any labels at all, labels."""
    space = _SCAN.fullmatch(scan)
    if labelled and "labels" not in maps:
        unpaired.append(f"{scan}: has no label-filt/ or label/, as other scans have")
        return []
    needed = ("rgb", "depth", *(("labels",) if labelled else ()))
    # Labels are released for all frames of a scan, of which few may have been exported.
    numbers = maps["rgb"].keys() | maps["depth"].keys()
    frames = []
    for number in sorted(numbers, key=natural):
        files = {kind: found[number] for kind, found in maps.items() if number in found}
        lacks = [_FOLDERS[kind][0] for kind in needed if kind not in files]
        if lacks:
            unpaired.append(f"{scan}/{number}: has no {' and no '.join(lacks)}")
        else:
            # Scans of one space (…_00, _01) show the same rooms.
            frames.append(FrameFiles(f"{scan}/{files['rgb'].stem}", space[1] if space else scan, files))
    return frames


class ScanNet(FileSource):
    """Frames of ScanNet."""

    kind = "scannet"
    follows_depth = True

    @cached_property
    def _raw_labels(self) -> bool:
        """Whether labels are raw ids, of 16 bits, and not NYU's 40 classes, of 8."""
        file = next((frame.files["labels"] for frame in self.frames if "labels" in frame.files), None)
        if file is None:
            return False
        try:
            with Image.open(file) as image:
                return image.mode.startswith("I")
        except (OSError, SyntaxError, ValueError):
            return file.parent.name == _FOLDERS["labels"][0]  # reading it says what is wrong

    @cached_property
    def _table(self) -> LabelTable | None:
        given = self.options.get("label_table")
        found = given or (nearby(self.path, (TABLE,), 2) if self._raw_labels else None)
        return LabelTable(found) if found else None

    @cached_property
    def label_sets(self) -> tuple[str, ...]:
        """NYU's 40 classes, and the raw ids where labels are these; 40 of raw ids needs the table."""
        if "labels" not in self.frames[0].files:
            return (MASKS,) if self.has_instances else (NO_LABELS,)
        if not self._raw_labels:
            return (NYU40,)
        return (NYU40, RAW) if self._table else (RAW,)

    def class_names(self, labels: str | None = None) -> list[str]:
        """Names of NYU's 40 classes, or of the raw ids by the table; none of these without it."""
        labels = labels or self.label_sets[0]
        if labels not in self.label_sets:
            remedy = f"; --label-table {TABLE} gives NYU's 40 classes" if labels == NYU40 else ""
            raise InputError(
                f"{self.path}: labels: got {labels!r}, expected one of {', '.join(self.label_sets)}{remedy}"
            )
        if labels == NYU40:
            return facts.class_names("40")
        if labels == MASKS:
            return ["object"]
        return self._table.names if labels == RAW and self._table else []

    @cached_property
    def has_instances(self) -> bool:
        """Whether any scan has its objects told apart."""
        return any("instances" in frame.files for frame in self.frames)

    @cached_property
    def _split(self) -> PublishedSplit | None:
        return read_split(self.path, self.options.get("split_table"), self._scans)

    @cached_property
    def _scans(self) -> list[str]:
        return [name.rsplit("/", 1)[0] for name in self.names]

    @property
    def split(self) -> Sequence[str] | None:
        """The official split of scans, where its lists are at hand; validation scans test."""
        return self._split.split if self._split else None

    @cached_property
    def _scan_facts(self) -> dict[Path, tuple[dict[str, float], float]]:
        """Depth camera and units a metre of each scan's folder, as far as they are known already."""
        return {}

    def _facts_of(self, frame: FrameFiles) -> tuple[dict[str, float], float]:
        folder = frame.files["depth"].parent.parent
        if folder not in self._scan_facts:
            self._scan_facts[folder] = _read_facts(folder)
        return self._scan_facts[folder]

    def native_camera(self, frame: FrameFiles) -> Camera:
        """The depth camera of the frame's scan."""
        return self._facts_of(frame)[0]

    def told_options(self) -> dict[str, Any]:
        """Options, and the fingerprint of the label table."""
        told: dict[str, Any] = dict(self.options)
        if self._table:
            told["label_table"] = {"name": self._table.path.name, "sha256": self._table.sha256}
        return told

    def details(self) -> dict[str, Any]:
        """What labels are, where the split comes from, and frames whose pose was lost."""
        lost = [number for number, frame in zip(self.frame_ids, self.frames, strict=True) if _is_lost(frame)]
        kinds = {
            MASKS: "none, objects alone",
            NO_LABELS: "none",
            NYU40: f"raw ids by {self._table.path.name}" if self._table else "NYU's 40 classes (8 bits)",
            RAW: f"raw ids (16 bits); --label-table {TABLE} gives NYU's 40 classes",
        }
        return {
            "scans": len({*self._scans}),
            "labels": kinds[self.label_sets[0]],
            "lost_poses": {"frames": len(lost), "numbers": _ranges(lost)},
            "split": self._split.told() if self._split else "none: no scannetv2_train.txt (--split-table)",
        }

    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame."""
        return read_colour(frame.files["rgb"])

    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Depth of a frame, by its scan's units."""
        stored = read_map(frame.files["depth"], "depth")
        if stored.dtype.kind not in "ui" or stored.dtype.itemsize < 2:
            raise InputError(
                f"{frame.files['depth']}: depth is {stored.dtype}, expected 16 bits in millimetres; export "
                "the scan again"
            )
        return stored.astype(np.float32) / np.float32(self._facts_of(frame)[1])

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """Classes of a frame."""
        self.class_names(labels)
        if labels == MASKS:
            objects = self.read_instance(frame)
            return None if objects is None else (objects > 0).astype(np.uint8)
        if labels == NO_LABELS:
            return None
        values = read_map(frame.files["labels"], "labels")
        if (values.dtype.itemsize > 1) != self._raw_labels:
            wanted = "16 bits as raw ids are" if self._raw_labels else "8 bits as NYU's 40 classes are"
            raise InputError(
                f"{frame.files['labels']}: labels are {values.dtype}, expected {wanted} in the first frame; "
                "build scans of the two kinds apart"
            )
        if self._raw_labels and self._table:
            return self._table.classes(values, frame.name, self._table.to40 if labels == NYU40 else None)
        if labels == NYU40 and values.max() > len(facts.class_names("40")):
            raise InputError(
                f"{frame.files['labels']}: labels hold {values.max()} (frame {frame.name}), expected 0 to 40, "
                "NYU's classes; export the labels again"
            )
        return values

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame."""
        return read_map(frame.files["instances"], "instances") if "instances" in frame.files else None


def _read_facts(folder: Path) -> tuple[dict[str, float], float]:
    """Depth camera, {} = unknown, and units a metre of a scan."""
    camera: dict[str, float] = {}
    shift = DEPTH_SHIFT
    file = next((folder / name for name in _CAMERAS if (folder / name).is_file()), None)
    if file is not None:
        camera = read_camera(str(file))
    info = folder / "_info.txt"
    if info.is_file():
        pairs = (line.partition("=") for line in read_text(info).splitlines())
        told = {name.strip(): value.strip() for name, _, value in pairs}
        try:
            shift = float(told.get("m_depthShift", DEPTH_SHIFT))
        except ValueError:
            shift = 0.0
        if not 0 < shift < float("inf"):
            raise InputError(
                f"{info}: m_depthShift is {told['m_depthShift']}, expected units in a metre, 1000; mend it"
            )
    return camera, shift


def _is_lost(frame: FrameFiles) -> bool:
    """Whether the camera's place was lost: its pose is all minus infinity."""
    file = frame.files["depth"].parent.parent / "pose" / f"{frame.files['depth'].stem}.txt"
    try:
        return "inf" in file.read_text("ascii", "replace").lower()
    except OSError:
        return False


def _ranges(numbers: list[int]) -> str:
    """Numbers as --frames takes them, such as ``3,7-9``."""
    runs = [list(run) for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    spans = [(run[0][1], run[-1][1]) for run in runs]
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
