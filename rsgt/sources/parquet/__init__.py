"""Parquet files, as the mirrors of NYU Depth v2 on the Hub are: a row a frame, a column a map.

Columns are known by their names or by ``columns``; cells are nested lists of numbers or encoded images. The
split is in the names of the files.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rsgt.sources.options import SourceOptions

if TYPE_CHECKING:
    from rsgt.sources.parquet.frames import ParquetSource

OPTIONS = frozenset({
    "size", "columns", "depth_scale", "no_depth", "label_offset", "classes", "camera", "fov",
})  # fmt: skip
FOLDERS = ("", "data", "default", "train", "val", "validation", "test", "default/train", "default/test")
"""Where the Hub keeps files below a data set's folder."""


def recognises(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder with one in it or where the Hub puts them."""
    if path.is_file():
        return path.suffix.lower() == ".parquet"
    return any(next((path / folder).glob("*.parquet"), None) for folder in FOLDERS)


def open_frames(path: Path, options: SourceOptions) -> "ParquetSource":
    """Open a Parquet file, or a folder of them."""
    from rsgt.sources.parquet.frames import ParquetSource

    return ParquetSource(path, options)
