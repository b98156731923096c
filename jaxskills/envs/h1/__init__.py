"""The Unitree H1: worlds in which it has something to learn."""
