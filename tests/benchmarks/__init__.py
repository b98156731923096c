"""Tests of `jaxskills.benchmarks`: that they measure what they say; they time nothing."""
