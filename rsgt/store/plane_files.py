"""Plane instances of a store as files that programs for planes read: images of ids, JSON, and npz.

``instances`` has full frames: a 16-bit PNG of ids and a JSON of the planes for each. The two others are the
layouts of networks whose loaders have a camera, a size and a number of planes of their own built in:
``planarreconstruction`` (Yu et al., 2019; github.com/svip-lab/PlanarReconstruction, ``main.py``) and
``planerectr`` (Shi et al., 2023; github.com/SJingjia/PlaneRecTR, ``tools/generate_scannetv1_plane_dataset``).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsgt.files import replacing
from rsgt.inputs import InputError, local_path
from rsgt.parallel import Progress, map_threads
from rsgt.store import schema
from rsgt.store.frame import Frame
from rsgt.store.reader import Store, as_store

Array = npt.NDArray[Any]
Layout = Literal["instances", "planarreconstruction", "planerectr"]
LAYOUTS = get_args(Layout)

SIZE, MOST, NONE = (192, 256), 20, 20
"""What both networks have built in: height and width, how many planes, and the id of what is on none."""
FOCAL, CENTRE, ASSUMED = 517.97, (320.0, 240.0), (480, 640)
"""And the camera that they assume: focal length and centre in pixels of frames of that size."""
_PARTS = {"train": "train", "test": "val"}

ABOUT = {
    "ids": "16 bits a pixel: the plane's id in its frame, from 1; 0 = none",
    "normal": "unit normal in the camera's axes (x right, y down, z forward), away from the camera; "
    "null = camera unknown",
    "offset_m": "metres from the camera to the plane: normal . point = offset_m; null = camera unknown",
    "inverse_depth": "a, b, c of 1 / depth = a x + b y + c, in 1/m, with x and y in pixels from the first "
    "pixel's centre",
    "pixels": "pixels with its id",
    "residual_m": "root mean square of the plane's depth less the depth, in metres, over its pixels",
    "camera": "pinhole: fx, fy, cx, cy in pixels of the ids, the first pixel's centre at (0, 0); "
    "null = unknown",
}
"""What the JSON files of the layout ``instances`` hold."""


def export_planes(
    store: Store | str | PathLike[str],
    out: str | PathLike[str],
    *,
    layout: Layout = "instances",
    frames: Sequence[int] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the planes of a store whose regions are planes as files.

    Parameters
    ----------
    store
        A finished store of ``surface="plane"``, or its path.
    out
        Folder to make; it appears when all is written.
    layout
        ``instances``: ``planes/N.png`` and ``planes/N.json`` for each frame, and ``planes.json`` about all.
        ``planarreconstruction``, ``planerectr``: frames of 192x256 as ``.npz``, the largest 20 planes of each
        by the camera that these programs assume; ``train`` has the store's training frames, ``val`` those
        for testing.
    frames
        Their numbers, from 1, as in the source; None = all.
    workers, progress
        Threads; and what is called with (frames done, frames in all).

    Raises
    ------
    InputError
        Where regions are no planes, the store lacks a frame, the folder is there, or frames are not three to
        four, which the camera of the two networks' layouts is for.
    """
    opened, out = as_store(store), local_path(out)
    if layout not in LAYOUTS:
        raise InputError(f"layout: got {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if not opened.planar:
        raise InputError(
            f"{opened.path}: its regions are no planes; build it with surface='plane' (--surface plane)"
        )
    height, width = opened.shape
    if layout != "instances" and height * 4 != width * 3:
        raise InputError(
            f"{opened.path}: frames are {height}x{width}, expected three to four for {layout}; use --layout "
            "instances"
        )
    if out.exists():
        raise InputError(f"{out}: exists; choose another folder for the planes")
    positions = [*range(len(opened))] if frames is None else opened.positions(frames)
    with replacing(out) as aside:
        writer = {"instances": _instances, "planarreconstruction": _planar, "planerectr": _rectr}[layout]
        write, finish = writer(opened, aside, positions, out.absolute())
        told = map_threads(write, [(k,) for k in range(len(positions))], workers, progress)
        finish(told)
    return out


Writer = tuple[Callable[[int], Any], Callable[[list[Any]], None]]


def planes_of(frame: Frame, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """List the planes of a frame of a planar store as plain JSON types: see ``ABOUT``."""
    table = {name: column.tolist() for name, column in frame.regions.items()}
    found = []
    for k, label in enumerate(table["label"]):
        normal = [table[f"normal_{axis}"][k] for axis in "xyz"]
        known, category = not np.isnan(normal).any(), table["semantic"][k]
        found.append({
            "id": label,
            "normal": normal if known else None,
            "offset_m": table["plane_distance"][k] if known else None,
            "inverse_depth": [table[f"inverse_depth_{of}"][k] for of in "xy0"],
            "pixels": table["area"][k],
            "residual_m": table["support_rmse"][k],
            "category": schema.class_name(class_names, category) if category else None,
        })  # fmt: skip
    return found


def _instances(store: Store, folder: Path, positions: Sequence[int], final: Path) -> Writer:
    (folder / "planes").mkdir(parents=True)
    names = store.class_names

    def write(k: int) -> dict[str, Any]:
        frame = store.frame(int(store.frame_id[positions[k]]))
        if frame.region.max(initial=0) > np.iinfo(np.uint16).max:
            raise InputError(f"frame {frame.number} has {frame.region.max()} planes, expected 65,535 at most")
        path = folder / "planes" / f"{frame.number:06d}.png"
        Image.fromarray(frame.region.astype(np.uint16)).save(path)
        about = {
            "frame": frame.number, "name": frame.name, "scene": frame.scene, "split": frame.split,
            "height": store.shape[0], "width": store.shape[1], "ids": path.name,
        }  # fmt: skip
        planes = planes_of(frame, names)
        _write_json(path.with_suffix(".json"), about | {"camera": frame.intrinsics or None, "planes": planes})
        return about | {"planes": len(planes)}

    def finish(told: list[dict[str, Any]]) -> None:
        parameters = store.attributes["parameters"]
        _write_json(folder / "planes.json", {
            "store": store.identity, "parameters": parameters, "about": ABOUT, "frames": told,
        })  # fmt: skip

    return write, finish


def assumed_planes(planes: Array, shape: tuple[int, int]) -> Array:
    """Planes as normal over offset, (region, 3) in 1/m, that give their depth by the assumed camera.

    Parameters
    ----------
    planes
        (region, 3), a, b and c of 1/depth = a x + b y + c in pixels of the store's frames.
    shape
        Height and width of these frames.
    """
    a, b = planes[:, 0] * shape[1] / ASSUMED[1], planes[:, 1] * shape[0] / ASSUMED[0]
    return np.stack([FOCAL * a, FOCAL * b, planes[:, 2] + CENTRE[0] * a + CENTRE[1] * b], axis=1)


def _reduced(store: Store, position: int) -> dict[str, Array]:
    """A frame as both networks have it: colour (blue first), depth, ids from 0, and planes' normal / offset.

    Every pixel is the one that their rays go through; of planes the largest count, the largest first.
    """
    maps, table = store.maps(position), store.region_table(position)
    y, x = (np.arange(n) * full // n for n, full in zip(SIZE, store.shape, strict=True))
    region = maps["region"][np.ix_(y, x)]
    area = np.bincount(region.ravel(), minlength=len(table["label"]) + 1)
    area[0] = 0
    largest = np.argsort(-area, kind="stable")[:MOST]
    largest = largest[area[largest] > 0]
    number = np.full(area.size, NONE, np.uint8)
    number[largest] = np.arange(largest.size)
    planes = np.stack([table[f"inverse_depth_{of}"] for of in "xy0"], axis=1)[largest - 1]
    rgb = Image.fromarray(maps["rgb"]).resize(SIZE[::-1], Image.Resampling.BOX)
    return {
        "image": np.asarray(rgb)[..., ::-1].copy(),
        "depth": maps["depth"][np.ix_(y, x)],
        "support": maps["support"][np.ix_(y, x)],
        "segmentation": number[region],
        "plane": assumed_planes(planes, store.shape).astype(np.float32),
    }


def _places(store: Store, positions: Sequence[int]) -> list[tuple[str, int]]:
    """Part and number in it, from 0, of each frame."""
    counts = dict.fromkeys(_PARTS.values(), 0)
    splits = {value: _PARTS[name] for name, value in schema.SPLITS.items()}
    found = []
    for position in positions:
        part = splits[int(store.split[position])]
        found.append((part, counts[part]))
        counts[part] += 1
    return found


def _planar(store: Store, folder: Path, positions: Sequence[int], final: Path) -> Writer:
    places = _places(store, positions)
    for part in _PARTS.values():
        (folder / part).mkdir(parents=True)

    def write(k: int) -> None:
        (part, place), maps = places[k], _reduced(store, positions[k])
        # Its loader turns planes of x right, y forward and z up, normal times offset, into these.
        over = maps["plane"] / (maps["plane"].astype(np.float64) ** 2).sum(axis=1, keepdims=True)
        plane = np.zeros((MOST, 3), np.float32)
        plane[: len(over)] = np.stack([over[:, 0], over[:, 2], -over[:, 1]], axis=1)
        np.savez(
            folder / part / f"{place}.npz", image=maps["image"], plane=plane, depth=maps["depth"],
            segmentation=maps["segmentation"], num_planes=np.array([len(over)]),
        )  # fmt: skip

    def finish(_: list[None]) -> None:
        for part in _PARTS.values():
            lines = [f"{place}.npz\n" for of, place in places if of == part]
            (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")

    return write, finish


def _rectr(store: Store, folder: Path, positions: Sequence[int], final: Path) -> Writer:
    places = _places(store, positions)
    for part in _PARTS.values():
        (folder / part).mkdir(parents=True)

    def write(k: int) -> tuple[str, dict[str, Any]]:
        (part, place), maps = places[k], _reduced(store, positions[k])
        ids = maps["segmentation"]
        name = f"{part}/{place}_d2.npz"
        np.savez(
            folder / name, image=maps["image"], plane=maps["plane"], raw_depth=maps["depth"],
            depth=np.where(ids == NONE, maps["depth"], maps["support"])[None], segmentation=ids,
            num_planes=np.array([len(maps["plane"])]),
        )  # fmt: skip
        return part, {
            "image_id": f"{store.frame_id[positions[k]]}", "image_format": "CV2_BGR", "width": SIZE[1],
            "height": SIZE[0], "npz_file_name": str(final / name),  # its loader wants full names
            "segments_info": [_segment(ids == i, i) for i in range(len(maps["plane"]))],
        }  # fmt: skip

    def finish(told: list[tuple[str, dict[str, Any]]]) -> None:
        camera = [[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]]
        for part in _PARTS.values():
            annotations = [one for of, one in told if of == part]
            document = {
                "info": {"description": f"planes of store {store.identity}", "version": "1.0"},
                "camera": camera, "categories": [{"id": 1, "name": "plane"}], "annotations": annotations,
            }  # fmt: skip
            _write_json(folder / f"scannetv1_plane_len{len(annotations)}_{part}.json", document)

    return write, finish


def _segment(mask: Array, number: int) -> dict[str, Any]:
    y, x = np.nonzero(mask)
    box = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
    centre = [float(x.mean() / mask.shape[1]), float(y.mean() / mask.shape[0])]
    return {"id": number, "bbox": box, "bbox_mode": 1, "iscrowd": 0, "area": int(y.size), "center": centre}


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
