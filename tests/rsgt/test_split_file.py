"""Split files: both MATLAB formats and JSON, told by their content, and what is none of them."""

import json
import random

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from rsgt.inputs import InputError
from rsgt.sources.split_file import read_split_file

IDS = range(1, 11)
PARTS = [0] * 7 + [1] * 3


def write_matlab73(path, train, test):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["trainNdxs"], file["testNdxs"] = train, test
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_split_file(path, IDS)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize("name", ["splits.mat", "splits.MAT", "splits", "splits.json"])
def test_every_format_under_every_name(tmp_path, name):
    path = tmp_path / name
    savemat(path, {"trainNdxs": np.arange(1, 8)[:, None], "testNdxs": np.arange(8, 11.0)}, appendmat=False)
    assert read_split_file(path, IDS) == PARTS
    write_matlab73(path, np.arange(1.0, 8)[None], np.array([[8, 9, 10]], np.uint16))
    assert read_split_file(path, IDS) == PARTS
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(json.dumps({"train": [*range(1, 8)], "test": [8, 9.0, 10, 99]}), encoding=encoding)
        assert read_split_file(path, IDS) == PARTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train": [1.5], "test": []}', "train has 1.5, expected the number of a frame"),
        ('{"train": ["1"], "test": []}', "train has '1'"),
        ('{"train": [[1, 2]], "test": []}', "train has [1, 2]"),
        ('{"train": [true], "test": []}', "train has True"),
        ('{"train": [NaN], "test": []}', "train has nan"),
        ('{"train": [Infinity], "test": []}', "train has inf"),
        ('{"train": [1e300], "test": []}', "train has 1e+300"),
        ('{"train": [], "test": [0]}', "test has 0"),
        ('{"train": [], "test": [-1]}', "test has -1"),
        ('{"train": [null], "test": []}', "train has None"),
        ('{"train": [%s], "test": []}' % ("9" * 400), "train has 9999"),
        ('{"train": [%s], "test": []}' % ("9" * 5000), "no split (no JSON"),
        ('{"train": 1, "test": []}', "train is 1, no list"),
        ('{"train": "12", "test": []}', "train is '12', no list"),
        ('{"train": {"1": 1}, "test": []}', "no list"),
        ('{"train": [1], "train": [2], "test": []}', "'train' is there twice"),
        ('{"train": [1]}', "has no test"),
        ("[" * 100_000, "no split (no JSON"),
        ("7", "no split (JSON, but 7)"),
        ("", "no split (no JSON"),
    ],
)
def test_json_that_is_no_split(tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text)
    assert message in refusal(path)


def test_matlab_files_that_are_no_split(tmp_path):
    path = tmp_path / "splits.mat"
    for train, message in [
        (np.array([[1.5]]), "train has 1.5"),
        (np.array([[np.nan]]), "train has nan"),
        (np.array([["one"]], object), "train has"),
        (np.array([[1 + 2j]]), "train has"),
        ({"ids": [1]}, "train has"),
        ("12", "train has '12'"),
    ]:
        savemat(path, {"trainNdxs": train, "testNdxs": [1]})
        assert message in refusal(path)
    savemat(path, {"train": [1], "test": [2]})
    assert "has no train and no test" in refusal(path)
    write_matlab73(path, np.array(["a"], "S"), [1])
    assert "trainNdxs is |S1, expected numbers" in refusal(path)
    with h5py.File(path, "w") as file:
        file["trainNdxs"] = h5py.ExternalLink("other.mat", "/trainNdxs")
        file["testNdxs"] = [1]
    assert "link into another file" in refusal(path)
    path.write_bytes(b"\x89PNG")
    assert "no split" in refusal(path)
    assert "is a directory" in refusal(tmp_path).lower()


@pytest.mark.parametrize("matlab", [5, 7.3])
def test_damaged_matlab_files_are_read_or_refused(tmp_path, matlab):
    path = tmp_path / "splits.mat"
    if matlab == 5:
        savemat(path, {"trainNdxs": np.arange(1, 8), "testNdxs": [8, 9, 10]}, do_compression=True)
    else:
        write_matlab73(path, np.arange(1.0, 8)[None], [[8, 9, 10]])
    sound, rng = path.read_bytes(), random.Random(0)
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(rng.choice([1, 5])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        message = ""
        try:
            assert len(read_split_file(path, IDS)) == len(IDS)
        except InputError as error:
            message = str(error)
        assert "\n" not in message
