"""Algorithms, each a `Learner(init, update, act)` made by `make_<name>(config, spec)`."""
