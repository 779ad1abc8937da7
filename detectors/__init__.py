"""One room per kind of seeing. Each imports ``guard.types`` and ``guard.errors`` only; see ``README.md``."""
