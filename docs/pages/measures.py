"""The reference of measures, from the table that owns their units and definitions."""

from rsgt.quality import measures
from rsgt.quality.pooling import REDUCERS

HEAD = """# Measures

Made from `rsgt.quality.measures`, where help texts and pages have them from, too. *p* is the predicted
depth, *q* the true one; means go over the pixels that count by the [protocol](evaluation.md). What makes one
number of many frames is a reducer:
"""


def page() -> str:
    """Return the page."""
    reducers = "\n".join(f"- `{name}`: {text}" for name, text in REDUCERS.items())
    rows = [
        f"| `{name}` | {measure.unit} | {measure.definition.replace('|', '&#124;')} | "
        f"{'less' if measure.less_is_better else 'more'} |"
        for name, measure in measures.MEASURES.items()
    ]
    sets = "\n".join(f"| `{name}` | {text} |" for name, text in measures.SETS.items())
    return (
        f"{HEAD}\n{reducers}\n\n## Every measure\n\n"
        "| measure | unit | definition | better |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + f"\n\n## Sets\n\nWhat `rsn evaluate --measure NAME` adds:\n\n| set | |\n| --- | --- |\n{sets}\n"
    )
