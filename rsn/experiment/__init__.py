"""Assembly: a run from its settings, a predictor from a checkpoint, a record from both.

The only place that reads ``rsn.config.Config``, and the only one that knows all stages; what it makes of them
takes plain values. Only the public API of ``rsn`` knows it.
"""

from rsn.experiment.assembly import load
from rsn.experiment.evaluation import evaluate
from rsn.experiment.publishing import publish
from rsn.experiment.training import FitResult, describe, fit, fit_config

__all__ = ["FitResult", "describe", "evaluate", "fit", "fit_config", "load", "publish"]
