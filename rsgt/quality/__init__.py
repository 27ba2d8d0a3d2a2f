"""How good regions are: statistics, comparison with other partitions, verification."""
