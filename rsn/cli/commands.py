"""``rsn``: parse, make one call of the public API, print.

Nothing here imports PyTorch before a command runs, so that ``rsn --help`` answers at once, also where
PyTorch is missing. The flags of ``rsn fit`` are the keys of ``rsn.config``.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

import rsn
from rsgt import __version__
from rsgt.cli.options import INPUT, STORED, Folder, Output
from rsgt.cli.terminal import INTERRUPTED, Program, Script, print_json
from rsn import config as settings
from rsn.cli.judging import compare, evaluate, report
from rsn.cli.loading import CHECKPOINT, WEIGHTS, importing
from rsn.cli.photos import predict
from rsn.cli.publishing import publish

HEADINGS = {
    "network": "Model",
    "data": "Data",
    "loss": "Loss",
    "optimizer": "Optimisation",
    "run": "Device and duration",
}
"""Section of the settings to the heading of its options in ``rsn fit --help``."""


class _Sectioned(Script):
    """A command whose help lists the options that are settings under a heading for each section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then a block for each section."""
        section_of = {item.name: section for section, item, _ in settings.all_keys()}
        blocks: dict[str, list[tuple[str, str]]] = {"Options": [], **{text: [] for text in HEADINGS.values()}}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                blocks[HEADINGS.get(section_of.get(option.name or "", ""), "Options")].append(record)
        for heading, records in blocks.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def _setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for every key of ``rsn.config``; the key checks the value."""
    for _, item, hint in reversed(list(settings.all_keys())):
        flag = "--" + item.name.replace("_", "-")
        text = f"{item.metadata['help']}  [default: {_shown(item.default)}]"
        if hint is bool:
            option = click.option(f"{flag}/--no-{flag[2:]}", item.name, default=None, help=text)
        elif get_origin(hint) is Literal:
            option = click.option(flag, item.name, type=click.Choice(get_args(hint)), help=text)
        else:
            metavar = {int: "N", float: "X", str: "TEXT"}.get(
                hint, "HxW" if item.name == "size" else "X,X,..."
            )
            option = click.option(flag, item.name, metavar=metavar, help=text)
        command = option(command)
    return command


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ("x" if isinstance(value[0], int) else ",").join(map(str, value)) if value else "none"
    return "none" if value == "" else str(value)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rsn")
def main() -> None:
    """Region support networks: from a store to a trained network, and from a photo to metric depth."""


@main.command(cls=_Sectioned)
@click.option(
    "--store", "stores", type=STORED, multiple=True, required=True, help="Store to learn from, or several."
)
@click.option("--out", type=Folder("folder of a run"), required=True, help="Folder of the run.")
@click.option(
    "--recipe",
    type=INPUT,
    help=f"Settings that flags override: {', '.join(settings.recipe_names())}, or a TOML file.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its own settings.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.option("--tensorboard", is_flag=True, help="Write the log for TensorBoard too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and no progress.")
@_setting_flags
def fit(
    *, stores: tuple[Path, ...], out: Path, recipe: Path | None, resume: bool, dry_run: bool,
    tensorboard: bool, as_json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Train a network on a store, or on several together.

    \b
    --model generation   colour -> depth, or region support (--target support)
    --model refinement   colour, guidance and a coarse depth -> depth; --guidance
                         says what guides it
    --model rsn          generation, then refinement guided by its region support,
                         end to end
    --model clustering   colour -> an embedding, clustered into regions, and depth
                         refined region by region

    The folder --out then holds last.ckpt (to resume), best.ckpt (lowest RMSE on the held-out frames),
    config.toml (the settings, itself a recipe), log.csv, and curves.png and run.html, which show its course,
    with predictions of some held-out frames by epoch. Ctrl-C saves the state; --resume goes on from it, also
    to more --epochs than there were: at a constant rate as if there had been so many from the start; else the
    learning rate follows the share of the new number that is done, and what changes is said.
    """  # noqa: D301 - click's mark of a block that is not wrapped
    with importing():
        from rsn.data.mixture import line_of
    given = {key: value for key, value in flags.items() if value is not None}
    if dry_run:
        plan = rsn.describe(stores, recipe=recipe, resume_from=out if resume else None, **given)
        if as_json:
            print_json(plan)
            return
        for name, value in plan.items():
            if name == "stores":
                click.echo("\n".join(map(line_of, value)))
            elif name != "config" and value != []:
                click.echo(
                    f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
                )
        click.echo(f"\n{settings.to_toml(settings.from_plain(plan['config']))}")
        return
    stream = None if as_json else sys.stderr
    found = rsn.fit(
        stores, out, recipe=recipe, resume=resume, tensorboard=tensorboard, stream=stream, **given
    )
    if not found.is_main:
        return  # one of several processes speaks for all
    if as_json:
        print_json({"complete": found.complete, "checkpoint": str(found.checkpoint)})
    elif found.complete:
        click.echo(f"done: {found.checkpoint}")
    else:
        click.echo(f"stopped, state saved in {out / 'last.ckpt'}; go on with --resume", err=True)
    if not found.complete:
        sys.exit(INTERRUPTED)


@main.command()
@click.option("--checkpoint", type=WEIGHTS, required=True, help=CHECKPOINT)
@click.option("--out", type=Output((".onnx",)), required=True, help="The .onnx file to write.")
def export(checkpoint: Path, out: Path) -> None:
    """Write a network as ONNX, for images of any height and width, and check it against PyTorch.

    The graph brings an image to the size that the network was trained at, and depth back to the image's, as
    `rsn predict` does: for colour of 0-255 it gives the same metres. Its axes are named batch, height and
    width; its metadata say what it was made of.
    """
    with importing():
        import rsn.experiment

    predictor = rsn.load(checkpoint, device="cpu")
    worst = predictor.export_onnx(out)
    click.echo(
        f"{out}: input rgb (batch, 3, height, width), float32 of 0-255; differs from PyTorch by {worst:.1e} "
        "at most"
    )


main.add_command(predict)
main.add_command(evaluate)
main.add_command(compare)
main.add_command(report)
main.add_command(publish)
