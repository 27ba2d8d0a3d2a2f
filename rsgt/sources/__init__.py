"""Where frames with depth and labels come from: each format behind one protocol, and one door to them all."""

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from rsgt.inputs import InputError, local_path
from rsgt.sources.options import SourceOptions, check_options
from rsgt.sources.source import Source

FORMATS = ("nyu", "sunrgbd", "hypersim", "scannet", "parquet", "folder")
"""Formats by name, each a module here with ``recognises``, ``OPTIONS`` and ``open_frames``.

The first that recognises a path is its format; ``folder`` takes any folder.
"""


def open_source(
    path: str | PathLike[str], format: str | None = None, **options: Unpack[SourceOptions]
) -> Source:
    """Open frames of any known format.

    Parameters
    ----------
    path
        A file of labelled NYU frames, or the file or folder of another format.
    format
        One of ``FORMATS``; by default what lies at ``path`` tells.
    **options
        What the format needs to know: see ``SourceOptions``.

    Raises
    ------
    rsgt.InputError
        Where there is nothing, something else or damage, or an option is missing or of another format.
    """
    local = local_path(path)
    if format is None and not local.exists():
        raise InputError(f"{local}: no such file or folder; expected frames with depth: `rsgt info --help`")
    name = format or recognise(local)
    if name not in FORMATS:
        raise InputError(f"--format: got {name!r}, expected one of {', '.join(FORMATS)}")
    home = _home(name)
    check_options(options, name, home.OPTIONS)
    source: Source = home.open_frames(local, options)
    return source


def recognise(path: Path) -> str:
    """Tell the format of what lies at a path, by a look at the first names in it."""
    return next((name for name in FORMATS if _home(name).recognises(path)), "nyu")


def _home(name: str) -> Any:
    # Here, so that one format's libraries are not loaded for another.
    return import_module(f"rsgt.sources.{name}")
