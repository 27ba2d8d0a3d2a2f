"""A MATLAB 7.3 file, which is HDF5, read with distrust.

HDF5 lets a data set live in other files (external links, external storage, virtual data sets), stand at the
end of a circle of links, or claim any size. Only plain arrays within the file itself pass here, and whatever
the HDF5 library raises over a damaged file becomes one line that names the file and the data set.
"""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from rsgt.files import PACKED
from rsgt.inputs import InputError
from rsgt.sources.chunks import FAULTS

Array = npt.NDArray[Any]

HEADS = {
    b"MATLAB 5.0": "is a MATLAB 5 file (is it splits.mat?); expected MATLAB 7.3 = HDF5",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; `git lfs pull` gets it",
} | {head: f"is {what}; unpack it" for head, what in PACKED.items()}
"""What a file that is no HDF5 is, by its first bytes."""

MOST_ENTRIES = 1_000_000
LONGEST_TEXT = 65_536
MOST_LINKS = 8


def is_matlab73(path: Path) -> bool:
    """Whether a file is HDF5, at its beginning or behind MATLAB's header of 512 bytes."""
    with path.open("rb") as file:
        head = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:])


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what HDF5 raises over a damaged file into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except FAULTS as error:
        raise damaged(path, what, error) from error


def damaged(path: Path, what: str, error: BaseException) -> InputError:
    """Say that a part of a file can't be read."""
    reason = " ".join(str(error).strip("'").split()) or type(error).__name__
    return InputError(f"{path}: {what} can't be read ({reason}); the file is damaged, download it again")


