"""Exporting a finished run: graphs, bundles and their runtime."""
