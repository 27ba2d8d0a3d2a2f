"""Predicted maps in any form that people keep them in, matched with the frames of a store."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path
from rsgt.quality.evaluation.alignment import Kind
from rsgt.quality.evaluation.matching import match_keys
from rsgt.quality.evaluation.resizing import bilinear
from rsgt.sources.images import SUFFIXES, read_map
from rsgt.sources.units import guessed, read_stored
from rsgt.store import predictions
from rsgt.store.map_checks import MapError, checked_metres, checked_regions
from rsgt.store.photo_files import MILLIMETRES, maps_among, stem_of
from rsgt.store.predictions import map_npy
from rsgt.store.reader import Store

Array = npt.NDArray[Any]
Reader = Callable[[], Array]

METHOD = "bilinear between pixel centres"
_ASPECT = 1.1
"""Maps whose width to height differs by more from the store's are not of the whole frame."""

_PICTURES = frozenset({".png", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".jpg", ".jpeg", ".webp"})


@dataclass
class PredictedMaps:
    """Predicted maps of frames of a store.

    Attributes
    ----------
    path, form, matched_by : Path, str, str
        Where they are, in which form, and by what they were matched: ``number``, ``name`` or ``order``.
    scale : float, optional
        Units a metre of their numbers; None = 1 for floats.
    readers : dict
        Position of a frame in the store to what reads its map (y, x) as it is stored.
    beside : dict
        Name of another array of ``schema.PREDICTIONS`` to a function from a position to its map.
    sizes : set of (int, int)
        Sizes of maps read so far that are not the store's.
    """

    path: Path
    form: str
    matched_by: str
    scale: float | None
    shape: tuple[int, int]
    kind: Kind
    readers: dict[int, Reader]
    beside: Mapping[str, Callable[[int], Array]] = field(default_factory=dict)
    sizes: set[tuple[int, int]] = field(default_factory=set)

    def read(self, position: int) -> npt.NDArray[np.float32]:
        """Read one map (y, x) of ``kind``, in metres or one over these, at the store's size.

        0 and less, NaN and infinite are what they are in the file; none of them is mixed with its neighbours.

        Raises
        ------
        MapError
            Where it is damaged, or no such map.
        """
        with self._told():
            values = self.readers[position]()
            if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.size:
                raise InputError(f"is {values.dtype} {values.shape}, expected one number a pixel (y, x)")
            self._check_shape((values.shape[0], values.shape[1]))
            if self.scale is None and values.dtype.kind != "f":
                raise InputError(_unit_missing(values))
        with np.errstate(over="ignore", invalid="ignore"):
            metres = np.divide(values, self.scale or 1.0, dtype=np.float64).astype(np.float32)
        if metres.shape != self.shape:
            self.sizes.add((metres.shape[0], metres.shape[1]))
            metres = bilinear(metres, self.shape)
        return metres

    def read_sound(self, position: int) -> npt.NDArray[np.float32]:
        """Read one map; MapError, too, where it holds what no depth in metres can (``checked_metres``)."""
        return checked_metres(self.read(position), str(self.path))

    def read_regions(self, position: int) -> npt.NDArray[np.int32]:
        """Read one map (y, x) of labels, 0 = no region; MapError where it is none, or of another size."""
        with self._told():
            values = self.readers[position]()
            if values.dtype.kind not in "iu":
                raise InputError(
                    f"maps are {values.dtype}, expected whole numbers, 0 = no region; convert them"
                )
            if values.shape != self.shape:
                raise InputError(f"maps are {values.shape}, expected the store's {self.shape}; resize them")
            return checked_regions(values, str(self.path))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what reading raises into a MapError that names the maps."""
        try:
            yield
        except (InputError, ValueError, OSError, RuntimeError, KeyError) as error:
            told = str(error)
            raise MapError(told if str(self.path) in told else f"{self.path}: {told}") from error

    def told(self, store: Store, frames: Array) -> dict[str, Any]:
        """Say in plain values what was read: by what they were matched, how many of ``frames`` have none."""
        missing = [int(k) for k in frames if int(k) not in self.readers]
        first = f"{store.frame_id[missing[0]]} ({store.frame_names[missing[0]]})" if missing else None
        sizes = sorted(f"{height}x{width}" for height, width in self.sizes)
        return {
            "name": self.path.name, "form": self.form, "kind": self.kind, "scale": self.scale,
            "matched_by": self.matched_by, "maps": len(self.readers), "missing": len(missing),
            "first_missing": first, "resized": {"method": METHOD, "from": sizes} if sizes else None,
        }  # fmt: skip

    def _check_shape(self, found: tuple[int, int]) -> None:
        (height, width), (rows, columns) = found, self.shape
        ratio = width * rows / (height * columns)
        if max(ratio, 1 / ratio) > _ASPECT:
            turned = height * rows / (width * columns)
            remedy = "transposed? turn them" if max(turned, 1 / turned) <= _ASPECT else "predict whole frames"
            raise InputError(f"maps are {height}x{width}, expected the shape of {rows}x{columns}; {remedy}")


def _unit_missing(values: Array) -> str:
    known = values[values > 0]
    scales = guessed(float(np.median(known)), is_float=False) if known.size else []
    guess = f", as {scales[0]:g} would make it a room" if scales else ""
    middle = f"{np.median(known):,.5g}" if known.size else "0"
    return (
        f"{values.dtype} of median {middle}, without a unit; give --prediction-scale, units a metre "
        f"(1000 = millimetres){guess}"
    )


def open_maps(
    path: Path, store: Store, frames: Array, *, kind: Kind = "depth", scale: float | None = None,
    match: str | None = None, name: str = "prediction",
) -> PredictedMaps:  # fmt: skip
    """Open predicted maps in any form, and match them with frames of a store.

    Parameters
    ----------
    path
        ``.npy`` (frame, y, x); ``.npz`` with a map a key, or one such array, with ``frame`` or without; a
        ``.zarr`` of ``rsgt.write_prediction``; one file of a map, or a folder of such,
        that of `rsn predict` too.
    store, frames
        The store, and the positions of the frames asked for.
    kind, scale
        What the numbers are, and how many make a metre; None = 1 for floats, refused for whole numbers.
    match
        ``number`` or ``name``: what files and keys are called by; None = as they tell.
    name
        Which of ``schema.PREDICTIONS`` to take of a ``.zarr``, and what the maps are elsewhere.

    Raises
    ------
    InputError
        Where there are no maps, they do not tell which frames they are of, or belong to none of ``frames``.
    """
    path = local_path(path)
    beside: Mapping[str, Callable[[int], Array]] = {}
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give predicted maps")
    if (path.is_dir() and (path / "zarr.json").exists()) or path.suffix.lower() == ".zarr":
        form, matched_by, readers, beside = *_of_zarr(path, store, frames, name), {}
        beside = _beside(path, store, frames)
    elif path.suffix.lower() == ".npy" and path.is_file():
        form, (matched_by, readers) = ".npy", _of_stack(path, map_npy(path), None, store, frames)
    elif path.suffix.lower() == ".npz" and path.is_file():
        form, (matched_by, readers) = ".npz", _of_archive(path, store, frames, match)
    else:
        files = _files(path, name)
        suffixes = sorted({file.suffix.lower() for file in files})
        form = f"{'folder of ' * path.is_dir()}{', '.join(suffixes)}"
        keys = [stem.relative_to(path).as_posix() if path.is_dir() else stem.name for stem in files.values()]
        matched_by, places = match_keys(path, keys, store, match)
        readers = {place: _file_reader(file, name, scale) for place, file in zip(places, files, strict=True)}
    wanted = set(frames.tolist())
    readers = {place: reader for place, reader in readers.items() if place in wanted}
    if not readers:
        raise InputError(
            f"{path}: none of its maps is of the {len(frames)} frames asked for; choose another --split"
        )
    return PredictedMaps(path, form, matched_by, scale, store.shape, kind, readers, beside)


def open_prediction(
    path: str | PathLike[str], store: Store, frames: Array, name: str = "prediction", *,
    scale: float | None = None, match: str | None = None,
) -> tuple[Array, Callable[[int], Array]]:  # fmt: skip
    """Open predicted depths or regions in any form, and match them with frames of a store.

    Parameters
    ----------
    path, frames, scale, match
        As for ``open_maps``.
    store
        The store; regions have its height and width, depths are resized to it.
    name
        ``prediction``, ``support`` or ``initial`` (depths), or ``region``.

    Returns
    -------
    The positions of those of ``frames`` that have a map, and a function from such a position to its map,
    (y, x): float32 metres, or int32 labels, 0 = none. The function raises ``MapError`` where the map is
    damaged or holds what no such map can: NaN, infinite or negative numbers, nothing but 0 as depth, metres
    that no camera sees, more labels than pixels.

    Raises
    ------
    InputError
        Where there are no maps, they are no numbers of their kind, are another store's, in another unit than
        metres, or none belongs to ``frames``.
    """
    path = local_path(path)
    kept = path.suffix.lower() in (".npy", ".zarr") or (path / "zarr.json").exists()
    if kept and scale is None:
        return predictions.open_prediction(path, store, frames, name)
    maps = open_maps(path, store, frames, scale=scale, match=match, name=name)
    matched = np.array(sorted(maps.readers), np.int64)
    if name == "region":
        return matched, maps.read_regions
    predictions.refuse_other_unit(path, store, matched, maps.read_sound, scale=scale)
    return matched, maps.read_sound


def _files(path: Path, name: str) -> dict[Path, Path]:
    """Files of maps, each with its path without suffix: what it is called by."""
    every = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    every = [file for file in every if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    files = {path: path.with_suffix("")} if path.is_file() and every else maps_among(every, name)
    if not files:
        raise InputError(f"{path}: holds no maps; expected .npy, .npz, .png, .tif, .pfm or .exr")
    return files


def _file_reader(file: Path, name: str, scale: float | None) -> Reader:
    if name == "region":  # 8 bits are no depth, but labels
        return lambda: read_map(file, "regions")
    if file.suffix.lower() in _PICTURES:
        if scale is None and stem_of(file) is not None:  # the unit is its writer's, which nobody need say
            return lambda: read_stored(file) / np.float32(MILLIMETRES)
        return lambda: read_stored(file)
    return lambda: read_map(file, "depth")


def _of_zarr(path: Path, store: Store, frames: Array, name: str) -> tuple[str, str, dict[int, Reader]]:
    matched, read = predictions.open_prediction(path, store, frames, name, check_unit=False)
    return ".zarr", "number", {int(k): partial(read, int(k)) for k in matched}


def _beside(path: Path, store: Store, frames: Array) -> dict[str, Callable[[int], Array]]:
    return {
        name: predictions.open_prediction(path, store, frames, name, check_unit=False)[1]
        for name in ("region", "support", "initial")
        if (path / name).exists()
    }


def _of_stack(
    path: Path, maps: Array, numbers: Array | None, store: Store, frames: Array
) -> tuple[str, dict[int, Reader]]:
    if maps.ndim != 3:
        raise InputError(f"{path}: got {maps.dtype} {maps.shape}, expected floats (frame, y, x)")
    if numbers is not None:
        if numbers.shape != maps.shape[:1] or len(set(numbers.tolist())) < len(numbers):
            raise InputError(f"{path}: frame is {numbers.shape}, expected each map's number once")
        places = store.positions(numbers.tolist())
    elif len(maps) in (len(frames), len(store)):
        places = frames.tolist() if len(maps) == len(frames) else list(range(len(store)))
    else:
        raise InputError(
            f"{path}: got {len(maps)} maps, expected {len(frames)} (those asked for) or {len(store)} (all); "
            "give .npz with their numbers as frame, or a folder"
        )
    readers: dict[int, Reader] = {place: partial(_layer, maps, i) for i, place in enumerate(places)}
    return "order" if numbers is None else "number", readers


def _layer(maps: Array, place: int) -> Array:
    return np.asarray(maps[place])


def _of_archive(path: Path, store: Store, frames: Array, match: str | None) -> tuple[str, dict[int, Reader]]:
    def read(key: str) -> Array:
        # Opened anew for each: an archive has one place that it reads from, and threads share it.
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[key])

    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = [key for key in archive.files if key != "frame"]
            numbers = np.asarray(archive["frame"]) if "frame" in archive.files else None
        first = read(keys[0]) if keys else np.zeros(0)
    except Exception as error:  # there is no end to what a damaged archive raises
        raise InputError(f"{path}: can't be read ({error}); expected arrays of numbers") from error
    if len(keys) == 1 and first.ndim == 3:
        return _of_stack(path, first, numbers, store, frames)
    if not keys:
        raise InputError(f"{path}: holds no maps; expected a map a key, or one array (frame, y, x)")
    matched_by, places = match_keys(path, keys, store, match)
    return matched_by, {place: partial(read, key) for place, key in zip(places, keys, strict=True)}
