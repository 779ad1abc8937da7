"""Our log, checked by programs that we did not write."""
