"""Tests of `jaxskills.training`; `toy_run.py` is the run that they start, stop, kill and damage."""
