"""``rsn`` as a program."""

from rsgt.__main__ import run


def main() -> None:
    """Run ``rsn``."""
    run("rsn.cli")


if __name__ == "__main__":
    main()
