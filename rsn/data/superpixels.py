"""Superpixels of a frame: one of the guidances that region support is compared with."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsgt.inputs import InputError


def superpixels(rgb: npt.NDArray[np.uint8], count: int) -> Tensor:
    """Partition colour (y, x, 3) into about ``count`` SLIC superpixels: (1, y, x), int32, from 1."""
    try:
        from skimage.segmentation import slic  # an extra, and slow to import
    except ImportError as error:
        raise InputError(
            "superpixel guidance needs scikit-image: pip install 'region-support[compare]'"
        ) from error
    labels = slic(rgb, n_segments=count, start_label=1)
    return torch.from_numpy(labels.astype(np.int32))[None]
