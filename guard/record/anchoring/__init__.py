"""Anchors: checkpoints carried out of reach of whoever could rewrite the log, at most one every few seconds.

``anchoring`` runs it: each checkpoint that is due goes into the local ``store`` and to every sink, each in a thread of
its own. ``sinks``, ``web``, ``timestamps`` and ``witness`` are the ways out; ``prefix`` proves to a witness that the
log only grew. The writer of the log never waits for any of this.
"""
