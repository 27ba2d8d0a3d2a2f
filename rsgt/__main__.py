"""``rsgt`` as a program: an interrupt while it still loads ends it as quietly as one later does."""

import sys


def main() -> None:
    """Run ``rsgt``."""
    try:
        from rsgt.cli.commands import main as program

        program()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
