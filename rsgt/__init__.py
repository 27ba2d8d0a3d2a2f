"""Region-support ground truth for monocular depth.

``rsgt`` turns frames with depth and semantic labels (NYU Depth v2) into region support, a
segmentation whose regions hold one category at nearly constant depth, and keeps it in a sharded
Zarr v3 store. What stands in ``__all__`` is its public API; each name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsgt.builder import Parameters, build, plan
    from rsgt.inputs import InputError
    from rsgt.page.pictures import show
    from rsgt.page.report import report
    from rsgt.quality.comparison import compare
    from rsgt.quality.statistics import statistics
    from rsgt.quality.verification import verify
    from rsgt.regions.algorithm import RegionSupport, region_support
    from rsgt.sources import open_source
    from rsgt.sources.source import Source
    from rsgt.sources.synthetic import write_rooms
    from rsgt.store.frame import Frame
    from rsgt.store.predictions import open_prediction, write_prediction
    from rsgt.store.reader import Store
    from rsgt.store.reader import open_store as open

__all__ = [
    "Frame", "InputError", "Parameters", "RegionSupport", "Source", "Store", "build", "compare", "open",
    "open_prediction", "open_source", "plan", "region_support", "report", "show", "statistics", "verify",
    "write_prediction", "write_rooms",
]  # fmt: skip

_HOMES = {
    "rsgt.builder": ("Parameters", "build", "plan"),
    "rsgt.inputs": ("InputError",),
    "rsgt.page.pictures": ("show",),
    "rsgt.page.report": ("report",),
    "rsgt.quality.comparison": ("compare",),
    "rsgt.quality.statistics": ("statistics",),
    "rsgt.quality.verification": ("verify",),
    "rsgt.regions.algorithm": ("RegionSupport", "region_support"),
    "rsgt.sources": ("open_source",),
    "rsgt.sources.source": ("Source",),
    "rsgt.sources.synthetic": ("write_rooms",),
    "rsgt.store.predictions": ("open_prediction", "write_prediction"),
    "rsgt.store.frame": ("Frame",),
    "rsgt.store.reader": ("Store", "open"),
}
_NAMES_THERE = {"open": "open_store"}

try:
    __version__ = version("region-support")
except PackageNotFoundError:  # run from a tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(home), _NAMES_THERE.get(name, name))
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
