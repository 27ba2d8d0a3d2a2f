"""The tree keeps its own rules: who imports whom, one door per library, sizes, no rubbish names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*ROOT.glob("rsgt/**/*.py"), *ROOT.glob("rsn/**/*.py")])
NAMES = {
    str(p.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__"): p for p in MODULES
}

DOORS = {
    "h5py": {
        "rsgt.sources.matlab",
        "rsgt.sources.chunks",
        "rsgt.sources.synthetic",
        "rsgt.sources.exports.hdf5",
    },
    "deflate": {"rsgt.sources.chunks"},
    "OpenEXR": {"rsgt.sources.images"},
    "embreex": {"rsgt.sources.rooms.tracing"},
    "pyarrow": {"rsgt.sources.parquet.files", "rsgt.sources.exports.parquet"},
    "zarr": {
        "rsgt.store.packing",
        "rsgt.store.encoding",
        "rsgt.store.contents",
        "rsgt.store.requests",
        "rsgt.store.writer",
        "rsgt.store.predictions",
    },
    "numcodecs": {"rsgt.store.packing"},
    "google_crc32c": {"rsgt.store.packing"},
    "obstore": {"rsgt.store.objects"},
    "numba": {"rsgt.regions.compilation"},
    "dask": {"rsgt.parallel"},
    "filelock": {"rsgt.store.staging", "rsn.training.start"},
    "distributed": {"rsgt.parallel"},
    "click": {
        "rsgt.cli.commands",
        "rsgt.cli.judging",
        "rsgt.cli.showing",
        "rsgt.cli.options",
        "rsgt.cli.terminal",
        "rsgt.cli.source_options",
        "rsn.cli.commands",
        "rsn.cli.judging",
        "rsn.cli.loading",
        "rsn.cli.photos",
        "rsn.cli.publishing",
    },
    "trimesh": {"rsn.photos.scene"},
    "safetensors": {"rsn.training.published"},
    "huggingface_hub": {"rsn.training.hub"},
}
ASSEMBLIES = {"rsgt.builder", "rsgt.quality.verification", "rsn.experiment"}
EXPERIMENT = {
    "rsn.experiment.assembly",
    "rsn.experiment.evaluation",
    "rsn.experiment.publishing",
    "rsn.experiment.run_setup",
    "rsn.experiment.training",
}
"""May know several stages; ``verification`` recomputes what ``builder`` made."""


def imports(path):
    """Full names of what a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


IMPORTS = {name: imports(path) for name, path in NAMES.items()}


def users_of(package):
    return {
        n for n, found in IMPORTS.items() if any(f == package or f.startswith(f"{package}.") for f in found)
    }


@pytest.mark.parametrize("package", sorted(DOORS))
def test_one_door_per_library(package):
    assert users_of(package) <= DOORS[package]


def test_rsgt_knows_nothing_of_training():
    for package in ("torch", "rsn", "lightning_fabric"):
        assert not {name for name in users_of(package) if name.startswith("rsgt")}


EXTRA = {
    "rsn.models.merged_regions": {"rsgt.regions.merging"},
    "rsn.training.run_page": {"rsgt.page", "rsgt.page.charts", "rsgt.page.document", "rsgt.page.pictures"},
    "rsn.experiment.evaluation": {"rsgt.store.predictions"},
    "rsn.models.mean_shift": {"rsgt.regions.compilation"},
    "rsn.cli.commands": {"rsgt.cli.options", "rsgt.cli.terminal"},
    "rsn.cli.judging": {"rsgt.cli.options", "rsgt.cli.terminal"},
    "rsn.cli.loading": {"rsgt.cli.options", "rsgt.cli.terminal"},
    "rsn.cli.photos": {"rsgt.cli.options", "rsgt.cli.terminal"},
    "rsn.cli.publishing": {"rsgt.cli.options", "rsgt.cli.terminal"},
    "rsn.photos.page": {
        "rsgt.page",
        "rsgt.page.browser",
        "rsgt.page.colours",
        "rsgt.page.document",
        "rsgt.page.pictures",
    },
    "rsn.__main__": {"rsgt.__main__"},
}
"""Predicted maps become regions by rsgt's merging, and are kept for it; both compile by the same door,
their pages are made of the same pieces, and both programs report mistakes alike."""


