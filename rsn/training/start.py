"""What a run begins with, checked before it: its folder, trained modules, frames with valid depth."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rsgt.files import check_place, remove_leftovers
from rsgt.inputs import InputError
from rsgt.quality.evaluation.protocol import PAPER
from rsn.data.dataset import Store

FILES = ("last.ckpt", "best.ckpt", "config.toml", "log.csv", "curves.png", "run.html")
"""What a run writes into its folder."""

SAMPLES = "samples"
"""Folder in it with pictures of what was predicted, by epoch."""

COARSEST = 160
"""Pixels of the image's side in one pixel of the coarsest map (``rsn.models.pyramid``)."""


def check_folder(out: Path) -> None:
    """Refuse a folder that a run could not be written to.

    Raises
    ------
    InputError
        Where it is a file, or may not be written to.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"out: {out} is a file, expected a folder for the run; give another --out")
    check_place(out / "last.ckpt" if out.exists() else out, "out")


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Keep other processes from training into a folder; the lock ends with the process that holds it.

    Raises
    ------
    InputError
        Where another process trains there.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            for name in FILES:
                remove_leftovers(out / name)
            for left in (out / SAMPLES).glob(".*.png.*.tmp"):
                left.unlink(missing_ok=True)
            yield
    except Timeout as error:
        raise InputError(
            f"{out}: another process trains into it; wait for its end, or give another --out"
        ) from error


@contextmanager
def explain_full_disk(out: Path) -> Iterator[None]:
    """Say how a run that filled its disk goes on: where it has a state, by another command than before.

    Raises
    ------
    InputError
        In place of the error of the file system.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        more = " with --resume" if (out / "last.ckpt").exists() else ""
        raise InputError(
            f"{error.filename or out}: {error.strerror}; free some and run the same command{more}"
        ) from error


def check_batch_norm(
    *,
    batch_size: int,
    passes: int,
    size: tuple[int, int],
    frozen_norm: float,
    epochs: int,
    model: str,
    missing: Sequence[str] | None,
) -> None:
    """Refuse settings under which batch normalisation would learn nothing, or nothing of use.

    Parameters
    ----------
    batch_size, passes, size, frozen_norm, epochs
        Frames of a step, and the passes over all devices that they are cut into; height and width; share of
        the epochs that keep the statistics, and their number.
    model, missing
        The model's name, and its modules that would start untrained; None: they cannot start trained.

    Raises
    ------
    InputError
        Where statistics are kept from the start, but modules have none to keep, or where it would see a
        single value.
    """
    if round(frozen_norm * epochs) >= epochs:
        if missing is None or missing:
            give = f"give {' and '.join(f'--{part} CKPT' for part in missing)}, or " if missing else "give "
            raise InputError(
                f"frozen_norm: got {frozen_norm:g}, batch statistics kept from the start, but {model} would "
                f"start untrained; {give}a smaller --frozen-norm"
            )
    elif batch_size == passes and max(size) <= COARSEST:
        raise InputError(
            f"batch_size: got {batch_size}, one frame at a time at {size[0]}x{size[1]}, a single value for "
            "batch normalisation to learn from; give a larger --batch-size or --size, or --norm group"
        )


def check_valid_depth(store: Store, frames: Sequence[int], target: str, what: str) -> None:
    """Refuse frames of which none has a valid pixel; it reads as many as it takes to find one.

    Raises
    ------
    InputError
        Where ``target`` is nowhere > 0.
    """
    if frames and not any(PAPER.valid(store.read(target, frame, frame + 1)[0]).any() for frame in frames):
        numbers = ", ".join(str(int(store.frame_id[frame])) for frame in frames[:10])
        more = f" and {len(frames) - 10} more" if len(frames) > 10 else ""
        raise InputError(
            f"{store.path}: none of the {len(frames)} {what} frames ({numbers}{more}) has valid {target}; "
            "build a store with depth"
        )
