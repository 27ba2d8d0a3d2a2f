"""The scene of each frame, where a user says more than folders do."""

import csv
import io
from pathlib import Path

from rsgt.inputs import InputError, local_path, read_text
from rsgt.sources.folder.names import RGB
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.options import SourceOptions


def with_scenes(path: Path, frames: list[FrameFiles], options: SourceOptions) -> list[FrameFiles]:
    """Put frames into the scenes that ``--scenes`` says: their folders, themselves, or what a file tells."""
    said = options.get("scenes", "folder")
    if said == "folder":
        return frames
    if said == "frame":
        return [FrameFiles(frame.name, frame.name, frame.files) for frame in frames]
    told, base = _scene_file(said), path.absolute().as_posix()
    placed = []
    for frame in frames:
        file = frame.files[RGB]
        below = file.as_posix().removeprefix(f"{base}/")
        names = (frame.name, below, below.rpartition(".")[0], file.name, file.stem)
        scene = next((told[name] for name in names if name in told), None)
        if scene is None:
            raise InputError(
                f"--scenes: {said}: says no scene of frame {frame.name} of {path}; add the "
                f"line `{frame.name},SCENE`"
            )
        placed.append(FrameFiles(frame.name, scene, frame.files))
    return placed


def _scene_file(said: str) -> dict[str, str]:
    file = local_path(said)
    try:
        text = read_text(file)
    except OSError as error:
        raise InputError(
            f"--scenes: {said}: {error.strerror or error}; expected folder, frame, or a file of lines "
            "`frame,scene`"
        ) from error
    told = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        sign = "\t" if "\t" in line else "," if "," in line else " "
        parts = [part.strip() for part in next(csv.reader(io.StringIO(line), delimiter=sign)) if part.strip()]
        if len(parts) != 2:
            raise InputError(f"--scenes: {said}: line {number} is {line[:40]!r}, expected `frame,scene`")
        told[parts[0]] = parts[1]
    return told
