"""The command line: one file per command, and `main` as the boundary for errors."""
