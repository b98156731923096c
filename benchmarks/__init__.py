"""Benchmarks against named peers, one file each; results stand in `results/`."""
