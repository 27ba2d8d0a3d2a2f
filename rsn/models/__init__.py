"""The models, each in a file of its own, and what they are made of."""
