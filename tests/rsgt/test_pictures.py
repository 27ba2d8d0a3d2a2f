"""Pictures: colours that tell neighbours apart and stay the same, the right frames, errors by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from rsgt import builder
from rsgt.inputs import InputError
from rsgt.page import colours, pictures
from rsgt.regions.algorithm import region_support
from rsgt.sources import open_source
from rsgt.store import reader
from tests.conftest import known_camera, smooth_frames, write_nyu
from tests.strategies import frames


@pytest.fixture
def opened(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    builder.build_plan(
        source, tmp_path / "s.zarr", builder.plan_build(source, builder.Parameters(min_size=4))
    )
    return reader.open_store(tmp_path / "s.zarr")


@given(frames())
@settings(max_examples=60)
def test_neighbours_differ_in_colour(frame):
    region = region_support(*frame, min_size=0).region
    painted = colours.region_colours(region)
    assert np.array_equal(painted, colours.region_colours(region.copy()))
    for a, b in ((region[:, :-1], region[:, 1:]), (region[:-1], region[1:])):
        touch = (a != b) & (a > 0) & (b > 0)
        assert (painted[a[touch]] != painted[b[touch]]).all()


def test_painting_keeps_borders_and_grey():
    region = np.zeros((6, 8), np.int32)
    region[:, 2:5], region[:, 5:] = 1, 2
    image = colours.paint_regions(region)
    assert (image[0, 0] == (0xB9, 0xBC, 0xC0)).all()
    assert (image[2, 3] != image[2, 6]).any()
    assert image[2, 4].sum() < image[2, 3].sum()


def test_category_colours_go_by_size():
    semantic = np.array([[7, 7, 7], [3, 3, 0]])
    found = colours.category_colours([semantic])
    assert [*found] == [7, 3, 0]
    image = colours.paint_categories(semantic, found)
    assert (image[0, 0] == found[7]).all()
    assert (image[1, 2] == found[0]).all()


def test_panel_is_written_and_titled(opened, tmp_path):
    drawn = pictures.panel(opened, [9, 2])
    texts = [t.get_text() for t in drawn.texts]
    assert texts.index("Frame 9") < texts.index("Frame 2")
    frame = opened.maps(8)
    valid = frame["depth"] > 0
    rmse = np.sqrt(np.mean((frame["support"] - frame["depth"])[valid].astype(float) ** 2))
    assert pictures.support_rmse(frame) == pytest.approx(rmse, rel=1e-6)
    assert any(f"RMSE {rmse:.2f} m" in t for t in texts)
    pictures.save(drawn, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] == pictures.WIDTH_IN * pictures.DPI


def test_a_normal_has_the_colour_of_where_its_surface_faces():
    normals = np.array([[0, 0, 1], [0, 1, 0], [0, -1, 0], [-1, 0, 0], [np.nan] * 3])
    wall, floor, ceiling, right, none = colours.paint_normals(normals).tolist()
    assert wall == [128, 128, 255]
    assert floor == [128, 255, 128], "the normal of a floor, away from the camera, points down"
    assert ceiling == [128, 0, 128]
    assert right == [255, 128, 128]
    assert none == [0xB9, 0xBC, 0xC0]
    assert list(colours.NORMALS_KEY)[:3] == ["faces us", "up", "down"]


def test_planes_have_a_row_of_their_own(nyu_file, tmp_path):
    with known_camera():
        found = builder.build(nyu_file[0], tmp_path / "p.zarr", min_size=4, surface="plane", regions=6)
    drawn = pictures.panel(found, [2])
    texts = [text.get_text() for text in drawn.texts]
    assert "Normals of the planes" in texts
    images = {axes.images[0].get_array().shape: axes.images[0] for axes in drawn.axes if axes.images}
    assert (121, 121, 4) in images, "the legend"
    frame = found.frame(2)
    shown = [axes.images[0].get_array() for axes in drawn.axes if axes.images]
    normals = np.stack([frame.regions[f"normal_{axis}"] for axis in "xyz"], axis=1)
    expected = colours.paint_normals(normals)[frame.region - 1]
    assert any(image.shape == expected.shape and (image == expected).all() for image in shown)
    pictures.save(drawn, tmp_path / "p.png")
    blind = builder.build(nyu_file[0], tmp_path / "b.zarr", min_size=4, surface="plane", regions=6)
    assert "Normals of the planes: camera unknown" in [t.get_text() for t in pictures.panel(blind, [2]).texts]


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_frames_that_are_all_width_or_height(tmp_path, shape):
    source = open_source(write_nyu(tmp_path / "a.mat", smooth_frames(2, shape=shape)))
    builder.build_plan(source, tmp_path / "s.zarr", builder.plan_build(source, builder.Parameters()))
    pictures.save(pictures.panel(reader.open_store(tmp_path / "s.zarr"), [1, 2]), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] == pictures.WIDTH_IN * pictures.DPI


def test_mistakes(opened, tmp_path):
    with pytest.raises(InputError, match="11 asked for.*10 frames from 1 to 10"):
        pictures.panel(opened, [1, 11])
    with pytest.raises(InputError, match="expected 1 to 24"):
        pictures.panel(opened, [])
    with pytest.raises(InputError, match=r"suffix '\.xyz'"):
        pictures.save(pictures.panel(opened, [1]), tmp_path / "p.xyz")
