"""A whole store put in its place, and what stood there away: the last step of a build."""

import os

from rsgt.store.objects import ObjectPath, delete
from rsgt.store.places import Place, copy_below, sizes_below
from rsgt.store.plan import Plan
from rsgt.store.root import STAGING


def switch(path: Place, plan: Plan) -> None:
    """Put a whole store in its place, and what stood there away; run again, it goes on where it was stopped.

    Its arrays move within one file system, some dozen renames; other files in the folder stay. Objects are
    copied by their server, and those aside deleted only when the root stands at its place.
    """
    if isinstance(path, ObjectPath):
        _switch_objects(path, plan)
        return
    new = plan.staging(path) / "store"
    old = path / STAGING / f"replaced-{os.getpid()}-{os.urandom(4).hex()}"
    old.mkdir()
    if (path / "zarr.json").exists():  # first: what lacks its root is no store, so that none is half old
        (path / "zarr.json").rename(old / "zarr.json")
    for entry in sorted(new.iterdir()):
        if entry.name != "zarr.json":
            if (path / entry.name).exists():
                (path / entry.name).rename(old / entry.name)
            entry.rename(path / entry.name)
    (new / "zarr.json").rename(path / "zarr.json")
    (path / STAGING / "plan.json").unlink()


def _switch_objects(path: ObjectPath, plan: Plan) -> None:
    new = plan.staging(path) / "store"
    names = {*sizes_below(new)} - {"zarr.json"}
    arrays = {name.partition("/")[0] for name in names}
    (path / "zarr.json").unlink()  # first: what lacks its root is no store, so that none is half old
    stale = (name for name in sizes_below(path) if name.partition("/")[0] in arrays and name not in names)
    delete(path / name for name in stale)
    copy_below(new, path, names)
    copy_below(new, path, ["zarr.json"])
    (path / STAGING / "plan.json").unlink()