def test_one_bridge_from_training_to_the_store():
    assert {n for n in users_of("rsgt.store.reader") if n.startswith("rsn")} <= {"rsn.data.dataset"}
    allowed = {
        "rsgt",
        "rsgt.files",
        "rsgt.store.manifest",
        "rsgt.inputs",
        "rsgt.quality.confidence",
        "rsgt.quality.evaluation.alignment",
        "rsgt.quality.evaluation.checks",
        "rsgt.quality.evaluation.protocol",
        "rsgt.quality.evaluation.record",
        "rsgt.quality.evaluation.table",
        "rsgt.quality.measures",
        "rsgt.quality.metrics",
        "rsgt.quality.pooling",
        "rsgt.sources.facts",
        "rsgt.store.photo_files",
        "rsgt.store.provenance",
        "rsgt.store.schema",
        "rsgt.store.splits",
        "rsgt.store.reader",
    }
    for name, found in IMPORTS.items():
        if name.startswith("rsn"):
            modules = {f for f in found if f in NAMES and f.startswith("rsgt")}
            assert modules <= allowed | EXTRA.get(name, set()), name


def test_no_circle():
    """Of a package, the modules behind its own imports: nobody is among them."""
    edges = {
        name: {f for f in found if f in NAMES and f != name and not name.startswith(f"{f}.")}
        for name, found in IMPORTS.items()
    }
    done, path = set(), []

    def walk(name):
        assert name not in path, f"a circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for other in sorted(edges[name]):
                walk(other)
            path.pop()
            done.add(name)

    for name in sorted(NAMES):
        walk(name)


@pytest.mark.parametrize("package", ["rsgt", "rsn"])
def test_the_top_level_can_be_taken_in_at_a_glance(package):
    entries = {path.name for path in (ROOT / package).iterdir() if path.suffix in ("", ".py")}
    assert len([name for name in entries if not name.startswith("__")]) <= 10


def test_nobody_imports_pipelines():
    assert not users_of("pipelines")


def test_only_command_lines_know_assemblies():
    for assembly in ASSEMBLIES:
        users = users_of(assembly)
        # ``rsn`` itself is the public API, which names where each name is at home.
        own = {name for name in NAMES if name.startswith("rsgt.builder.")}
        assert (
            users
            <= {
                "rsgt.cli.commands",
                "rsgt",
                "rsn.cli.commands",
                "rsn.cli.judging",
                "rsn.cli.photos",
                "rsn.cli.publishing",
                "rsn",
            }
            | ASSEMBLIES
            | EXPERIMENT
            | own
        ), assembly


def test_only_the_assembly_reads_the_settings_of_a_run():
    """Below it, plain values: ``rsn.config`` has other readers in the command line alone."""
    assert users_of("rsn.config") <= {"rsn.cli.commands"} | EXPERIMENT


BELOW: dict[str, set[str]] = {
    "data": set(),
    "models": {"data"},
    "photos": set(),
    "training": {"data", "models"},
    "weights": set(),
    "predictor": {"data", "models", "photos", "training"},
    "experiment": {"config", "data", "models", "training", "predictor", "weights"},
}
"""The rooms of rsn, each with those that it may import."""


@pytest.mark.parametrize("room", BELOW)
def test_rooms_of_rsn_know_only_those_below(room):
    for name, found in IMPORTS.items():
        if name.split(".")[:2] == ["rsn", room]:
            rooms = {f.split(".")[1] for f in found if f.startswith("rsn.")} - {room}
            assert rooms <= BELOW[room], name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_sizes_and_names(path):
    assert path.stem not in {"utils", "util", "core", "common", "helpers", "base", "misc"}
    lines = path.read_text().splitlines()
    assert len(lines) <= LONG.get(str(path.relative_to(ROOT)), 330)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 80, f"{path}: {node.name}"


LONG = {
    "rsgt/regions/kernels.py": 680,
    "rsgt/store/objects.py": 345, "rsgt/sources/nyu.py": 350,
    "rsn/config.py": 390, "rsn/predictor.py": 345,
}  # fmt: skip
"""One library, one door, makes these longer than the rest."""


def test_every_module_is_documented():
    for name, path in NAMES.items():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), name


def test_the_command_line_starts_fast():
    heavy = ("numba", "zarr", "dask", "h5py", "torch")
    code = f"import sys, rsgt.cli.commands; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
