"""Flax modules: encoders of observations, skill coders, Gaussian policies and critics."""
