"""Wrappers: episode limit, statistics, skills as actions, fault containment, automatic reset."""
