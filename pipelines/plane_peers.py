"""Planes against other ways to find planes in depth: same frames, same number of planes, one run.

Every peer says which pixels are on one plane; the plane itself is put there by the same least squares for
all. Ours is asked for as many planes as the peer found in the frame.
"""

import importlib.util
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rows import HERE, write_record
from skimage.segmentation import felzenszwalb
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, RANSACRegressor

import rsgt
from rsgt.cli.terminal import INPUT, Script, progress_bar
from rsgt.quality.normals import Intrinsics, known_intrinsics, normal_map
from rsgt.quality.partitions import cross_share, target
from rsgt.quality.planes import fit
from rsn.training.provenance import commit, versions

Array = npt.NDArray[Any]

WITHIN_CM = (1, 2, 5)
_PLANES, _LEAST, _TRIED = 5, 0.1, 1000
"""Of RANSAC: planes of a segment at most, the share of it that is left over, and pixels that are tried."""


@dataclass(frozen=True)
class View:
    """One frame: (y, x) depth in metres, labels, its connected segments, and its camera."""

    depth: Array
    semantic: Array
    segment: Array
    camera: Intrinsics


def planar_patches(view: View, least: int) -> Array:
    """Open3D's robust planar patches (Araújo and Oliveira, 2020) with at least so many points.

    Their boxes say which points they are of; of several the one whose plane is nearest.
    """
    import open3d

    valid = view.depth > 0
    y, x = np.nonzero(valid)
    z = view.depth[valid].astype(float)
    c = view.camera
    points = np.stack([(x - c.cx) * z / c.fx, (y - c.cy) * z / c.fy, z], axis=1)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(30))
    nearest, owner = np.full(len(points), np.inf), np.zeros(len(points), np.int32)
    for k, box in enumerate(cloud.detect_planar_patches(min_num_points=least), start=1):
        inside = np.array(box.get_point_indices_within_bounding_box(cloud.points), np.int64)
        off = np.abs((points[inside] - box.center) @ box.R[:, 2])
        closer = off < nearest[inside]
        nearest[inside[closer]], owner[inside[closer]] = off[closer], k
    region = np.zeros(view.depth.shape, np.int32)
    region[valid] = owner
    return region


def ransac(view: View, threshold_m: float) -> Array:
    """One plane of inverse depth after another out of each connected segment, by scikit-learn's RANSAC.

    A segment's pixels that are left over go to that of its planes which is nearest in depth.
    """

    def loss(truth: Array, found: Array) -> Array:
        return np.abs(1 / truth - 1 / np.maximum(found, 1e-3))

    region, count, rng = np.zeros(view.depth.shape, np.int32), 0, np.random.default_rng(0)
    for label in range(1, view.segment.max() + 1):
        y, x = np.nonzero(view.segment == label)
        at, inverse = np.stack([x, y], axis=1).astype(float), 1 / view.depth[y, x].astype(float)
        left, planes, owner = np.arange(y.size), [], np.full(y.size, -1)
        while len(planes) < _PLANES and left.size > max(3, _LEAST * y.size):
            some = rng.permutation(left)[:_TRIED]
            model = RANSACRegressor(
                LinearRegression(), min_samples=3, residual_threshold=threshold_m, loss=loss, random_state=0
            )
            try:
                with warnings.catch_warnings():  # that few pixels have no R², which nobody asks for
                    warnings.simplefilter("ignore", UndefinedMetricWarning)
                    model.fit(at[some], inverse[some])
            except ValueError:  # no three of these pixels agree
                break
            planes.append(model.predict(at))
            near = loss(inverse[left], planes[-1][left]) < threshold_m
            owner[left[near]] = len(planes) - 1
            left = left[~near]
        if planes:
            off = np.stack([loss(inverse[left], plane[left]) for plane in planes])
            owner[left] = off.argmin(axis=0)
        used, dense = np.unique(owner, return_inverse=True)
        region[y, x] = count + 1 + dense
        count += used.size
    return region


