"""Published weights: written, loaded again, judged, and refused in one line where anything is wrong."""

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

import rsn
from rsgt.inputs import InputError
from rsn.cli import main
from rsn.training import checkpoint, hub, published
from tests.rooms import write_rooms
from tests.rsn.checkpoints import write_checkpoint

ROOM = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A checkpoint with a running average that is not its weights."""
    path = write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt", optimizer={"ema": 0.9})
    contents = checkpoint.load(path)
    contents["average"] = {
        name: value * 1.01 if value.is_floating_point() else value.clone()
        for name, value in contents["weights"].items()
    }
    checkpoint.save(path, contents)
    return path


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    return rsn.publish(run, tmp_path_factory.mktemp("published") / "weights", terms="none", name="rooms")


def resealed(folder, told):
    """Write a configuration with the digests that its writer would have given it."""
    told["sha256"] = hashlib.sha256((folder / published.WEIGHTS).read_bytes()).hexdigest()
    told["digest"] = published._digest(told)
    (folder / published.CONFIG).write_text(json.dumps(told))


def test_what_is_published_predicts_as_the_checkpoint_does(run, folder, tmp_path):
    expected = rsn.load(run, device="cpu").predict(ROOM).depth
    exact = rsn.publish(run, tmp_path / "exact", dtype="float32")
    assert np.array_equal(rsn.load(exact, device="cpu").predict(ROOM).depth, expected)
    half = rsn.load(folder, device="cpu")
    np.testing.assert_allclose(half.predict(ROOM).depth, expected, rtol=0.02, atol=0.01)
    assert np.array_equal(rsn.load(folder / "model.safetensors", device="cpu").predict(ROOM).depth,
                          half.predict(ROOM).depth)  # fmt: skip
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    sizes = [(place / published.WEIGHTS).stat().st_size for place in (folder, exact)]
    assert sizes[0] < 0.55 * sizes[1]
    assert (half.contents["name"], half.contents["terms"]) == ("rooms", "none")
    again = rsn.publish(folder, tmp_path / "again")
    assert (again / published.WEIGHTS).read_bytes() == (folder / published.WEIGHTS).read_bytes()


def test_a_value_beyond_half_precision_stays_as_it_is(run, tmp_path):
    contents = checkpoint.load(run)
    contents["average"]["features.encoder.bn1.running_var"][0] = 1e6
    checkpoint.save(tmp_path / "a.ckpt", contents)
    written = published.load(rsn.publish(tmp_path / "a.ckpt", tmp_path / "out"))
    assert written["weights"]["features.encoder.bn1.running_var"][0] == 1e6
    state = safetensors.torch.load_file(tmp_path / "out" / published.WEIGHTS)
    assert {value.dtype for value in state.values()} == {torch.float16, torch.float32, torch.int64}


def test_a_run_starts_from_published_weights_as_from_the_checkpoint(run, tmp_path):
    store = write_rooms(tmp_path / "store.zarr")
    exact = rsn.publish(run, tmp_path / "exact", dtype="float32")
    tiny = {"model": "rsn", "width": 8, "size": (24, 32), "epochs": 1, "workers": 0, "device": "cpu"}
    for place in (run, exact):
        rsn.fit(store, tmp_path / place.name, generation=str(place), stream=None, **tiny)
    states = [checkpoint.load(tmp_path / place.name / "last.ckpt")["weights"] for place in (run, exact)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_card_is_made_of_records(run, folder, tmp_path):
    store = write_rooms(tmp_path / "store.zarr")
    of_run, of_folder = tmp_path / "run.json", tmp_path / "folder.json"
    rsn.evaluate(run, store, ["paper"], device="cpu", stream=None, out=of_run)
    record = rsn.evaluate(folder, store, ["paper", "nyud-mt"], device="cpu", stream=None, out=of_folder)
    arguments = ["publish", "--checkpoint", run, "--out", tmp_path / "out", "--terms", "research use"]
    arguments += ["--record", of_run, "--record", of_folder, "--limits", "Not for mirrors."]
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text()
    digest = hashlib.sha256((tmp_path / "out" / published.WEIGHTS).read_bytes()).hexdigest()
    for text in (
        'license_name: "research use"', "Not for mirrors.", "rsn publish --checkpoint", digest,
        'model = "generation"', "| unrounded |",
    ):  # fmt: skip
        assert text in card
    rmse = record["metrics"]["paper"]["image_mean"]["rmse"]
    line, pooled = (line for line in card.splitlines() if "as published" in line)
    assert line.startswith(f"| paper | 3 of test | {rmse:.3f} |")
    assert pooled.startswith(
        f"| nyud-mt | 3 of test | {record['metrics']['nyud-mt']['pixel_pool']['rmse']:.3f} | – |"
    )
    assert len({row.count("|") for row in card.splitlines() if row.startswith("| ")}) == 1
    other = write_checkpoint(tmp_path / "other.ckpt", run={"seed": 3})
    with pytest.raises(InputError, match="run.json: is a record of epoch 3 of another checkpoint"):
        rsn.publish(other, tmp_path / "no", records=[of_run])
    with pytest.raises(InputError, match="exists; choose another path"):
        rsn.publish(run, tmp_path / "out")
    assert not (tmp_path / "no").exists()


def flipped(name, place):
    def act(folder):
        data = bytearray((folder / name).read_bytes())
        data[int(place * (len(data) - 1))] ^= 1
        (folder / name).write_bytes(data)

    return act


def told(**changes):
    def act(folder):
        entries = json.loads((folder / published.CONFIG).read_text()) | changes
        resealed(folder, {key: value for key, value in entries.items() if value is not ...})

    return act


def state(change):
    def act(folder):
        tensors = safetensors.torch.load_file(folder / published.WEIGHTS)
        change(tensors)
        safetensors.torch.save_file(tensors, folder / published.WEIGHTS)
        told()(folder)

    return act


def spoil(tensors):
    tensors["features.encoder.conv1.weight"][0, 0] = torch.nan


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


CONV = "features.encoder.conv1.weight"
FAULTS = {
    "no weights": (lambda folder: (folder / published.WEIGHTS).unlink(), "No such file"),
    "no configuration": (lambda folder: (folder / published.CONFIG).unlink(), "No such file"),
    "no JSON": (text(published.CONFIG, "{"), "is no JSON"),
    "nested": (text(published.CONFIG, "[" * 100_000), "is no JSON|no table"),
    "a list": (text(published.CONFIG, "[]"), "got format no table"),
    "another program's": (text(published.CONFIG, '{"model_type": "depth_anything"}'), "another program"),
    "a later version": (told(version=2), "got version 2, expected 1"),
    "no network": (told(network=...), "lacks network"),
    "a lost entry": (text(published.CONFIG, '{"format": "rsn-weights", "version": 1}'), "lacks rsn"),
    "another epoch": (told(epoch=-1), "epoch or step is wrong"),
    "no text": (told(commit=3), "entry 'commit' is wrong"),
    "other settings": (told(config={"network": {"width": 4.5}}), "settings are wrong"),
    "no settings": (told(config=3), "entry 'config' is wrong"),
    "another network": (told(network={"name": "rsn", "arguments": {}}), "got network 'rsn'"),
    "a pointer": (text(published.WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "empty weights": (text(published.WEIGHTS, ""), "its SHA-256 is not the one"),
    "no safetensors": (
        lambda folder: (text(published.WEIGHTS, "PK")(folder), told()(folder)), "is no file of safetensors"
    ),
    "not a number": (state(spoil), f"weights are wrong: {CONV} has .* not finite"),
    "a lost tensor": (state(lambda tensors: tensors.pop(CONV)), f"got none for {CONV}"),
    "one too many": (state(lambda tensors: tensors.update(more=torch.ones(2))), "expected none"),
    "another shape": (state(lambda tensors: tensors.update({CONV: torch.ones(3)})), f"for {CONV}, expected"),
    "another type": (
        state(lambda tensors: tensors.update({CONV: torch.ones(8, 3, 7, 7, dtype=torch.int32)})), "int32"
    ),
    **{f"byte {place} of {name}": (flipped(name, place), "SHA-256|digest|JSON|format|lacks|no text in")
       for name in (published.WEIGHTS, published.CONFIG) for place in (0, 0.01, 0.3, 0.6, 0.9, 0.99)},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_anything_wrong_is_one_line(folder, tmp_path, fault):
    act, said = FAULTS[fault]
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    act(copy)
    with pytest.raises(InputError, match=said) as caught:
        rsn.load(copy, device="cpu")
    assert str(copy) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["", "owner", "owner/name/more", "owner/name@", "own er/name", "a/b@c@d"])
def test_what_is_no_address(name):
    with pytest.raises(InputError, match="expected hf://OWNER/NAME"):
        rsn.load(f"hf://{name}")


def test_the_missing_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(hub, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'region-support\[hub\]'"):
        rsn.load("hf://owner/name")


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as its client asks for: ``/owner/weights/resolve/REVISION/FILE``."""

    folder = None

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        data = self.answer()
        if self.command == "GET" and data:
            self.wfile.write(data)

    def answer(self):
        parts = self.path.strip("/").split("/")
        wrong = None
        if parts[:2] != ["owner", "weights"]:
            wrong = "RepoNotFound"
        elif parts[3] not in ("main", "v1"):
            wrong = "RevisionNotFound"
        elif not (self.folder / parts[4]).exists():
            wrong = "EntryNotFound"
        data = b"" if wrong else (self.folder / parts[4]).read_bytes()
        self.send_response(404 if wrong else 200)
        if wrong:
            self.send_header("X-Error-Code", wrong)
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    def log_message(self, *_):
        pass


