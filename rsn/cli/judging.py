"""``rsn evaluate``, ``compare`` and ``report``: predictions against the truth, results against each other.

A network is judged with PyTorch; maps and records need none.
"""

import sys
from pathlib import Path
from typing import Any

import click

import rsgt
import rsn
from rsgt.cli.options import FRAMES, INPUT, OUTPUT, STORED, Folder, definitions, map_options
from rsgt.cli.terminal import Script, print_json, print_maps, print_table, progress_bar
from rsgt.inputs import InputError
from rsgt.quality.evaluation.alignment import ALIGNMENTS, KINDS
from rsgt.quality.measures import DEPTH, SETS, described
from rsgt.quality.pooling import REDUCERS
from rsn.cli.loading import CHECKPOINT, DEVICE, WEIGHTS, importing

_SETS = "\b\n" + "\n".join(f"{name:<11} {what}" for name, what in SETS.items())
_EVALUATE = f"""Judge a checkpoint, or predicted depth maps of any origin, on frames of a store.

Maps: .npy (frame, y, x), .npz, a .zarr that rsn wrote, or a folder of .npy, .npz, 16-bit PNG, TIFF, PFM or
EXR, named by the frames' numbers or by their names in the source. Other sizes are resized. Frames without a
map are left out and counted. Pixels that are NaN, infinite or not above 0 count as the protocol's least
depth, and are counted, too.

{definitions(DEPTH)}

p is the prediction, q the truth; means go over the pixels that count. Each is given by every reducer:
{", ".join(REDUCERS.values())}; * marks the protocol's own.

Beside these errors of depth, --measure asks for more:

{_SETS}
"""


_OF_REGIONS = {"rmse": "region_rmse", "variance": "region_variance", "instability": "instability"}
"""Figures per region in a record, and the measure that each is."""


