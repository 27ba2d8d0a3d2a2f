"""Predicted maps: how they are kept on disk, and how they are matched with the frames of a store."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rsgt.inputs import InputError, local_path
from rsgt.store import schema
from rsgt.store.encoding import create_array, write_shard_file
from rsgt.store.manifest import SEAL, file_problem, file_record, group_attributes, seal, sealed
from rsgt.store.map_checks import MapError, checked_metres, checked_regions
from rsgt.store.reader import Store

Array = npt.NDArray[Any]

_SHARD = 64
_UNLIKELY, _SAMPLE = 8.0, 9
"""Maps whose medians are so many times the depth's, or that part of it, are in another unit; so many tell."""

_UNITS = {
    1e-3: "kilometres", 10.0: "decimetres", 100 / 2.54: "inches", 1e2: "centimetres", 1e3: "millimetres",
    1e6: "micrometres",
}  # fmt: skip
_KINDS = dict.fromkeys(schema.PREDICTIONS, ("fiu", "depth in metres")) | {
    "region": ("iu", "whole numbers, 0 = no region")
}


def write_prediction(
    path: Path, predictions: Iterable[Mapping[str, Array]], frame_id: Array, shape: tuple[int, int],
    attributes: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write predicted maps as a small Zarr v3 store: arrays (frame, y, x) and ``frame``, their numbers.

    It is written beside, under its name with ``.unfinished``, and takes its name when it is whole.

    Parameters
    ----------
    path
        Where to write; must not exist.
    predictions
        The (y, x) maps of one frame after another, in the order of ``frame_id``, under the same names of
        ``schema.PREDICTIONS`` in each.
    frame_id
        (frame,) numbers (from 1) of the frames in their source.
    shape
        Height and width of a map.
    attributes
        Kept on the root group; ``store`` is the identity of the store whose frames these are. Beside them
        ``files`` records the size and the SHA-256 of each file, and ``seal`` all of these.

    Raises
    ------
    InputError
        Where ``path`` exists, ``frame_id`` are no numbers of frames, or the maps are not as many, as large or
        as complete as promised, or hold what no such map can (see ``open_prediction``).
    """
    path = local_path(path)
    frame_id = np.asarray(frame_id)
    largest = np.iinfo(schema.INDEX_ARRAYS[0].dtype).max
    numbered = (
        frame_id.ndim == 1 and frame_id.dtype.kind in "iu" and np.unique(frame_id).size == frame_id.size
    )
    if not numbered or frame_id.min(initial=1) < 1 or frame_id.max(initial=1) > largest:
        got = f"{frame_id.dtype} {frame_id.shape}"
        raise InputError(f"frame_id: got {got}, expected the frames' numbers, whole, from 1, each once")
    if path.exists():
        raise InputError(f"{path}: exists; choose another path for the predictions")
    aside = path.with_name(path.name + ".unfinished")
    if aside.exists():
        shutil.rmtree(aside)
    try:
        maps = iter(predictions)
        names: list[str] = []
        shard = min(_SHARD, len(frame_id))
        for k, first in enumerate(range(0, len(frame_id), _SHARD)):
            numbers = frame_id[first : first + _SHARD]
            for name, block in _block(list(islice(maps, len(numbers))), numbers, shape, names).items():
                spec = schema.PREDICTIONS[name]
                if not k:
                    create_array(aside / name, spec, (len(frame_id), *shape), shard=shard)
                    names.append(name)
                write_shard_file(aside, spec, k, block, shard)
        create_array(aside / "frame", schema.INDEX_ARRAYS[0], frame_id.shape)[:] = frame_id
        files = sorted(file for file in aside.rglob("*") if file.is_file())
        records = {file.relative_to(aside).as_posix(): file_record(file) for file in files}
        zarr.create_group(
            str(aside), attributes=sealed({**(attributes or {}), "files": records}), zarr_format=3
        )
        aside.rename(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _block(
    frames: list[Mapping[str, Array]], numbers: Array, shape: tuple[int, int], names: list[str]
) -> dict[str, Array]:
    """Stack the maps of some frames by their names; InputError where one is not as promised."""
    if len(frames) != len(numbers):
        raise InputError(f"predictions: end before frame {numbers[len(frames)]}, expected one for each frame")
    names = names or [*frames[0]]
    for number, frame in zip(numbers, frames, strict=True):
        if [*frame] != names or not set(names) <= set(schema.PREDICTIONS):
            expected = ", ".join(names)
            raise InputError(f"predictions: frame {number} has {', '.join(frame)}, expected {expected}")
        for name, values in frame.items():
            if np.shape(values) != tuple(shape):
                got = np.shape(values)
                raise InputError(f"predictions: {name} of frame {number} is {got}, expected {tuple(shape)}")
            if np.ma.is_masked(values):
                raise InputError(f"predictions: {name} of frame {number} has masked pixels; fill them first")
            kinds, expected = _KINDS[name]
            where = f"predictions: {name} of frame {number}"
            if np.asarray(values).dtype.kind not in kinds:
                raise InputError(f"{where} is {np.asarray(values).dtype}, expected {expected}; convert it")
            _checked(name, np.asarray(values), where)
    return {name: np.stack([np.asarray(frame[name]) for frame in frames]) for name in names}


def _checked(name: str, values: Array, where: str) -> Array:
    return checked_regions(values, where) if name == "region" else checked_metres(values, where)


def read_prediction(path: Path, name: str = "prediction") -> tuple[zarr.Array[Any], Array]:
    """Open one array that ``write_prediction`` wrote, (frame, y, x), and its frames' numbers.

    Raises
    ------
    InputError
        Where there is none, it is unfinished, or one of its files is missing or of another size.
    """
    path = local_path(path)
    lacking = InputError(
        f"{path}: got no array {name!r}, expected {name!r} and 'frame', as `rsn evaluate --save` writes "
        "them of a model that predicts both"
    )
    if not path.is_dir():
        raise lacking
    try:
        attributes = group_attributes(path)
        if "files" not in attributes or attributes.get(SEAL) != seal(attributes):
            raise ValueError("its records are missing or altered")
    except (OSError, ValueError) as error:
        if not (path / name).exists() and not (path / "frame").exists():
            raise lacking from error
        raise InputError(
            f"{path}: unfinished, damaged, or of an earlier version: no record of its files holds; "
            "remove it, and run `rsn evaluate --save` again"
        ) from error
    known = attributes["files"]
    for file, record in known.items():
        if problem := file_problem(path / file, record, whole=Path(file).name == "zarr.json"):
            raise InputError(f"{path}: {file}: {problem}; run `rsn evaluate --save` again, to another path")
    if f"{name}/zarr.json" not in known or "frame/zarr.json" not in known:
        raise lacking
    try:
        array: zarr.Array[Any] = zarr.open_array(str(path / name), mode="r")
        numbers = np.asarray(zarr.open_array(str(path / "frame"), mode="r")[:])
        if array.ndim != 3 or numbers.shape != array.shape[:1]:
            raise ValueError(f"{name} is {array.shape}, frame {numbers.shape}")
    except Exception as error:  # Zarr has many for metadata that are none
        raise InputError(
            f"{path}: {name} can't be read ({error}); run `rsn evaluate --save` again"
        ) from error
    return array, numbers


def open_prediction(
    path: Path, store: Store, frames: Array, name: str = "prediction", *, check_unit: bool = True
) -> tuple[Array, Callable[[int], Array]]:
    """Open predicted maps of two forms and match them with frames of a store.

    ``rsgt.quality.evaluation.maps`` takes every form, these among them.

    Parameters
    ----------
    path
        What ``write_prediction`` wrote, or an ``.npy`` file (frame, y, x) with a map for each of
        ``frames``, or for each frame of the store, in their order.
    store
        The store, whose height and width the maps have.
    frames
        Positions of the frames asked for.
    name
        Which of ``schema.PREDICTIONS`` to take.
    check_unit
        Refuse depths in another unit than metres.

    Returns
    -------
    The positions of those of ``frames`` that have a map, and a function from such a position to its map,
    (y, x) of the dtype that ``schema.PREDICTIONS`` says. The function raises ``MapError``, with the frame's
    number, where the map is damaged or holds what no such map can: NaN, infinite or negative numbers, nothing
    but 0 as depth, metres that no camera sees, more labels than pixels.

    Raises
    ------
    InputError
        Where there are no maps, they are no numbers of their kind, their number or size is another, they
        are another store's, in another unit than metres, or none belongs to ``frames``.
    """
    path = local_path(path)
    if path.suffix.lower() == ".npy":
        maps = map_npy(path)
        known = {len(frames): frames, len(store): np.arange(len(store))}
        if maps.ndim != 3 or maps.shape[0] not in known:
            raise InputError(
                f"{path}: got {maps.shape}, expected (frame, y, x) of {' or '.join(map(str, known))} frames"
            )
        place = {int(k): i for i, k in enumerate(known[maps.shape[0]])}
    else:
        maps, numbers = read_prediction(path, name)
        _refuse_other_store(path, store)
        of_number = {int(number): i for i, number in enumerate(numbers)}
        if len(of_number) < len(numbers):
            raise InputError(f"{path}: names a frame twice; expected each frame's number once")
        place = {k: of_number[int(n)] for k, n in enumerate(store.frame_id) if int(n) in of_number}
    kinds, expected = _KINDS[name]
    if maps.dtype.kind not in kinds:
        raise InputError(f"{path}: maps are {maps.dtype}, expected {expected}; convert them")
    if maps.shape[1:] != store.shape:
        raise InputError(
            f"{path}: maps are {maps.shape[1:]}, expected the store's {store.shape}; resize them"
        )
    matched = np.array([k for k in frames if int(k) in place], np.int64)
    if not matched.size:
        raise InputError(
            f"{path}: none of its {maps.shape[0]} frames is among the {len(frames)} of {store.path}"
        )

    def found(k: int) -> Array:
        where = f"{path}: frame {store.frame_id[k]}"
        try:
            values = np.asarray(maps[place[int(k)]])
        except (ValueError, RuntimeError, OSError) as error:
            raise MapError(f"{where} can't be read ({error}); predict it again") from error
        return _checked(name, values, where)

    if name == "prediction" and check_unit:
        refuse_other_unit(path, store, matched, found)
    return matched, found


def refuse_other_unit(
    path: Path, store: Store, matched: Array, found: Callable[[int], Array], *, scale: float | None = None,
    inverse: bool = False,
) -> None:  # fmt: skip
    """Compare medians of some maps with the depth's: a unit is another's by decades, a network by less.

    ``scale`` is what was said of the unit (None = nothing), ``inverse`` that maps are of inverse depth.

    Raises
    ------
    InputError
        Which names the unit that they seem to be in.
    """
    ratios = []
    for k in matched[np.linspace(0, len(matched) - 1, min(_SAMPLE, len(matched))).astype(int)].tolist():
        depth = store.read("depth", k, k + 1)[0]
        try:
            seen = found(k)
        except MapError:
            continue
        both = (depth > 0) & (seen > 0)
        if both.any():
            ratios.append(float(np.median(seen[both]) / np.median(depth[both])))
    middle = float(np.median(ratios)) if ratios else 1.0
    if 1 / _UNLIKELY <= middle <= _UNLIKELY:
        return
    factor = min(_UNITS, key=lambda unit: abs(np.log(middle / unit)))
    told = f"{path}: maps have medians of {middle:.3g} times the depth's, expected metres"
    if inverse:
        raise InputError(f"{told}; of no unit? --align disparity grants each image a scale and a shift")
    if scale is not None:
        likely = min((1.0, *_UNITS), key=lambda unit: abs(np.log(scale * middle / unit)))
        scales = f"got {scale:g}, expected {likely:.4g}, by the looks of it"
        raise InputError(f"{told}; --prediction-scale: {scales}")
    remedy = f"give --prediction-scale {factor:.4g}, or divide them by it"
    raise InputError(f"{told}; {_UNITS[factor]}? {remedy}")


def map_npy(path: Path) -> Any:
    """Map an ``.npy`` file into memory; InputError where it is none."""
    try:
        # Not np.load, which takes archives and pickles, too.
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a broken head raises whatever a broken Python literal does
        told = str(error) or "it ends before its head"
        raise InputError(f"{path}: no array here ({told}); expected floats (frame, y, x)") from error


def _refuse_other_store(path: Path, store: Store) -> None:
    """Compare the identity that ``rsn evaluate`` recorded; where there is none, nobody said so."""
    identity = group_attributes(path).get("store")
    if identity is not None and identity != store.identity:
        raise InputError(
            f"{path}: predictions of store {str(identity)[:12]}, got {store.path}, which is "
            f"{store.identity[:12]}; give the store that they were made of, or predict this one"
        )
