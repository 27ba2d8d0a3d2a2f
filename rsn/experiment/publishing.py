"""A trained network as a folder to hand on: weights, configuration, and a model card made from records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsgt.files import check_place, replacing, write_text
from rsgt.inputs import InputError, local_path
from rsgt.quality.evaluation.record import Record, read_record
from rsn.config import to_toml
from rsn.experiment.assembly import Place, Trained, find_checkpoint, read_trained
from rsn.training import published
from rsn.training.published import CARD, CONFIG, DTYPES, WEIGHTS, Dtype

LIMITS = (
    "Depth is in metres by the scale of the training frames' cameras: another focal length changes it. It "
    "has been judged on the frames of the table alone; nothing is known of other places, such as outdoors."
)
"""What is true of every network here."""


def publish(
    checkpoint_path: Place,
    out: Place,
    *,
    name: str = "",
    terms: str = "",
    limits: str = "",
    dtype: Dtype = "float16",
    records: Sequence[Place] = (),
    command: str = "",
) -> Path:
    """Write a trained network as a folder that others can load, in the layout of the Hugging Face Hub.

    ``rsn.training.published`` says what is in it. The card, ``README.md``, has the model, its data and
    training, figures from records, limits, terms, the SHA-256 of the weights, and the command. The folder
    appears whole, or not at all.

    Parameters
    ----------
    checkpoint_path : path
        What ``load`` takes.
    out : path
        The folder to write; it must not be there.
    name : str
        A short name for people; by default the folder's.
    terms, limits : str
        Under which terms the weights may be used, in one line; and what they are no good for.
    dtype : str
        ``float16``, half the size, or ``float32``.
    records : sequence of path
        What ``evaluate`` wrote about this checkpoint, or about weights that were published from it.
    command : str
        What was called, for the card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        Where the checkpoint cannot be read, a record is of another one, or the folder is there.
    """
    out = local_path(out)
    if out.exists():
        raise InputError(f"out: {out} exists; choose another path for the published weights")
    check_place(out, "out")
    if dtype not in DTYPES:
        raise InputError(f"dtype: got {dtype!r}, expected one of {', '.join(DTYPES)}")
    for what, text in (("name", name), ("terms", terms)):
        if (lines := len(text.splitlines())) > 1:
            raise InputError(f"{what}: got {lines} lines, expected one; limits may have more")
    trained = read_trained(find_checkpoint(checkpoint_path))
    figures = [_own(read_record(local_path(one)), trained, local_path(one)) for one in records]
    with replacing(out) as aside:
        aside.mkdir(parents=True)
        told = published.write(aside, trained.contents, name=name or out.name, terms=terms, dtype=dtype)
        size = (aside / WEIGHTS).stat().st_size
        write_text(aside / CARD, _card(told, trained, figures, size=size, limits=limits, command=command))
    return out


def _own(record: Record, trained: Trained, path: Path) -> Record:
    """Refuse the record of another checkpoint."""
    contents, about = trained.contents, record.get("checkpoint")
    if not isinstance(about, dict):
        raise InputError(f"{path}: is a record of saved maps; give that of `rsn evaluate --checkpoint`")
    # As JSON has them, which knows no tuples.
    same = record.get("config") == json.loads(json.dumps(contents["config"]))
    if not same or any(about.get(key) != contents[key] for key in ("epoch", "commit")):
        raise InputError(
            f"{path}: is a record of epoch {about.get('epoch')} of another checkpoint, expected one of "
            f"{contents.path}, epoch {contents['epoch']}; judge this one by `rsn evaluate`"
        )
    return record


def _card(
    told: Mapping[str, Any],
    trained: Trained,
    records: Sequence[Record],
    *,
    size: int,
    limits: str,
    command: str,
) -> str:
    """Write the model card: Markdown below what the Hub reads of it."""
    model, values = trained.model, trained.values
    weights = sum(weight.numel() for weight in trained.network.parameters())
    height, width = values["size"]
    encoder = f" with {values['encoder']}" if hasattr(model, "encoder") else ""
    data = [
        ", ".join(f"{key} {value}" for key, value in one.items())
        for one in told.get("stores", [{"store": told["store"]}])
    ]
    head = {
        "library_name": "region-support",
        "pipeline_tag": "depth-estimation",
        "license": "other",
        "license_name": told["terms"] or "not stated",
        "tags": ["depth", "region-support", "indoor"],
    }
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    made = f"\n    {command}\n" if command else ""
    return f"""---
{front}
---

# {told["name"]}

Depth in metres and regions from one photo of a room: the model `{model.name}`{encoder}, {weights:,}
parameters in {told["dtype"]} ({size / 1e6:.1f} MB), trained at {height}x{width}.

    rsn predict --checkpoint FOLDER photo.jpg

```python
import rsn

depth_m = rsn.load("FOLDER").predict("photo.jpg").depth
```

## Terms

{told["terms"] or "None are stated."}

## Figures

{_figures(records, told)}

## Limits

{LIMITS} {limits.strip()}

## Training

- data: {"; ".join(data)}
- epochs: {told["epoch"]}, seed {values["seed"]}
- code: commit {told["commit"]}, {_versions(told)}

```toml
{to_toml(trained.config).strip()}
```

Saved as `recipe.toml`, these settings train it again: `rsn fit --store STORE --recipe recipe.toml --out RUN`.

## Files

`{WEIGHTS}`: SHA-256 `{told["sha256"]}`; `{CONFIG}` has it too, with all that rebuilds the network, and is
checked when it is loaded.
{made}"""


def _versions(told: Mapping[str, Any]) -> str:
    versions = told.get("versions") or [{"rsn": told["rsn"]}]
    return ", ".join(f"{key} {value}" for key, value in versions[-1].items() if key != "commit")


def _figures(records: Sequence[Record], told: Mapping[str, Any]) -> str:
    """Write a table of what records say, a row for each protocol."""
    if not records:
        return "None are given."
    lines = [
        "| protocol | frames | RMSE (m) | 95 % of the mean | AbsRel | δ1 | weights |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    explained = []
    for record in records:
        judged = "as published" if record["checkpoint"].get("sha256") == told["sha256"] else "unrounded"
        for key, protocol in record["protocols"].items():
            errors = record["metrics"][key][protocol["reducer"]]
            low, high = record["intervals"][key]["rmse"]
            mean = protocol["reducer"] == "image_mean"  # whose intervals they are
            rmse, abs_rel, delta1 = (f"{errors[measure]:.3f}" for measure in ("rmse", "abs_rel", "delta1"))
            frames = f"{record['frames']} of {record['split']}"
            span = f"{low:.3f} to {high:.3f}" if mean else "–"
            lines.append(_row([key, frames, rmse, span, abs_rel, delta1, judged]))
            how = protocol["reducer"].replace("_", " ")
            explained.append(f"- {key}: {how}, store `{record['store'][:16]}`")
    return "\n".join([*lines, "", *dict.fromkeys(explained)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