@pytest.fixture
def served(folder, tmp_path, monkeypatch):
    """The Hub on this machine, with ``owner/weights``; the client's cache is empty."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra hub")
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    Hub.folder = copy
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield copy
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("address", ["hf://owner/weights", "hf://owner/weights@v1"])
def test_weights_come_from_the_hub(served, folder, address):
    found = rsn.load(address, device="cpu")
    assert np.array_equal(found.predict(ROOM).depth, rsn.load(folder, device="cpu").predict(ROOM).depth)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hf://owner/nothing", "no such repository"),
        ("hf://owner/weights@v9", "no such revision"),
    ],
)
def test_what_the_hub_has_not(served, address, said, tmp_path):
    done = CliRunner().invoke(
        main, ["predict", "--checkpoint", address, "--out", str(tmp_path / "out"), str(tmp_path / "a.png")]
    )
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_repository_of_something_else(served):
    (served / "config.json").unlink()
    with pytest.raises(InputError, match="has no config.json and model.safetensors"):
        rsn.load("hf://owner/weights")


def test_no_network(served, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{filename}")
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries again for 23 seconds
    with pytest.raises(InputError, match="cannot be had: no network") as caught:
        rsn.load("hf://owner/weights", device="cpu")
    assert len(str(caught.value).splitlines()) == 1
