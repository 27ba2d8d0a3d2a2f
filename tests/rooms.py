"""Small stores of made-up rooms, for the tests of rsn: written in a tenth of a second."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsgt.store import replacement, writer
from rsgt.store.plan import Plan
from rsgt.store.schema import FRAME_ARRAYS, TEST, TRAIN

Array = npt.NDArray[np.generic]


def room(seed: int, shape: tuple[int, int]) -> dict[str, Array]:
    """One frame: a wall that recedes, a floor and a box, with their category and region support."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0.0 : shape[0], 0.0 : shape[1]] / np.array(shape)[:, None, None]
    wall = rng.uniform(2.5, 5) + rng.uniform(-1.5, 1.5) * x
    floor = rng.uniform(0.8, 1.2) / np.maximum(y, 1e-3)
    depth = np.minimum(wall, floor)
    semantic = np.where(floor < wall, 2, 1)
    top, left = rng.uniform(0.1, 0.5, 2)
    box = (y > top) & (y < top + 0.4) & (x > left) & (x < left + 0.3)
    depth = np.where(box, np.minimum(depth, rng.uniform(1, 2)), depth).astype(np.float32)
    semantic = np.where(box, 3, semantic)
    depth[:2, :3] = 0

    step = np.floor((depth - depth.min()) / 0.75).astype(int)
    _, region = np.unique(np.where(depth > 0, semantic * 100 + step, 0), return_inverse=True)
    region = region.reshape(shape).astype(np.int32)
    mean = np.bincount(region.ravel(), depth.ravel().astype(float)) / np.bincount(region.ravel())
    colour = np.stack([60 * semantic, 255 / (1 + depth), 255 * x], axis=-1)
    colour = colour + rng.normal(0, 4, colour.shape)
    return {
        "rgb": colour.clip(0, 255).astype(np.uint8),
        "depth": depth,
        "semantic": semantic.astype(np.uint16),
        "instance": np.ones(shape, np.uint16),
        "region": region,
        "support": np.where(region > 0, mean[region], 0).astype(np.float32),
    }


def write_rooms(
    path: Path,
    *,
    train: int = 8,
    test: int = 3,
    shape: tuple[int, int] = (48, 64),
    shard_frames: int = 4,
    depth: str = "filled",
    class_names: tuple[str, ...] = tuple(f"class{i}" for i in range(40)),
    without_depth: tuple[int, ...] = (),
) -> Path:
    """Write a finished store of so many frames, two of a scene, training frames first."""
    count = train + test
    plan = Plan(
        parameters={"labels": "40", "depth": depth},
        source={"kind": "rooms"},
        shape=shape,
        frames=tuple(range(count)),
        frame_ids=tuple(range(101, 101 + count)),
        names=tuple(map(str, range(101, 101 + count))),
        split=(TRAIN,) * train + (TEST,) * test,
        split_origin="rooms",
        scene=tuple(i // 2 for i in range(count)),
        scene_names=tuple(f"room{i}" for i in range((count + 1) // 2)),
        class_names=class_names,
        cameras=({"frames": [0, count], "intrinsics": {}},),
        shard_frames=shard_frames,
        versions={},
    )
    writer.create(path, plan)
    for k in range(plan.n_shards):
        rows = plan.shard(k)
        frames = [room(seed, shape) for seed in range(rows.start, rows.stop)]
        for name in ("depth", "support", "region"):
            for frame in set(without_depth) & set(range(rows.start, rows.stop)):
                frames[frame - rows.start][name][:] = 0
        arrays = ((spec.name, np.stack([frame[spec.name] for frame in frames])) for spec in FRAME_ARRAYS)
        writer.write_shard(path, plan, k, arrays, (region_table(frame) for frame in frames))
    writer.finish(path, plan)
    replacement.switch(path, plan)
    return path


def region_table(frame: dict[str, Array]) -> dict[str, Array]:
    """The ragged table's rows of one frame."""
    labels = np.unique(frame["region"][frame["region"] > 0])
    parts = [frame["depth"][frame["region"] == label] for label in labels]
    return {
        "label": labels.astype(np.int32),
        "semantic": np.ones(len(labels), np.uint16),
        "area": np.array([part.size for part in parts], np.int32),
        "depth_mean": np.array([part.mean() for part in parts], np.float64),
        "depth_variance": np.array([part.var() for part in parts], np.float64),
        "depth_minimum": np.array([part.min() for part in parts], np.float32),
        "depth_maximum": np.array([part.max() for part in parts], np.float32),
    }
