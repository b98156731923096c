"""Tests of exporting and running bundles."""
