"""``rsn predict``: photos in, depth and scenes out."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from rsgt.cli.options import INPUT, Folder, Real, Whole
from rsgt.cli.terminal import Script
from rsgt.inputs import InputError
from rsn.cli.loading import CHECKPOINT, DEVICE, WEIGHTS, importing

_SOURCES = {"option": "as given", "exif": "EXIF", "assumed": "assumed, NYU's camera"}


@click.command(cls=Script)
@click.argument("photos", type=INPUT, nargs=-1, required=True, metavar="PATH...")
@click.option("--checkpoint", type=WEIGHTS, help=f"{CHECKPOINT}  [default: these]")
@click.option(
    "--out", type=Folder("folder to write to"), default="predicted", show_default=True,
    help="Folder to write to.",
)  # fmt: skip
@click.option(
    "--fx", type=Real(positive=True),
    help="Focal length in pixels of the photo; --fy, --cx and --cy likewise.",
)  # fmt: skip
@click.option("--fy", type=Real(positive=True), help="[default: fx]")
@click.option("--cx", type=Real(), help="[default: the middle]")
@click.option("--cy", type=Real(), help="[default: the middle]")
@click.option(
    "--fov", type=Real(positive=True, below=180),
    help="Horizontal field of view in degrees, instead.  [default: the photo's EXIF, else NYU's camera]",
)  # fmt: skip
@click.option(
    "--flip/--no-flip", default=True, show_default=True,
    help="Average with the prediction for the mirrored photo, which also gives confidence; twice the time.",
)  # fmt: skip
@click.option(
    "--points", type=Whole(0), default=1_000_000, show_default=True,
    help="Most points of a cloud and vertices of a surface; 0 = neither.",
)  # fmt: skip
@click.option(
    "--slant", type=Real(positive=True), default=84.0, show_default=True,
    help="Degrees from a surface's normal from which on it is taken for an edge of depth: what would fly in "
    "the air there is left out of cloud and surface. 90 = keep all.",
)  # fmt: skip
@click.option("--page/--no-page", default=True, show_default=True, help="Write predicted.html.")
@click.option("--device", type=DEVICE, default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each photo as it is done.")
def predict(
    *, photos: tuple[Path, ...], checkpoint: Path | None, out: Path, fx: float | None, fy: float | None,
    cx: float | None, cy: float | None, fov: float | None, flip: bool, points: int, slant: float, page: bool,
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Predict depth in metres for photos, each at its own size.

    PATH is a photo, a folder of photos, or a pattern in quotes: 'photos/**/*.jpg'. Without --checkpoint, the
    network that comes with the package predicts.

    \b
    NAME.depth.npy       metres, float32
    NAME.depth.png       millimetres, 16 bits
    NAME.picture.png     photo and depth beside each other, with a scale
    NAME.region.npy      regions' labels; NAME.labels.png the same in 16 bits,
                         NAME.region.png to look at
    NAME.support.npy     region support: each region's mean depth, metres
    NAME.confidence.png  16 bits, 65535 = 1: how far the depths for the photo
                         and for the mirrored one agree
    NAME.reliability.png clustering alone: its own, likewise
    NAME.ply, NAME.glb   points, and a surface with the photo on it: metres,
                         x to the right, y up, the camera at 0 looks along -z
    predicted.html       a page about all of them

    NAME is the photo's without its ending. Where photos would share it, their endings stay, then their
    folders come before it: left_frame.png and right_frame.png. Files that predict wrote are passed over
    where they are given as photos, so that --out may be the photos' own folder.

    A photo that cannot be read is named, the others are predicted, and the exit code is 1.
    """  # noqa: D301 - click's mark of a block that is not wrapped
    if (
        (cx is None) != (cy is None)
        or (fy is not None and fx is None)
        or (fov is not None and fx is not None)
    ):
        raise InputError("intrinsics: give --fx (with --fy where it differs) or --fov, and --cx with --cy")
    with importing():
        import rsn.experiment

    focal = None if fx is None else (fx, fx if fy is None else fy)
    centre = None if cx is None or cy is None else (cx, cy)
    predictor = rsn.load(checkpoint, flip=flip, device=device)
    if checkpoint is None and not as_json:
        click.echo(f"weights: {predictor.described()}", err=True)
    done = failed = 0
    for result in predictor.predict_files(
        photos, out, focal=focal, centre=centre, fov=fov, points=points, slant=slant, page=page
    ):
        done, failed = done + ("out" in result), failed + ("error" in result)
        if as_json:
            click.echo(json.dumps(result))
        else:
            _show_photo(result)
    if done + failed > 1 and not as_json:
        click.echo(f"{done} of {done + failed} photos predicted")
    if failed:
        sys.exit(1)


def _show_photo(result: dict[str, Any]) -> None:
    """Print what became of a photo: one line, and one more for each thing that its owner should know."""
    photo = " ".join(click.format_filename(result["photo"]).split())
    if "out" not in result:
        word = "error" if "error" in result else "skipped"
        click.echo(f"{word}: {photo}: {' '.join(click.format_filename(result[word]).split())}", err=True)
        return
    fx, fy = result["focal"]
    length = f"{fx:.4g}" if fx == fy else f"{fx:.4g} x {fy:.4g}"
    click.echo(
        f"{photo}: {result['nearest_m']:.2f} to {result['farthest_m']:.2f} m, median "
        f"{result['median_m']:.2f} m, {result['regions']} regions, focal length {length} px "
        f"({_SOURCES[result['focal_source']]}) -> {' '.join(click.format_filename(result['out']).split())}.*"
    )
    for note in result["notes"]:
        click.echo(f"note: {photo}: {' '.join(note.split())}")
