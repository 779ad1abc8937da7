"""How the shipped model was made: a grammar of texts, and the training."""
