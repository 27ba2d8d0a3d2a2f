"""Hypersim's rendered scenes: a folder a scene, with HDF5 maps and tone-mapped colour by camera.

Depth is stored as the distance from the camera's centre and made planar here: exactly, by the scene's matrix
of the camera table, or as if by the standard camera where that is not at hand.
"""

import re
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import DataWarning, InputError
from rsgt.sources import facts
from rsgt.sources.frame_files import FileSource, FrameFiles
from rsgt.sources.hypersim.cameras import camera_of, planar_factor, standard_matrix
from rsgt.sources.hypersim.tables import CAMERA_TABLE, SPLIT_TABLE, CameraTable, Matrix, read_split_table
from rsgt.sources.images import read_array, read_colour, read_map
from rsgt.sources.listing import check_folder, look, natural, nearby, unique_names, walk
from rsgt.sources.options import SourceOptions
from rsgt.sources.published_split import PublishedSplit, told_split
from rsgt.sources.source import Camera

Array = npt.NDArray[Any]

OPTIONS = frozenset({"size", "camera_table", "split_table"})

_EXPECTED = "a scene of Hypersim (with images/scene_cam_00_geometry_hdf5), or a folder of scenes"
_GEOMETRY = re.compile(r"scene_(cam_\d+)_geometry_hdf5")
_SCENE = re.compile(r"ai_\d{3}_\d{3}")
_MAP = re.compile(r"frame\.(\d+)\.(depth_meters|semantic|semantic_instance)\.hdf5")
_COLOUR = re.compile(r"frame\.(\d+)\.(tonemap|color)\.(?:jpg|jpeg|png)")
_KINDS = {"depth_meters": "depth", "semantic": "labels", "semantic_instance": "instances"}
LABELS = "40"
DEEPEST = 3


def recognises(path: Path) -> bool:
    """Whether a folder is a scene, or has one among its first sub-folders."""
    if not path.is_dir():
        return False
    _, names = look(path)
    scenes = [name for name in names if _SCENE.fullmatch(name)]
    return any(_cameras(place) for place in (path, *(path / name for name in scenes[:3])))


def open_frames(path: Path, options: SourceOptions) -> "Hypersim":
    """Open a scene, or all below a folder."""
    check_folder(path, _EXPECTED)
    frames, unpaired = list_frames(path)
    given = options.get("split_table")
    keys = [frame.name for frame in frames]
    split, excluded = read_split_table(path, given, keys)
    if excluded:
        gone = set(excluded)
        frames = [frame for frame in frames if frame.name not in gone]
        if not frames:
            raise InputError(
                f"{path}: the split table excludes all of its {len(excluded)} frames from the release; "
                "take other scenes"
            )
    return Hypersim(path, frames, options, unpaired, split, excluded)


def _cameras(scene: Path) -> list[str]:
    """Folders of geometry of a scene, one a camera."""
    images = scene / "images"
    names = look(images)[1] if images.is_dir() else []
    return [name for name in names if _GEOMETRY.fullmatch(name)]


def list_frames(path: Path) -> tuple[list[FrameFiles], list[str]]:
    """List frames by scene, camera and number, and what was left out for want of a file."""
    scenes: list[tuple[str, str, dict[str, dict[str, Path]]]] = []
    # In full, since a worker may read them from another folder.
    for folder, (_, names) in walk(path.absolute(), DEEPEST):
        if "images" in names:
            for camera in _cameras(folder):
                scenes.append((folder.name, camera, _maps(folder / "images", camera)))
            names.clear()
    frames: list[FrameFiles] = []
    unpaired: list[str] = []
    needed = ["rgb", "depth", *(["labels"] if any(maps["labels"] for _, _, maps in scenes) else [])]
    for scene, camera, maps in sorted(scenes, key=lambda one: natural(f"{one[0]}/{one[1]}")):
        prefix = f"{scene}/{camera.removeprefix('scene_').removesuffix('_geometry_hdf5')}"
        for number in sorted({n for found in maps.values() for n in found}, key=natural):
            name = f"{prefix}/{number}"
            files = {kind: found[number] for kind, found in maps.items() if number in found}
            lacks = [kind for kind in needed if kind not in files]
            if lacks:
                unpaired.append(f"{name}: has no {' and no '.join(_LACKS[kind] for kind in lacks)}")
            else:
                frames.append(FrameFiles(name, scene, files))
    unique_names(path, (frame.name for frame in frames))
    return frames, unpaired


_LACKS = {
    "rgb": "frame.NNNN.tonemap.jpg in …_final_preview (colour in HDF5 is not tone-mapped)",
    "depth": "frame.NNNN.depth_meters.hdf5",
    "labels": "frame.NNNN.semantic.hdf5",
}


def _maps(images: Path, geometry: str) -> dict[str, dict[str, Path]]:
    """Files of each map of a camera, by the frame's number as it is written."""
    maps: dict[str, dict[str, Path]] = {"rgb": {}, "depth": {}, "labels": {}, "instances": {}}
    for name in look(images / geometry)[0]:
        if found := _MAP.fullmatch(name):
            maps[_KINDS[found[2]]][found[1]] = images / geometry / name
    preview = images / geometry.replace("_geometry_hdf5", "_final_preview")
    # In order, so that ``tonemap`` comes after ``color``, and stays.
    for name in sorted(look(preview)[0]) if preview.is_dir() else []:
        if found := _COLOUR.fullmatch(name):
            maps["rgb"][found[1]] = preview / name
    return maps


