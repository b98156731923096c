"""Time-Contrastive Networks (Sermanet et al. 2018) on their own task: what pouring shows."""
