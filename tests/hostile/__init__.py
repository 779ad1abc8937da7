"""Malformed and hostile input over a real socket: each case is a file in ``cases/``."""