class Hypersim(FileSource):
    """Frames of Hypersim.

    Warns
    -----
    UserWarning
        Once, where scenes are made planar by the standard camera, which is up to 15 % off in some.
    """

    kind = "hypersim"

    def __init__(
        self,
        path: Path,
        frames: Sequence[FrameFiles],
        options: SourceOptions,
        unpaired: Sequence[str],
        split: PublishedSplit | None,
        excluded: Sequence[str],
    ) -> None:
        super().__init__(path, frames, options, unpaired)
        self._split, self.excluded = split, tuple(excluded)
        table = options.get("camera_table") or nearby(path, (CAMERA_TABLE,), 2)
        self._table = CameraTable(table) if table else None
        self._matrices = self._table.matrices({*self.scenes}) if self._table else {}
        self._standard = sorted({*self.scenes} - self._matrices.keys(), key=natural)
        if self._standard:
            warnings.warn(self._told_standard(), DataWarning, stacklevel=4)

    def _told_standard(self) -> str:
        count, first = len(self._standard), self._standard[0]
        scenes = f"{count:,} scenes ({first}, …) are" if count > 1 else f"scene {first} is"
        where = f"not in {self._table.path.name}" if self._table else "without a camera table"
        return (
            f"{self.path}: {scenes} {where}, so that depth is made planar by the standard camera, up to 15 % "
            f"off in some scenes; --camera-table with {CAMERA_TABLE} of Hypersim's code makes it exact"
        )

    @property
    def own_label_sets(self) -> tuple[str, ...]:
        """NYU's 40 classes."""
        return (LABELS,) if "labels" in self.frames[0].files else ()

    def names_of(self, labels: str) -> list[str]:
        """Names of NYU's 40 classes."""
        return facts.class_names("40")

    @cached_property
    def has_instances(self) -> bool:
        """Whether any frame has its objects told apart; they may span categories."""
        return any("instances" in frame.files for frame in self.frames)

    @property
    def split(self) -> Sequence[str] | None:
        """The publishers' split, where its table is at hand; the validation part tests."""
        return self._split.split if self._split else None

    def _matrix(self, frame: FrameFiles) -> Matrix | None:
        return self._matrices.get(frame.scene)

    def native_camera(self, frame: FrameFiles) -> Camera:
        """Pinhole camera of a scene; empty where its image plane is tilted, which none describes."""
        return camera_of(self._matrix(frame), self._first_shape)

    def told_options(self) -> dict[str, Any]:
        """Options, and by which cameras depth was made planar."""
        return {**self.options, "cameras": self._told_cameras()}

    def _told_cameras(self) -> dict[str, Any]:
        return {
            "exact": len(self._matrices),
            "standard": list(self._standard),
            "table": self._table.path.name if self._table else None,
            "matrices": CameraTable.fingerprint(self._matrices),
        }

    def details(self) -> dict[str, Any]:
        """Scenes by camera, those with a tilted image plane, excluded frames, and the split, if any."""
        tilted = [scene for scene, matrix in self._matrices.items() if not camera_of(matrix, (3, 4))]
        return {
            "scenes": len({*self.scenes}),
            "cameras": {**self._told_cameras(), "tilted": sorted(tilted, key=natural)},
            "excluded": {"frames": len(self.excluded), "names": list(self.excluded[:20])},
            "split_source": told_split(lambda: self._split, SPLIT_TABLE),
        }

    def read_rgb(self, frame: FrameFiles) -> Array:
        """Colour of a frame."""
        return read_colour(frame.files["rgb"])

    def read_depth(self, frame: FrameFiles, kind: str) -> Array:
        """Depth of a frame, made planar; NaN and infinity are left, which mean none."""
        radial = read_map(frame.files["depth"], "depth")
        if radial.dtype.kind != "f":
            raise InputError(
                f"{frame.files['depth']}: depth is {radial.dtype}, expected metres as float16; download the "
                "scene again"
            )
        matrix = self._matrix(frame)
        shape = (int(radial.shape[0]), int(radial.shape[1]))
        return radial.astype(np.float32) * planar_factor(matrix or standard_matrix(shape), shape)

    def read_semantic(self, frame: FrameFiles, labels: str) -> Array | None:
        """NYU's 40 classes of a frame; -1 becomes 0."""
        values = _from_minus_one(frame.files["labels"], "labels")
        if values.max() > len(facts.class_names("40")):
            raise InputError(
                f"{frame.files['labels']}: labels hold {values.max()} (frame {frame.name}), expected -1 or "
                "1 to 40, NYU's classes; download the scene again"
            )
        return values

    def read_instance(self, frame: FrameFiles) -> Array | None:
        """Objects of a frame; -1 becomes 0."""
        file = frame.files.get("instances")
        return None if file is None else _from_minus_one(file, "instances")


def _from_minus_one(file: Path, what: str) -> Array:
    values = read_array(file)
    if values.ndim != 2 or values.dtype.kind not in "iu" or values.min() < -1:
        raise InputError(
            f"{file}: {what} are {values.dtype} {values.shape}"
            f"{f' from {values.min()}' if values.size else ''}, expected whole numbers (y, x) from -1; "
            "download the scene again"
        )
    return np.maximum(values, 0)
