"""Judging what was learned: intervals, rollouts, coverage, plots, videos and the report."""
