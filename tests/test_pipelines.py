"""The pipelines, whole and tiny: records, resumed and remade; tables made from records alone."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipelines")]  # one run of smoke.py serves all
KEYS = {
    "row", "published", "recipe", "seed", "commit", "store", "frames", "minutes", "metrics", "protocols",
    "intervals", "config", "versions",
}  # fmt: skip


def script(name, *arguments):
    command = [sys.executable, ROOT / "pipelines" / name, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    done = script("smoke.py", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_row_has_a_record_and_its_line(out):
    records = [*out.glob("results/table?/*.json")]
    assert len(records) == 19
    page = (out / "README.md").read_text()
    for path in records:
        assert str(out) not in path.read_text()
        record = json.loads(path.read_text())
        assert set(record) >= KEYS
        assert set(record["metrics"]) == {
            f"{name}{flip}" for name in ("paper", "nyu-eigen", "nyud-mt") for flip in ("", "+flip")
        }
        assert f"| `{record['row']}` |" in page
        assert f"{record['metrics']['paper']['image_mean']['rmse']:.3f}" in page
        with path.with_suffix(".csv").open() as file:
            errors = list(csv.DictReader(file))
        assert len(errors) == record["frames"]
        means = {name: sum(float(row[name]) for row in errors) / len(errors) for name in errors[0]}
        of_regions = record["regions"]["prediction"]["depth"]["rmse"]
        assert means["rmse"] == pytest.approx(record["metrics"]["paper"]["image_mean"]["rmse"], rel=1e-5)
        assert means["region_rmse"] == pytest.approx(of_regions, rel=1e-5)
        assert f"| {of_regions:.3f} |" in page
    better, worse = (
        json.loads((out / f"results/table2/refinement-{name}-0.json").read_text())["metrics"]["paper"]
        for name in ("ground-truth", "semantic")
    )
    claim = re.search(
        r"- RMSE of `refinement-semantic` minus `refinement-ground-truth`: (\S+) m \((\S+) to (\S+)\)", page
    )
    mean, low, high = map(float, claim.groups())
    assert mean == pytest.approx(worse["image_mean"]["rmse"] - better["image_mean"]["rmse"], abs=1e-4)
    assert low <= mean <= high
    once, twice = (
        json.loads((out / f"results/{name}-0.json").read_text())
        for name in ("table2/refinement-iterative", "table1/refinement-iterative")
    )
    assert twice == once | {
        "row": "refinement-iterative", "published": None, "same": "table2/refinement-iterative"
    }  # fmt: skip
    published = json.loads((out / "results/table2/refinement-ground-truth-published-0.json").read_text())
    assert published["published"]["rmse"] == 0.2917
    assert published["store"] != json.loads((out / "results/table2/rsn-0.json").read_text())["store"]
    assert json.loads((out / "results/figure2/comparison.json").read_text())["rows"]
    peers = json.loads((out / "results/figure2/plane-peers.json").read_text())
    about = (out / "guidance.md").read_text()
    for row in peers["rows"]:
        assert f"| {row['rmse']:.3f} | {row['rmse_all']:.3f} |" in about
        mine = [other for other in peers["rows"] if (other["name"], other["of"]) == (row["name"], "ours")]
        assert abs(mine[0]["planes"] - row["planes"]) <= 0.1 * row["planes"] or row["of"] == "ours"
    assert {row["of"] for row in peers["rows"]} == {"peer", "ours"}
    assert ("open3d" in peers["left_out"].values()) == (importlib.util.find_spec("open3d") is None)
    assert "region support, planes" in about
    assert (out / "planes.png").exists()
    variants = json.loads((out / "results/regions/variants.json").read_text())
    assert variants["frames"] == 2
    told = (out / "algorithm.md").read_text()
    for row in variants["rows"]:
        assert row["rmse"] <= row["pooled"] * (1 + 1e-9)
        assert f"| {row['rmse']:.4f} |" in told
    for name in ("generation-support", "clustering"):
        record = json.loads((out / f"results/regions/{name}-0.json").read_text())
        assert record["split"] == "validation"
        assert set(record["partition"]) == {"adjusted_rand", "v_measure", "covering"}
        assert ("initial" in record) == (name == "clustering")
        rows = {row["name"]: row for row in record["comparison"]["rows"]}
        assert set(rows) == {"this store", "prediction", "SLIC", "grid"}
        assert f"| {rows['prediction']['regions']:.1f} | {rows['prediction']['rmse']:.3f} |" in page
        for at in record["comparison"]["equal_counts"]:
            for row in at["rows"]:
                below = record["rmse_below"][row["name"]]
                if at["regions"] == rows["prediction"]["regions"]:
                    assert below["mean"] == pytest.approx(row["rmse"] - rows["prediction"]["rmse"])
                    assert below["interval"][0] <= below["mean"] <= below["interval"][1]
    with Image.open(out / "results" / "figure4.png") as image:
        assert image.size[0] > 1500


def test_a_deleted_record_is_made_again_with_the_same_number(out):
    path = out / "results" / "table2" / "refinement-none-0.json"
    before = path.read_text()
    path.unlink()
    missing = script("report.py", "--out", out, "--readme", out / "README.md")
    assert missing.returncode == 2
    assert "no record of refinement-none" in missing.stderr
    assert script("smoke.py", "--out", out).returncode == 0
    first, again = json.loads(before), json.loads(path.read_text())
    assert again["metrics"] == first["metrics"]


def test_mistakes_are_one_line(out, tmp_path):
    for arguments, message in (
        (("table2.py", "--store", out / "default.zarr", "--rows", "x", "--out", tmp_path), "rows: got 'x'"),
        (("table2.py", "--store", tmp_path / "no.zarr", "--out", tmp_path), "no.zarr"),
        (("figure4.py", "--store", out / "default.zarr", "--out", tmp_path, "--frames", "1"), "no weights"),
    ):
        done = script(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
