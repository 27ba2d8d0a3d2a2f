"""Damaged checkpoints, by the hundred: refused in one line by all that would use them."""

import random
import re
import shutil
from collections import Counter, OrderedDict
from functools import partial

import pytest
import torch
from PIL import Image

from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import PAPER
from rsn.config import from_plain
from rsn.experiment import evaluate, fit_config, load
from rsn.training import checkpoint
from tests.conftest import often
from tests.rooms import write_rooms
from tests.rsn.checkpoints import predict_photos

SETTINGS = {
    "network": {"model": "generation", "width": 8, "encoder": "efficientnet_lite0"},
    "data": {"size": [16, 16], "workers": 0, "batch_size": 2, "validation": 0.2},
    "optimizer": {"optimizer": "adamw", "ema": 0.5},
    "run": {"epochs": 1, "device": "cpu"},
}
FLIPS = often(12, 130)
CUTS = often(4, 30)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, a photo, and a finished run whose last.ckpt is damaged in copies."""
    folder = tmp_path_factory.mktemp("checkpoints")
    store = write_rooms(folder / "store.zarr", train=8, test=1, shape=(24, 32))
    Image.new("RGB", (20, 16)).save(folder / "a.png")
    assert fit_config(from_plain(SETTINGS), store, folder / "run", stream=None)
    return folder


def uses(place, path):
    """What may be done with a checkpoint, by name; ``resume`` finds it as the run's own."""
    store = place / "store.zarr"
    for used in ("from", "maps.zarr", "out"):  # by an alteration of no consequence
        shutil.rmtree(place / used, ignore_errors=True)
    start = SETTINGS | {"network": SETTINGS["network"] | {"generation": str(path)}}
    return {
        "evaluate": partial(
            evaluate, path, store, [PAPER], device="cpu", save=place / "maps.zarr",
            table=place / "a.csv", out=place / "a.json", stream=None,
        ),
        "predict": lambda: list(predict_photos(path, [place / "a.png"], place / "out", device="cpu")),
        "export": lambda: load(path, device="cpu").export_onnx(place / "a.onnx"),
        "start": partial(fit_config, from_plain(start), store, place / "from", stream=None),
        "resume": partial(fit_config, from_plain(SETTINGS), store, path.parent, resume=True, stream=None),
    }  # fmt: skip


TRAINING = ("training", "precision", "random", "progress", "optimizer", "step", "epoch")


def refused(place, contents_or_bytes, use):
    """Put a damaged file in place, use it, and return the line that refuses it; None where it was used."""
    path = place / "damaged" / "last.ckpt"
    path.parent.mkdir(exist_ok=True)
    if isinstance(contents_or_bytes, bytes):
        path.write_bytes(contents_or_bytes)
    else:
        torch.save(contents_or_bytes, path)
    before = sorted(file.name for file in place.rglob("*"))
    try:
        uses(place, path)[use]()
    except InputError as error:
        line = str(error)
        assert "\n" not in line
        assert str(path.parent) in line
        left = {*(file.name for file in place.rglob("*"))} - {*before}
        assert left <= {".lock", "from"}, left
        return line
    return None


def test_damaged_bytes(place, capsys):
    """Single bits over the whole file, and files cut off: none is used for anything."""
    whole = (place / "run" / "last.ckpt").read_bytes()
    draw, counts = random.Random(0), Counter()
    # The ends hold the names, the places and the seal; the middle holds weights.
    spans = [(0, 600), (len(whole) - 600, len(whole)), (0, len(whole))]
    for turn in range(FLIPS + CUTS):
        use = draw.choice(["evaluate", "predict", "export", "start", "resume"])
        if turn < FLIPS:
            at = draw.randrange(*spans[turn % 3])
            damaged = bytearray(whole)
            damaged[at] ^= 1 << draw.randrange(8)
            damaged = bytes(damaged)
        else:
            damaged = whole[: draw.choice([draw.randrange(len(whole)), len(whole) - draw.randrange(1, 120)])]
        line = refused(place, damaged, use)
        assert line, f"used: {use}, turn {turn}"
        counts[use] += 1
    with capsys.disabled():
        print(f"\ncheckpoints: {FLIPS} bits flipped and {CUTS} cut off, {counts.total()} refused in one line")


