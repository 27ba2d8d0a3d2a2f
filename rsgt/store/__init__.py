"""The store: its schema, how it is written, read and sealed, and predicted maps beside it."""
