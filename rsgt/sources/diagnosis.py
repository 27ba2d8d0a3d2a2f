"""What frames are, by a look at some of them: sizes, units, holes, labels, objects, camera, oddities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.sources.plausibility import gathered, implausible, scale_of
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
        ``sample`` is how many frames were looked into; of what could be read of these, ``depth_m`` is the
        least, median and greatest depth in metres and ``holes`` the share of pixels without depth;
        ``label_ids`` the category numbers, and ``unnamed_labels`` those that no class name is known for.
    """
    findings: list[str] = []
    found = {**_identity(source, findings), **_layout(source), **source.details()}
    positions = np.unique(np.linspace(0, len(source.frame_ids) - 1, sample).round().astype(int)).tolist()
    found |= _content(source, positions, findings, scale_of(found))
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


def _content(
    source: Source, positions: Sequence[int], findings: list[str], scale: float | None
) -> dict[str, Any]:
    """What a look into some frames tells, as far as each of their arrays can be read."""
    names = ["", *source.class_names(source.label_sets[0])]
    depths, ids, objects, odd = list[Array](), set[int](), list[int](), list[tuple[int, str]]()
    for position in positions:
        rgb, semantic, instance, depth = _frame(source, position, findings)
        if depth is not None:
            depths.append(depth)
        if semantic is not None:
            ids |= {int(one) for one in np.unique(semantic)}
        if instance is not None:
            objects.append(len(np.unique(instance[instance > 0])))
        number = source.frame_ids[position]
        odd += [(number, message) for message in implausible(rgb, depth, semantic, len(names) - 1, scale)]
    findings += gathered(odd)
    unnamed = [one for one in sorted(ids) if one and (one >= len(names) or not names[one])]
    return {
        "sample": len(positions),
        **(_of_depths(depths) if depths else {}),
        **({"label_ids": sorted(ids)[:SHOWN] + (["…"] if len(ids) > SHOWN else [])} if ids else {}),
        **({"unnamed_labels": unnamed[:SHOWN]} if names[1:] and unnamed else {}),
        **(
            {"objects_a_frame": round(float(np.mean(objects)), 1)} if source.has_instances and objects else {}
        ),
    }


def _frame(source: Source, position: int, findings: list[str]) -> list[Array | None]:
    """Colour, categories, objects and depth of a frame; None where one can't be read, which is a finding."""
    found: list[Array | None] = []
    for read in (source.rgb, source.semantic, source.instance, source.depth):
        try:
            found.append(read([position])[0])
        except InputError as error:
            found.append(None)
            told = f"frame {source.frame_ids[position]} ({source.names[position]}): {error}"
            if str(error) not in findings and told not in findings:
                findings.append(told)
    return found


def _of_depths(depths: Sequence[Array]) -> dict[str, Any]:
    values = np.concatenate([depth[depth > 0] for depth in depths])
    pixels = sum(depth.size for depth in depths)
    return {
        "depth_m": [round(float(f(values)), 3) for f in (np.min, np.median, np.max)] if values.size else [],
        "holes": round(1 - values.size / pixels, 4),
    }
