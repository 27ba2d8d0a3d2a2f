"""The example of a source of one's own in the documents: a folder of archives, a frame each."""

from pathlib import Path

import numpy as np

import rsgt


class Archives(rsgt.Source):
    """Files ``*.npz`` of ``rgb`` (y, x, 3), ``depth_mm`` (y, x) and ``labels`` (y, x)."""

    label_sets = ("own",)
    frame_ids = names = shape = ()  # plain attributes, set below

    def __init__(self, folder):
        self.path = Path(folder)
        self.names = sorted(file.stem for file in self.path.glob("*.npz"))
        self.frame_ids = range(1, len(self.names) + 1)
        self.shape = self._read(0, "depth_mm").shape

    def _read(self, f, key):
        path = self.path / f"{self.names[f]}.npz"
        try:
            with np.load(path) as archive:
                return archive[key]
        except Exception as error:  # NumPy raises many kinds over damaged files
            raise rsgt.InputError(f"{path}: no {key} ({error}); copy the file again") from error

    def rgb(self, frames, out=None):
        return np.stack([self._read(f, "rgb") for f in frames], out=self.room(out, frames, np.uint8, 3))

    def depth(self, frames, kind=None, out=None):
        metres = [self._read(f, "depth_mm") / np.float32(1000) for f in frames]
        return np.stack(metres, out=self.room(out, frames, np.float32))

    def semantic(self, frames, labels=None, out=None):
        return np.stack([self._read(f, "labels") for f in frames], out=self.room(out, frames, np.uint16))

    def class_names(self, labels=None):
        return ["wall", "floor", "chair"]