@click.command(cls=Script, help=_EVALUATE)
@click.option("--store", type=STORED, required=True, help="Store that `rsgt build` made.")
@click.option("--checkpoint", type=WEIGHTS, help=CHECKPOINT)
@click.option("--prediction", type=INPUT, help="Predicted maps instead: a file, or a folder.")
@click.option(
    "--prediction-kind", "kind", type=click.Choice([*KINDS]), default="depth", show_default=True,
    help="What their numbers are: depth, or inverse depth.",
)  # fmt: skip
@map_options
@click.option(
    "--split",
    default="test",
    show_default=True,
    help="train, test, all (of a checkpoint, frames that it may have learnt from are among them), or "
    "validation of a run.",
)
@click.option(
    "--protocol", "names", multiple=True,
    help="paper, nyu-eigen or nyud-mt; may be given more than once.  [default: paper]",
)  # fmt: skip
@click.option(
    "--align", type=click.Choice([*ALIGNMENTS]), default="none", show_default=True,
    help="What each image's prediction is granted first, by the pixels that count.",
)  # fmt: skip
@click.option(
    "--measure", "measures", multiple=True, type=click.Choice([*SETS, "all"]),
    help="What else to measure, see above; may be given more than once.",
)  # fmt: skip
@click.option("--raw", is_flag=True, help="Compare with raw depth (the store's must be raw).")
@click.option("--flip", is_flag=True, help="Average with the prediction for the mirrored image.")
@click.option(
    "--confidence", is_flag=True,
    help="Say how the error falls with the prediction's confidence, by the first protocol; needs --flip.",
)  # fmt: skip
@click.option("--device", type=DEVICE, default="auto", show_default=True)
@click.option("--out", type=OUTPUT, help="Write the record, as JSON.")
@click.option("--csv", "table", type=OUTPUT, help="Write the errors of every frame.")
@click.option("--save", type=Folder("predictions", new=True), help="Write a checkpoint's predictions.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def evaluate(
    *, store: Path, checkpoint: Path | None, prediction: Path | None, kind: Any, scale: float | None,
    match: Any, split: str, names: tuple[str, ...], align: Any, measures: tuple[str, ...], raw: bool,
    flip: bool, confidence: bool, device: str, out: Path | None, table: Path | None, save: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Parse, judge, print."""
    if checkpoint is not None and prediction is not None:
        raise click.UsageError("give --checkpoint, or --prediction with maps")
    protocols = names or ("paper",)
    if checkpoint is not None:
        if kind != "depth" or scale is not None or match is not None:
            raise InputError("--prediction-kind, --prediction-scale and --match are for --prediction")
        with importing():
            import rsn.experiment
        record = rsn.evaluate(
            checkpoint, store, protocols, flip=flip, raw=raw, align=align, measures=measures, split=split,
            confidence=confidence, device=device, save=save, table=table, out=out,
            stream=None if as_json else sys.stderr,
        )  # fmt: skip
    elif prediction is not None:
        if flip or confidence or save is not None:
            raise InputError("--flip, --confidence and --save belong to --checkpoint; omit them")
        with progress_bar("frames", quiet=as_json) as progress:
            record = rsgt.evaluate(
                store, prediction, protocols=protocols, split=split, align=align,
                raw=raw, kind=kind, scale=scale, match=match, measures=measures, table=table, out=out,
                progress=progress,
            )  # fmt: skip
    else:
        raise click.UsageError("give --checkpoint, or --prediction with maps")
    print_json(record) if as_json else _show(record)
    if record["skipped"] or record["damaged"]:
        sys.exit(1)


def _show(record: dict[str, Any]) -> None:
    for key, fields in record["protocols"].items():
        protocol = rsn.Protocol(**fields)
        click.echo(f"{protocol}\n")
        print_table([_line(record, key, name, protocol.reducer) for name in record["intervals"][key]])
        if categories := [n for n in record["metrics"][key]["image_mean"] if n.startswith("category_rmse_")]:
            click.echo(f"errors of {len(categories)} categories: --json or --out")
        if invalid := record["invalid_pixels"][key]:
            click.echo(f"invalid pixels, taken as {protocol.minimum_m:g} m: {invalid:,}")
        click.echo()
    for name, truths in record["regions"].items():
        for truth, errors in truths.items():
            text = ", ".join(
                f"{key} {value:.4f} {described(_OF_REGIONS[key]).unit}"
                for key, value in errors.items() if value is not None
            )  # fmt: skip
            click.echo(f"per region, {name} against {truth}: {text}")
    for name, found in record.get("confidence", {}).items():
        _show_confidence(name, found)
    for name, value in record["partition"].items():
        click.echo(f"regions, {name.replace('_', ' ')}: {value:.4f}")
    click.echo(f"{record['frames']} frames of {record['split']}, {record['seconds']:.1f} s")
    if "prediction" in record:
        print_maps(record["prediction"])
    for line in record["damaged"]:
        click.echo(f"skipped: {line}", err=True)
    if record["skipped"]:
        numbers = ", ".join(map(str, record["skipped"]))
        click.echo(f"{len(record['skipped'])} without a pixel that counts, left out: frame {numbers}")


def _show_confidence(name: str, found: dict[str, Any]) -> None:
    """Print the error of each tenth of the pixels, from the least sure to the surest."""
    click.echo(f"confidence by {name}, tenths of {found['pixels']:,} pixels\n")
    print_table(found["tenths"])
    worst = {key: "–" if share is None else f"{share:.0%}" for key, share in found["worst_tenth"].items()}
    click.echo(
        f"\nthe least sure tenth holds {worst['abs']} of the absolute error and {worst['squared']} of the "
        f"squared; the largest errors' tenth {worst['abs_best']} and {worst['squared_best']}\n"
    )


def _line(record: dict[str, Any], protocol: str, name: str, own: str) -> dict[str, Any]:
    """One measure: by each reducer, the protocol's own marked, and the interval of the mean over images."""
    found = {
        reducer.replace("_", " ") + "*" * (reducer == own): errors[name]
        for reducer, errors in record["metrics"][protocol].items()
    }
    low, high = record["intervals"][protocol][name]
    first, *others = found.items()
    unit = described(name).unit
    mean = {first[0]: first[1], "95 % of the mean": f"{low:.4f} to {high:.4f}"}
    return {"measure": f"{name} ({unit})" if unit else name, **mean, **dict(others)}


@click.command(cls=Script)
@click.argument("first", metavar="RECORD", type=INPUT)
@click.argument("second", metavar="RECORD", type=INPUT)
@click.option("--most", type=click.IntRange(0, 1000), default=5, show_default=True, help="Frames to name.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare(first: Path, second: Path, most: int, as_json: bool) -> None:
    """Compare two records of `rsn evaluate --out` on the frames that both judged.

    Differences are the second's error minus the first's, frame by frame; the interval (95 %) is of
    their mean.
    """
    found = rsgt.compare_records(first, second, most=most)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['frames']} frames in common; difference: second minus first\n")
    for name, compared in found["protocols"].items():
        click.echo(f"{name}, means over images\n")
        print_table([
            {
                "measure": measure, "first": one["first"], "second": one["second"],
                "difference": one["difference"], "95 %": "{:.4f} to {:.4f}".format(*one["interval"]),
                "better": one["better"],
            }
            for measure, one in compared["differences"].items()
        ])  # fmt: skip
        if compared["most"]:
            click.echo(f"\nframes that differ most in {compared['most_in']}\n")
            print_table(compared["most"])
        click.echo()
    if found["only_one"]:
        click.echo(f"{found['only_one']} frames that only one of them judged are left out")


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True, help="Store that the results were judged on.")
@click.option(
    "--result", "results", type=INPUT, nargs=2, multiple=True, required=True, metavar="RECORD MAPS",
    help="A record of `rsn evaluate --out`, and the maps that it was made of; of a checkpoint, those that "
    "--save wrote. May be given several times.",
)  # fmt: skip
@click.option("--out", type=OUTPUT, default="result.html", show_default=True, help="The page.")
@click.option("--frames", type=FRAMES, help="Frames to look into: 1-6,60.  [default: twelve, by error]")
def report(store: Path, results: tuple[tuple[Path, Path], ...], out: Path, frames: list[int] | None) -> None:
    """Write one HTML page about results: figures, errors by frame, frames to look into, side by side."""
    rsgt.result_page(store, results, out, frames=frames)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
