"""The frames of a folder: its files found, paired, named, ordered and put into scenes; none is opened."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rsgt.inputs import InputError
from rsgt.sources.folder import masks, pairing, timing
from rsgt.sources.folder.names import DEPTH, INSTANCES, LABELS, RGB, ROLES, Found, reduced
from rsgt.sources.folder.scanning import Tree, by_pattern, by_words, is_archive, look_around
from rsgt.sources.folder.scenes import with_scenes
from rsgt.sources.frame_files import FrameFiles
from rsgt.sources.listing import natural, unique_names
from rsgt.sources.options import SourceOptions

_PATTERN_OF = {RGB: "colour", DEPTH: "depth_maps", LABELS: "label_maps", INSTANCES: "instance_maps"}
_CALLED = {
    RGB: "colour images",
    DEPTH: "depth maps",
    LABELS: "label maps",
    INSTANCES: "masks or instance maps",
}
_LACKS = ("no depth", "no colour")


class Listing(NamedTuple):
    """What a folder holds.

    Attributes
    ----------
    frames
        In natural order of their places and names.
    unpaired
        Files that were left out, and what they lack.
    tree
        All names, for what else is looked up in them.
    timed
        Whether ``rgb.txt`` and ``depth.txt`` paired all frames.
    facts
        For people: how files were found and paired, and how many of which kind there are.
    """

    frames: list[FrameFiles]
    unpaired: list[str]
    tree: Tree
    timed: bool
    facts: dict[str, Any]


class FilesBelow(Mapping[str, Path]):
    """Files of a frame, kept as paths from the source's folder: most of many frames are asked for once.

    Parameters
    ----------
    base
        The folder.
    below
        For each map the path from there.
    """

    __slots__ = ("_base", "_below")

    def __init__(self, base: str, below: Mapping[str, str]) -> None:
        self._base, self._below = base, below

    def __getitem__(self, role: str) -> Path:
        return Path(f"{self._base}/{self._below[role]}")

    def __contains__(self, role: object) -> bool:
        return role in self._below

    def __iter__(self) -> Iterator[str]:
        return iter(self._below)

    def __len__(self) -> int:
        return len(self._below)


def list_frames(path: Path, options: SourceOptions) -> Listing:
    """List the frames below a folder.

    Raises
    ------
    InputError
        Where there is no colour or no depth, no two names or times agree, two files claim one frame, or an
        option leads nowhere.
    """
    if not path.is_dir():
        raise InputError(f"{path}: {_no_folder(path)}")
    tree = look_around(path)
    found = _find(path, tree, options)
    pairs, how = _pair(path, tree, found, options)
    unpaired = list(pairs.unpaired)
    colour = [file for file, _ in pairs.together]
    files: dict[str, dict[str, str]] = {
        file.path: {RGB: file.path, DEPTH: depth.path} for file, depth in pairs.together
    }
    objects = _add_objects(path, colour, found[INSTANCES], files, unpaired)
    if found[LABELS]:
        _add(path, LABELS, colour, found[LABELS], files, unpaired)
    unlabelled = [file for file in colour if found[LABELS] and LABELS not in files[file.path]]
    lost = {file.path for file in unlabelled}
    if objects == "maps":
        lost |= {file.path for file in colour if INSTANCES not in files[file.path]}
    kept = [file for file in colour if file.path not in lost]
    frames = _named(path, kept, files, min(pairs.level, 1))
    frames = with_scenes(path, frames, options)
    facts: dict[str, Any] = {
        "paired_by": how,
        "found_by": "patterns" if any(key in options for key in _PATTERN_OF.values()) else "names",
        "maps": {role: _counted(files[file.path][role] for file in kept if role in files[file.path])
                  for role in ROLES if any(role in files[file.path] for file in kept)},
    }  # fmt: skip
    if objects == "masks":
        facts["masks"] = sum(len(masks.named(frame.files)) for frame in frames)
        facts["frames_without_masks"] = sum(not masks.named(frame.files) for frame in frames)
    timed = how == "time in rgb.txt and depth.txt"
    return Listing(frames, unpaired, tree, timed, facts)


def _no_folder(path: Path) -> str:
    if not path.exists():
        return "not found; expected a folder of colour and depth files"
    if is_archive(path.name):
        return "is a packed file, expected a folder; unpack it and give the folder"
    return "is a file, expected a folder of colour and depth files"


def _find(path: Path, tree: Tree, options: SourceOptions) -> dict[str, list[Found]]:
    """The files of each map, by pattern where there is one, else by words."""
    if not tree.images:
        packed = f"packed files ({tree.archives[0]}); unpack them" if tree.archives else "no images"
        raise InputError(
            f"{path}: holds {packed}; expected colour and depth files, such as rgb/0001.png and "
            "depth/0001.png"
        )
    given = {
        role: by_pattern(path, tree, str(options[key]), pairing.FLAG_OF[role])  # type: ignore[literal-required]
        for role, key in _PATTERN_OF.items()
        if key in options
    }
    taken = {file.path for files in given.values() for file in files}
    found = by_words(tree)
    for role in ROLES:
        found[role] = given.get(role) or [file for file in found[role] if file.path not in taken]
    for role, other in ((RGB, DEPTH), (DEPTH, RGB)):
        if not found[role]:
            listed = ", ".join(
                f"{folder or '.'} ({len(names)})" for folder, names in sorted(tree.images.items())[:6]
            )
            raise InputError(
                f"{path}: no {_CALLED[role]} found among its {sum(map(len, tree.images.values())):,} images "
                f"({len(found[other]):,} {_CALLED[other]}; folders: {listed}); say where they are, such as "
                f"{pairing.FLAG_OF[role]} '{min(tree.images) or 'FOLDER'}/*.png'"
            )
    return found


def _pair(
    path: Path, tree: Tree, found: dict[str, list[Found]], options: SourceOptions
) -> tuple[pairing.Pairs, str]:
    wanted, tolerance = options.get("pairing"), options.get("tolerance", pairing.TOLERANCE_S)
    lists = {} if wanted == "name" else timing.listed_by_time(path, tree, found)
    together: list[tuple[Found, Found]] = []
    unpaired: list[str] = []
    level = 0
    there = {f"{folder}/{name}" if folder else name for folder in tree.images for name in tree.images[folder]}
    for sides in lists.values():
        pairs = _pair_listed(there, sides, tolerance)
        together += pairs.together
        unpaired += pairs.unpaired
    used = {file.path for sides in lists.values() for side in sides.values() for _, file in side}
    rest = {role: [file for file in found[role] if file.path not in used] for role in (RGB, DEPTH)}
    how = ["time in rgb.txt and depth.txt"] if together else []
    if wanted == "time" and not lists:
        groups: dict[tuple[str, str], dict[str, list[Found]]] = defaultdict(lambda: {RGB: [], DEPTH: []})
        for role in (RGB, DEPTH):
            for file in rest[role]:
                groups[file.key[:2]][role].append(file)
        for sides_of in groups.values():
            colour, depth = (timing.times_in_names(path, sides_of[role]) for role in (RGB, DEPTH))
            pairs = pairing.by_time(colour, depth, tolerance, _LACKS)
            together += pairs.together
            unpaired += pairs.unpaired
        how.append("time in names")
    elif rest[RGB] and rest[DEPTH]:
        pairs = pairing.by_name(path, rest[RGB], rest[DEPTH], _LACKS)
        together += pairs.together
        unpaired += pairs.unpaired
        level = pairs.level
        how += ["name"] if pairs.together else []
    else:
        unpaired += [f"{file.path}: {lack}" for role, lack in zip((RGB, DEPTH), _LACKS, strict=True)
                     for file in rest[role]]  # fmt: skip
    if not together and (lists or wanted == "time"):
        raise InputError(
            f"{path}: no colour lies within {tolerance:g} s of a depth map ({len(found[RGB]):,} and "
            f"{len(found[DEPTH]):,} files); say --tolerance in seconds, or pair by name (--pairing name)"
        )
    if not together:
        raise pairing.no_pair(path, rest[RGB], rest[DEPTH])
    return pairing.Pairs(together, unpaired, level), ", ".join(how)


def _pair_listed(there: set[str], sides: Mapping[str, timing.Timed], tolerance: float) -> pairing.Pairs:
    """Pair what two lists name by time; what they name and is not there is left out."""
    found = {role: [row for row in rows if row[1].path in there] for role, rows in sides.items()}
    gone = [file.path for rows in sides.values() for _, file in rows if file.path not in there]
    lacks = (f"{_LACKS[0]} within {tolerance:g} s", f"{_LACKS[1]} within {tolerance:g} s")
    pairs = pairing.by_time(found[RGB], found[DEPTH], tolerance, lacks)
    return pairs._replace(unpaired=[*pairs.unpaired, *(f"{file}: listed, but not there" for file in gone)])


def _add(
    path: Path,
    role: str,
    colour: Sequence[Found],
    maps: Sequence[Found],
    files: dict[str, dict[str, str]],
    unpaired: list[str],
) -> None:
    """Find one map for each frame."""
    pairs = pairing.by_name(path, colour, maps, (f"no {_CALLED[role]}", "no colour and depth"))
    if not pairs.together:
        raise InputError(
            f"{path}: none of its {len(maps):,} {_CALLED[role]} has the name of a frame (first of each: "
            f"{maps[0].path} and {colour[0].path}); rename them, or say where they are "
            f"({pairing.FLAG_OF[role]} with the same wildcards as --colour)"
        )
    for frame, found in pairs.together:
        files[frame.path][role] = found.path
    unpaired += pairs.unpaired


def _add_objects(
    path: Path,
    colour: Sequence[Found],
    found: Sequence[Found],
    files: dict[str, dict[str, str]],
    unpaired: list[str],
) -> str:
    """Find instance maps, or where there are none, masks of one object each; say which it was."""
    if not found:
        return ""
    single = masks.of_frames(colour, found)
    try:
        maps = len(pairing.by_name(path, colour, found, _LACKS).together)
    except InputError:
        if not single:
            raise
        maps = 0
    # Frames 1 and 1_2 with a map each: the second one's is no mask of the first.
    if maps >= len(single):
        _add(path, INSTANCES, colour, found, files, unpaired)
        return "maps"
    used = set()
    for frame, of_frame in single.items():
        files[frame] |= {f"object {k}": mask.path for k, mask in enumerate(of_frame, start=1)}
        used |= {mask.path for mask in of_frame}
    unpaired += [f"{mask.path}: no colour and depth" for mask in found if mask.path not in used]
    return "masks"


def _named(
    path: Path, colour: Iterable[Found], files: Mapping[str, Mapping[str, str]], level: int
) -> list[FrameFiles]:
    """Name frames after their place and colour file, and bring them into order."""
    base, whole = path.absolute().as_posix(), path.resolve().name
    places: dict[str, list[Found]] = defaultdict(list)
    for file in colour:
        places[file.key.place].append(file._replace(key=reduced(file.key, level)))
    frames = [
        FrameFiles(str(file.key) or whole, place or whole, FilesBelow(base, files[file.path]))
        for place in sorted(places, key=natural)
        for file in sorted(places[place], key=lambda file: natural(f"{file.key.view}/{file.key.stem}"))
    ]
    unique_names(path, (frame.name for frame in frames))
    return frames


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How many files there are of each suffix."""
    return dict(sorted(Counter("." + name.rpartition(".")[2].lower() for name in names).items()))
