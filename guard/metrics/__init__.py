"""What the guard tells Prometheus: see ``docs/metrics.md``. Needs the extra ``metrics``; imported only when asked."""

from guard.metrics.exposition import GuardCollector, exposition

__all__ = ["GuardCollector", "exposition"]
