"""Region-support ground truth for monocular depth.

``rsgt`` turns frames with depth, and with semantic labels where there are any, into region support, a
segmentation whose regions hold one category at nearly constant depth, and keeps it in a sharded
Zarr v3 store. What stands in ``__all__`` is its public API; each name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsgt.builder import Parameters, build, plan
    from rsgt.inputs import DataWarning, InputError
    from rsgt.page.pictures import show
    from rsgt.page.report import report
    from rsgt.page.result_page import result_page
    from rsgt.quality.comparison import Comparison, compare
    from rsgt.quality.evaluation.comparison import compare_records
    from rsgt.quality.evaluation.judging import evaluate
    from rsgt.quality.evaluation.maps import open_prediction
    from rsgt.quality.evaluation.protocol import Protocol
    from rsgt.quality.statistics import Statistics, statistics
    from rsgt.quality.verification import Verification, verify
    from rsgt.regions.algorithm import RegionSupport, region_support
    from rsgt.sources import open_source
    from rsgt.sources.conformance import check_source
    from rsgt.sources.diagnosis import diagnose
    from rsgt.sources.options import SourceOptions
    from rsgt.sources.source import Source
    from rsgt.sources.synthetic import write_rooms
    from rsgt.store.frame import Frame
    from rsgt.store.plane_files import export_planes
    from rsgt.store.predictions import write_prediction
    from rsgt.store.reader import DamageError, Store
    from rsgt.store.reader import open_store as open

__all__ = [
    "Comparison", "DamageError", "DataWarning", "Frame", "InputError", "Parameters", "Protocol",
    "RegionSupport", "Source", "SourceOptions", "Statistics", "Store", "Verification", "build",
    "check_source", "compare", "compare_records", "diagnose", "evaluate", "export_planes",
    "open", "open_prediction", "open_source", "plan",
    "region_support", "report", "result_page", "show", "statistics", "verify", "write_prediction",
    "write_rooms",
]  # fmt: skip

_HOMES = {
    "Comparison": "rsgt.quality.comparison",
    "DamageError": "rsgt.store.reader",
    "Frame": "rsgt.store.frame",
    "DataWarning": "rsgt.inputs",
    "InputError": "rsgt.inputs",
    "Parameters": "rsgt.builder",
    "Protocol": "rsgt.quality.evaluation.protocol",
    "RegionSupport": "rsgt.regions.algorithm",
    "Source": "rsgt.sources.source",
    "SourceOptions": "rsgt.sources.options",
    "Statistics": "rsgt.quality.statistics",
    "Store": "rsgt.store.reader",
    "Verification": "rsgt.quality.verification",
    "build": "rsgt.builder",
    "check_source": "rsgt.sources.conformance",
    "compare": "rsgt.quality.comparison",
    "compare_records": "rsgt.quality.evaluation.comparison",
    "diagnose": "rsgt.sources.diagnosis",
    "export_planes": "rsgt.store.plane_files",
    "evaluate": "rsgt.quality.evaluation.judging",
    "open": "rsgt.store.reader",
    "open_prediction": "rsgt.quality.evaluation.maps",
    "open_source": "rsgt.sources",
    "plan": "rsgt.builder",
    "region_support": "rsgt.regions.algorithm",
    "report": "rsgt.page.report",
    "result_page": "rsgt.page.result_page",
    "show": "rsgt.page.pictures",
    "statistics": "rsgt.quality.statistics",
    "verify": "rsgt.quality.verification",
    "write_prediction": "rsgt.store.predictions",
    "write_rooms": "rsgt.sources.synthetic",
}
"""Public name to the module that defines it."""

try:
    __version__ = version("region-support")
except PackageNotFoundError:  # run from a tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        # The one name that is another at home, where it would hide Python's own.
        return getattr(import_module(_HOMES[name]), "open_store" if name == "open" else name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
