"""What work begins with, checked before it: folders, trained modules, frames with valid depth."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rsgt.files import check_place, remove_leftovers
from rsgt.inputs import InputError
from rsgt.store.schema import SPLITS
from rsn import checkpoint, model
from rsn import config as settings
from rsn.config import Config
from rsn.dataset import Store, guiding_classes, hold_out, split_frames
from rsn.evaluation import PAPER, Protocol

FILES = ("last.ckpt", "best.ckpt", "config.toml", "log.csv")
"""What a run writes into its folder."""

COARSEST = 160
"""Pixels of the image's side in one pixel of the coarsest map (``rsn.network.pyramid``)."""


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
            yield
    except Timeout as error:
        raise InputError(
            f"{out}: another process trains into it; wait for its end, or give another --out"
        ) from error


@contextmanager
def full_disk_told(out: Path) -> Iterator[None]:
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


def check_outputs(*, save: Path | None, **paths: Path | None) -> None:
    """Refuse places that the results of an evaluation could not be written to; by the options' names.

    Raises
    ------
    InputError
        Where that is so, or predictions are there already.
    """
    if save is not None and save.exists():
        raise InputError(f"{save}: exists; choose another path for the predictions")
    for option, path in {"save": save, **paths}.items():
        if path is not None and path.is_dir():
            raise InputError(f"{option}: {path} is a folder, expected a file to write; give another path")
        if path is not None:
            check_place(path, option)


def frames_to_judge(config: Config, store: Store, split: str, trained_on: str) -> list[int]:
    """Positions of the frames of a split; of ``validation``, those that a run of these settings held out.

    Raises
    ------
    InputError
        Where there is no such split, it is empty, or the run was ``trained_on`` another store.
    """
    if split not in (*SPLITS, "validation"):
        raise InputError(f"split: got {split!r}, expected one of {', '.join((*SPLITS, 'validation'))}")
    if split != "validation":
        return split_frames(store, split)
    if trained_on != store.identity:
        raise InputError(
            f"split: got 'validation', but the run held out frames of another store than {store.path}, "
            "and may have learnt from these; use train or test"
        )
    held = hold_out(store, config.data.validation, config.run.seed)[1]
    if not held:
        raise InputError("split: got 'validation', but the run held nothing out; use train or test")
    return held


def missing_starts(config: Config) -> list[str]:
    """Name the modules without whose trained weights the settings make no sense, as options to give.

    Batch normalisation that keeps its statistics in every epoch needs some: an untrained module has none.
    """
    network, run = config.network, config.run
    if network.norm != "batch" or round(config.optimizer.frozen_norm * run.epochs) < run.epochs:
        return []
    parts = {"rsn": ("generation", "refinement")}.get(model.network_name(config), (network.model,))
    return [f"--{part} CKPT" for part in parts if not getattr(network, part, "")]


def check_trainable(config: Config) -> None:
    """Refuse settings under which a network would learn nothing, or nothing of use.

    Raises
    ------
    InputError
        Where modules that have to come trained do not (``missing_starts``), or batch normalisation would
        see a single value.
    """
    missing = missing_starts(config)
    if missing:
        raise InputError(
            f"frozen_norm: got {config.optimizer.frozen_norm:g}, batch statistics kept from the start, but "
            f"{config.network.model} would start untrained; give {' and '.join(missing)}, or a smaller "
            "--frozen-norm"
        )
    data, once = config.data, config.run.devices * config.optimizer.accumulate
    frozen = round(config.optimizer.frozen_norm * config.run.epochs) >= config.run.epochs
    if (
        config.network.norm == "batch"
        and not frozen
        and data.batch_size == once
        and max(data.size) <= COARSEST
    ):
        raise InputError(
            f"batch_size: got {data.batch_size}, one frame at a time at {data.size[0]}x{data.size[1]}, a "
            "single value for batch normalisation to learn from; give a larger --batch-size or --size, or "
            "--norm group"
        )


def check_truth(store: Store, frames: Sequence[int], target: str, what: str) -> None:
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


def check_counts(store: Store, frames: Sequence[int], protocols: Sequence[Protocol]) -> None:
    """Refuse frames of which none has a pixel that counts under every protocol.

    Raises
    ------
    InputError
        Where that is so.
    """
    for frame in frames:
        depth = store.read("depth", frame, frame + 1)[0]
        if all(protocol.valid(depth).any() for protocol in protocols):
            return
    raise InputError(
        f"evaluation: none of {len(frames)} frames has a pixel that counts; choose another split or protocol"
    )


def check_classes(contents: checkpoint.Contents, store: Store) -> None:
    """Refuse a store whose categories cannot be those that a refinement learnt to be guided by.

    Raises
    ------
    InputError
        Where their number is another, as far as the checkpoint says it.
    """
    config, classes = settings.from_plain(contents["config"]), guiding_classes(store)[1]
    guided = model.network_name(config) == "refinement" and config.data.guidance == "semantic"
    if guided and contents.get("classes", classes) != classes:
        raise InputError(
            f"{contents.path}: is guided by {contents['classes']} categories, got a store of {classes}: "
            f"{store.path}; give a store with the labels that it learnt from"
        )
