"""The table of models, and a model from the settings of a run."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rsn.models.clustering import Clustering
from rsn.models.contract import Model
from rsn.models.generation import Generation
from rsn.models.losses import DepthLoss
from rsn.models.refinement import Refinement
from rsn.models.region_support import RegionSupport

MODELS: dict[str, type[Model]] = {
    "generation": Generation,
    "refinement": Refinement,
    "rsn": RegionSupport,
    "clustering": Clustering,
}
"""Model by its name in settings and checkpoints; a further one is a file beside these, and a line here."""


def make_model(settings: Mapping[str, Any], *, classes: int) -> Model:
    """Make the model that some settings name: each of its fields takes the setting of that name.

    A refinement that is guided by *predicted* region support is the whole network, with the generation
    module frozen: its checkpoint is complete in itself.

    Parameters
    ----------
    settings : mapping
        Plain values by the names of ``rsn.config``'s keys.
    classes : int
        Number of the store's categories (``rsn.data.dataset.guidance_classes``).
    """
    name = settings["model"]
    frozen = name == "refinement" and settings["guidance"] == "predicted"
    kind = MODELS["rsn" if frozen else name]
    loss = DepthLoss(**{item.name: settings[item.name] for item in fields(DepthLoss)})
    known = {**settings, "classes": classes, "frozen_generation": frozen, "depth_loss": loss}
    return kind(**{item.name: known[item.name] for item in fields(kind)})
