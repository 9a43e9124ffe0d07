"""Training: hooks, optimizers, and runs over a data set."""
