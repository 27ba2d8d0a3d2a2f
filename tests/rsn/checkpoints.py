"""Checkpoints of untrained networks, and what the tests of rsn do with one."""

import torch

from rsn.config import flat, from_plain, to_plain
from rsn.experiment import load
from rsn.experiment.assembly import new_network
from rsn.models.catalogue import make_model
from rsn.training import checkpoint

SMALL = {
    "network": {"model": "generation", "width": 8},
    "data": {"size": [24, 32], "workers": 0, "batch_size": 2},
}


def model_and_network(config, classes=40):
    """Model and new network of some settings."""
    model = make_model(flat(config), classes=classes)
    return model, new_network(config, model)


def write_checkpoint(path, store="elsewhere", **sections):
    """A checkpoint of untrained weights, its batch statistics settled on noise."""
    config = from_plain({name: SMALL.get(name, {}) | sections.get(name, {}) for name in {*SMALL, *sections}})
    torch.manual_seed(0)
    model, network = model_and_network(config)
    contents = {
        "network": {"name": model.name, "arguments": network.arguments},
        "weights": network.state_dict(),
        "average": None,
        "config": to_plain(config),
        "store": store,
        "commit": "0a1b",
        "epoch": 3,
        "step": 0,
        "training": None,
    }
    checkpoint.save(path, contents)
    return path


def predict_photos(path, photos, out, *, device="cpu", flip=False, **options):
    """Predict photos into a folder, as `rsn predict` does."""
    yield from load(path, device=device, flip=flip).predict_files(photos, out, **options)
