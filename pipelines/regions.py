"""Regions by network: both variants of the paper's section 2, on the frames that their runs held out."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rows import HERE, PUBLISHED, Place, protocols, trained, write_record

import rsgt
import rsn
from rsgt.cli.terminal import INPUT, Script, progress_bar
from rsgt.quality.comparison import Comparison
from rsgt.quality.metrics import bootstrap_interval
from rsgt.quality.partitions import MEASURES

ROWS = ("generation-support", "clustering")
PEERS = ("SLIC", "grid")


def make(place: Place, names: Sequence[str], seed: int) -> None:
    """Write ``results/regions/ROW-SEED.json`` for rows of Table 2 that find regions, unless it is there."""
    for name in names:
        path = place.record("regions", name, seed)
        if not path.exists():
            write_record(path, judge(place, name, seed))


def judge(place: Place, name: str, seed: int) -> dict[str, Any]:
    """Judge a row's regions on its held-out frames, beside superpixels and squares of the same number."""
    weights = trained(place, name, seed)
    with tempfile.TemporaryDirectory() as folder, progress_bar("frames", quiet=False) as progress:
        save = Path(folder) / "regions.zarr"
        record = rsn.evaluate(weights, place.store, protocols(False), split="validation", save=save)
        found = rsgt.compare(
            place.store, sample=None, prediction=save, only=("prediction", "this store", *PEERS),
            progress=progress,
        )  # fmt: skip
    own = next(row for row in found.rows() if row["name"] == "prediction")
    return {
        "row": name,
        "published": PUBLISHED["regions"].get(name),
        "comparison": found.document(),
        "rmse_below": {peer: difference(found, peer, own["regions"]) for peer in PEERS},
        **record,
    }


def difference(found: Comparison, peer: str, count: float) -> dict[str, Any] | None:
    """Compare the RMSE of region means, a family's minus the prediction's, at ``count`` regions a frame.

    Each frame's value is read between the family's two settings about ``count``; None where they do not
    reach so far.
    """
    between = found.settings_about(peer, count)
    if between is None:
        return None
    one, two, share = between
    rmse = found.values[:, :, MEASURES.index("rmse")]
    own = next(k for k, partition in enumerate(found.partitions) if partition.name == "prediction")
    gain = (1 - share) * rmse[one] + share * rmse[two] - rmse[own]
    return {"mean": float(gain.mean()), "interval": bootstrap_interval(gain, seed=0)}


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True)
@click.option("--recipe-set", type=click.Choice(["cpu", "paper"]), default="cpu", show_default=True)
@click.option("--out", type=INPUT, default=HERE, help="Where runs and results are.  [default: pipelines]")
@click.option("--rows", "names", default=",".join(ROWS), show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def run(store: Path, recipe_set: str, out: Path, names: str, seed: int) -> None:
    """Judge the regions of the networks that table2.py trained."""
    make(Place(store=store, recipe_set=recipe_set, out=out), names.split(","), seed)


if __name__ == "__main__":
    run()
