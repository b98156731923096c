"""SPiRL (Pertsch et al. 2020): skill priors for reinforcement learning."""
