"""One self-contained HTML page about photos: depth, regions, confidence and the scene of each."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image

from rsgt.files import write_text
from rsgt.page import browser, colours, document
from rsgt.page.document import MAX_BYTES, MAX_COUNT
from rsgt.page.pictures import DEPTH_MAP, ERROR_MAP
from rsn.photos.prediction import Metres, Prediction
from rsn.photos.reading import Rgb

SIDE = 640
"""Pixels of a photo's longer side on the page, where there is room."""
_CARD_SIDE = 480
_CARD_BYTES = 40_000
_LEAST_SIDE = 32
_THOUSAND = 1000
"""Of confidence on the page; no browser needs more."""
_SOURCES = {"option": "as given", "exif": "by the photo's EXIF", "assumed": "assumed: NYU's camera"}


class Page:
    """A page that is written when all photos are done; it keeps what it shows of each, some 100 kB at most.

    Parameters
    ----------
    network : str
        What to say of the network.
    photos : int
        How many are to come; of more than ``MAX_COUNT`` the first are shown.

    Attributes
    ----------
    entries : list of str
        What the page's script reads of each photo that was predicted.
    """

    def __init__(self, network: str, photos: int) -> None:
        self.network = network
        self.entries: list[str] = []
        self._cards: list[str] = []
        self._failed: list[str] = []
        self._done = 0
        self._template = _template()
        shown = max(1, min(photos, MAX_COUNT))
        self._room = (MAX_BYTES - len(self._template.encode())) // shown - _CARD_BYTES

    def add(self, name: str, rgb: Rgb, found: Prediction, result: Mapping[str, Any]) -> None:
        """Show a photo of that name, with what ``rsn.photos.writing.write_all`` said of it."""
        self._done += 1
        if len(self.entries) == MAX_COUNT:
            return
        entry: dict[str, Any] = {"id": name, "title": name, "about": about(result)}
        entry["figure"] = f"{result['nearest_m']:.2f}–{result['farthest_m']:.2f} m"
        self.entries.append(_fitted(entry, rgb, found, self._room))
        pictures = _beside(rgb, found.depth)
        caption = f"<b>{escape(name)}</b> {entry['figure']} <span>{escape(entry['about'])}</span>"
        caption += "".join(f"<span>{escape(note)}</span>" for note in found.notes)
        self._cards.append(document.card(pictures, f"{name}: photo and depth", caption))

    def failed(self, result: Mapping[str, Any]) -> None:
        """Name a photo that was not predicted."""
        if len(self._failed) < _THOUSAND:
            self._failed.append(f"<dt>{escape(result['photo'])}</dt><dd>{escape(result['error'])}</dd>")

    def write(self, path: Path) -> None:
        """Write the page."""
        count, shown = self._done, len(self.entries)
        failed = "".join(self._failed)
        parts = {
            "name": f"{count} photo{'s' * (count != 1)}",
            "network": escape(self.network),
            "cards": "".join(self._cards),
            "size": "" if shown == count else f"The first {shown} of {count:,} are on this page.",
            "failed": failed and f"<h2 id=h-failed>Not predicted</h2><dl class=facts>{failed}</dl>",
            "data": f'{_head()[:-1]},"frames":[{",".join(self.entries)}]}}',
        }
        write_text(path, document.filled(self._template, document.writable(parts)))


def about(result: Mapping[str, Any]) -> str:
    """Say in one line what ``rsn.photos.writing.write_all`` said of a photo."""
    fx, fy = result["focal"]
    length = f"{fx:.4g}" if fx == fy else f"{fx:.4g} x {fy:.4g}"
    sure = "" if result["confidence"] is None else f", mean confidence {result['confidence']:.3f}"
    return (
        f"median {result['median_m']:.2f} m, {result['regions']} regions{sure}, focal length {length} px "
        f"({_SOURCES[result['focal_source']]})"
    )


def _template() -> str:
    folder = files("rsn.photos") / "web"
    return document.template("photos", folder, library="three.min.js", shared=("sides.js",))


def _head() -> str:
    """Give what the script reads of all photos."""
    return browser.text_of({
        "palette": ["#" + bytes(colour.tolist()).hex() for colour in colours.PALETTE],
        "neutral": colours.NEUTRAL,
        "scales": [browser.colour_scale(name) for name in (DEPTH_MAP, ERROR_MAP)],
        "shape": [1, 1],
        "word": "Photo",
    })  # fmt: skip


def _fitted(entry: dict[str, Any], rgb: Rgb, found: Prediction, room: int) -> str:
    """Pack a photo as large as ``room`` bytes allow."""
    longer = max(found.depth.shape)
    step = max(1, -(-longer // SIDE))
    colour = colours.region_colours(found.region[::step, ::step])[1:].tolist()
    figures = entry | _figures(found) | {"colour": colour}
    while True:
        text = browser.text_of(figures | _maps(rgb, found, step))
        if len(text) <= room or longer // step < _LEAST_SIDE:
            return text
        step += max(1, step // 4)


def _figures(found: Prediction) -> dict[str, Any]:
    """Give figures of the photo and of its regions, depths in mm."""
    seen = found.depth[found.depth > 0]
    flat = found.region.ravel()
    area = np.bincount(flat)
    mean = np.bincount(flat, found.support.ravel()) / np.maximum(area, 1)
    doubt = 0 if found.confidence is None else int(_THOUSAND * np.percentile(1 - found.confidence, 99)) + 1
    return {
        "depth": [round(1000 * float(seen.min())), round(1000 * float(seen.max()))],
        "area": area[1:].tolist(),
        "mean": np.rint(1000 * mean[1:]).astype(int).tolist(),
        "doubt": doubt,
    }


def _maps(rgb: Rgb, found: Prediction, step: int) -> dict[str, Any]:
    """Photo and maps at every ``step``-th pixel, and the camera of these."""
    thinned = [found.region, _share(found), browser.millimetres(found.depth)]
    small = [values[::step, ::step] for values in thinned]
    return {
        "shape": list(small[0].shape),
        "step": step,
        "focal": [side / step for side in found.camera.focal],
        "centre": [side / step for side in found.camera.centre],
        "jpeg": browser.jpeg(Image.fromarray(rgb).reduce(step)),
        "maps": browser.pack_maps(small),
    }


def _share(found: Prediction) -> Any:
    if found.confidence is None:
        return np.zeros(found.depth.shape, np.int32)
    return np.rint(_THOUSAND * np.clip(found.confidence, 0, 1)).astype(np.int32)


def _beside(rgb: Rgb, depth: Metres) -> Image.Image:
    """Photo and depth beside each other, small."""
    step = max(1, -(-max(depth.shape) // _CARD_SIDE))
    small = depth[::step, ::step]
    low, high = small.min(), small.max()
    share = (small - low) / (high - low if high > low else 1)
    painted = colormaps[DEPTH_MAP](share, bytes=True)[..., :3]
    return Image.fromarray(np.hstack([np.asarray(Image.fromarray(rgb).reduce(step)), painted]))
