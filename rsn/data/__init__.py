"""From a store to batches: which frames, in which order, at which size, changed how."""
