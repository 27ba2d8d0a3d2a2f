"""HDF5 as others write it: one image a file, and MATLAB's cell arrays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CHUNK = (96, 128)


def write_image(path: Path, values: Array) -> None:
    """Write an image (y, x) as the data set ``dataset`` of a file of its own, as Hypersim does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chunk = tuple(min(pair) for pair in zip(CHUNK, values.shape, strict=True))
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", data=values, chunks=chunk, compression="gzip", compression_opts=3)


@contextmanager
def matlab_cells(path: Path, name: str) -> Iterator[Callable[[Array], None]]:
    """Write a cell array of images (y, x), each with the call that is handed out, as MATLAB 7.3 does.

    An image's axes are reversed in the file, and its numbers are doubles.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        references: list[Any] = []

        def add(values: Array) -> None:
            item = file.create_dataset(
                f"#refs#/{len(references)}", data=values.T.astype(np.float64), compression="gzip"
            )
            references.append(item.ref)

        yield add
        cells = file.create_dataset(name, (len(references), 1), h5py.ref_dtype)
        for number, reference in enumerate(references):
            cells[number, 0] = reference
