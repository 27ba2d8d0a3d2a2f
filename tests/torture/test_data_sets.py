"""Damaged copies of rooms in other data sets' layouts: every one is read, or refused in one line."""

import random
import shutil
import warnings

import pytest

from rsgt.inputs import InputError
from rsgt.sources import open_source
from rsgt.sources.exports import hypersim, scannet, sunrgbd
from tests.conftest import often
from tests.rendered import rooms

DAMAGED = often(12, 250)
LAYOUTS = {
    "sunrgbd": ("sunrgbd", sunrgbd.write),
    "scannet": ("scannet", scannet.write),
    "scannet_frames_25k": ("scannet", scannet.write_25k),
    "hypersim": ("hypersim", hypersim.write),
}


def damage(file, others, rng):
    """Do one of several things that happen to files."""
    content = bytearray(file.read_bytes())
    kind = rng.choice(["gone", "cut", "empty", "flipped", "noise", "folder", "another"])
    if kind in ("gone", "folder"):
        file.unlink()
        if kind == "folder":
            file.mkdir()
        return
    if kind == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    elif kind == "flipped" and content:
        for _ in range(5):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "another":
        other = rng.choice(others)
        content = other.read_bytes() if other.is_file() else b""
    else:
        content = rng.randbytes(200 if kind == "noise" else 0)
    file.write_bytes(content)


def uses(source):
    """What may be done with a source, by name."""
    frames = range(len(source.frame_ids))
    yield "details", source.details
    yield "identity", source.identity
    yield "split", lambda: source.split
    yield "cameras", lambda: source.cameras
    yield "rgb", lambda: source.rgb(frames)
    yield "instance", lambda: source.instance(frames)
    for kind in source.depth_kinds:
        yield kind, lambda kind=kind: source.depth(frames, kind)
    for labels in source.label_sets:
        yield labels, lambda labels=labels: (source.class_names(labels), source.semantic(frames, labels))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files(layout, tmp_path):
    name, write = LAYOUTS[layout]
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    write(whole, rooms()[:3])
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    rng, told = random.Random(0), []
    for _ in range(DAMAGED):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        for _ in range(rng.randint(1, 2)):
            file = copy / rng.choice(files)
            if file.is_file():
                damage(file, [copy / other for other in files], rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the standard camera's, where a table is lost
            try:
                source = open_source(copy, format=name)
            except InputError as error:
                told.append(str(error))
                continue
        for what, use in uses(source):
            try:
                use()
            except InputError as error:
                told.append(f"{what}: {error}")
    assert told
    assert not [text for text in told if "\n" in text or len(text) > 700]
