"""The options that say what a source is: the same for every command that reads one."""

from pathlib import Path
from typing import Any

import click

import rsgt
from rsgt.cli.options import INPUT, Command, Real, Size, Whole
from rsgt.inputs import InputError
from rsgt.sources import FORMATS
from rsgt.sources.options import SourceOptions
from rsgt.sources.source import Source

SCALE = Real(positive=True)
SENSORS = ("kv1", "kv2", "realsense", "xtion")

_KINDS: dict[str, Any] = {
    "--format": click.Choice(FORMATS), "--size": Size(), "--depth-scale": SCALE, "--no-depth": Real(),
    "--depth-kind": click.Choice(["planar", "radial"]), "--fov": Real(positive=True, below=180),
    "--classes": INPUT, "--pairing": click.Choice(["name", "time"]), "--tolerance": SCALE,
    "--sensor": click.Choice(SENSORS), "--label-table": INPUT, "--label-offset": Whole(-65_535, 65_535),
    "--camera-table": INPUT, "--split-table": INPUT,
}  # fmt: skip
_SHOWN = {
    "--size": "HxW", "--colour": "PATTERN", "--depth-maps": "PATTERN", "--label-maps": "PATTERN",
    "--instance-maps": "PATTERN", "--camera": "FX,FY,CX,CY", "--scenes": "WHAT", "--column": "NAME=COLUMN",
}  # fmt: skip
_NAMES = {"--format": "format_name", "--column": "columns"}
_HELP = {
    "--format": "What lies at the source.  [default: told by its look]",
    "--size": "Bring all frames to this size: 480x640.",
    "--colour": "folder: colour images, such as 'rgb/*.png'.",
    "--depth-maps": "folder: depth maps, such as 'depth/*.png'.",
    "--label-maps": "folder: maps of class numbers.",
    "--instance-maps": "folder: maps of objects, or masks of one object each.",
    "--depth-scale": "Units of the depth files in a metre: 1000 for millimetres.",
    "--no-depth": "A stored value that means none, beside 0; repeatable.",
    "--depth-kind": "Depth along the optical axis, or along the ray.",
    "--camera": "In pixels of the depth maps; or a file that says so.",
    "--fov": "Horizontal field of view in degrees, instead of --camera.",
    "--classes": "Class names: a line each from 1 on, or JSON {number: name}.",
    "--scenes": "folder, frame, or a file of frame names and their scenes.",
    "--pairing": "How colour and depth find each other.",
    "--tolerance": "Seconds that a pair may be apart in time.",
    "--sensor": "sunrgbd: only its frames.",
    "--label-table": "scannet: scannetv2-labels.combined.tsv.",
    "--label-offset": "Added to stored labels, to make them 1, 2, … with 0 = none.",
    "--camera-table": "hypersim: metadata_camera_parameters.csv.",
    "--split-table": "The publishers' split: a file, or the folder of several.",
    "--column": "parquet: rgb, depth, semantic, instance, id or scene; repeatable.",
}


def source_options(command: Command) -> Command:
    """Give a command the options of all formats; they reach it as ``format_name`` and ``**said``."""
    for flag in reversed(_HELP):
        name = _NAMES.get(flag, flag.removeprefix("--").replace("-", "_"))
        several = flag in ("--no-depth", "--column")
        command = click.option(
            flag, name, type=_KINDS.get(flag), metavar=_SHOWN.get(flag), multiple=several, help=_HELP[flag]
        )(command)
    return command


def opened_source(path: Path, format_name: str | None, said: dict[str, Any]) -> Source:
    """Open a source by what was said of it.

    Raises
    ------
    InputError
        As ``rsgt.open_source``; and for a column that is none.
    """
    options = SourceOptions(**{name: value for name, value in said.items() if value not in (None, ())})  # type: ignore[typeddict-item]
    if columns := said.get("columns"):
        pairs = [one.partition("=") for one in columns]
        if not all(name and column for name, _, column in pairs):
            raise InputError(
                f"--column: got {' '.join(columns)}, expected NAME=COLUMN, such as depth=depth_mm"
            )
        options["columns"] = {name: column for name, _, column in pairs}
    return rsgt.open_source(path, format_name, **options)
