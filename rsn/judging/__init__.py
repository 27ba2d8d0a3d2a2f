"""How good a prediction is: protocols, errors, the table of a split."""
