"""Hypothesis strategies for small frames whose sums of depth are exact, so that a tie is a true tie."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def frames(draw, holes=True, side=14, categories=3):
    """(depth float32 in 64ths of a metre, 0 = hole; semantic uint16), blocky enough to have regions."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    block = draw(st.integers(1, 4))
    coarse = (-(-height // block), -(-width // block))
    semantic = draw(hnp.arrays(np.uint16, coarse, elements=st.integers(0, categories)))
    depth = draw(hnp.arrays(np.int64, (height, width), elements=st.integers(0 if holes else 1, 40)))
    base = draw(hnp.arrays(np.int64, coarse, elements=st.integers(0, 600)))
    enlarge = np.ones((block, block), np.int64)
    semantic = np.kron(semantic, enlarge)[:height, :width].astype(np.uint16)
    depth = np.where(depth > 0, depth + np.kron(base, enlarge)[:height, :width], 0)
    return (depth / 64).astype(np.float32), semantic
