"""Whether an object keeps the protocol of a source: what a test of one's own source calls."""

import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError, shortened
from rsgt.sources.source import MASKS, NO_LABELS, TEST, TRAIN, Source

Array = npt.NDArray[Any]
Read = Callable[..., Array]

MEMBERS = tuple(name for name in vars(Source) if not name.startswith("_") and name != "room")
THREADS = 4


def check_source(source: Source, *, frames: int = 3) -> None:
    """Check that an object keeps the protocol of ``rsgt.Source``, so that anything can be built of it.

    Looks at all that the protocol promises: that names, scenes, cameras, split and class names are of the
    right kind and number; that some frames read alone, together, into given memory, by several threads and
    after pickling are of the promised shape and type and the same; that depth is finite metres from 0 on,
    and every label has a name.

    Parameters
    ----------
    source
        The object; it need not derive from ``rsgt.Source``.
    frames
        How many frames to read, spread over all of them.

    Raises
    ------
    InputError
        At the first fault, one line: what a method gave, and what is expected. Also what the source itself
        raises of its files.
    """
    if not isinstance(getattr(source, "path", None), Path):
        _fail(source, "path", shortened(getattr(source, "path", None)), "a pathlib.Path")
    for name in MEMBERS:
        with _calling(source, name):
            if not hasattr(source, name):
                _fail(source, name, "nothing", "it to be there; rsgt.Source, to derive from, has a default")
    count = _check_frames(source)
    _check_classes(source)
    _check_cameras(source, count)
    _check_identity(source, count)
    positions = sorted({int(f) for f in np.linspace(0, count - 1, min(count, max(1, frames)))})
    twin = _pickled(source)
    for name, read, other, dtype, shape, check in _reads(source, twin):
        _check_read(source, name, read, other, positions, np.dtype(dtype), shape, check)


def _fail(source: Source, what: str, got: Any, expected: str) -> NoReturn:
    given = got if isinstance(got, str) else shortened(got)
    raise InputError(f"{type(source).__name__}.{what}: got {given}, expected {expected}")


@contextmanager
def _calling(source: Source, what: str) -> Iterator[None]:
    """Turn what a method raises into a finding; what it says of its files stays as it is."""
    try:
        yield
    except InputError:
        raise
    except NotImplementedError as error:
        name = type(source).__name__
        raise InputError(f"{name}.{what}: is not defined, expected each source's own") from error
    except Exception as error:
        raise InputError(
            f"{type(source).__name__}.{what}: raised {type(error).__name__} ({shortened(str(error))}), "
            "expected a result, or rsgt.InputError where data is missing or damaged"
        ) from error


def _texts(source: Source, what: str, got: Any, count: int | None = None) -> Sequence[str]:
    """A sequence of texts, of a number where one is given."""
    is_sequence = isinstance(got, Sequence) and not isinstance(got, str)
    if not is_sequence or not all(isinstance(one, str) for one in got):
        _fail(source, what, shortened(got), "a sequence of str")
    if count is not None and len(got) != count:
        _fail(source, what, f"{len(got)} of them", f"{count}, one for each of frame_ids")
    return list(got)


def _check_frames(source: Source) -> int:
    ids, shape = source.frame_ids, source.shape
    if not isinstance(ids, Sequence) or not all(isinstance(n, int | np.integer) for n in ids):
        _fail(source, "frame_ids", ids, "a sequence of int")
    if not ids or ids[0] < 1 or any(b <= a for a, b in pairwise(ids)):
        _fail(source, "frame_ids", ids, "at least one number, ascending from 1 or above")
    is_pair = isinstance(shape, tuple) and len(shape) == 2
    if not is_pair or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        _fail(source, "shape", shape, "(height, width) as two int above 0")
    names = _texts(source, "names", source.names, len(ids))
    if len(set(names)) < len(names) or not all(names):
        double = next((name for name in names if not name or names.count(name) > 1), "")
        _fail(source, "names", f"{double!r} {names.count(double)} times", "names, no two of them equal")
    _texts(source, "scenes", source.scenes, len(ids))
    if source.split is not None:
        other = set(_texts(source, "split", source.split, len(ids))) - {TRAIN, TEST}
        if other:
            _fail(source, "split", repr(min(other)), f"{TRAIN!r} or {TEST!r} of each frame, or None")
    _texts(source, "unpaired", source.unpaired)
    return len(ids)


