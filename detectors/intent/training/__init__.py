"""How the shipped intent model was made: a grammar of requests, and the training."""
