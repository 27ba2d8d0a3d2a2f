"""Pictures: colours that tell neighbours apart and stay the same, the right frames, errors by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from rsgt import build as assembly
from rsgt import colour, figure, store
from rsgt.region_support import region_support
from rsgt.schema import InputError
from rsgt.source import open_source
from tests.conftest import smooth_frames, write_nyu
from tests.strategies import frames


@pytest.fixture
def opened(nyu_file, tmp_path):
    source = open_source(nyu_file[0])
    assembly.build(source, tmp_path / "s.zarr", assembly.plan_build(source, assembly.Parameters(min_size=4)))
    return store.open_store(tmp_path / "s.zarr")


@given(frames())
@settings(max_examples=60, deadline=None)
def test_neighbours_differ_in_colour(frame):
    region = region_support(*frame, min_size=0).region
    colours = colour.region_colours(region)
    assert np.array_equal(colours, colour.region_colours(region.copy()))
    for a, b in ((region[:, :-1], region[:, 1:]), (region[:-1], region[1:])):
        touch = (a != b) & (a > 0) & (b > 0)
        assert (colours[a[touch]] != colours[b[touch]]).all()


def test_painting_keeps_borders_and_grey():
    region = np.zeros((6, 8), np.int32)
    region[:, 2:5], region[:, 5:] = 1, 2
    image = colour.paint_regions(region)
    assert (image[0, 0] == (0xB9, 0xBC, 0xC0)).all()
    assert (image[2, 3] != image[2, 6]).any()
    assert image[2, 4].sum() < image[2, 3].sum()


def test_category_colours_go_by_size():
    semantic = np.array([[7, 7, 7], [3, 3, 0]])
    colours = colour.category_colours([semantic])
    assert [*colours] == [7, 3, 0]
    image = colour.paint_categories(semantic, colours)
    assert (image[0, 0] == colours[7]).all()
    assert (image[1, 2] == colours[0]).all()


def test_panel_is_written_and_titled(opened, tmp_path):
    drawn = figure.panel(opened, [9, 2])
    texts = [t.get_text() for t in drawn.texts]
    assert texts.index("Frame 9") < texts.index("Frame 2")
    frame = figure.read_frame(opened, 8)
    valid = frame["depth"] > 0
    rmse = np.sqrt(np.mean((frame["support"] - frame["depth"])[valid].astype(float) ** 2))
    assert figure.support_rmse(frame) == pytest.approx(rmse, rel=1e-6)
    assert any(f"RMSE {rmse:.2f} m" in t for t in texts)
    figure.save(drawn, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] == figure.WIDTH_IN * figure.DPI


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_frames_that_are_all_width_or_height(tmp_path, shape):
    source = open_source(write_nyu(tmp_path / "a.mat", smooth_frames(2, shape=shape)))
    assembly.build(source, tmp_path / "s.zarr", assembly.plan_build(source, assembly.Parameters()))
    figure.save(figure.panel(store.open_store(tmp_path / "s.zarr"), [1, 2]), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] == figure.WIDTH_IN * figure.DPI


def test_mistakes(opened, tmp_path):
    with pytest.raises(InputError, match="11 asked for.*10 frames from 1 to 10"):
        figure.panel(opened, [1, 11])
    with pytest.raises(InputError, match="expected 1 to 24"):
        figure.panel(opened, [])
    with pytest.raises(InputError, match=r"suffix '\.xyz'"):
        figure.save(figure.panel(opened, [1]), tmp_path / "p.xyz")
