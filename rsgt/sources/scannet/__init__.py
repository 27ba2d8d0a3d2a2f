"""ScanNet's frames as its SensReader exports them, and the ready-made ``scannet_frames_25k``.

Both have a folder a scan, with ``color`` and ``depth``. The first numbers frames without padding, and labels
them with raw ids at the colour's size; the second pads, and its labels are NYU's 40 classes already. Colour
and labels are brought to the depth map's size, whose camera is given.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.inputs import InputError
from rsgt.sources import facts
from rsgt.sources.frame_files import FileSource, FrameFiles
from rsgt.sources.images import read_colour, read_map
from rsgt.sources.listing import check_folder, has, look, nearby
from rsgt.sources.options import SourceOptions
from rsgt.sources.published_split import PublishedSplit, told_split
from rsgt.sources.scannet.scans import CAMERAS, FOLDERS, SCAN, is_lost, list_frames, ranges, read_facts
from rsgt.sources.scannet.tables import TABLE, LabelTable, read_split
from rsgt.sources.source import MASKS, NO_LABELS, Camera

Array = npt.NDArray[Any]

OPTIONS = frozenset({"size", "label_table", "split_table"})

_EXPECTED = "a folder of a scan with color/ and depth/, or a folder of such folders"
NYU40, RAW = "40", "raw"


def recognises(path: Path) -> bool:
    """Whether a folder is a scan, or has one among its first sub-folders, or those of its ``scans``."""
    if not path.is_dir():
        return False
    if has(path, "color", "depth"):
        known = SCAN.fullmatch(path.absolute().name) is not None
        return known or any((path / name).is_file() for name in (*CAMERAS, "_info.txt"))
    places = [path, *(path / name for name in ("scans", "scannet_frames_25k") if (path / name).is_dir())]
    return any(
        has(place / name, "color", "depth")
        for place in places
        for name in [name for name in look(place)[1] if SCAN.fullmatch(name)][:3]
    )


def open_frames(path: Path, options: SourceOptions) -> "ScanNet":
    """Open a scan, or all below a folder."""
    check_folder(path, _EXPECTED)
    frames, unpaired = list_frames(path)
    return ScanNet(path, frames, options, unpaired)


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
            return file.parent.name == FOLDERS["labels"][0]  # reading it says what is wrong

    @cached_property
    def _table(self) -> LabelTable | None:
        if not self._raw_labels:
            return None
        found = self.options.get("label_table") or nearby(self.path, (TABLE,), 2)
        return LabelTable(found) if found else None

    @cached_property
    def own_label_sets(self) -> tuple[str, ...]:
        """NYU's 40 classes, and the raw ids where labels are these; 40 of raw ids needs the table."""
        if "labels" not in self.frames[0].files:
            return ()
        if not self._raw_labels:
            return (NYU40,)
        return (NYU40, RAW) if self._table else (RAW,)

    def names_of(self, labels: str) -> list[str]:
        """Names of NYU's 40 classes, or of the raw ids by the table; none of these without it."""
        if labels == NYU40:
            return facts.class_names("40")
        return self._table.names if self._table else []

    def remedy_for(self, labels: str) -> str:
        """NYU's 40 classes of raw ids need the table."""
        wanted = labels == NYU40 and RAW in self.own_label_sets
        return f"; --label-table {TABLE} gives NYU's 40 classes" if wanted else ""

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
            self._scan_facts[folder] = read_facts(folder)
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
        lost = [number for number, frame in zip(self.frame_ids, self.frames, strict=True) if is_lost(frame)]
        kinds = {
            MASKS: "none, objects alone",
            NO_LABELS: "none",
            NYU40: f"raw ids by {self._table.path.name}" if self._table else "NYU's 40 classes (8 bits)",
            RAW: f"raw ids (16 bits); --label-table {TABLE} gives NYU's 40 classes",
        }
        return {
            "scans": len({*self._scans}),
            "label_source": kinds[self.label_sets[0]],
            "lost_poses": {"frames": len(lost), "numbers": ranges(lost)},
            "split_source": told_split(lambda: self._split, "scannetv2_train.txt"),
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
                f"{frame.files['labels']}: labels hold {values.max()} (frame {frame.name}), expected 0 to "
                "40, NYU's classes; export the labels again"
            )
        return values

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame."""
        return read_map(frame.files["instances"], "instances") if "instances" in frame.files else None
