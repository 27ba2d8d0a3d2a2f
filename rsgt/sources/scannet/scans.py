"""Folders of ScanNet's scans: their frames, cameras and units, and poses that were lost."""

import re
from collections import Counter
from itertools import groupby
from pathlib import Path

from rsgt.inputs import InputError, read_text
from rsgt.sources.cameras import read_camera
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.listing import look, natural, pictures, unique_names, walk

SCAN = re.compile(r"(scene\d{4})_\d{2}")
FOLDERS = {
    "rgb": ("color",),
    "depth": ("depth",),
    "labels": ("label-filt", "label"),
    "instances": ("instance-filt", "instance"),
}
"""Folders of each map: the first that is there."""

CAMERAS = tuple(
    f"{folder}{name}"
    for folder in ("intrinsic/", "intrinsics/", "")
    for name in ("intrinsic_depth.txt", "intrinsics_depth.txt")
)
DEPTH_SHIFT = 1000.0
"""Units of a depth file in a metre, in every release."""

DEEPEST = 3


def list_frames(path: Path) -> tuple[list[FrameFiles], list[str]]:
    """List frames by scan and number, and what was left out for want of a file."""
    scans: list[tuple[str, dict[str, dict[str, Path]]]] = []
    # In full, since a worker may read them from another folder.
    for folder, (_, names) in walk(path.absolute(), DEEPEST):
        if "color" in names and "depth" in names:
            scans.append((folder.name, _maps(folder, names)))
            names.clear()
    unpaired: list[str] = []
    frames = []
    labelled = any("labels" in maps for _, maps in scans)
    for name, maps in sorted(scans, key=lambda scan: natural(scan[0])):
        frames += _frames(name, maps, labelled, unpaired)
    unique_names(path, (frame.name for frame in frames))
    return frames, unpaired


def _maps(folder: Path, names: list[str]) -> dict[str, dict[str, Path]]:
    """Files of each map by their number, written without padding; what is no number goes by itself."""
    maps = {}
    for kind, places in FOLDERS.items():
        place = next((folder / one for one in places if one in names), None)
        if place is not None:
            files = [place / name for name in pictures(look(place)[0])]
            maps[kind] = {file.stem.lstrip("0") or "0": file for file in files}
            if len(maps[kind]) != len(files):
                count = Counter(file.stem.lstrip("0") or "0" for file in files)
                raise InputError(
                    f"{place}: two files are of frame {count.most_common(1)[0][0]}, expected one; remove one"
                )
    return maps


def _frames(
    scan: str, maps: dict[str, dict[str, Path]], labelled: bool, unpaired: list[str]
) -> list[FrameFiles]:
    """Frames of a scan that have colour, depth and, where there are any labels at all, labels."""
    space = SCAN.fullmatch(scan)
    if labelled and "labels" not in maps:
        unpaired.append(f"{scan}: has no label-filt/ or label/, as other scans have")
        return []
    needed = ("rgb", "depth", *(("labels",) if labelled else ()))
    # Labels are released for all frames of a scan, of which few may have been exported.
    numbers = maps["rgb"].keys() | maps["depth"].keys()
    frames = []
    for number in sorted(numbers, key=natural):
        files = {kind: found[number] for kind, found in maps.items() if number in found}
        lacks = [FOLDERS[kind][0] for kind in needed if kind not in files]
        if lacks:
            unpaired.append(f"{scan}/{number}: has no {' and no '.join(lacks)}")
        else:
            # Scans of one space (…_00, _01) show the same rooms.
            frames.append(FrameFiles(f"{scan}/{files['rgb'].stem}", space[1] if space else scan, files))
    return frames


def read_facts(folder: Path) -> tuple[dict[str, float], float]:
    """Depth camera, {} = unknown, and units a metre of a scan."""
    camera: dict[str, float] = {}
    shift = DEPTH_SHIFT
    file = next((folder / name for name in CAMERAS if (folder / name).is_file()), None)
    if file is not None:
        camera = read_camera(str(file))
    info = folder / "_info.txt"
    if info.is_file():
        pairs = (line.partition("=") for line in read_text(info).splitlines())
        told = {name.strip(): value.strip() for name, _, value in pairs}
        try:
            shift = float(told.get("m_depthShift", DEPTH_SHIFT))
        except ValueError:
            shift = 0.0
        if not 0 < shift < float("inf"):
            raise InputError(
                f"{info}: m_depthShift is {told['m_depthShift']}, expected units in a metre, 1000; mend it"
            )
    return camera, shift


def is_lost(frame: FrameFiles) -> bool:
    """Whether the camera's place was lost: its pose is all minus infinity."""
    file = frame.files["depth"].parent.parent / "pose" / f"{frame.files['depth'].stem}.txt"
    try:
        return "inf" in file.read_text("ascii", "replace").lower()
    except OSError:
        return False


def ranges(numbers: list[int]) -> str:
    """Numbers as --frames takes them, such as ``3,7-9``."""
    runs = [list(run) for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    spans = [(run[0][1], run[-1][1]) for run in runs]
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
