"""Standard output and error as machines have them: full, closed, a pipe that ended, another alphabet."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

UNWRITABLE, BROKEN_PIPE = 1, 141
"""Exit codes: 141 is what a shell reports of a program that SIGPIPE ended, as most are behind ``| head``."""


class _Stream:
    """A text stream that writes "?" for what its encoding lacks, and ends the program where it cannot write.

    It ends it with ``SystemExit``, which no handler takes for a fault of the file at hand, as an ``OSError``
    would be. Without ``buffer``, so that nothing writes past it.
    """

    def __init__(self, stream: TextIO, name: str, other: TextIO) -> None:
        self._stream, self._name, self._other = stream, name, other
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text."""
        if not isinstance(text, str):
            raise TypeError("expected text")
        self._try(self._write, text)
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self._stream.write(text.encode(encoding, "replace").decode(encoding))

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., Any], *arguments: str) -> None:
        if self._ended:
            return
        try:
            act(*arguments)
        except BrokenPipeError:
            self._end()
            raise SystemExit(BROKEN_PIPE) from None
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            self._end()
            _tell(self._other, self._name, getattr(error, "strerror", None) or error)
            raise SystemExit(UNWRITABLE) from None

    def _end(self) -> None:
        """Let what is still buffered go nowhere: Python would try, and complain, once more at its end."""
        self._ended = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _tell(stream: TextIO, name: str, cause: object) -> None:
    with suppress(OSError, ValueError):
        stream.write(f"error: cannot write to standard {name}: {cause}\n")
        stream.flush()


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Put such streams into the place of standard output and error; refuse to start where one is closed.

    A file opened later would get a closed one's number, and a library's complaint would end up in it.
    """
    out, err = cast("TextIO | None", sys.stdout), cast("TextIO | None", sys.stderr)
    if out is None or err is None:
        for stream, name in ((err, "output"), (out, "error")):
            if stream is not None:
                _tell(stream, name, "it is closed")
        raise SystemExit(UNWRITABLE)
    guarded = cast(TextIO, _Stream(out, "output", err)), cast(TextIO, _Stream(err, "error", out))
    sys.stdout, sys.stderr = guarded
    try:
        yield
    finally:
        try:
            for one in guarded:
                one.flush()
        finally:
            sys.stdout, sys.stderr = out, err
