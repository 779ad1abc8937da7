"""Sharing what behaviour was learned, through a real Redis server."""
