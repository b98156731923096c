"""Objectives: arrays in, a scalar and its metrics out."""
