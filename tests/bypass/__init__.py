"""Positions and disguises, over the whole guard: what is hidden is caught, refused, or named; never silent."""
