"""The command line of ``rsn``."""

from rsn.cli.commands import main

__all__ = ["main"]
