"""A few small rendered rooms, rendered once for all tests of layouts."""

from functools import cache

import numpy as np

from rsgt.sources.rooms.frame import render_room

SHAPE = (48, 64)


@cache
def rooms(count=9):
    """Views of three rooms: two, three and four of each."""
    return [render_room(0, index, SHAPE) for index in range(count)]


def same_objects(found, room):
    """Whether a map of objects (y, x), 0 = none, tells apart what a room's categories and instances do."""
    truth = np.where(room.instance > 0, room.semantic.astype(int) * 256 + room.instance, 0)
    pairs = np.unique(np.stack([truth.ravel(), np.asarray(found).ravel().astype(int)]), axis=1)
    return len({*pairs[0]}) == len({*pairs[1]}) == pairs.shape[1] and pairs[:, 0].tolist() == [0, 0]


def one_line(caught):
    """The message of an error, which has to be one line, neither empty nor a book."""
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert len(text) < 600
    return text
