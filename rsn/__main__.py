"""``rsn`` as a program."""

import os

from rsgt.__main__ import run


def main() -> None:
    """Run ``rsn``."""
    # Where other work shares the cores, threads that spin while they wait take half of them. OpenMP asks
    # for this as it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run("rsn.cli")


if __name__ == "__main__":
    main()
