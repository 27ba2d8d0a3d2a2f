"""The same frames as a labelled file, as a folder and as Parquet of each schema: the same content."""

import numpy as np
import pytest
from PIL import Image

import rsgt
from rsgt.sources import open_source
from rsgt.sources.facts import class_map, class_names
from rsgt.sources.nyu import NyuFile
from tests.conftest import often, smooth_frames, write_nyu
from tests.parquet_files import encoded, jagennath, nested, tanganke, write_table, wyrx

pytest.importorskip("pyarrow", reason="Parquet needs it: pip install 'region-support[parquet]'")


def in_millimetres(arrays):
    """Depth that 16 bits of millimetres hold to the last bit."""
    millimetres = np.rint(arrays["depths"].astype(np.float64) * 1000)
    return arrays | {"depths": (millimetres / 1000).astype(np.float32)}


@pytest.fixture(params=["smooth", "rooms", pytest.param("real", marks=pytest.mark.slow)])
def frames(request):
    """Arrays of some frames, and the scene of each."""
    if request.param == "smooth":
        arrays = smooth_frames(9)
    elif request.param == "rooms":
        pytest.importorskip("embreex", reason="rooms need it: pip install 'region-support[synth]'")
        from rsgt.sources.rooms.frame import render_room

        rooms = [render_room(3, index, (72, 96)) for index in range(9)]
        named = {"images": "rgb", "depths": "depth_m", "labels": "semantic", "instances": "instance"}
        arrays = {name: np.stack([getattr(room, own) for room in rooms]) for name, own in named.items()}
    else:
        arrays = request.getfixturevalue("real_arrays")
    return in_millimetres(arrays), [f"scene {k // 3}" for k in range(len(arrays["images"]))]


@pytest.fixture(scope="session")
def real_arrays(real_folder):
    """The real frames whose depth is at hand in 16 bits; their objects are not, and are counted as none."""

    def read(kind, suffix):
        names = sorted(path.stem for path in (real_folder / "depth16").glob("*.png"))[: often(4, 18)]
        return np.stack([np.asarray(Image.open(real_folder / kind / f"{name}.{suffix}")) for name in names])

    labels = read("label894", "png").astype(np.uint16)
    depth = read("depth16", "png").astype(np.float64) / 1000
    return {
        "images": read("rgb", "jpg"), "depths": depth.astype(np.float32), "labels": labels,
        "instances": np.zeros(labels.shape, np.uint8),
    }  # fmt: skip


def as_mat(folder, arrays, scenes):
    return NyuFile(write_nyu(folder / "frames.mat", arrays, scenes=scenes))


def as_folder(folder, arrays, scenes):
    for k in range(len(scenes)):
        for name, values in (
            ("rgb", arrays["images"][k]),
            ("depth", np.rint(arrays["depths"][k] * 1000).astype(np.uint16)),
            ("labels", arrays["labels"][k].astype(np.uint16)),
            ("instances", arrays["instances"][k]),
        ):
            path = folder / "folder" / scenes[k] / name / f"{k + 1}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    (folder / "classes.txt").write_text("\n".join(class_names("894")))
    return open_source(folder / "folder", "folder", depth_scale=1000, classes=folder / "classes.txt")


def as_images(folder, arrays, scenes):
    table = jagennath(arrays, stretched=False) | {"scene": scenes}
    (folder / "classes.txt").write_text("\n".join(class_names("894")))
    path = write_table(folder / "images.parquet", table)
    return open_source(path, "parquet", classes=folder / "classes.txt")


def as_stretched_images(folder, arrays, scenes):
    return open_source(
        write_table(folder / "stretched.parquet", jagennath(arrays) | {"scene": scenes}), "parquet"
    )


def as_lists(folder, arrays, scenes):
    path = write_table(folder / "lists.parquet", tanganke(arrays) | {"scene": scenes})
    return open_source(path, "parquet")


def as_small_labels(folder, arrays, scenes):
    path = write_table(folder / "small.parquet", wyrx(arrays) | {"scene": scenes})
    return open_source(path, "parquet", depth_scale=1000)


def as_own_columns(folder, arrays, scenes):
    """Nested lists beside encoded images, and class names in the file."""
    table = {
        "picture": encoded(arrays["images"]), "z": nested(arrays["depths"] * 4),
        "what": nested(arrays["labels"].astype(np.int32) - 1), "which": nested(arrays["instances"]),
        "place": scenes,
    }  # fmt: skip
    names = {"what": [[{"names": class_names("894"), "_type": "ClassLabel"}]]}
    columns = {"rgb": "picture", "depth": "z", "semantic": "what", "instance": "which", "scene": "place"}
    path = write_table(folder / "own.parquet", table, features=names)
    return open_source(path, "parquet", columns=columns, depth_scale=4)


WAYS = [
    (as_folder, "894", True),
    (as_images, "894", True),
    (as_own_columns, "894", True),
    (as_stretched_images, "40", False),
    (as_small_labels, "40", False),
    (as_lists, "13", False),
]
"""How frames are written, the label set that is kept, and whether objects are."""


@pytest.mark.parametrize(("write", "labels", "objects"), WAYS, ids=[way[0].__name__ for way in WAYS])
def test_the_same_frames_in_another_format(tmp_path, frames, write, labels, objects):
    arrays, scenes = frames
    kept = arrays if objects else arrays | {"instances": np.zeros_like(arrays["instances"])}
    mat, other = as_mat(tmp_path, kept, scenes), write(tmp_path, kept, scenes)
    every = range(len(scenes))
    assert list(other.frame_ids) == list(mat.frame_ids)
    assert other.label_sets == (labels,)
    assert list(other.class_names()) == list(mat.class_names(labels))
    np.testing.assert_array_equal(other.rgb(every), mat.rgb(every))
    np.testing.assert_array_equal(other.depth(every), mat.depth(every))
    np.testing.assert_array_equal(other.semantic(every), mat.semantic(every, labels))
    np.testing.assert_array_equal(other.semantic(every), class_map(labels)[arrays["labels"]])
    np.testing.assert_array_equal(other.instance(every), mat.instance(every))

    instances = objects and bool(arrays["instances"].any())
    first = rsgt.build(mat, tmp_path / "mat.zarr", labels=labels, instances=instances, workers=1)
    second = rsgt.build(other, tmp_path / "other.zarr", instances=instances, workers=1)
    for name in ("region", "support", "semantic", "rgb", "depth"):
        np.testing.assert_array_equal(second.read(name, 0, len(scenes)), first.read(name, 0, len(scenes)))
    assert second.attributes["content_sha256"] == first.attributes["content_sha256"]
    assert not rsgt.verify(second, source=other).problems
