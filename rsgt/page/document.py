"""A page as one file that needs no other: template, style, script, and the pieces that pages are made of."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from PIL import Image

from rsgt.page import browser

MAX_BYTES = 6_000_000
"""Size that a page keeps below by showing its frames smaller."""

MAX_COUNT = 60
"""Frames that a page can show."""

_WHOLE = 40
"""Rows that a table shows without a scroll bar."""


def template(
    name: str, folder: Traversable | None = None, *, shared: Sequence[str] = (), library: str = ""
) -> str:
    """Read a page's template with its style and script in place, and a policy that lets no other act.

    Parameters
    ----------
    name
        Of ``NAME.html`` and ``NAME.js``.
    folder
        Where these are, and ``library``; by default here.
    shared
        Scripts of several pages that this one takes, beside ``page.js``.
    library
        A script of others that it takes.
    """
    here = files("rsgt.page")
    folder = here if folder is None else folder
    style, *common = ((here / file).read_text(encoding="utf-8") for file in ("page.css", "page.js", *shared))
    own_files = [f"{name}.html", f"{name}.js", *([library] if library else [])]
    html, script, *others = ((folder / file).read_text(encoding="utf-8") for file in own_files)
    own = {"style": f"\n{style}", "script": "\n" + "".join([*common, *others, script])}
    sealed = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in own.items()
    }
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{sealed['style']}'; script-src 'sha256-{sealed['script']}'"
    )
    return filled(html, own | {"policy": policy})


def plain_template(html: str) -> str:
    """Put the pages' style into a template without a script, and a policy that lets nothing act."""
    style = f"\n{(files('rsgt.page') / 'page.css').read_text(encoding='utf-8')}"
    sealed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src 'sha256-{sealed}'"
    )
    return filled(html, {"style": style, "policy": policy})


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Put parts, HTML already, into the places of a template that are called like them."""
    # In one pass, so that nothing in a part is taken for a placeholder.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts.get(match[1], match[0]), text)


def writable(parts: Mapping[str, str]) -> dict[str, str]:
    """Parts without what UTF-8 can't hold: a name that is no text, as a file's can be."""
    return {name: part.encode("utf-8", "replace").decode() for name, part in parts.items()}


def room(text: str, parts: Mapping[str, str], most: int) -> int:
    """Bytes that are left for the frames of a page of ``most``."""
    return most - len(text.encode()) - sum(len(part.encode()) for part in parts.values())


def frames_shown(packed: browser.Packed, frames: int, order: str) -> str:
    """Say how many of a number of frames a page shows, in which ``order``, and how large."""
    height, width = packed.shape
    shrunk = f", 1/{packed.shrink} of their size, to keep this page small" if packed.shrink > 1 else ""
    return f"{packed.frames} of {frames:,},{order} at {width} × {height} pixels{shrunk}."


def tiles(shown: Sequence[tuple[str, str, str]]) -> str:
    """Write figures, each a name, a value and a note that are HTML already."""
    return "".join(f"<div><dt>{name}</dt><dd><b>{value}</b> {note}</dd></div>" for name, value, note in shown)


def card(pictures: Image.Image, alt: str, caption: str) -> str:
    """Write a small picture of a frame with its caption, which is HTML already."""
    pictures.thumbnail((480, 480), Image.Resampling.BOX)
    return f"<li>{picture(pictures, alt)}{caption}</li>"


def picture(image: Image.Image, alt: str) -> str:
    """Write a picture as it is."""
    return (
        f'<img src="data:image/jpeg;base64,{browser.jpeg(image)}" alt="{escape(alt)}" '
        f'width="{image.width}" height="{image.height}">'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, texts: int) -> str:
    """Write a table of cells that are HTML already; the first ``texts`` columns are words."""
    kinds = ["" if k < texts else " class=n" for k in range(len(head))]
    top = "".join(f"<th scope=col{kind}>{cell}" for kind, cell in zip(kinds, head, strict=True))
    body = "".join(
        "<tr><th scope=row>"
        + row[0]
        + "".join(f"<td{k}>{c}" for k, c in zip(kinds[1:], row[1:], strict=True))
        for row in rows
    )
    kind = '"scroll whole"' if len(rows) <= _WHOLE else "scroll"
    return (
        f'<div class={kind} tabindex=0 role=region aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}<tbody>{body}</table></div>"
    )


def facts(shown: Mapping[str, Any]) -> str:
    """Write names with their values, text or pairs of such."""

    def told(value: Any) -> str:
        if isinstance(value, dict):
            pairs = (
                f"<span>{escape(str(k).replace('_', ' '))} <b>{escape(_plain(v))}</b></span>"
                for k, v in value.items()
            )
            return f"<span class=pairs>{' '.join(pairs)}</span>"
        return escape(str(value))

    return "".join(f"<dt>{escape(name)}</dt><dd>{told(value)}</dd>" for name, value in shown.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
