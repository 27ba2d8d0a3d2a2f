"""Writers of rendered rooms in the layouts of other data sets, each with that layout's traps."""
