"""Tests of the H1's controller and of the simulated H1."""
