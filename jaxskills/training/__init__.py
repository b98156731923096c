"""The shell around the pure core: the loop, checkpoints, signals, metrics and devices."""
