"""Readers of built data sets, and the pure samplers that turn them into batches."""
