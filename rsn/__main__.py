"""``rsn`` as a program."""

import os

from rsgt.__main__ import run


def main() -> None:
    """Run ``rsn``."""
    # Threads that wait spin for half a millisecond, then sleep: longer, and they take from whatever else
    # shares the cores; not at all, and each sleep costs. OpenMP asks for this as it is loaded.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    run("rsn.cli")


if __name__ == "__main__":
    main()
