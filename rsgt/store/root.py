"""The root group of a store: whether there is one, whole or damaged, and what it says of itself."""

from typing import Any

from rsgt.inputs import InputError
from rsgt.store import schema
from rsgt.store.manifest import group_attributes
from rsgt.store.objects import StorageError
from rsgt.store.places import Place

STAGING = ".rsgt-build"
REMEDY = "run `rsgt verify`, then build again with --overwrite"


class DamageError(InputError):
    """A store that is there and is not, or does not say of itself, what it was when it was finished."""


def _no_store(path: Place, found: str) -> InputError:
    """Say that a store is damaged where all but its root group is there, else that there is none."""
    if all((path / name).is_dir() for name in schema.FRAME_SPECS):
        return DamageError(f"{path / 'zarr.json'}: {found}; {REMEDY}")
    return InputError(f"{path}: no region-support store here ({found}); make one with `rsgt build`")


def root_attributes(path: Place) -> dict[str, Any]:
    """Attributes of the root group of a store of this format, whatever its version.

    Raises
    ------
    DamageError
        Where its file is damaged, and a store is there by its arrays.
    InputError
        Where there is no store.
    """
    try:
        attributes = group_attributes(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_store(path, "the file is missing") from error
    except StorageError:
        raise
    except ValueError as error:
        raise _no_store(path, f"is damaged: {error}") from error
    if attributes.get("format") != schema.FORMAT:
        raise _no_store(path, f"got format {attributes.get('format')!r}, expected {schema.FORMAT!r}")
    return attributes
