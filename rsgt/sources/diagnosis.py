"""What frames are, by a look at some of them: sizes, units, holes, labels, objects, camera, oddities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.plausibility import gathered, implausible
from rsgt.sources.source import Source

Array = npt.NDArray[Any]

SAMPLE = 16
SHOWN = 20


def diagnose(source: Source, *, sample: int = SAMPLE) -> dict[str, Any]:
    """Look into evenly spaced frames of a source, and say what they are and what cannot be right.

    Parameters
    ----------
    source
        Any source, also one that lacks an option without which no store can be built of it.
    sample
        Frames to look into.

    Returns
    -------
    dict
        Plain JSON types. ``findings`` names what is missing, unreadable or implausible, a line each;
        ``depth_m`` is the least, median and greatest depth of the sample in metres and ``holes`` the share
        of its pixels without depth; ``label_ids`` the category numbers in it, and ``unnamed_labels`` those
        that no class name is known for.
    """
    findings: list[str] = []
    found = {**_identity(source, findings), **_layout(source), **source.details()}
    positions = np.unique(np.linspace(0, len(source.frame_ids) - 1, sample).round().astype(int)).tolist()
    found |= _content(source, positions, findings)
    arrays = found.pop("arrays", None)
    return {**found, **({"arrays": arrays} if arrays else {}), "findings": findings}


def _identity(source: Source, findings: list[str]) -> dict[str, Any]:
    try:
        return source.identity()
    except InputError as error:  # an option is missing, without which nothing tells what would be read
        findings.append(str(error))
        return {"kind": getattr(source, "kind", type(source).__name__), "frames": len(source.frame_ids)}


def _layout(source: Source) -> dict[str, Any]:
    """What is known without a look into a frame."""
    split = source.split
    cameras = {str(sorted(camera.items())): dict(camera) for camera in source.cameras}
    return {
        "shape": list(source.shape),
        "scenes": len(set(source.scenes)),
        "official_split": None if split is None else {part: split.count(part) for part in ("train", "test")},
        "labels": list(source.label_sets),
        "classes": len(source.class_names(source.label_sets[0])),
        "depth": list(source.depth_kinds),
        "instances": source.has_instances,
        "intrinsics": next(iter(cameras.values())) if len(cameras) == 1 else f"{len(cameras)} cameras",
        "unpaired": len(source.unpaired),
        **({"unpaired_files": list(source.unpaired[:SHOWN])} if source.unpaired else {}),
    }


def _content(source: Source, positions: Sequence[int], findings: list[str]) -> dict[str, Any]:
    """What a look into some frames tells."""
    classes = len(source.class_names(source.label_sets[0]))
    depths, ids, objects, odd, looked = [], set[int](), [], list[tuple[int, str]](), 0
    for position in positions:
        number = source.frame_ids[position]
        try:
            rgb, semantic = source.rgb([position])[0], source.semantic([position])[0]
            instance, depth = source.instance([position])[0], source.depth([position])[0]
        except InputError as error:
            if str(error) not in findings:
                findings.append(f"frame {number} ({source.names[position]}): {error}")
            continue
        looked += 1
        depths.append(depth)
        ids |= {int(one) for one in np.unique(semantic)}
        objects.append(len(np.unique(instance[instance > 0])))
        odd += [(number, message) for message in implausible(rgb, depth, semantic, classes)]
    findings += gathered(odd)
    if not looked:
        return {"sample": 0}
    values = np.concatenate([depth[depth > 0] for depth in depths])
    pixels = sum(depth.size for depth in depths)
    names = ["", *source.class_names(source.label_sets[0])]
    unnamed = [one for one in sorted(ids) if one and (one >= len(names) or not names[one])]
    return {
        "sample": looked,
        "depth_m": [float(np.round(f(values), 3)) for f in (np.min, np.median, np.max)]
        if values.size
        else [],
        "holes": round(1 - values.size / pixels, 4),
        "label_ids": sorted(ids)[:SHOWN] + (["…"] if len(ids) > SHOWN else []),
        **({"unnamed_labels": unnamed[:SHOWN]} if classes and unnamed else {}),
        **({"objects_a_frame": round(float(np.mean(objects)), 1)} if source.has_instances else {}),
    }
