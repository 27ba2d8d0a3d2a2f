"""What MkDocs does beside ``mkdocs.yml``: pages made from the code and from records, figures put in."""

import logging
from pathlib import Path
from typing import Any

import commands
import figures
import measures
import names
import notebook
import recipes
from mkdocs.structure.files import File

log = logging.getLogger("mkdocs.plugins.pages")
ROOT = Path(__file__).parents[2]
MADE = {
    "tour.md": notebook.page,
    "reference/commands.md": commands.page,
    "reference/measures.md": measures.page,
    "reference/recipes.md": recipes.page,
    "explanation/results.md": lambda: moved(ROOT / "pipelines" / "README.md"),
    "carry-on/contributing.md": lambda: moved(ROOT / "CONTRIBUTING.md").replace("](docs/", "](../"),
}
"""Pages that have no file in ``docs``, and what makes their text."""
PICTURES = {"explanation/results/figure4.png": ROOT / "pipelines" / "results" / "figure4.png"}


def moved(path: Path) -> str:
    """Text of a document that stands elsewhere in the tree."""
    return path.read_text(encoding="utf-8").replace("](../docs/", "](../")


def on_config(config: Any) -> Any:
    """Warn of public names without a docstring, or a place on the pages of the API: strict ends the build."""
    for package in ("rsgt", "rsn"):
        page = ROOT / "docs" / "reference" / f"{package}.md"
        for complaint in names.complaints(package, page.read_text(encoding="utf-8")):
            log.warning(complaint)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and pictures that are made."""
    for path, make in MADE.items():
        files.append(File.generated(config, path, content=make()))
    for k, png in enumerate(notebook.pictures()):
        files.append(File.generated(config, f"tour/{k}.png", content=png))
    for path, picture in PICTURES.items():
        files.append(File.generated(config, path, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put figures of records into the text."""
    try:
        return figures.filled(markdown)
    except (KeyError, OSError, ValueError) as error:
        log.warning("%s: %s", page.file.src_uri, error)
        return markdown
