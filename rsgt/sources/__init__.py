"""Where frames with depth and labels come from: each format behind one protocol, and one door to them all."""

from os import PathLike

from rsgt.inputs import local_path
from rsgt.sources.source import Source


def open_source(path: str | PathLike[str]) -> Source:
    """Open a labelled NYU file (v2 or v1, real or synthetic).

    Raises
    ------
    rsgt.InputError
        Where the file is missing, is something else, or is damaged.
    """
    from rsgt.sources.nyu import NyuFile  # here, so that the protocol itself needs no HDF5

    return NyuFile(local_path(path))
