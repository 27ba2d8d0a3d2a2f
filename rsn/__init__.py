"""Region support networks: training, evaluation and prediction on an ``rsgt`` store.

The public API, which the commands of ``rsn`` call too; PyTorch is imported when one of it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rsgt import __version__ as __version__

if TYPE_CHECKING:
    from rsgt.inputs import InputError
    from rsgt.quality.evaluation.protocol import Protocol
    from rsn.data.dataset import Frames
    from rsn.experiment.assembly import load
    from rsn.experiment.evaluation import evaluate
    from rsn.experiment.publishing import publish
    from rsn.experiment.training import FitResult, describe, fit
    from rsn.photos.prediction import Prediction
    from rsn.predictor import Predictor

_HOMES = {
    "FitResult": "rsn.experiment.training",
    "Frames": "rsn.data.dataset",
    "InputError": "rsgt.inputs",
    "Prediction": "rsn.photos.prediction",
    "Predictor": "rsn.predictor",
    "Protocol": "rsgt.quality.evaluation.protocol",
    "describe": "rsn.experiment.training",
    "evaluate": "rsn.experiment.evaluation",
    "fit": "rsn.experiment.training",
    "load": "rsn.experiment.assembly",
    "publish": "rsn.experiment.publishing",
}
"""Public name to the module that defines it."""

__all__ = [
    "FitResult", "Frames", "InputError", "Prediction", "Predictor", "Protocol", "describe", "evaluate", "fit",
    "load", "publish",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