def felzenszwalb_on_normals(view: View, scale: float) -> Array:
    """Graph-based segments of normals and distances of planes, 200 pixels at least, as NDDepth makes them.

    Its authors give the graph's edges both differences by a scikit-image of their own; here they are
    channels of an image: normals, and distances over ten metres.
    """
    valid = view.depth > 0
    normals = normal_map(view.depth, valid, view.camera)
    y, x = np.indices(view.depth.shape)
    c = view.camera
    rays = np.stack([(x - c.cx) / c.fx, (y - c.cy) / c.fy, np.ones(y.shape)], axis=2)
    distance = (normals * rays).sum(axis=2) * view.depth
    image = np.nan_to_num(np.dstack([normals, distance / 10]))
    with warnings.catch_warnings():  # that four channels may be meant for something else
        warnings.simplefilter("ignore", RuntimeWarning)
        found = felzenszwalb(image, scale, sigma=0.8, min_size=200, channel_axis=-1) + 1
    return np.where(valid, found, 0).astype(np.int32)


PEERS: dict[str, tuple[str, bool, Callable[[View], Array]]] = {
    "Open3D planar patches of 200 points and more": ("open3d", False, lambda v: planar_patches(v, 200)),
    "RANSAC per segment, 5 cm": ("sklearn", True, lambda v: ransac(v, 0.05)),
    "RANSAC per segment, 2 cm": ("sklearn", True, lambda v: ransac(v, 0.02)),
    "Felzenszwalb on normals, scale 400": ("skimage", False, lambda v: felzenszwalb_on_normals(v, 400)),
}
"""Name to the package that it needs, whether it sees labels, and what it does with a frame."""


def ours(view: View, planes: int, labels: bool) -> Array:
    """As many planes of ours, by the peer's rules: within connected segments, or without labels."""
    semantic = view.semantic if labels else None
    return rsgt.region_support(view.depth, semantic, surface="plane", regions=planes).region


def figures(view: View, region: Array, seconds: float, only: Array | None = None) -> dict[str, float]:
    """Measure what planes explain.

    ``rmse`` goes over the pixels that are on a plane (and in ``only``), ``rmse_all`` over all with depth:
    those on none get the plane that is nearest to their depth, of all that the frame has. ``within_Ncm`` are
    shares of all pixels with depth.
    """
    valid = view.depth > 0
    count = int(region.max(initial=0))
    found = fit(view.depth, region, count)
    on = valid & (region > 0)
    support = found.support.astype(float)
    if count:
        y, x = np.nonzero(valid & ~on)
        best = np.full(y.size, np.inf)
        for a, b, c in found.planes[~np.isnan(found.planes[:, 0])]:
            z = 1 / (a * x + b * y + c)
            nearer = (z > 0) & (np.abs(z - view.depth[y, x]) < np.abs(best - view.depth[y, x]))
            best[nearer] = z[nearer]
        support[y, x] = best
    off = np.abs(support - view.depth)
    counted = on if only is None else on & only
    goal = target(view.depth, region)
    present = np.unique(region[on])
    return {
        "planes": present.size,
        "covered": float(on.sum() / valid.sum()),
        "rmse": float(np.sqrt(np.mean(off[counted] ** 2))),
        "rmse_all": float(np.sqrt(np.mean(off[valid] ** 2))),
        **{f"within_{cm}cm": float((off[on] < cm / 100).sum() / valid.sum()) for cm in WITHIN_CM},
        "across_edges": cross_share(region, goal, present),
        "seconds": seconds,
    }


def _timed(find: Callable[[], Array]) -> tuple[Array, float]:
    begin = time.process_time()
    region = find()
    return region, time.process_time() - begin


