"""PyTorch's files: written atomically, and read with every byte checked.

A file of PyTorch is a zip whose checksums its own reader ignores, and which leaves some bytes without one.
What ``write_torch`` writes ends with the SHA-256 of all bytes before, as the zip's comment.
"""

import hashlib
import os
import struct
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

from rsgt.files import replacing

REMEDY = "it is damaged or was altered: give a .ckpt as rsn fit wrote it"

SEAL = b"sha256:"
SEAL_LENGTH = len(SEAL) + 64
END = 22
"""Bytes of a zip's last record, which ends with the length of the comment behind it."""


class UnreadableError(ValueError):
    """Why a file cannot be read, in a few words."""


def write_torch(path: Path, contents: Any) -> None:
    """Write a file of PyTorch atomically, with a seal over its bytes.

    Raises
    ------
    OSError
        Where the disk is full or fails.
    """
    with replacing(path) as aside:
        with aside.open("wb") as file:
            try:
                torch.save(contents, file)
            except RuntimeError as error:
                # PyTorch's writer goes on after a failed write, and ends with a riddle.
                if isinstance(error.__context__, OSError):
                    failed = error.__context__
                    raise OSError(failed.errno, failed.strerror, str(path)) from error
                raise
        with aside.open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            file.write(struct.pack("<H", SEAL_LENGTH))
            seal = SEAL + _digest(file, file.tell()).encode()
            file.write(seal)
            file.flush()
            os.fsync(file.fileno())


def read_torch(path: Path) -> Any:
    """Read a file of PyTorch onto the CPU, without running code from it.

    Raises
    ------
    UnreadableError
        Where it is none, or damaged: a byte is not as it was written.
    """
    try:
        with path.open("rb") as file:
            _check_bytes(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by other programs, which are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnreadableError:
        raise
    # torch.load and zipfile raise a dozen types for a file that is none of theirs.
    except Exception as error:
        lines = str(error).splitlines()
        # PyTorch advises to load such a file all the same, which would run code from it.
        code = isinstance(error, UnpicklingError) or "weights_only" in str(error)
        reason = "no file of PyTorch, or one with more than tensors and plain values in it"
        raise UnreadableError(reason if code or not lines else lines[0]) from error


def _check_bytes(file: BinaryIO) -> None:
    """Compare with the seal, or with the zip's own checksums where there is none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - SEAL_LENGTH))
    tail = file.read()
    if tail.startswith(SEAL):
        if _digest(file, size - SEAL_LENGTH).encode() != tail[len(SEAL) :]:
            raise UnreadableError("damaged: its SHA-256 is not the one that it was written with")
        return
    file.seek(0)
    if file.read(2) != b"PK":
        return  # PyTorch's format of old, without checksums
    if tail[-END:][:4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        raise UnreadableError("damaged: it is cut off, or something follows it")
    with zipfile.ZipFile(file) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise UnreadableError(f"damaged: the checksum of its part {bad} is wrong")


def _digest(file: BinaryIO, length: int) -> str:
    """SHA-256 of the first so many bytes; the file is left behind them."""
    digest = hashlib.sha256()
    file.seek(0)
    while length and (block := file.read(min(length, 1 << 20))):
        digest.update(block)
        length -= len(block)
    return digest.hexdigest()
