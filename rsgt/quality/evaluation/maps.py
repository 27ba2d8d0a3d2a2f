"""Predicted maps in any form that people keep them in, matched with the frames of a store."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, local_path
from rsgt.quality.evaluation.alignment import Kind
from rsgt.quality.evaluation.resizing import bilinear
from rsgt.sources.folder.names import Key, reduced
from rsgt.sources.images import SUFFIXES, read_map
from rsgt.sources.units import guessed, read_stored
from rsgt.store.predictions import MapError, checked_metres, map_npy, open_prediction
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
        try:
            values = self.readers[position]()
            if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.size:
                raise InputError(f"is {values.dtype} {values.shape}, expected one number a pixel (y, x)")
            self._check_shape((values.shape[0], values.shape[1]))
            if self.scale is None and values.dtype.kind != "f":
                raise InputError(_unit_missing(values))
        except (InputError, ValueError, OSError, RuntimeError, KeyError) as error:
            told = str(error)
            raise MapError(told if str(self.path) in told else f"{self.path}: {told}") from error
        with np.errstate(over="ignore", invalid="ignore"):
            metres = np.divide(values, self.scale or 1.0, dtype=np.float64).astype(np.float32)
        if metres.shape != self.shape:
            self.sizes.add((metres.shape[0], metres.shape[1]))
            metres = bilinear(metres, self.shape)
        return metres

    def read_sound(self, position: int) -> npt.NDArray[np.float32]:
        """Read one map; MapError, too, where it holds what no depth in metres can (``checked_metres``)."""
        return checked_metres(self.read(position), str(self.path))

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
    match: str | None = None,
) -> PredictedMaps:  # fmt: skip
    """Open predicted maps in any form, and match them with frames of a store.

    Parameters
    ----------
    path
        ``.npy`` (frame, y, x); ``.npz`` with a map a key, or one such array, with ``frame`` or without; a
        ``.zarr`` of ``rsgt.write_prediction``; one file of a map, or a folder of such.
    store, frames
        The store, and the positions of the frames asked for.
    kind, scale
        What the numbers are, and how many make a metre; None = 1 for floats, refused for whole numbers.
    match
        ``number`` or ``name``: what files and keys are called by; None = as they tell.

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
        form, matched_by, readers, beside = *_of_zarr(path, store, frames), {}
        beside = _beside(path, store, frames)
    elif path.suffix.lower() == ".npy" and path.is_file():
        form, (matched_by, readers) = ".npy", _of_stack(path, map_npy(path), None, store, frames)
    elif path.suffix.lower() == ".npz" and path.is_file():
        form, (matched_by, readers) = ".npz", _of_archive(path, store, frames, match)
    else:
        files = _files(path)
        suffixes = sorted({file.suffix.lower() for file in files})
        form = f"{'folder of ' * path.is_dir()}{', '.join(suffixes)}"
        keys = [
            file.relative_to(path).with_suffix("").as_posix() if path.is_dir() else file.stem
            for file in files
        ]
        matched_by, places = match_keys(path, keys, store, match)
        readers = {place: _file_reader(file) for place, file in zip(places, files, strict=True)}
    wanted = set(frames.tolist())
    readers = {place: reader for place, reader in readers.items() if place in wanted}
    if not readers:
        raise InputError(
            f"{path}: none of its maps is of the {len(frames)} frames asked for; choose another --split"
        )
    return PredictedMaps(path, form, matched_by, scale, store.shape, kind, readers, beside)


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    if not files:
        raise InputError(f"{path}: holds no maps; expected .npy, .npz, .png, .tif, .pfm or .exr")
    return files


def _file_reader(file: Path) -> Reader:
    if file.suffix.lower() in _PICTURES:
        return lambda: read_stored(file)
    return lambda: read_map(file, "depth")


def match_keys(path: Path, keys: Sequence[str], store: Store, match: str | None) -> tuple[str, list[int]]:
    """Match names of maps with frames: by the frames' names in the source, else by their numbers.

    Returns
    -------
    ``name`` or ``number``, and the position of each key's frame in the store.

    Raises
    ------
    InputError
        Where a key is no frame's, two are of one frame, or names and numbers tell different frames.
    """
    full = {name: k for k, name in enumerate(store.frame_names)}
    last: dict[str, list[int]] = {}
    for name, k in full.items():
        last.setdefault(name.rsplit("/", 1)[-1], []).append(k)
    of_number = {int(number): k for k, number in enumerate(store.frame_id)}

    def by_name(key: str) -> int | None:
        for text in (key, _bare(key)):
            one = last.get(text.rsplit("/", 1)[-1], [])
            if text in full or len(one) == 1:
                return full.get(text, one[0] if one else None)
        return None

    def by_number(key: str) -> int | None:
        numbers = re.findall(r"\d+", _bare(key).rsplit("/", 1)[-1])
        return of_number.get(int(numbers[0])) if len(numbers) == 1 else None

    ways = {"name": [by_name(key) for key in keys], "number": [by_number(key) for key in keys]}
    whole = [way for way, found in ways.items() if None not in found and match in (None, way)]
    if not whole:
        best = min(ways, key=lambda way: ways[way].count(None)) if match is None else match
        lost = keys[ways[best].index(None)]
        raise InputError(
            f"{path}: {lost} is no frame of {store.path}, by its {best}; expected numbers as "
            f"{store.frame_id[0]} "
            f"or names as {store.frame_names[0]}; take it away, or give the store that it is of"
        )
    if len(whole) == 2 and ways["name"] != ways["number"]:
        k = next(i for i, key in enumerate(keys) if ways["name"][i] != ways["number"][i])
        raise InputError(
            f"{path}: {keys[k]} is one frame by its name and another by its number; say which with --match"
        )
    places = [place for place in ways[whole[0]] if place is not None]
    if len(set(places)) < len(places):
        twice = next(key for key, place in zip(keys, places, strict=True) if places.count(place) > 1)
        raise InputError(f"{path}: {twice} is not the only map of its frame; keep one for each")
    return whole[0], places


def _bare(key: str) -> str:
    """A key without words that name a map: ``0001_depth`` is ``0001``."""
    folder, _, stem = key.rpartition("/")
    return f"{folder}/{reduced(Key('', '', stem), 2).stem}".lstrip("/")


def _of_zarr(path: Path, store: Store, frames: Array) -> tuple[str, str, dict[int, Reader]]:
    matched, read = open_prediction(path, store, frames, check_unit=False)
    return ".zarr", "number", {int(k): partial(read, int(k)) for k in matched}


def _beside(path: Path, store: Store, frames: Array) -> dict[str, Callable[[int], Array]]:
    return {
        name: open_prediction(path, store, frames, name, check_unit=False)[1]
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