def every_place(value, path=()):
    """Paths to all entries of nested tables and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from every_place(inner, (*path, key))


def changed(value, path, change):
    """Copy nested tables with one entry changed; ``change`` raises KeyError to drop it."""
    if not path:
        return change(value)
    copy = OrderedDict(value) if isinstance(value, OrderedDict) else type(value)(value)
    try:
        copy[path[0]] = changed(value[path[0]], path[1:], change)
    except KeyError:
        del copy[path[0]]
    return copy


def drop(_):
    raise KeyError


def other_tensor(value, fill):
    """A tensor with one value replaced."""
    copy = value.clone()
    copy.view(-1)[copy.numel() // 2] = fill
    return copy


WRONG = {
    "dropped": drop,
    "none": lambda _: None,
    "number": lambda value: -7 if value != -7 else 7,
    "text": lambda _: "nonsense",
    "list": lambda _: [1, 2],
    "table": lambda _: {"x": 1},
    "huge": lambda _: 10**12,
    "nan": lambda value: other_tensor(value, torch.nan) if torch.is_tensor(value) else torch.nan,
    "inf": lambda value: other_tensor(value, torch.inf) if torch.is_tensor(value) else torch.inf,
    "wider": lambda value: (
        torch.cat([value, value]) if torch.is_tensor(value) and value.dim() else [value] * 2
    ),
    "double": lambda value: value.double() if torch.is_tensor(value) else str(value),
    "expanded": lambda _: torch.zeros(1).expand(10**11),
    "sparse": lambda _: torch.zeros(3, 3).to_sparse(),
}
HARMLESS = re.compile(
    r"^(rsn|commit|classes|versions|run)|^config\.(data|loss|optimizer|run|network)\.|training\.progress\.empty"
    r"|training\.optimizer\.param_groups\.\d+\.(?!params|lr|peak_lr)|training\.optimizer\.state"
    r"|training\.precision|training\.optimizer\.param_groups\.\d+\.lr|training\.random"
)
"""Free text, and what another value, or none, of is as good: a setting has its default, Adam begins anew."""


def test_altered_entries(place, capsys):
    """A zip of sound checksums whose contents are not what rsn fit wrote is refused where they are used."""
    contents = torch.load(place / "run" / "last.ckpt", weights_only=True)
    places = [path for path in every_place(contents) if path]
    draw, counts = random.Random(1), Counter()
    for _ in range(often(12, 250)):
        # As often near the root as in the long tables of weights.
        depth = draw.randrange(1, 5)
        path = draw.choice([path for path in places if len(path) == depth])
        name = draw.choice(sorted(WRONG))
        use = "resume" if path[0] in TRAINING else draw.choice(["evaluate", "predict", "start", "resume"])
        where = ".".join(map(str, path))
        value = contents
        for key in path:
            value = value[key]
        try:
            damaged = changed(contents, path, WRONG[name])
            if isinstance(value, str) and name == "double":
                continue  # as text, it is what it was
        except (RuntimeError, TypeError, IndexError):
            continue  # this value cannot be changed so
        line = refused(place, damaged, use)
        counts["refused" if line else "used"] += 1
        unread = use == "predict" and where == "store"
        assert line or unread or HARMLESS.search(where), f"{where} {name} was used by {use}"
    with capsys.disabled():
        print(f"\ncheckpoints: {counts.total()} entries altered, {counts['refused']} refused in one line, "
              f"{counts['used']} of no consequence, 0 unforeseen")  # fmt: skip


@pytest.mark.parametrize("name", ["refinement", "rsn", "clustering", "nothing", None, 3])
@pytest.mark.parametrize("use", ["evaluate", "predict", "export", "start", "resume"])
def test_another_networks_name(place, name, use):
    contents = torch.load(place / "run" / "last.ckpt", weights_only=True)
    contents["network"]["name"] = name
    assert refused(place, contents, use)


@pytest.mark.parametrize("arguments", [{}, {"width": 16}, {"width": "8"}, {"depth": 3}, {"width": 10**9}])
def test_other_arguments(place, arguments):
    contents = torch.load(place / "run" / "last.ckpt", weights_only=True)
    if arguments:
        contents["network"]["arguments"] |= arguments
        assert refused(place, contents, "evaluate")
    contents["config"]["network"] |= {key: value for key, value in arguments.items() if key == "width"}
    contents["config"]["network"] |= {} if arguments else {"norm": "group"}
    assert refused(place, contents, "evaluate")


def test_what_is_whole_is_used(place):
    """Also without the seal, as an older program wrote it."""
    whole = (place / "run" / "last.ckpt").read_bytes()
    assert refused(place, whole, "resume") is None
    contents = torch.load(place / "run" / "last.ckpt", weights_only=True)
    for key in ("classes", "versions"):
        del contents[key]
    assert refused(place, contents, "resume") is None
    path = place / "damaged" / "last.ckpt"
    assert checkpoint.load(path)["versions"]
    for name in ("evaluate", "predict"):
        uses(place, path)[name]()
