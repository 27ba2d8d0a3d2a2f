"""Records of evaluations: how they are written, and read again.

``docs/reference/evaluation.md`` lists what one holds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsgt.inputs import InputError, read_text

Record = dict[str, Any]

FORM = 2
"""Of a record; one of another form is refused. Form 1 had one reducer, and no errors by frame."""

_DIGITS = 9


def record_text(record: Mapping[str, Any]) -> str:
    """Write a record as JSON; the errors of each measure by frame are one line, to nine digits."""
    by_frame = json.dumps(_rounded(record["by_frame"]), ensure_ascii=False)
    head = json.dumps({**record, "by_frame": None}, indent=1, ensure_ascii=False)
    lines = by_frame.replace("], ", "],\n  ").replace("}, ", "},\n  ")
    return head.replace('"by_frame": null', f'"by_frame": {lines}') + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [float(f"{one:.{_DIGITS}g}") if isinstance(one, float) else one for one in value]
    return value


def read_record(path: Path) -> Record:
    """Read a record that ``rsn evaluate --out`` or ``rsgt.evaluate`` wrote.

    Raises
    ------
    InputError
        Where there is none, it is no record, or of another form.
    """
    try:
        record = json.loads(read_text(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; expected a record of `rsn evaluate`") from error
    except ValueError as error:
        raise InputError(f"{path}: is no JSON ({error}); give what `rsn evaluate --out` wrote") from error
    return checked_record(record, str(path))


def checked_record(record: Any, where: str) -> Record:
    """Refuse what is no record of this form; ``where`` it is from begins the message.

    Raises
    ------
    InputError
        With the remedy.
    """
    if not isinstance(record, dict) or not isinstance(record.get("metrics"), dict):
        raise InputError(f"{where}: is no record of an evaluation; give what `rsn evaluate --out` wrote")
    if record.get("form") != FORM:
        raise InputError(
            f"{where}: got a record of form {record.get('form', 1)!r}, expected {FORM}; "
            "run `rsn evaluate` again"
        )
    lacking = [key for key in ("protocols", "intervals", "by_frame", "store", "split") if key not in record]
    if lacking or not isinstance(record["by_frame"], dict) or "frame_id" not in record["by_frame"]:
        raise InputError(f"{where}: lacks {', '.join(lacking) or 'frame_id'}; run `rsn evaluate` again")
    return record
