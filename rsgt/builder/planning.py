"""What a store will hold: its frames, their parts, scenes, names and cameras, settled before any work."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from rsgt.builder.parameters import Parameters
from rsgt.inputs import InputError
from rsgt.parallel import map_threads
from rsgt.sources.source import Source
from rsgt.sources.train_test import draw_split
from rsgt.store import provenance, schema, staging
from rsgt.store.reader import Store

OnError = Literal["stop", "skip"]
"""What to do about a frame that cannot be read, or lacks a file: stop, or go on without it."""

DEFAULT_SHARD_FRAMES = 32
PROBED_FRAMES = 8
PACKAGES = ("numpy", "numba", "zarr", "numcodecs", "h5py", "tensorstore")
"""Libraries whose versions a store names: they shape its bytes, or could."""


def plan_build(
    source: Source,
    parameters: Parameters,
    *,
    frame_ids: Sequence[int] | None = None,
    shard_frames: int = DEFAULT_SHARD_FRAMES,
    split_file: Path | None = None,
    on_error: OnError = "stop",
) -> staging.Plan:
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
    known = {number: position for position, number in enumerate(source.frame_ids)}
    wanted = list(source.frame_ids) if frame_ids is None else sorted(frame_ids)
    unknown = [number for number in wanted if number not in known]
    if unknown or not wanted:
        raise InputError(
            f"frames: {unknown[:5] or 'none'} asked for, {source.path} has {min(known)}..{max(known)}"
            if known
            else f"{source.path}: has no frames"
        )
    if shard_frames < 1:
        raise InputError(f"shard-frames: got {shard_frames}, expected at least 1")
    frames = [known[number] for number in wanted]
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
    all_scenes, all_names, all_cameras = source.scenes, source.names, source.cameras
    scenes = [all_scenes[f] for f in frames]
    names = sorted(set(scenes))
    number_of = {name: k for k, name in enumerate(names)}
    return staging.Plan(
        parameters=parameters.document(),
        source=identity,
        shape=source.shape,
        frames=tuple(frames),
        frame_ids=tuple(source.frame_ids[f] for f in frames),
        names=tuple(all_names[f] for f in frames),
        split=tuple(split),
        split_origin=origin,
        scene=tuple(number_of[name] for name in scenes),
        scene_names=tuple(names),
        class_names=tuple(source.class_names(parameters.labels)),
        cameras=tuple(_runs([dict(all_cameras[f]) for f in frames])),
        shard_frames=min(shard_frames, len(frames)),
        versions=provenance.versions(*PACKAGES),
    )


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


def _runs(cameras: Sequence[dict[str, float]]) -> Iterator[dict[str, Any]]:
    """Give each run of frames with one camera an entry: ``frames`` [first, stop) and ``intrinsics``."""
    first = 0
    for k in range(1, len(cameras) + 1):
        if k == len(cameras) or cameras[k] != cameras[first]:
            yield {"frames": [first, k], "intrinsics": cameras[first]}
            first = k


def summary(built: staging.Plan | Store) -> dict[str, Any]:
    """Return what a plan comes to, or a build came to, as plain JSON types."""
    held = vars(built) if isinstance(built, staging.Plan) else built.attributes
    split, skipped = list(built.split), held["source"].get("skipped", [])
    return {
        "source": held["source"]["name"],
        "frames": len(split),
        "shape": list(built.shape),
        "train": len(split) - split.count(schema.TEST),
        "test": split.count(schema.TEST),
        "split": held["split_origin"],
        "scenes": len(built.scene_names),
        "shards": -(-len(split) // built.shard_frames),
        "shard_frames": built.shard_frames,
        "parameters": held["parameters"],
        **({"skipped": skipped} if skipped else {}),
    }
