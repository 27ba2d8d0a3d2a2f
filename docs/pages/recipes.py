"""The reference of settings: every key with its range, and every recipe as it stands."""

from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin

from rsn import config

HEAD = """# Recipes

A recipe is a TOML file of the sections below; `rsn fit --recipe NAME` takes one that comes with the package,
or a file. Every key is a flag of `rsn fit` (`batch_size` is `--batch-size`), a keyword of `rsn.fit`, and
stands in a run's `config.toml`, which is itself a recipe. A flag overrides the recipe, the recipe the
default. Made from `rsn.config` and the recipes themselves.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    sections: dict[str, list[str]] = {}
    for section, item, hint in config.all_keys():
        default = item.default if item.default is not MISSING else None
        row = (
            f"| `{item.name}` | {_values(item, hint)} | {_shown(default)} | {_cell(item.metadata['help'])} |"
        )
        sections.setdefault(section, []).append(row)
    for section, rows in sections.items():
        parts += [f"## [{section}]\n\n| key | values | default | |\n| --- | --- | --- | --- |", *rows, ""]
    for name in config.recipe_names():
        text = (config.RECIPES / f"{name}.toml").read_text(encoding="utf-8")
        parts.append(f"## {name}\n\n```toml\n{text}```\n")
    return "\n".join(parts)


def _values(item: Any, hint: Any) -> str:
    """What a key may be."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    least, most = item.metadata["least"], item.metadata["most"]
    kinds = {bool: "yes or no", str: "text", int: "whole number", float: "number"}
    kind = kinds.get(hint, "numbers")
    if least is None:
        return kind
    return f"{kind}, {least:g} or more" if most is None else f"{kind}, {least:g} to {most:g}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "none"


def _cell(text: str) -> str:
    return text.replace("|", "&#124;")
