"""How good predicted depth is: named protocols, alignment, every reducer, records and their comparison."""
