"""``rsgt`` as a program; ``run`` is the start and the end of both programs' processes."""

import atexit
import os
import signal
import sys
from importlib import import_module


def run(commands: str) -> None:
    """Run a program's ``main``, by its module's name: Ctrl-C is quiet while it loads, and when it is over.

    Python would tell of an interrupt in those moments with a traceback, and of one in its very last, when it
    has given the signals back to the system, with another status: from then on there is nothing to interrupt.
    """
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        try:
            import_module(commands).main()
        finally:
            signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def main() -> None:
    """Run ``rsgt``."""
    run("rsgt.cli.commands")


if __name__ == "__main__":
    main()
