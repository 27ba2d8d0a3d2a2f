"""Types of the programs' options: what a value may be is checked before any work begins."""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from rsgt.inputs import InputError, local_path, parse_frames
from rsgt.quality.measures import MEASURES
from rsgt.store.objects import ObjectPath
from rsgt.store.places import Place, as_place

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".eps", ".ps")
"""Suffixes of pictures that can be drawn: matplotlib's, which takes long to import only to be asked."""

MOST_WORKERS = 1024

Command = TypeVar("Command", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A path on this machine, which is read; or ``written``."""

    written = False

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Turn the text of an option into a Path; another option's name stands where a path was left out."""
        if ctx and value in {name for one in ctx.command.params for name in one.opts}:
            expected = (param and param.metavar) or "a path"
            self.fail(f"got {value}, another option, expected {expected}", param, ctx)
        try:
            path = local_path(value)
            self.check(path)
        except InputError as error:
            self.fail(str(error), param, ctx)
        except OSError as error:  # a folder on the way may not be looked into
            self.fail(f"{value}: {error.strerror or error}", param, ctx)
        return path

    def check(self, path: Path) -> None:
        """Refuse with an InputError."""


class StorePlace(LocalPath):
    """A store that is read: a path on this machine, or a URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text of an option into a place."""
        return _place(value, param, ctx, self) or super().convert(value, param, ctx)


def _place(
    value: Any, param: click.Parameter | None, ctx: click.Context | None, kind: LocalPath
) -> Place | None:
    """Return the place that an option's text names by a URL; None where it is no URL."""
    try:
        place = as_place(value) if "://" in str(value) else None
    except InputError as error:
        kind.fail(str(error), param, ctx)
    return place


class Output(LocalPath):
    """A file to write, refused before the work and not after it where that cannot succeed."""

    written = True

    def __init__(self, suffixes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.suffixes = suffixes

    def check(self, path: Path) -> None:
        """Refuse a folder, a file in a folder that is not there, and a suffix that says no known format."""
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the name of a file")
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent} to write to; make it first")
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            known = ", ".join(self.suffixes)
            raise InputError(f"{path}: got suffix {path.suffix!r}, expected one of {known}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"{path}: may not be written; choose another path")


class Folder(LocalPath):
    """A folder to make or to go on with, and with ``new`` one that must not be there yet."""

    written = True

    def __init__(self, what: str, *, new: bool = False, url: bool = False) -> None:
        super().__init__()
        self.what, self.new, self.url = what, new, url

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text of an option into a folder's path, or with ``url`` into a place."""
        place = _place(value, param, ctx, self) if self.url else None
        return place if isinstance(place, ObjectPath) else super().convert(place or value, param, ctx)

    def check(self, path: Path) -> None:
        """Refuse a file, a folder below a file, and one where nothing may be written."""
        if self.new and path.exists():
            raise InputError(f"{path}: exists; choose another path for the {self.what}")
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: a file, which is no {self.what}; choose another path")
        there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not there.is_dir():
            raise InputError(f"{path}: Not a directory: {there} is a file; choose another path")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"{path}: {there} may not be written to; choose another path")


class Whole(click.IntRange):
    """A whole number between two bounds, both included; in digits alone."""

    def __init__(self, low: int | None = None, high: int = 2**31 - 1) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn the text of an option into a number."""
        text = str(value).strip()
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
        if number is None or number > self.max or (self.min is not None and number < self.min):  # type: ignore[operator]
            bounds = f"from {self.min} to {self.max}" if self.min is not None else f"up to {self.max}"
            self.fail(f"got {text[:60]}, expected a whole number {bounds}", param, ctx)
        return number


class Real(click.ParamType):  # type: ignore[type-arg]
    """A finite number, with ``positive`` above 0 and, with ``below``, under that."""

    name = "float"

    def __init__(self, *, positive: bool = False, below: float = math.inf) -> None:
        self.positive, self.below = positive, below

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn the text of an option into a number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or (self.positive and number <= 0) or number >= self.below:
            bounds = " above 0" * self.positive + f" and below {self.below:g}" * math.isfinite(self.below)
            self.fail(f"got {str(value)[:60]}, expected a number{bounds}", param, ctx)
        return number


class Size(click.ParamType):  # type: ignore[type-arg]
    """Height and width in pixels, such as ``480x640``."""

    name = "text"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Turn the text of an option into the two numbers."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", str(value).strip())
        if not match:
            self.fail(f"got {str(value)[:60]}, expected height and width, such as 480x640", param, ctx)
        return int(match[1]), int(match[2])


class Frames(click.ParamType):  # type: ignore[type-arg]
    """Numbers of frames, such as ``1-48,60``."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Turn the text of an option into the numbers."""
        try:
            return parse_frames(value) if isinstance(value, str) else list(value)
        except InputError as error:
            self.fail(str(error).removeprefix("frames: "), param, ctx)


INPUT = LocalPath()
OUTPUT = Output()
PICTURE = Output(PICTURES)
STORE = Folder("region-support store", url=True)
STORED = StorePlace()
NUMBER, COUNT = Whole(), Whole(1)
WORKERS, OR_NONE = Whole(1, MOST_WORKERS), Whole(0, MOST_WORKERS)
FRAMES = Frames()


def definitions(names: Iterable[str]) -> str:
    """List measures for a help text, a line each, with what they are and their units."""
    known = {name: MEASURES[name] for name in names}
    width = max(map(len, known))
    lines = [f"{n:<{width}}  {one.definition}{', ' * bool(one.unit)}{one.unit}" for n, one in known.items()]
    return "\n".join(["\b", *lines])


def map_options(command: Command) -> Command:
    """Give a command the options that say what predicted maps are: ``scale`` and ``match``."""
    match = click.option(
        "--match",
        type=click.Choice(["number", "name"]),
        help="What their files or keys are called by.  [default: told by them]",
    )
    scale = click.option(
        "--prediction-scale",
        "scale",
        type=Real(positive=True),
        help="Units a metre of their numbers: 1000 = millimetres.  "
        "[default: 1 of floats, none of whole numbers]",
    )
    return scale(match(command))


def homes_of(ctx: click.Context, text: str) -> str:
    """Say by which options a command takes a path that stood alone: to read where it is there, else to write.

    "" where it takes none; no more than three, in the order of the help.
    """
    there = Path(text).exists()
    fits = [
        param.opts[0]
        for param in ctx.command.params
        if isinstance(param, click.Option)
        and isinstance(param.type, LocalPath)
        and (there or param.type.written)
    ]
    return ", ".join(fits[:3])


def refuse_overwriting(ctx: click.Context) -> None:
    """Refuse to write over what a command reads, into a folder that it reads, or two results into one file.

    Raises
    ------
    click.BadParameter
        That names both options.
    """
    given = [*_given_paths(ctx)]
    for k, (param, written, path) in enumerate(given):
        if not written or (path.exists() and not (path.is_file() or path.is_dir())):
            continue  # read, or a device such as /dev/null
        real = Path(os.path.realpath(path))
        for j, (other, result, read) in enumerate(given):
            there = Path(os.path.realpath(read))
            inside = not result and there.is_dir() and real.is_relative_to(there)
            linked = path.exists() and read.exists() and path.samefile(read)
            if j != k and (inside or linked or real == there):
                how = "into" if inside and real != there else "over"
                message = f"{path} would be written {how} {name_of(other)} {read}; choose another path"
                raise click.BadParameter(message, ctx, param)


def _given_paths(ctx: click.Context) -> Iterator[tuple[click.Parameter, bool, Path]]:
    """Yield each parameter that is a path, whether it is written, and its paths."""
    for param in ctx.command.params:
        kind = param.type
        if isinstance(kind, LocalPath):
            yield from ((param, kind.written, path) for path in _paths_in(ctx.params.get(param.name or "")))


def _paths_in(value: Any) -> Iterator[Path]:
    """Yield the paths of an option that may be given several times, or takes several at once."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths_in(one)


def name_of(param: click.Parameter) -> str:
    """What the help calls a parameter: ``--out``, or ``STORE``."""
    return param.opts[0] if isinstance(param, click.Option) else (param.metavar or param.name or "").upper()
