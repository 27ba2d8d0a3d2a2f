"""Region support networks: training, evaluation and prediction on an ``rsgt`` store."""
