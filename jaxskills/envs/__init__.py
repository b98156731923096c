"""Environments: the world protocol, wrappers around it, and the worlds themselves."""
