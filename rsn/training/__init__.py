"""Training: the loop, and all that a run needs around it."""
