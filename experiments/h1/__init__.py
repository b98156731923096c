"""The Unitree H1: walking on command."""
