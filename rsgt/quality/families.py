"""The partitions that region support is held against: labels, superpixels, a grid.

Every function takes (y, x) maps of one frame and returns a (y, x) int32 map of region labels, from 1; 0 = no
region. Superpixels are scikit-image's (``pip install 'region-support[compare]'``). Each family is there
twice, its regions standing for the depth by their means, and by a plane in each: what planes bring to any
partition is not to be taken for what a partition is worth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.regions.algorithm import Grouping, region_support
from rsgt.sources import facts

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int32]

FELZENSZWALB_SIGMA = 0.8
FELZENSZWALB_MIN_SIZE = 32
EACH = ", a plane each"
"""Behind the name of a family whose regions stand for the depth by planes."""


@dataclass(frozen=True)
class FrameMaps:
    """Maps of one frame, (y, x): colour (and channel), depth in metres (0 = none), labels and its regions.

    ``support`` is what the store's regions stand for the depth by, in metres; ``predicted`` are a network's
    regions, where they are compared too.
    """

    rgb: Array
    depth: Array
    semantic: Array
    instance: Array
    region: Array
    support: Array
    predicted: Array | None = None


@dataclass(frozen=True)
class Partition:
    """One way to cut a frame into regions.

    ``name`` is the family, ``parameter`` its setting in words ("bins=10", or empty where it has none);
    ``surface`` is what its regions stand for the depth by: their mean depths, a plane in each, or, of the
    store's own regions, their support.
    """

    name: str
    parameter: str
    regions: Callable[[FrameMaps], Labels]
    surface: Literal["mean", "plane", "own"] = "mean"


def category_regions(category: Array) -> Labels:
    """Make one region of all pixels of a category, wherever they lie; unlabelled ones are a category too."""
    return category.astype(np.int32) + 1


def instance_regions(semantic: Array, instance: Array) -> Labels:
    """Make one region of each labelled object, and one of all unlabelled pixels."""
    key = np.where(semantic > 0, semantic.astype(np.int64) << 16 | instance, 0)
    return np.unique(key, return_inverse=True)[1].reshape(key.shape).astype(np.int32) + 1


def grid_regions(shape: tuple[int, int], side: int) -> Labels:
    """Cut a frame of ``shape`` (height, width) into squares of ``side`` pixels, those at the end cut off."""
    y, x = np.arange(shape[0]) // side, np.arange(shape[1]) // side
    label: Labels = (y[:, None] * (x[-1] + 1) + x + 1).astype(np.int32)
    return label


def slic_regions(rgb: Array, n_segments: int) -> Labels:
    """Superpixels of even size: SLIC (Achanta et al., 2012) as scikit-image sets it up.

    Parameters
    ----------
    rgb
        (y, x, channel) uint8, sRGB.
    n_segments
        How many to ask for; there come out fewer.
    """
    return np.asarray(_skimage().slic(rgb, n_segments=n_segments, start_label=1), np.int32)


def felzenszwalb_regions(image: Array, scale: float) -> Labels:
    """Graph-based superpixels (Felzenszwalb and Huttenlocher, 2004) of colour or of depth.

    Parameters
    ----------
    image
        (y, x, channel) uint8, sRGB, or (y, x) float, depth in metres, of which 10 m count as much as
        black to white.
    scale
        The larger, the larger the regions.
    """
    channel_axis = -1 if image.ndim == 3 else None
    values = image / np.float32(255 if image.ndim == 3 else 10)
    found = _skimage().felzenszwalb(
        values, scale, FELZENSZWALB_SIGMA, FELZENSZWALB_MIN_SIZE, channel_axis=channel_axis
    )
    return np.asarray(found, np.int32) + 1


def _skimage() -> Any:
    try:
        from skimage import segmentation
    except ImportError as error:
        raise InputError("superpixels need scikit-image: pip install 'region-support[compare]'") from error
    return segmentation


def _semantic_maps(class_names: list[str]) -> dict[str, Array | None]:
    """Name each label set that can be had from the store's own, with its table; None = as it is."""
    own = facts.label_set(class_names)
    if own is None:
        return {"semantic": None}
    to13 = np.array([0, *facts.nyu_facts()["map40to13"]])
    maps: dict[str, dict[str, Array | None]] = {
        "894": {"894": None, "40": facts.class_map("40"), "13": facts.class_map("13")},
        "40": {"40": None, "13": to13},
        "13": {"13": None},
    }
    return {f"semantic {name}": table for name, table in maps[own].items()}