def _check_classes(source: Source) -> None:
    for what, got in (("label_sets", source.label_sets), ("depth_kinds", source.depth_kinds)):
        texts = _texts(source, what, got)
        if not texts or len(set(texts)) < len(texts):
            _fail(source, what, got, "at least one name, no two of them equal")
    if not isinstance(source.has_instances, bool):
        _fail(source, "has_instances", source.has_instances, "True or False")
    for labels in source.label_sets:
        what = f"class_names({labels!r})"
        with _calling(source, what):
            names = _texts(source, what, source.class_names(labels))
        if labels == NO_LABELS and names:
            _fail(source, what, names, "none, as the label set says")
        if labels == MASKS and not source.has_instances:
            _fail(source, "has_instances", False, f"True, as label set {MASKS!r} says")
    with _calling(source, "class_names()"):
        usual = list(source.class_names())
    if usual != list(source.class_names(source.label_sets[0])):
        _fail(source, "class_names()", usual, f"those of {source.label_sets[0]!r}, the first")


def _check_cameras(source: Source, count: int) -> None:
    cameras = source.cameras
    if not isinstance(cameras, Sequence) or len(cameras) != count:
        got = f"{len(cameras)} of them" if isinstance(cameras, Sequence) else cameras
        _fail(source, "cameras", got, f"{count}, one for each of frame_ids")
    for camera in cameras:
        if not isinstance(camera, Mapping) or (camera and set(camera) != {"fx", "fy", "cx", "cy"}):
            _fail(source, "cameras", camera, "fx, fy, cx, cy of each frame, or an empty mapping")
        numbers = [isinstance(n, float | int) and math.isfinite(n) for n in camera.values()]
        if camera and not (all(numbers) and camera["fx"] > 0 and camera["fy"] > 0):
            _fail(source, "cameras", dict(camera), "finite pixels, fx and fy above 0")


def _check_identity(source: Source, count: int) -> None:
    for name in ("identity", "details"):
        with _calling(source, f"{name}()"):
            got = getattr(source, name)()
            again = getattr(source, name)()
        try:
            same = isinstance(got, dict) and json.loads(json.dumps(got, allow_nan=False)) == got
        except (TypeError, ValueError):
            same = False
        if not same:
            _fail(source, f"{name}()", got, "a dict of plain JSON types, lists and not tuples")
        if got != again:
            _fail(source, f"{name}()", f"{shortened(got)}, then {shortened(again)}", "the same each time")
    told = source.identity()
    for key in ("kind", "name", "fingerprint"):
        if not isinstance(told.get(key), str) or not told[key]:
            _fail(source, f"identity()[{key!r}]", told.get(key), "a str, not empty")
    if told.get("frames") != count:
        _fail(source, "identity()['frames']", told.get("frames"), f"{count}, as many as frame_ids")


def _pickled(source: Source) -> Source:
    try:
        twin: Source = pickle.loads(pickle.dumps(source))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{type(source).__name__}: does not pickle ({shortened(str(error))}), as workers need it; keep "
            "paths and plain values in it, no open files, and define the class at the top of a module"
        ) from error
    if twin.identity() != source.identity():
        _fail(source, "identity()", f"{shortened(twin.identity())} after pickling", "the same as before")
    return twin


Check = Callable[[Array], str | None]


