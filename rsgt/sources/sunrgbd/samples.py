"""Folders of SUN RGB-D's frames: their files, their names, and which show one place."""

import re
from pathlib import Path

from rsgt.sources import facts
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.listing import look, natural, pictures, unique_names, walk
from rsgt.sources.sunrgbd.toolbox import key_of

DEEPEST = 7
MAPS = {"filled": "depth_bfx", "raw": "depth"}
"""Folder of each kind of depth."""

_DATE = re.compile(r"(?<!\d)(20\d\d)[-_](\d\d?)[-_](\d\d?)[-_]")


def list_frames(path: Path, sensor: str | None = None) -> tuple[list[FrameFiles], list[str]]:
    """List frames in natural order of their folders, and what was left out.

    A frame's files have names of their own, so that the only picture in a folder is taken. Its name is its
    path from the sensor's folder on, as the publishers' tables call it.
    """
    frames: list[FrameFiles] = []
    unpaired: list[str] = []
    top = path.absolute()  # in full, since a worker may read them from another folder
    for folder, (files, names) in walk(top, DEEPEST):
        if "SUNRGBDtoolbox" in names:
            names.remove("SUNRGBDtoolbox")
        if "image" not in names or not {*MAPS.values()} & {*names}:
            continue
        key = key_of(str(folder)) or (folder.relative_to(top).as_posix() if folder != top else top.name)
        if sensor is None or key.startswith(f"{sensor}/"):
            frame = _frame(folder, files, names, key, unpaired)
            frames += [frame] if frame else []
        names.clear()
    kinds = [kind for kind in MAPS if any(kind in depth_files(frame) for frame in frames)]
    whole = []
    for frame in frames:
        lacks = [MAPS[kind] for kind in kinds if kind not in depth_files(frame)]
        if lacks:
            unpaired.append(f"{frame.name}: has no {' and no '.join(lacks)}")
        else:
            whole.append(frame)
    whole.sort(key=lambda frame: natural(frame.name))
    unique_names(path, (frame.name for frame in whole))
    return whole, unpaired


def _frame(
    folder: Path, names: list[str], folders: list[str], key: str, unpaired: list[str]
) -> FrameFiles | None:
    colour = _only_picture(folder / "image", key, unpaired)
    maps = [_only_picture(folder / name, key, unpaired) for name in MAPS.values() if name in folders]
    depth = [file for file in maps if file is not None]
    if colour is None or not depth:
        return None
    # The usual kind is ``depth``, another one goes by its own name.
    files = {"rgb": colour, "depth": depth[0], **({"raw": depth[1]} if len(depth) > 1 else {})}
    # Written by those who unpack the labels once and for all.
    if "label37.png" in names:
        files["labels"] = folder / "label37.png"
    elif "label" in folders and (labels := sorted(pictures(look(folder / "label")[0]))):
        files["labels"] = folder / "label" / labels[0]
    return FrameFiles(key, scene_of(key), files)


def depth_files(frame: FrameFiles) -> dict[str, Path]:
    """Depth map of each kind that a frame has."""
    files = [frame.files[name] for name in ("depth", "raw") if name in frame.files]
    return {kind: file for kind, place in MAPS.items() for file in files if file.parent.name == place}


def _only_picture(folder: Path, key: str, unpaired: list[str]) -> Path | None:
    found = sorted(pictures(look(folder)[0]))
    if len(found) == 1:
        return folder / found[0]
    count = f"{len(found)} pictures ({found[0]}, {found[1]})" if found else "no picture"
    unpaired.append(f"{key}: {folder.name}/ has {count}, expected one")
    return None


def scene_of(key: str) -> str:
    """What is not to be cut by a split, of a frame's path from the sensor on.

    SUN3D: the place, with all its scans. Frames with a date: all of that day, of any sensor, since three
    sensors took the same rooms. NYU's frames go by scene: a run of them that is all in the official training
    set, or all in the test set, is whole scenes. Berkeley's say nothing of their places, and are one scene.
    """
    parts = key.split("/")
    if "sun3ddata" in parts[:-2]:
        return "/".join(parts[: parts.index("sun3ddata") + 2])
    number = re.fullmatch(r"NYU(\d{4})", parts[-1])
    if number and 1 <= int(number[1]) <= facts.nyu_facts()["frames"]:
        return f"NYUdata/from {_run_of_nyu(int(number[1])):04d}"
    if date := _DATE.search(parts[-1]):
        return f"{date[1]}-{int(date[2]):02d}-{int(date[3]):02d}"
    return "/".join(parts[:-1]) or key


def _run_of_nyu(number: int) -> int:
    """First frame of the run of official training frames, or of test frames, that a NYU frame is in."""
    train = facts.official_train_frames()
    while number > 1 and (number - 1 in train) == (number in train):
        number -= 1
    return number