def _explain_unreadable(path: Path, error: OSError) -> str:
    """Say what a file that HDF5 refuses is, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "is empty; download it again"
    if head.lstrip()[:1] == b"<":
        return "is an HTML or XML page saved under this name; download again and look at the size"
    for start, found in HEADS.items():
        if head.startswith(start):
            return found
    if "truncated" in str(error):
        return f"is truncated at {path.stat().st_size:,} bytes; download again and compare the size"
    if "lock" in str(error):
        return "is open for writing in another program; close it there, or wait until it is written"
    return f"can't be opened as HDF5 ({' '.join(str(error).split())})"


class MatFile:
    """A MATLAB 7.3 file, open for reading.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do where it is not the file that it should be: the end of each message.

    Raises
    ------
    InputError
        Where the file is missing, no regular file, or no HDF5.
    """

    def __init__(self, path: Path, remedy: str) -> None:
        self.path, self.remedy = path, remedy
        self._known: dict[str, Any] = {}
        try:
            if not path.is_file():
                found = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else ""
                raise InputError(
                    f"{path}: {found}, expected a .mat file; {remedy}"
                    if found
                    else f"{path}: no such file; {remedy}"
                )
            try:
                self._file = h5py.File(path, "r")
            except OSError as error:
                raise InputError(f"{path}: {_explain_unreadable(path, error)}; {remedy}") from error
        except OSError as error:  # of the file system: no permission, a name that is too long
            raise InputError(f"{path}: can't be read ({error.strerror or error}); {remedy}") from error
        except FAULTS as error:
            if isinstance(error, InputError):
                raise
            raise damaged(path, "its first block", error) from error

    def close(self) -> None:
        """Let go of the file, which nobody could replace otherwise while an error's traceback holds it."""
        self._known.clear()
        with suppress(*FAULTS):
            self._file.close()

    def __contains__(self, name: str) -> bool:
        with reading(self.path, name):
            return self._file.get(name, getlink=True) is not None  # does not follow the link

    def names(self) -> list[str]:
        """Names in the root group, the first twenty."""
        with reading(self.path, "its root group"):
            first = islice(self._file, 20)  # a name that is no UTF-8 comes as bytes
            return [name if isinstance(name, str) and name.isprintable() else repr(name) for name in first]

    def has_attribute(self, name: str) -> bool:
        """Whether the root group has an attribute."""
        with reading(self.path, "its root group"):
            return name in self._file.attrs

    def __getitem__(self, name: str) -> Any:
        """Open a data set: its values stand in this file, and its filters are at hand.

        Raises
        ------
        InputError
            Where it is something else or damaged.
        """
        if name not in self._known:
            with reading(self.path, name):
                self._known[name] = self._plain(self._walk(self._file, name, name), name)
        return self._known[name]

    def _walk(self, start: Any, target: str, what: str, links: int = 0) -> Any:
        """Follow a path of names and soft links, but none into another file."""
        if links > MOST_LINKS:
            raise InputError(f"{self.path}: {what} is a circle of links; {self.remedy}")
        node = self._file if target.startswith("/") else start
        for part in filter(None, target.split("/")):
            link = node.get(part, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError(
                    f"{self.path}: {what} is a link into another file, which is not followed; "
                    "expected the values in the file itself: copy them into it"
                )
            if link is None:
                raise InputError(f"{self.path}: {what} is a link to {target!r}, which is not there")
            soft = isinstance(link, h5py.SoftLink)
            node = self._walk(node, link.path, what, links + 1) if soft else node[part]
        return node

    def _plain(self, item: Any, what: str) -> Any:
        """Return a data set if it keeps its own values in this file and can be unpacked here."""
        if not isinstance(item, h5py.Dataset):
            kind = "group" if isinstance(item, h5py.Group) else "type"
            raise InputError(f"{self.path}: {what} is a {kind}, expected an array; {self.remedy}")
        stored = item.id.get_create_plist()
        if stored.get_layout() == h5py.h5d.VIRTUAL or stored.get_external_count():
            raise InputError(
                f"{self.path}: {what} keeps its values elsewhere (virtual or external), which is not "
                "followed; expected them in the file itself: copy them into it"
            )
        for k in range(stored.get_nfilters()):
            self._check_filter(what, *stored.get_filter(k)[::3])
        if item.shape is None:
            raise InputError(f"{self.path}: {what} is empty; {self.remedy}")
        return item

    def _check_filter(self, what: str, code: int, name: bytes) -> None:
        """Refuse a packing that can't be undone here, after hdf5plugin has brought what it has."""
        if h5py.h5z.filter_avail(code):
            return
        try:
            importlib.import_module("hdf5plugin")  # registers its filters with HDF5
            remedy = "hdf5plugin does not have it either; unpack the file where it was made: h5repack -f NONE"
        except ImportError:
            remedy = "pip install hdf5plugin (it is then loaded by itself)"
        if not h5py.h5z.filter_avail(code):
            told = f" ({name.decode('ascii', 'replace').split(';')[0]})" if name else ""
            raise InputError(
                f"{self.path}: {what} is packed with HDF5's filter {code}{told}, which is not installed; "
                + remedy
            )

    def small(self, name: str) -> Array:
        """Read a small array of plain numbers whole.

        Raises
        ------
        InputError
            Where it is damaged, larger than a million values, or no numbers.
        """
        data = self[name]
        with reading(self.path, name):
            if _is_empty(data):
                return np.empty(0)
            self._check_size(name, data.size)
            if data.dtype.kind not in "iuf":
                raise InputError(f"{self.path}: {name} is {data.dtype}, expected numbers; {self.remedy}")
            return np.asarray(data[()])

    def _check_size(self, name: str, size: int) -> None:
        if size > MOST_ENTRIES:
            raise InputError(
                f"{self.path}: {name} has {size:,} entries, expected at most {MOST_ENTRIES:,}; {self.remedy}"
            )

    def strings(self, name: str, count: int | None = None) -> list[str]:
        """Read texts: a cell array (references to characters), a character matrix, or HDF5 strings.

        Parameters
        ----------
        name
            Data set.
        count
            How many there have to be; None = any number.

        Raises
        ------
        InputError
            Where it holds something else, or another number of texts.
        """
        data = self[name]
        with reading(self.path, name):
            texts = [] if _is_empty(data) else self._texts(data, name, count)
        if count is not None and len(texts) != count:
            raise InputError(
                f"{self.path}: {name} has {len(texts)} entries, expected {count}, one a frame; {self.remedy}"
            )
        for k, text in enumerate(texts, start=1):
            if any(ord(character) < 32 for character in text):
                raise InputError(f"{self.path}: {name}: entry {k} is no text ({text[:20]!r}); {self.remedy}")
        return texts

    def cell(self, name: str, index: int) -> Array:
        """Read the numbers of one entry of a cell array, or of a stack; raises as ``small`` does."""
        data, what = self[name], f"{name}: entry {index + 1}"
        with reading(self.path, what):
            entry = data[index].ravel()[0] if h5py.check_ref_dtype(data.dtype) else data[index]
            item = self._plain(self._file[entry], what) if isinstance(entry, h5py.Reference) else entry
            self._check_size(what, item.size // 64)
            if item.ndim != 2 or item.dtype.kind not in "uif":
                raise InputError(f"{self.path}: {what} is {item.dtype} {item.shape}, expected numbers (x, y)")
            return np.asarray(item[()])

    def _texts(self, data: Any, name: str, count: int | None) -> list[str]:
        self._check_size(name, data.size)
        if h5py.check_ref_dtype(data.dtype) is h5py.Reference:
            return [self._text(ref, f"{name}: entry {k}") for k, ref in enumerate(data[()].ravel(), start=1)]
        if h5py.check_string_dtype(data.dtype):
            return [text.rstrip("\0 ") for text in np.atleast_1d(data.asstr()[()]).ravel()]
        if data.dtype.kind == "u" and data.ndim == 2:
            # MATLAB's rows of characters are h5py's columns; other writers may have kept them as rows.
            rows = data[()] if count == data.shape[0] != data.shape[1] else data[()].T
            return [_decode(row).rstrip("\0 ") for row in rows]
        raise InputError(
            f"{self.path}: {name} is {data.dtype} {data.shape}, expected a cell array of texts; {self.remedy}"
        )

    def _text(self, reference: Any, what: str) -> str:
        """Characters that a reference points to, UTF-16 code units by MATLAB's custom."""
        if not reference:
            raise InputError(f"{self.path}: {what} points nowhere; {self.remedy}")
        item = self._plain(self._file[reference], what)
        if _is_empty(item):
            return ""
        if item.dtype.kind != "u" or item.dtype.itemsize > 4 or item.size > LONGEST_TEXT:
            raise InputError(
                f"{self.path}: {what} is {item.dtype} {item.shape}, expected characters; {self.remedy}"
            )
        return _decode(item[()].ravel())


def _is_empty(data: Any) -> bool:
    """Whether MATLAB meant an empty array: then it stores its size, (0, 0), as uint64 and an attribute."""
    if math.prod(data.shape) == 0:
        return True
    return data.dtype == np.uint64 and bool(data.attrs.get("MATLAB_empty", 0))


def _decode(codes: Array) -> str:
    """Text of code units of 1, 2 or 4 bytes."""
    encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[codes.dtype.itemsize]
    return codes.astype(codes.dtype.newbyteorder("<")).tobytes().decode(encoding)


def read_dataset(path: Path, name: str | None = None) -> Array:
    """Read one array of numbers of an HDF5 file whole: ``name``, or the only one, or that called ``dataset``.

    Raises
    ------
    InputError
        Where the file is missing, no HDF5 or damaged, or has no such array.
    """
    file = MatFile(path, "expected an HDF5 file with one image")
    try:
        names = file.names()
        if name is None:
            name = "dataset" if "dataset" in names else names[0] if len(names) == 1 else None
        if name is None or name not in file:
            raise InputError(
                f"{path}: has {', '.join(names) or 'nothing'}, expected one array, or `{name or 'dataset'}`"
            )
        with reading(path, name):
            data = file[name]
            file._check_size(name, data.size // 64)
            return np.asarray(data[()])
    finally:
        file.close()
