"""What the house tests read: the source tree, and the tables that the pages must hold."""
