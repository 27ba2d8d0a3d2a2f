"""``rsn publish``: trained networks as folders to hand on."""

import shlex
from pathlib import Path
from typing import Any

import click

from rsgt.cli.options import INPUT, Folder
from rsgt.cli.terminal import Script
from rsn.cli.loading import WEIGHTS, importing


@click.command(cls=Script)
@click.option("--checkpoint", type=WEIGHTS, required=True, help="A run's folder, or a .ckpt file of one.")
@click.option(
    "--out", type=Folder("folder of published weights", new=True), required=True, help="The folder to write."
)
@click.option("--name", default="", help="A short name for people.  [default: the folder's]")
@click.option("--terms", default="", help="Terms of use, in one line: 'research use: NYU Depth v2'.")
@click.option("--limits", default="", help="What the weights are no good for, for the card.")
@click.option(
    "--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True,
    help="Half precision is half the size.",
)  # fmt: skip
@click.option(
    "--record", "records", type=INPUT, multiple=True,
    help="What `rsn evaluate --out` wrote of this checkpoint, for the card; may be given more than once.",
)  # fmt: skip
def publish(
    *, checkpoint: Any, out: Path, name: str, terms: str, limits: str, dtype: Any, records: tuple[Path, ...]
) -> None:
    """Write a trained network as a folder that others can load, or that goes to the Hugging Face Hub.

    \b
    model.safetensors  the weights: the running average where the run had one
    config.json        all else that rebuilds the network, with the weights' SHA-256
    README.md          the model card: data, figures, limits, terms, how it was made

    --checkpoint of `rsn predict`, `evaluate` and `export` takes the folder, and hf://OWNER/NAME for one on
    the Hub.
    """  # noqa: D301 - click's mark of a block that is not wrapped
    with importing():
        import rsn.experiment

    given: dict[str, Any] = {"name": name, "terms": terms, "limits": limits, "dtype": dtype}
    said = [
        part
        for key, value in {"checkpoint": checkpoint, "out": out, **given}.items() if value
        for part in (f"--{key}", str(value))
    ]  # fmt: skip
    said += [part for one in records for part in ("--record", str(one))]
    folder = rsn.publish(
        checkpoint, out, **given, records=records, command=shlex.join(["rsn", "publish", *said])
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"{folder}: {size / 1e6:.1f} MB")
