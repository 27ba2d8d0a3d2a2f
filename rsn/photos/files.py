"""Photos in, files out: one after another, so that memory does not grow with their number."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rsgt.inputs import InputError
from rsn.photos import naming, scene, writing
from rsn.photos.camera import Camera, Pair, camera_of, check_camera
from rsn.photos.finding import find_photos
from rsn.photos.page import Page
from rsn.photos.prediction import Prediction
from rsn.photos.reading import OpenedPhoto, open_photo

PAGE = "predicted.html"


def check_options(
    out: Path, *, focal: Pair | None, centre: Pair | None, fov: float | None, points: int, slant: float
) -> None:
    """Refuse what is of no use for any photo; the rest as for ``predict_files``."""
    check_camera(focal, centre, fov)
    naming.check_output(out, points)
    if not 0 < slant <= 90:
        raise InputError(f"slant: got {slant:g}, expected more than 0 degrees, and 90 at most (keep all)")


def predict_files(
    predict: Callable[[OpenedPhoto, Camera], Prediction],
    places: Sequence[Path],
    out: Path,
    *,
    focal: Pair | None = None,
    centre: Pair | None = None,
    fov: float | None = None,
    points: int = 1_000_000,
    slant: float = scene.SLANT,
    page: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Predict photos, and write for each what ``rsn.photos.writing`` can, under the photo's name.

    Parameters
    ----------
    predict
        Predicts one photo.
    page : str, optional
        What to say of the network on the page about these photos, ``PAGE``; None = no page.
    places, out, focal, centre, fov, points, slant
        As for ``Predictor.predict_files``, which says what is yielded and raised, too.
    """
    check_options(out, focal=focal, centre=centre, fov=fov, points=points, slant=slant)
    photos, barren = find_photos(places)
    chosen, skipped = naming.choose(photos) if photos else ({}, [])
    out.mkdir(parents=True, exist_ok=True)
    shown = None if page is None else Page(page, len(chosen))
    for path in skipped:
        yield {"photo": str(path), "skipped": "it is what a prediction wrote"}
    for path, name in chosen.items():
        try:
            naming.check_overwrites(out / name, chosen)
            opened = open_photo(path)
            camera = camera_of(opened.rgb.shape, opened.focal, focal=focal, centre=centre, fov=fov)
            found = predict(opened, camera)
            written = writing.write_all(out / name, opened.rgb, found, points=points, slant=slant)
            result = {"photo": str(path), **written, "notes": list(found.notes)}
            if shown is not None:
                shown.add(name, opened.rgb, found, result)
        except InputError as error:
            result = {"photo": str(path), "error": str(error).removeprefix(f"{path}: ")}
        except MemoryError:
            result = {"photo": str(path), "error": "not enough memory to predict it; downscale it"}
        if shown is not None and "error" in result:
            shown.failed(result)
        yield result
    for place, reason in barren.items():
        yield {"photo": str(place), "error": reason}
    if shown is not None and shown.entries:
        shown.write(out / PAGE)
