"""Which frames train and which test: the official split, a file's, or a draw of whole scenes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsgt.sources.source import Source
from rsgt.sources.split_file import read_split_file
from rsgt.store.schema import BY_SCENE, SPLITS, TEST, TRAIN

TEST_SHARE = 0.2
SPLIT_SEED = 0


def scene_split(scenes: Sequence[str], share: float = TEST_SHARE, seed: int = SPLIT_SEED) -> list[int]:
    """Draw whole scenes for testing until they hold ``share`` of the frames; 0 = train, 1 = test a frame.

    A single scene is all training. The draw depends on the scenes' names and the seed, not on their order.
    """
    names = sorted(set(scenes))
    counts = Counter(scenes)
    test: set[str] = set()
    held = 0
    for k in np.random.default_rng(seed).permutation(len(names)):
        if held >= share * len(scenes) or len(test) == len(names) - 1:
            break
        test.add(names[k])
        held += counts[names[k]]
    return [TEST if scene in test else TRAIN for scene in scenes]


def draw_split(source: Source, frames: Sequence[int], split_file: Path | None) -> tuple[list[int], str]:
    """Tell which frames of a source (positions) train and which test, 0 and 1, and who says so."""
    if split_file is not None:
        names, ids = source.names, source.frame_ids
        numbered = {names[f]: ids[f] for f in frames}
        return read_split_file(split_file, [ids[f] for f in frames], numbered), f"file {split_file.name}"
    if source.split is not None:
        whole = source.split
        return [SPLITS[whole[f]] for f in frames], "official"
    # Drawn over the whole source, so that a frame's part does not depend on the selection.
    drawn = scene_split(source.scenes)
    return [drawn[f] for f in frames], f"{BY_SCENE}, {TEST_SHARE:.0%} test, seed {SPLIT_SEED}"
