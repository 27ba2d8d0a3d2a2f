"""The examples of the documents run as they stand."""

import doctest
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.rooms import write_rooms

API = Path(__file__).parents[1] / "docs" / "api.md"
LONGEST = 5
"""Lines of an example: more is not an API that is small."""


@pytest.fixture
def names(tmp_path):
    """What the examples take for granted: a store, a run's folder, a photo, settings of little work."""
    return {
        "store": write_rooms(tmp_path / "rooms.zarr"),
        "run": tmp_path / "run",
        "Path": Path,
        "photo": Image.fromarray(np.full((40, 52, 3), 120, np.uint8)),
        "tiny": {
            "size": (24, 32), "width": 8, "epochs": 1, "workers": 0, "batch_size": 2, "validation": 0.3,
            "device": "cpu", "precision": "32", "stream": None,
        },
    }  # fmt: skip


def test_the_examples_of_the_api_run(names, tmp_path, monkeypatch):
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    example = doctest.DocTestParser().get_doctest(API.read_text(), names, "api.md", str(API), 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failed, tried = runner.run(example, out=told.append)
    assert tried
    assert not failed, "".join(told)


def test_an_example_is_short():
    for block in API.read_text().split("\n\n"):
        assert sum(line.startswith(("    >>>", "    ...")) for line in block.splitlines()) <= LONGEST, block
