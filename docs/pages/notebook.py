"""The tour: a notebook whose cells are run here, and a page of the site that shows what came out.

``python docs/pages/notebook.py`` runs ``docs/tour.ipynb`` and writes what its cells give into it; a test runs
them again and compares. Cells are plain Python, so that no notebook server is needed for either.
"""

import ast
import base64
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

TOUR = Path(__file__).parents[1] / "tour.ipynb"
DPI = 70
"""Of pictures in it: small, since they are committed."""


def outputs_of(source: str, namespace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a cell; yield what it prints, and what its last expression is: a picture, or its repr."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": printed.getvalue()}
    if hasattr(value, "savefig"):
        picture = io.BytesIO()
        value.savefig(picture, dpi=DPI)
        data = {"image/png": base64.b64encode(picture.getvalue()).decode()}
        yield {"output_type": "display_data", "metadata": {}, "data": data}
    elif value is not None:
        data = {"text/plain": repr(value)}
        yield {"output_type": "execute_result", "metadata": {}, "data": data, "execution_count": None}


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run every cell, one after another, in the folder that one is in; return the notebook with outputs."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = []
    for cell in notebook["cells"]:
        found = [*outputs_of("".join(cell["source"]), namespace)] if cell["cell_type"] == "code" else None
        cells.append(cell if found is None else {**cell, "outputs": found})
    return {**notebook, "cells": cells}


def read() -> Any:
    """Return the tour."""
    return json.loads(TOUR.read_text(encoding="utf-8"))


def page() -> str:
    """Return the tour as a page: its cells, and what they gave; pictures by ``pictures``."""
    parts, number = [], 0
    for cell in read()["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                parts.append(f"![What the cell draws](tour/{number}.png)")
                number += 1
            else:
                text = output.get("text") or output["data"]["text/plain"]
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def pictures() -> list[bytes]:
    """Return the pictures of the tour, PNG, in their order."""
    return [
        base64.b64decode(output["data"]["image/png"])
        for cell in read()["cells"]
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    tour = read()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tour = run(tour)
    TOUR.write_text(json.dumps(tour, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