def _family(
    name: str, setting: str, values: Sequence[int], regions: Callable[[FrameMaps, int], Labels]
) -> list[Partition]:
    return [Partition(name, f"{setting}={v}", lambda frame, v=v: regions(frame, v)) for v in values]  # type: ignore[misc]


def _by_depth(grouping: Grouping) -> Callable[[FrameMaps, int], Labels]:
    return lambda frame, bins: (
        region_support(frame.depth, frame.semantic, grouping=grouping, bins=bins).region
    )


def _merged(across: bool) -> Callable[[FrameMaps, int], Labels]:
    return lambda frame, n: (
        region_support(frame.depth, frame.semantic, surface="plane", regions=n, across_labels=across).region
    )


def _published(frame: FrameMaps, bins: int) -> Labels:
    return region_support(frame.depth, frame.semantic, variant="published", bins=bins).region


def _by_category(table: Array | None) -> Callable[[FrameMaps], Labels]:
    return lambda frame: category_regions(frame.semantic if table is None else table[frame.semantic])


def _predicted(frame: FrameMaps) -> Labels:
    return np.asarray(frame.predicted, np.int32)


def partitions(class_names: list[str], *, predicted: bool = False) -> list[Partition]:
    """List the partitions of the comparison, families with several settings from few regions to many.

    Superpixels cost a hundred times as much as the rest and have three settings, which make about 50, 110
    and 400 regions of a frame of NYU Depth v2.

    Parameters
    ----------
    class_names
        Names of the store's categories 1, 2, …, which tell its label set.
    predicted
        Add the frames' ``predicted`` regions, and SLIC at two more settings, for networks find few.
    """
    bins, planes = (3, 5, 10, 20, 45), (40, 60, 80, 111, 220, 450)
    slic = (12, 30, 65, 140, 540) if predicted else (65, 140, 540)
    others = [
        *([Partition("prediction", "", _predicted)] if predicted else []),
        *_family("region support", "bins", bins, _by_depth("equal")),
        *_family("region support, natural", "bins", bins, _by_depth("natural")),
        *_family("region support, log", "bins", bins, _by_depth("log")),
        *[Partition(name, "", _by_category(table)) for name, table in _semantic_maps(class_names).items()],
        Partition("segments", "", lambda f: region_support(f.depth, f.semantic, bins=1).segment),
        Partition("instances", "", lambda f: instance_regions(f.semantic, f.instance)),
        *_family("SLIC", "n_segments", slic, lambda f, n: slic_regions(f.rgb, n)),
        *_family("Felzenszwalb", "scale", (3600, 1000, 140), lambda f, k: felzenszwalb_regions(f.rgb, k)),
        *_family(
            "Felzenszwalb on depth", "scale", (80, 29, 4), lambda f, k: felzenszwalb_regions(f.depth, k)
        ),
        *_family("grid", "side", (80, 53, 40, 27), lambda f, n: grid_regions(f.depth.shape, n)),
    ]
    merged = [
        *_family("region support, planes", "regions", planes, _merged(across=False)),
        *_family("region support, planes across labels", "regions", (20, *planes), _merged(across=True)),
    ]
    return [
        Partition("this store", "", lambda frame: frame.region, "own"),
        *others,
        *_family("region support, published", "bins", bins, _published),
        *[replace(p, surface="plane") for p in merged],
        *[replace(p, name=p.name + EACH, surface="plane") for p in others],
    ]
