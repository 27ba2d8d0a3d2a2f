"""What a store will hold: its frames, their parts, scenes, names and cameras, settled before any work."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rsgt.builder.parameters import Parameters
from rsgt.inputs import InputError
from rsgt.parallel import map_threads
from rsgt.sources.source import Source
from rsgt.sources.train_test import draw_split
from rsgt.store import provenance, schema
from rsgt.store.names import Names
from rsgt.store.plan import Plan
from rsgt.store.reader import Store

OnError = Literal["stop", "skip"]
"""What to do about a frame that cannot be read, or lacks a file: stop, or go on without it."""

DEFAULT_SHARD_FRAMES = 32
PROBED_FRAMES = 8
PACKAGES = ("numpy", "numba", "zarr", "numcodecs", "h5py")
"""Libraries whose versions a store names: they shape its bytes, or could."""


def plan_build(
    source: Source,
    parameters: Parameters,
    *,
    frame_ids: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: Path | None = None,
    on_error: OnError = "stop",
) -> Plan:
    """Settle what a store of ``source`` will hold.

    With ``on_error="skip"`` every frame is read once before, and those that cannot be are left out.

    Raises
    ------
    InputError
        Where a frame, label set or option does not exist in the source, or a file has no counterpart and is
        not to be skipped.
    """
    parameters = parameters.settled(source)
    if on_error not in get_args(OnError):
        raise InputError(f"--on-error: got {on_error!r}, expected one of {', '.join(get_args(OnError))}")
    if source.unpaired and on_error == "stop":
        raise InputError(
            f"{source.path}: {source.unpaired[0]}{_and_more(source.unpaired)}; --on-error skip leaves out "
            "what has no counterpart"
        )
    frames = _positions(source, frame_ids)
    if shard_frames < 1:
        raise InputError(f"shard-frames: got {shard_frames}, expected at least 1")
    identity = source.identity()
    if on_error == "skip":
        unread = _unreadable(source, frames, parameters)
        frames = [f for f in frames if f not in unread]
        # From the source's folder on: where that lies is nobody's affair tomorrow.
        above = f"{source.path.absolute()}/"
        identity["skipped"] = [*source.unpaired, *(why.replace(above, "") for why in unread.values())]
        if not frames:
            raise InputError(f"{source.path}: no frame can be read: {next(iter(unread.values()))}")
    split, origin = draw_split(source, frames, split_file)
    # Asked for once: a source may make them anew each time.
    scenes, all_names, cameras, all_ids = source.scenes, source.names, source.cameras, source.frame_ids
    names = sorted({scenes[f] for f in frames})
    number_of = {name: k for k, name in enumerate(names)}
    count = len(frames)
    return Plan(
        parameters=parameters.document(),
        source=identity,
        shape=source.shape,
        frames=np.asarray(frames),
        frame_ids=np.fromiter((all_ids[f] for f in frames), np.int32, count),
        names=Names.of(all_names[f] for f in frames),
        split=np.asarray(split),
        split_origin=origin,
        scene=np.fromiter((number_of[scenes[f]] for f in frames), np.int32, count),
        scene_names=tuple(names),
        class_names=tuple(source.class_names(parameters.labels)),
        cameras=tuple(_runs(dict(cameras[f]) for f in frames)),
        shard_frames=min(shard_frames, count),
        versions=provenance.versions(*PACKAGES),
    )


def _positions(source: Source, frame_ids: Sequence[int] | None) -> Sequence[int]:
    """Positions in a source of the frames of these numbers, in their order; of all for None.

    Raises
    ------
    InputError
        Where there is none, or none of a number.
    """
    ids = source.frame_ids
    if not len(ids):
        raise InputError(f"{source.path}: has no frames")
    if frame_ids is None:
        return range(len(ids))
    wanted = {*frame_ids}
    known = {number: position for position, number in enumerate(ids) if number in wanted}
    unknown = [number for number in sorted(frame_ids) if number not in known]
    if unknown or not wanted:
        asked = f"{unknown[:5] or 'none'} asked for"
        raise InputError(f"frames: {asked}, {source.path} has {min(ids)}..{max(ids)}")
    return [known[number] for number in sorted(frame_ids)]


def _and_more(files: Sequence[str]) -> str:
    return f", and {len(files) - 1} more" if len(files) > 1 else ""


def _unreadable(source: Source, frames: Sequence[int], parameters: Parameters) -> dict[int, str]:
    """Read every frame, and say why where one can't be."""

    def read(some: Sequence[int]) -> None:
        source.rgb(some)
        source.depth(some, parameters.depth)
        source.semantic(some, parameters.labels)
        source.instance(some)

    def part(some: Sequence[int]) -> dict[int, str]:
        try:
            read(some)
        except InputError as error:
            if len(some) == 1:
                return {some[0]: str(error)}
            return {f: reason for one in some for f, reason in part([one]).items()}
        return {}

    parts = [(frames[k : k + PROBED_FRAMES],) for k in range(0, len(frames), PROBED_FRAMES)]
    return {f: reason for found in map_threads(part, parts, None) for f, reason in found.items()}


def _runs(cameras: Iterable[dict[str, float]]) -> Iterator[dict[str, Any]]:
    """Give each run of frames with one camera an entry: ``frames`` [first, stop) and ``intrinsics``."""
    stop = 0
    for camera, run in groupby(cameras):
        first, stop = stop, stop + sum(1 for _ in run)
        yield {"frames": [first, stop], "intrinsics": camera}


def summary(built: Plan | Store) -> dict[str, Any]:
    """Return what a plan comes to, or a build came to, as plain JSON types."""
    held = vars(built) if isinstance(built, Plan) else built.attributes
    frames, skipped = len(built.split), held["source"].get("skipped", [])
    test = int(np.count_nonzero(built.split == schema.TEST))
    return {
        "source": held["source"]["name"],
        "frames": frames,
        "shape": list(built.shape),
        "train": frames - test,
        "test": test,
        "split": held["split_origin"],
        "scenes": len(built.scene_names),
        "shards": -(-frames // built.shard_frames),
        "shard_frames": built.shard_frames,
        "parameters": held["parameters"],
        **({"skipped": skipped} if skipped else {}),
    }
