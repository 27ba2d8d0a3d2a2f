"""Whether every public name has a docstring of its own and a place on its page."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module


def complaints(package: str, page: str) -> Iterator[str]:
    """Yield a line for each public name that has no docstring or place on the page, or is there in vain."""
    public = import_module(package)
    shown = re.findall(rf"(?m)^::: {package}\.(\w+)$", page)
    for name in sorted({*public.__all__} - {*shown}):
        yield f"{package}.{name}: public, and not on the page of the API; add '::: {package}.{name}'"
    for name in shown:
        if name not in public.__all__ or shown.count(name) > 1:
            yield f"{package}.{name}: on the page of the API twice, or not public"
    for name in public.__all__:
        found = getattr(public, name)
        if not (found.__doc__ or "").strip():
            yield f"{package}.{name}: no docstring"
        if inspect.isclass(found):
            yield from (f"{package}.{name}.{member}: no docstring" for member in _undocumented(found))


def _undocumented(found: type) -> list[str]:
    """Names of a class's own public methods and properties that say nothing, nor what they override."""
    return [
        name
        for name, value in vars(found).items()
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(found, name))
    ]
