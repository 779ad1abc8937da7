"""How the second opinion is trained: a simulated week (``week``), scikit-learn's forest, flat arrays (``flatten``)."""
