"""``rsgt`` as a program; ``run`` is the start and the end of both programs' processes."""

import os
import signal
import sys
from importlib import import_module


def run(commands: str) -> None:
    """Run a program's ``main``, by its module's name: Ctrl-C is quiet while it loads, and when it is over.

    Python would tell of an interrupt in those moments with a traceback.
    """
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
