"""The tables of SUN RGB-D's toolbox: the labels of all frames in one file, whose they are, and the split.

``SUNRGBD2Dseg.mat`` numbers its labels as ``SUNRGBDMeta.mat`` does its frames, and names none: so the second
file is needed to read the first, as in the publishers' own scripts and in everybody's after them.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.listing import check_folder, nearby
from rsgt.sources.matlab import HEADS, MatFile, is_matlab73
from rsgt.sources.published_split import PublishedSplit
from rsgt.sources.source import TEST, TRAIN

Array = npt.NDArray[Any]

_KEY = re.compile(r"(?:.*/)?((?:kv1|kv2|realsense|xtion)/.+)$")
_PLACES = ("", "SUNRGBDtoolbox/", "SUNRGBDtoolbox/SUNRGBDtoolbox/")
_SEGMENTATION = "SUNRGBD2Dseg.mat"
_META = ("SUNRGBDMeta.mat", "SUNRGBDMeta3DBB_v2.mat", "SUNRGBDMeta2DBB_v2.mat")
_SPLIT = "allsplit.mat"
_HERE = "SUNRGBDtoolbox has it, which is a download of its own"
PARTS = {"alltrain": TRAIN, "alltest": TEST}


def key_of(path: str) -> str | None:
    """A frame's path from its sensor on, of a path with any prefix and trailing slashes."""
    found = _KEY.match(path.replace("\\", "/").rstrip("/"))
    return found[1] if found else None


def toolbox(path: Path, folder: str, names: tuple[str, ...]) -> Path | None:
    """Find a file of the toolbox, in ``folder`` of it, beside frames or in a folder above them."""
    inside = tuple(f"{place}{folder}/{name}" for place in _PLACES for name in names)
    return nearby(path, inside, above=6)


def read_split(path: Path, given: Path | None, names: list[str]) -> PublishedSplit | None:
    """Read the official split of frames, by the file given or the one that lies by; None = there is none.

    Raises
    ------
    InputError
        Where the file is missing, another one or damaged, or has a frame in both parts.
    """
    table = given or toolbox(path, "traintestSUNRGBD", (_SPLIT,))
    if table is None:
        return None
    if table.is_dir():
        table = toolbox(table, "traintestSUNRGBD", (_SPLIT,)) or nearby(table, (_SPLIT,), 0) or table / _SPLIT
    content = _matlab5(table, tuple(PARTS), "allsplit.mat of SUN RGB-D's toolbox")
    parts: dict[str, str] = {}
    for name, part in PARTS.items():
        for text in _texts(table, name, content[name]):
            key = key_of(text)
            if key is None or parts.setdefault(key, part) != part:
                what = "is no path of a frame" if key is None else "is in both parts"
                raise InputError(f"{table}: {text} {what}; download SUNRGBDtoolbox again")
    return PublishedSplit(table, parts, names, asked_for=given is not None)


class SegmentationFile:
    """``SUNRGBD2Dseg.mat``: the labels of all frames.

    Parameters
    ----------
    path
        The file; what names its frames has to lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, path: Path) -> "SegmentationFile | None":
        """Find it beside frames or in a folder above them."""
        found = toolbox(path, "Metadata", (_SEGMENTATION,))
        return cls(found) if found else None

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_file"}
        return {**kept, "path": self.path.absolute()}

    @cached_property
    def _file(self) -> MatFile:
        return MatFile(self.path, f"expected {_SEGMENTATION} of SUN RGB-D's toolbox; {_HERE}")

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Place of each frame in the file, from 0."""
        meta = nearby(self.path.parent, (*_META, *(f"../../{name}" for name in _META)), 0)
        if meta is None:
            raise InputError(
                f"{self.path}: says not whose labels are whose, and there is no {_META[0]} beside it, "
                f"which does; {_HERE}"
            )
        variable = "SUNRGBDMeta2DBB" if "2DBB" in meta.name else "SUNRGBDMeta"
        content = _matlab5(meta, (variable,), f"{_META[0]} of SUN RGB-D's toolbox")[variable]
        if content.dtype.names is None or "rgbpath" not in content.dtype.names:
            raise InputError(f"{meta}: {variable} has no rgbpath; download SUNRGBDtoolbox again")
        texts = _texts(meta, "rgbpath", content["rgbpath"])
        # .../<frame>/image/<picture>.jpg
        keys = [key_of(text.rsplit("/", 2)[0]) for text in texts]
        return {key: number for number, key in enumerate(keys) if key}

    def read(self, name: str) -> Array:
        """Labels (y, x) of a frame, 0 = unlabelled.

        Raises
        ------
        InputError
            Where the file has no such frame, or is damaged.
        """
        if name not in self.numbers:
            raise InputError(
                f"{self.path}: has no labels of frame {name}; leave the frame out (--frames, --on-error skip)"
            )
        values = self._file.cell("SUNRGBD2Dseg/seglabel", self.numbers[name])
        labels = values.astype(np.uint8)
        if not np.array_equal(labels, values):
            raise InputError(f"{self.path}: labels of frame {name} are no whole numbers from 0 to 255")
        return labels.T


def _matlab5(path: Path, names: tuple[str, ...], expected: str) -> dict[str, Any]:
    """Read variables of a MATLAB 5 file, the toolbox's format for all but the labels."""
    from scipy.io import loadmat  # here: SciPy is slow to load

    if not path.is_file():
        check_folder(path, f"the file {expected}")
        raise InputError(f"{path}: is a folder, expected the file {expected}")
    try:
        with path.open("rb") as file:
            head = file.read(16)
        reason = next((what for start, what in HEADS.items() if head.startswith(start)), "is another file")
        if not head.startswith(b"MATLAB 5.0"):
            reason = "is a MATLAB 7.3 file" if is_matlab73(path) else reason
            raise InputError(f"{path}: {reason}, expected {expected}; {_HERE}")
        content: dict[str, Any] = loadmat(path, variable_names=list(names))
    except InputError:
        raise
    except Exception as error:  # there is no end to what SciPy's reader raises over a damaged file
        raise InputError(f"{path}: can't be read ({error}); download SUNRGBDtoolbox again") from error
    for name in names:
        if name not in content:
            raise InputError(f"{path}: has no {name}, expected {expected}; {_HERE}")
    return content


def _texts(path: Path, name: str, cells: Any) -> list[str]:
    """Texts of a cell array or of a field of a struct array."""
    texts = [np.asarray(cell).ravel() for cell in np.asarray(cells).ravel()]
    if not all(text.size == 1 and text.dtype.kind == "U" for text in texts):
        raise InputError(f"{path}: {name} is no list of paths; download SUNRGBDtoolbox again")
    return [str(text[0]) for text in texts]
