"""What documents say is so: their blocks run, figures are the records', links lead somewhere."""

import importlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import documents
from tests.documents import PAGES, ROOT, RUN, TINY, Block, blocks, run_page
from tests.rooms import write_rooms

LONGEST = 5
"""Lines of an example of the API: more is not an API that is small."""
NOT_RUN = Counter({
    "installs": 2,
    "needs a GPU": 1,
    "needs SLURM": 2,
    "needs a bucket": 1,
    "needs scannet_frames_25k": 2,
    "needs other people's mirrors": 1,
    "needs the data set and hours": 2,
    "a release": 1,
})  # fmt: skip
"""How many blocks can't run here, and why: a further one is a decision, and is counted here."""
OF_PAGES = [page for page in PAGES if any(b.language in RUN and not b.mark for b in blocks(page))]
pytestmark = pytest.mark.xdist_group("documents")  # rooms are rendered once


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What pages take for granted."""
    return documents.Given(tmp_path_factory.mktemp("given"))


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty folder to be in, and small rooms, but on the page whose examples tell their size."""
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    if "python.md" not in request.node.name:
        documents.rendered_small(monkeypatch)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names_of(folder):
    """What the examples of the API take for granted: a store, a run's folder, a photo, small settings."""
    return {
        "store": write_rooms(folder.parent / "rooms.zarr"),
        "run": folder.parent / "run",
        "photo": Image.fromarray(np.full((40, 52, 3), 120, np.uint8)),
        "tiny": TINY,
        "Path": Path,
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", OF_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs(page, here, given, record_property):
    for name in documents.given(page):
        given.bring(name)
    done = run_page(page, names_of(here) if page.name == "python.md" else {"__name__": "__main__"})
    assert done
    record_property("blocks", done)
    print("\n".join(done))


@pytest.mark.slow
def test_the_demo_runs_and_makes_what_it_tells_to_look_at(here):
    """Its commands, as the Makefile has them, in small."""
    rule = re.search(r"(?m)^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))[1]
    rule = rule.replace("\t", "").replace("$(BIN)/", "").replace("$(DEMO)", "demo")
    lines = [re.sub(r"^test -\w \S+ \|\| ", "", line) for line in rule.splitlines()]
    told = [line for line in lines if line.startswith("@echo")]
    text = "\n".join(line for line in lines if line not in told)
    documents.run_block(Block(ROOT / "Makefile", 1, "bash", text, ""), {})
    named = re.findall(r"demo/[\w./]+", " ".join(told))
    assert len(named) == 4
    assert [name for name in named if not Path(name).exists()] == []


def test_blocks_that_are_not_run_are_counted():
    found = Counter(block.mark for page in PAGES for block in blocks(page) if block.mark)
    assert found == NOT_RUN


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```bash\nrsgt info no.zarr\n```", "page.md:4: rsgt info no.zarr\nerror: no.zarr"),
        ("```bash\nrsgt infos no.zarr\n```", "page.md:4: rsgt infos"),
        ("```bash\nls nowhere\n```", "page.md:4: ls nowhere"),
        ("```python\nx = 1\nassert x == 2\n```", "page.md:4: AssertionError"),
        ("```pycon\n>>> 1 + 1\n3\n```", "page.md:4: "),
    ],
)
def test_a_broken_block_fails_and_names_its_place(block, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{block}\n")
    with pytest.raises(AssertionError) as caught:
        run_page(page, {})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "```\nrsgt info x\n```",
        "```sh\nrsgt info x\n```",
        "Text:\n\n    rsgt info x",
        "- x\n  ```bash\n  ls\n  ```",
    ],
)
def test_code_that_nobody_would_run_is_found(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}\n")
    with pytest.raises(AssertionError):
        [*blocks(page)]


def test_an_example_is_short():
    for block in blocks(ROOT / "docs" / "how-to" / "python.md"):
        assert sum(line.startswith((">>>", "...")) for line in block.text.splitlines()) <= LONGEST, (
            block.place
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    """Of documents as they stand in the tree; ``make docs`` looks at the site's, anchors too."""
    made = {"tour.md", "commands.md", "measures.md", "recipes.md", "results.md", "contributing.md"}
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", link) and Path(link).name not in made:
            assert (page.parent / link).exists(), link


@pytest.fixture
def made(monkeypatch):
    """The modules that make pages."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "pages"))
    return importlib.import_module


@pytest.mark.slow
def test_the_notebook_gives_what_it_shows(made, tmp_path, monkeypatch):
    pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
    monkeypatch.chdir(tmp_path)
    notebook = made("notebook")
    before = notebook.read()
    for cell, shown in zip(notebook.run(before)["cells"], before["cells"], strict=True):
        texts = [
            [o.get("text") or o["data"].get("text/plain") for o in c.get("outputs", ())]
            for c in (cell, shown)
        ]
        assert texts[0] == texts[1], "run python docs/pages/notebook.py"
    assert len(notebook.TOUR.read_bytes()) < 200_000


def test_figures_of_the_readme_are_those_of_records(made):
    figures = made("figures")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{figures.BEGIN}\n{figures.table()}\n{figures.END}" in text, "run python docs/pages/figures.py"


def test_every_figure_of_the_site_has_a_record(made):
    figures = made("figures")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert figures.filled(text).count("{{ ") == 0, page.name
    assert figures.filled("{{ table1/depth-log-0 metrics.paper.image_mean.rmse .3f }} m") == "0.751 m"
    with pytest.raises(KeyError):
        figures.filled("{{ table2/rsn-0 metrics.paper.image_mean.rsme .3f }}")


def test_pages_made_from_the_code_have_all_of_it(made):
    measures, recipes, commands = made("measures"), made("recipes"), made("commands")
    from rsgt.quality.measures import MEASURES
    from rsn import config

    text = measures.page()
    assert all(f"| `{name}` |" in text for name in MEASURES)
    text = recipes.page()
    assert all(f"| `{item.name}` |" in text for _, item, _ in config.all_keys())
    assert all(f"## {name}\n" in text for name in config.recipe_names())
    text = commands.page()
    for program, group in documents.PROGRAMS.items():
        for name, command in group.commands.items():
            part = text.split(f"### {program} {name}\n")[1].split("\n### ")[0]
            assert all(option.opts[0] in part for option in command.params if option.opts[0].startswith("--"))


@pytest.mark.parametrize("package", ["rsgt", "rsn"])
def test_every_public_name_has_a_docstring_and_a_place(package, made):
    page = (ROOT / "docs" / "reference" / f"{package}.md").read_text(encoding="utf-8")
    names = made("names")
    assert [*names.complaints(package, page)] == []
    first = importlib.import_module(package).__all__[0]
    assert any(
        first in line for line in names.complaints(package, page.replace(f"::: {package}.{first}\n", ""))
    )


def test_a_public_name_without_docstring_is_found(made, monkeypatch):
    import rsgt

    page = (ROOT / "docs" / "reference" / "rsgt.md").read_text(encoding="utf-8")
    monkeypatch.setattr(rsgt, "build", lambda: None)
    assert [*made("names").complaints("rsgt", page)] == ["rsgt.build: no docstring"]
