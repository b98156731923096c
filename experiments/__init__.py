"""Experiments: one Python file each, in a folder per paper."""
