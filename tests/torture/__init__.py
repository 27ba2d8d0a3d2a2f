"""Deliberate faults by the hundred, a bounded number in `make test` and all of them in `make torture`."""
