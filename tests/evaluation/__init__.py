"""Tests of `jaxskills.evaluation`."""