def compared(view: View, peers: Mapping[str, Any]) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Figures of each peer, and ours at as many planes; its ``rmse`` is over the pixels that the peer has."""
    found = {}
    for name, (_, labels, find) in peers.items():
        region, seconds = _timed(lambda find=find: find(view))
        count = np.unique(region[region > 0]).size
        mine, own_seconds = _timed(lambda n=count, labels=labels: ours(view, max(n, 1), labels))
        found[name] = figures(view, region, seconds), figures(view, mine, own_seconds, only=region > 0)
    return found


def make(store_path: Path, out: Path, step: int = 1, first: int | None = None) -> None:
    """Write ``results/figure2/plane-peers.json`` of every so-many-th frame, unless it is there.

    Of these the ``first`` so many alone; None = all.

    A run that was stopped goes on: ``plane-peers.part.json`` has the frames that are done, of any step.
    """
    path = out / "results" / "figure2" / "plane-peers.json"
    if path.exists():
        return
    store = rsgt.open(store_path)
    needed = {name: package for name, (package, *_) in PEERS.items()}
    missing = {name: package for name, package in needed.items() if not importlib.util.find_spec(package)}
    for name, package in missing.items():
        click.echo(f"{name}: left out, {package} is not installed: pip install {package}", err=True)
    peers = {name: peer for name, peer in PEERS.items() if name not in missing}
    positions, part = range(0, len(store), step)[:first], path.with_suffix(".part.json")
    known = json.loads(part.read_text(encoding="utf-8")) if part.exists() else {}
    same = {"store": store.identity, "peers": [*peers]}
    done: dict[str, Any] = known["frames"] if known.items() >= same.items() else {}
    compared(_small(_view(store, 0)), peers)  # what compiles or loads does so before anything is timed
    with progress_bar("frames", quiet=False) as progress:
        for k in positions:
            if str(k) not in done:
                done[str(k)] = compared(_view(store, k), peers)
                write_record(part, same | {"frames": done})
            if progress:
                progress(len([p for p in positions if str(p) in done]), len(positions))
    rows = [done[str(k)] for k in positions]
    write_record(path, {
        "row": "plane-peers", "commit": commit(), "versions": versions() | _versions(peers),
        "store": store.identity, "frames": len(rows), "step": step, "left_out": missing,
        "rows": [
            {"name": name, "of": of, **_means([row[name][place] for row in rows])}
            for name in peers for place, of in enumerate(("peer", "ours"))
        ],
    })  # fmt: skip
    part.unlink(missing_ok=True)


def _view(store: rsgt.Store, position: int) -> View:
    frame = store.frame(int(store.frame_id[position]))
    camera = known_intrinsics(frame.intrinsics)
    if camera is None:
        raise rsgt.InputError(f"{store.path}: frame {frame.number} has no camera; the peers need one")
    segment = rsgt.region_support(frame.depth, frame.semantic, bins=1).segment
    return View(frame.depth, frame.semantic, segment, camera)


def _small(view: View) -> View:
    """Every eighth pixel of a frame."""
    maps = (np.ascontiguousarray(values[::8, ::8]) for values in (view.depth, view.semantic, view.segment))
    return View(*maps, view.camera)


def _versions(peers: Mapping[str, Any]) -> dict[str, str]:
    from importlib.metadata import version

    names = {"sklearn": "scikit-learn", "skimage": "scikit-image"}
    packages = [names.get(package, package) for package, *_ in peers.values()]
    return {package: version(package) for package in packages}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


@click.command(cls=Script)
@click.option("--store", type=INPUT, required=True, help="Store whose frames have cameras.")
@click.option("--out", type=INPUT, default=HERE, help="Where results go.  [default: pipelines]")
@click.option("--step", type=click.IntRange(1), default=1, show_default=True, help="Every so-many-th frame.")
@click.option("--first", type=click.IntRange(1), help="Only so many of them.  [default: all]")
def run(store: Path, out: Path, step: int, first: int | None) -> None:
    """Compare planes with those of Open3D, RANSAC, and Felzenszwalb's segments of normals."""
    make(store, out, step, first)


if __name__ == "__main__":
    run()
