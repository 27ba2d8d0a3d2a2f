"""A finished store brought back to format version 3, which is read and no longer written."""

import json
import shutil

from rsgt.store import manifest, reader


def as_version_3(out):
    """Rewrite the store in a folder: records of shards and names of frames stand in attributes."""
    store = reader.open_store(out)
    shards = json.loads(b"".join(store.records.texts()))
    file = out / "frame/zarr.json"
    frame = json.loads(file.read_text())
    frame["attributes"]["frame_names"] = [*store.frame_names]
    file.write_text(json.dumps(frame))
    for group in ("names", "shards"):
        shutil.rmtree(out / group)
    document = json.loads((out / "zarr.json").read_text())
    attributes = document["attributes"]
    kept = {k: v for k, v in attributes["files"].items() if not k.startswith(("names/", "shards/"))}
    attributes |= {"format_version": 3, "shards": shards, "files": kept}
    attributes["files"]["frame/zarr.json"] = manifest.file_record(file)
    document["attributes"] = manifest.sealed(attributes)
    (out / "zarr.json").write_text(json.dumps(document))
    return out
