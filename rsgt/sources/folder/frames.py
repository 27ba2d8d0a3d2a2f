"""Frames of a folder, read: metres by the scale, classes by their list, objects by their masks."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources import units
from rsgt.sources.cameras import of_field_of_view, planar_factor, scaled
from rsgt.sources.folder import masks
from rsgt.sources.folder.camera import misplaced
from rsgt.sources.folder.meaning import Meaning
from rsgt.sources.folder.names import DEPTH, INSTANCES, LABELS, RGB
from rsgt.sources.frame_files import FileSource, FrameFiles
from rsgt.sources.images import read_colour
from rsgt.sources.options import SourceOptions
from rsgt.sources.source import TEST, TRAIN, Camera

Array = npt.NDArray[Any]

_PARTS = {
    "train": TRAIN, "training": TRAIN, "val": TEST, "valid": TEST, "validation": TEST, "test": TEST,
    "testing": TEST,
}  # fmt: skip


class FolderSource(FileSource):
    """A folder's frames.

    Parameters
    ----------
    path
        The folder.
    frames
        Its frames; ``files`` has ``rgb``, ``depth``, and where there are any ``labels``, ``instances``, or
        ``object 1``, ``object 2``, … for masks of one object each.
    options
        What was said of them.
    unpaired
        What was left out.
    meaning
        What their numbers mean.
    """

    kind = "folder"

    def __init__(
        self,
        path: Path,
        frames: Sequence[FrameFiles],
        options: SourceOptions,
        unpaired: Sequence[str],
        meaning: Meaning,
    ) -> None:
        super().__init__(path, frames, options, unpaired)
        self.meaning = meaning
        self._base = path.absolute().as_posix()

    @property
    def own_label_sets(self) -> tuple[str, ...]:
        """NYU's set where the names are its, ``own`` for others."""
        return (self.meaning.classes.label_set,) if LABELS in self.frames[0].files else ()

    @cached_property
    def has_instances(self) -> bool:
        """Whether there are instance maps or masks of objects."""
        return any(INSTANCES in frame.files or "object 1" in frame.files for frame in self.frames)

    def names_of(self, labels: str) -> tuple[str, ...]:
        """Names of the classes 1, 2, …; none where nobody gave any."""
        return self.meaning.classes.names

    @cached_property
    def split(self) -> list[str] | None:
        """Parts by the topmost folders, where these are ``train`` and ``val`` or ``test`` alone."""
        parts = [_PARTS.get(frame.scene.partition("/")[0].lower()) for frame in self.frames]
        if None in parts or len({*parts}) < 2 or self.options.get("scenes", "folder") != "folder":
            return None
        return [part for part in parts if part is not None]

    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame, (h, w, 3) uint8."""
        return read_colour(frame.files[RGB])

    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Planar depth of a frame in metres, (h, w) floats; 0 or NaN = none.

        Raises
        ------
        InputError
            Where nobody said the scale, radial depth has no camera, or the file is no depth map.
        """
        if kind not in self.depth_kinds:
            raise InputError(f"--depth: got {kind!r}, expected {' or '.join(self.depth_kinds)}")
        scale = self._scale()
        stored = units.read_stored(frame.files[DEPTH])
        units.check_largest(frame.files[DEPTH], stored, self.meaning.none)
        metres = units.to_metres(stored, scale, self.meaning.none)
        return metres * self._planar(frame, metres.shape) if self.meaning.is_radial else metres

    def _scale(self) -> float:
        if self.meaning.scale is not None:
            return self.meaning.scale
        raise InputError(
            f"{self.path}: depth has no unit: {self._guess}; say how many units are a metre, --depth-scale N"
        )

    @cached_property
    def _guess(self) -> str:
        """What the first, middle and last map look like."""
        seen, kind = [], np.dtype(float)
        for _, values in units.sample([frame.files[DEPTH] for frame in self.frames]):
            kept = units.valid(values, self.meaning.none)
            if kept.size:
                seen.append(float(np.median(kept)))
                kind = values.dtype
        if not seen:
            return "and no map of a sample has any that could be read"
        return units.guess_text(float(np.median(seen)), kind)

    def _planar(self, frame: FrameFiles, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
        camera = self.native_camera(frame)
        if not camera:
            trouble = next((f" ({one})" for one in self._troubles(frame)), "")
            raise InputError(
                f"{self.path}: radial depth of frame {frame.name} has no camera{trouble}; say "
                "--camera fx,fy,cx,cy, a file that does, or --fov in degrees"
            )
        key = (*camera.values(), *shape)
        if key not in self._factors:
            if len(self._factors) > 8:
                self._factors.clear()
            self._factors[key] = planar_factor(scaled(camera, self._first_shape, shape), shape)
        return self._factors[key]

    @cached_property
    def _factors(self) -> dict[tuple[float, ...], npt.NDArray[np.float64]]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_factors"}

    def native_camera(self, frame: FrameFiles) -> Camera:
        """Camera of a frame in pixels of its depth map: what options say, else the nearest file.

        A file's camera that can't be that of images of this size leaves it unknown, and ``details`` says so.

        Raises
        ------
        InputError
            Where the camera that options name can't be.
        """
        if self.meaning.camera:
            if trouble := misplaced(self.meaning.camera, self._first_shape):
                raise InputError(f"--camera {self.options['camera']}: {trouble}")
            return self.meaning.camera
        if self.meaning.fov is not None:
            return of_field_of_view(self.meaning.fov, self._first_shape)
        camera = self.meaning.cameras.of_folder.get(self._folder(frame), {})
        return {} if camera and misplaced(camera, self._first_shape) else camera

    def _troubles(self, frame: FrameFiles) -> list[str]:
        """Why files that may name a frame's camera do not."""
        cameras = self.meaning.cameras
        camera = cameras.of_folder.get(self._folder(frame), {})
        trouble = misplaced(camera, self._first_shape) if camera else None
        return [*cameras.troubles, *([f"{', '.join(cameras.files[:3])}: {trouble}"] if trouble else [])]

    def _folder(self, frame: FrameFiles) -> str:
        return frame.files[DEPTH].parent.as_posix().removeprefix(self._base).lstrip("/")

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """Category of a frame, (h, w) whole numbers.

        Raises
        ------
        InputError
            Where a number has no name though others have, or the file is no label map.
        """
        file = frame.files[LABELS]
        if file.suffix.lower() in (".jpg", ".jpeg"):
            raise InputError(
                f"{file}: labels as JPEG, whose numbers change in packing; expected PNG, TIFF or .npy"
            )
        return self.meaning.classes.of(_whole(file, masks.read_flat(file, "labels")), file, frame.name)

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame, (h, w) whole numbers, 0 = none; None = no object was found."""
        if file := frame.files.get(INSTANCES):
            values = _whole(file, masks.read_flat(file, "instances"))
            return np.where(values < 0, 0, values) if values.dtype.kind == "i" else values
        single = masks.named(frame.files)
        return masks.united(frame.name, single) if single else None

    def identity(self) -> dict[str, Any]:
        """Format, options and what they led to, and the fingerprint of the files.

        Raises
        ------
        InputError
            Also where nobody said the scale of depth, or what the largest number in it means.
        """
        self._scale()
        for path, stored in units.sample([frame.files[DEPTH] for frame in self.frames]):
            units.check_largest(path, stored, self.meaning.none)
        if self.meaning.is_radial:
            self._planar(self.frames[0], self._first_shape)
        return super().identity()

    def told_options(self) -> dict[str, Any]:
        """The options, and what the layout or files beside the maps said in their stead."""
        meaning, told = self.meaning, dict[str, Any](self.options)
        told |= {"depth_scale": meaning.scale, "no_depth": list(meaning.none)}
        if meaning.cameras.files and "camera" not in told and "fov" not in told:
            distinct = {tuple(camera.values()) for camera in meaning.cameras.of_folder.values()}
            told["camera"] = [",".join(f"{value:.9g}" for value in one) for one in sorted(distinct)]
        if meaning.classes.path is not None:
            told["classes"] = f"{meaning.classes.path.name} (sha256 {meaning.classes.sha256})"
        return told

    def details(self) -> dict[str, Any]:
        """How files were found and paired, where scale and camera come from, and what depth looks like."""
        meaning = self.meaning
        told = dict(meaning.facts) | {
            "depth_scale": meaning.scale,
            "depth_scale_from": meaning.scale_from,
            "depth_kind": "radial" if meaning.is_radial else "planar",
            "no_depth": list(meaning.none),
            "depth_sample": [self._looks(path, values) for path, values in self._sample()],
            **({} if meaning.scale else {"depth_guess": self._guess}),
            "camera_from": self._camera_from(),
        }
        if LABELS in self.frames[0].files:
            told["label_set"] = meaning.classes.label_set
            told["classes"] = len(meaning.classes.names)
        notes = self._troubles(self.frames[0])
        return told | ({"notes": notes} if notes else {})

    def _sample(self) -> list[tuple[Path, Array]]:
        return list(units.sample([frame.files[DEPTH] for frame in self.frames]))

    def _looks(self, path: Path, values: Array) -> dict[str, Any]:
        kept = units.valid(values, self.meaning.none)
        share, _ = units.share_of_largest(values)
        looks = {
            "file": path.name,
            "type": str(values.dtype),
            "size": list(values.shape),
            "none": round(1 - kept.size / values.size, 4),
            "range": [float(kept.min()), float(kept.max())] if kept.size else None,
            "median": float(np.median(kept)) if kept.size else None,
        }
        if share:
            looks["is_65535"] = round(share, 4)
        return looks

    def _camera_from(self) -> str:
        if self.meaning.camera or self.meaning.fov is not None:
            return "options"
        files = self.meaning.cameras.files
        return f"{', '.join(files[:3])}{f' and {len(files) - 3} more' if len(files) > 3 else ''}" or "unknown"


def _whole(path: Path, values: Array) -> Array:
    """Take numbers of labels (y, x) that were stored as floats, where all are whole."""
    if values.dtype.kind in "ui":
        return values
    if not np.isfinite(values).all() or (values != np.round(values)).any() or abs(values).max() >= 2**53:
        raise InputError(f"{path}: labels are {values.dtype} with parts of numbers, expected whole numbers")
    return values.astype(np.int64)
