"""Frameworks x servers, over real sockets."""