def _reads(source: Source, twin: Source) -> Iterator[tuple[str, Read, Read, Any, tuple[int, ...], Check]]:
    """Each read: its name, the method, that of the pickled twin, type, shape of a frame, and a check."""
    shape = tuple(source.shape)
    yield "rgb({})", source.rgb, twin.rgb, np.uint8, (*shape, 3), lambda values: None
    for kind in (None, *source.depth_kinds):
        told = "" if kind is None else f", {kind!r}"

        def depth(one: Source, kind: str | None = kind) -> Read:
            return lambda frames, out=None: one.depth(frames, kind, out)

        yield f"depth({{}}{told})", depth(source), depth(twin), np.float32, shape, _check_depth
    for labels in (None, *source.label_sets):
        told = "" if labels is None else f", {labels!r}"
        none = (labels or source.label_sets[0]) == NO_LABELS
        names = source.class_names(labels)

        def semantic(one: Source, labels: str | None = labels) -> Read:
            return lambda frames, out=None: one.semantic(frames, labels, out)

        def named(values: Array, names: Sequence[str] = names, none: bool = none) -> str | None:
            return _check_labels(values, names, none)

        yield f"semantic({{}}{told})", semantic(source), semantic(twin), np.uint16, shape, named

    def objects(values: Array) -> str | None:
        return "0 alone, for has_instances is False" if values.any() and not source.has_instances else None

    yield "instance({})", source.instance, twin.instance, np.uint16, shape, objects


def _check_depth(values: Array) -> str | None:
    fine = np.isfinite(values).all() and values.min() >= 0
    return None if fine else "finite metres, 0 where there is none"


def _check_labels(values: Array, names: Sequence[str], none: bool) -> str | None:
    if none and values.any():
        return f"0 alone, for the label set is {NO_LABELS!r}"
    known = np.array([True, *map(bool, names)])
    if names and (values.max() >= len(known) or not known[values].all()):
        return f"0, or the number of a class with a name in class_names (of {len(names)})"
    return None


def _check_read(
    source: Source,
    name: str,
    read: Read,
    other: Read,
    positions: Sequence[int],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    check: Check,
) -> None:
    """Read frames alone, together, into memory, twice, by threads and from the pickled twin."""

    def get(some: Sequence[int], by: Read = read, out: Array | None = None) -> Array:
        what = name.format(list(some))
        with _calling(source, what):
            got = by(some) if out is None else by(some, out=out)
        if not isinstance(got, np.ndarray):
            _fail(source, what, got, f"an array, {dtype} {(len(some), *shape)}")
        if got.dtype != dtype or got.shape != (len(some), *shape):
            _fail(source, what, f"{got.dtype} {got.shape}", f"{dtype} {(len(some), *shape)}")
        return got

    def same(got: Array, some: Sequence[int], how: str) -> None:
        for row, f in enumerate(some):
            if not np.array_equal(got[row], alone[f]):
                _fail(source, name.format(list(some)), f"other values {how}", f"those of [{f}] alone")

    alone = {f: get([f])[0].copy() for f in positions}
    for f, values in alone.items():
        if wanted := check(values):
            low, high = values.min(), values.max()
            _fail(source, name.format([f]), f"values from {low} to {high}", wanted)
    same(get(tuple(positions)), positions, "for several frames")
    same(get(positions[-1:]), positions[-1:], "the second time")
    for fill in (0, 101):  # two, so that what is left as it was shows
        memory = np.full((len(positions) + 1, *shape), fill, dtype)
        if get(positions, out=memory[:-1]).ctypes.data != memory.ctypes.data:
            _fail(source, name.format(positions), "other memory than out", "out, filled and returned")
        same(memory[:-1], positions, "in out")
        if not (memory[-1] == fill).all():
            _fail(source, name.format(positions), "memory beyond out changed", "out alone to be filled")
    same(get(positions, other), positions, "after pickling")
    with ThreadPoolExecutor(THREADS) as pool:
        twice = [*positions, *positions]
        for f, got in zip(twice, pool.map(lambda f: get([f]), twice), strict=True):
            same(got, [f], f"while {THREADS} threads read")
