"""What names of files and folders say: which map a file holds, and which frame it belongs to.

``rgb/0001.png``, ``0001_depth.png`` and ``frame-000001.color.png`` name a map by a word; what is left
without such words is the frame's own name, with the zeros in front that its writer gave it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

RGB, DEPTH, LABELS, INSTANCES = "rgb", "depth", "labels", "instances"
ROLES = (RGB, DEPTH, LABELS, INSTANCES)
"""What a file can hold."""

_ROLE_OF = {
    **dict.fromkeys(("rgb", "rgbs", "color", "colors", "colour", "colours", "image", "images", "img", "imgs",
                    "photo", "photos"),
                    RGB),
    **dict.fromkeys(("depth", "depths", "depthmap", "depthmaps"), DEPTH),
    **dict.fromkeys(("label", "labels", "semantic", "semantics", "segmentation", "seg"), LABELS),
    **dict.fromkeys(("instance", "instances", "masks", "mask"), INSTANCES),
}  # fmt: skip
_NO_FOLDER = frozenset({"mask"})
"""Words that name a file alone: a folder ``mask`` rather says which pixels count than what is an object."""

_ANY_IMAGE = frozenset({"image", "images", "img", "imgs"})
_ANY_MASK = frozenset({"mask", "masks"})
_ANY_SEGMENTS = frozenset({"seg", "segmentation"})

_PLAIN = frozenset({
    "frame", "frames", "map", "maps", "sync", "raw", "filled", "png", "gt", "groundtruth", "mm", "m", "meter",
    "meters", "metre", "metres", "registered", "aligned", "zbuffer", "euclidean", "planar", "radial",
    "linear",
})  # fmt: skip
"""Words that tell how a map was made, not which frame it shows."""

_PICTURE = frozenset({
    "vis", "viz", "visual", "visualization", "visualisation", "preview", "colored", "coloured", "colormap",
    "colourmap", "thumb", "thumbs", "thumbnail", "thumbnails", "confidence", "conf", "normal", "normals",
})  # fmt: skip
"""Words of pictures and maps that are none of ours, such as a depth map in false colours."""

_TOKENS = re.compile(r"[^\W\d_]+|\d+|[\W_]+")


class Key(NamedTuple):
    """Which frame a file belongs to.

    Attributes
    ----------
    place
        Folders above the map's own, such as ``scene0000_00``: the scene.
    view
        What the map's folder says beside its word: ``left`` of ``image_left``.
    stem
        The frame's name.
    """

    place: str
    view: str
    stem: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Found(NamedTuple):
    """A file of a known map: its path below the source, and the frame it shows as its place and name say."""

    path: str
    key: Key


LEVELS = (0, 1, 2)
"""How much of a name is taken away before names are compared: nothing, words of maps, plain words too."""


def reduced(key: Key, level: int) -> Key:
    """Take away as much of a frame's name as a level says."""
    if not level:
        return key
    words = frozenset(_ROLE_OF) if level == 1 else frozenset(_ROLE_OF) | _PLAIN
    view = without(key.view, _PLAIN) if level > 1 else key.view
    return Key(key.place, view, without(key.stem, words))


@lru_cache(maxsize=4096)
def words_of(text: str) -> frozenset[str]:
    """Words in a name, in small letters."""
    return frozenset(token.lower() for token in _TOKENS.findall(text) if token[0].isalpha())


def roles_in(text: str) -> frozenset[str]:
    """Maps that a file's name names; more than one where it can't be told which it is."""
    return _meant(words_of(text))


def _meant(words: frozenset[str]) -> frozenset[str]:
    """Maps that words name; in ``depth_images`` and ``instance_segmentation`` the first word counts alone."""
    named = words & _ROLE_OF.keys()
    roles = {_ROLE_OF[word] for word in named}
    if len(roles) > 1:
        named -= _ANY_IMAGE
        if INSTANCES in roles and LABELS in roles:
            named -= _ANY_MASK if named & _ANY_MASK else _ANY_SEGMENTS
    return frozenset(_ROLE_OF[word] for word in named)


def is_picture(text: str) -> bool:
    """Whether a name says that it is a picture to look at, or a map that is not read."""
    return not _PICTURE.isdisjoint(words_of(text))


def without(text: str, words: frozenset[str]) -> str:
    """Take words out of a name, each with the sign that joins it: ``frame-0001.color`` is ``frame-0001``."""
    tokens = _TOKENS.findall(text)
    kept: list[str] = []
    skip_sign = False
    for token in tokens:
        is_sign = not token[0].isalnum()
        if token.lower() in words:
            if kept and not kept[-1][0].isalnum():
                kept.pop()
            else:
                skip_sign = not kept
        elif is_sign and (skip_sign or not kept):
            skip_sign = False
        else:
            kept.append(token)
            skip_sign = False
    while kept and not kept[-1][0].isalnum():
        kept.pop()
    return "".join(kept)


class Place(NamedTuple):
    """What the folders above a file say: the map that they name, or "", and the parts of the key."""

    role: str
    place: str
    view: str


@lru_cache(maxsize=4096)
def place_of(folder: str) -> Place | None:
    """Read the folders of a path below the source, the deepest word first; None = passed over."""
    parts = folder.split("/") if folder else []
    for depth in range(len(parts) - 1, -1, -1):
        roles = _meant(words_of(parts[depth]) - _NO_FOLDER)
        if len(roles) == 1:
            if any(is_picture(part) for part in parts[depth:]):
                return None
            above = [part for part in parts[:depth] if _left_over(part)]
            view = without(_left_over(parts[depth]), frozenset({"map", "maps"}))
            return Place(next(iter(roles)), "/".join([*above, *parts[depth + 1 :]]), view)
        if roles:
            break
    return Place("", folder, "")


def _left_over(part: str) -> str:
    return without(part, frozenset(_ROLE_OF) - _NO_FOLDER)
