"""Photos: read, with their camera, and the files that a prediction of one becomes."""
