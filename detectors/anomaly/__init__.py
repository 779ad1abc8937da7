"""Unusual behaviour: per-principal rates and sizes against their own past."""

from detectors.anomaly.model import BehaviourOptions, TailModel

__all__ = ["BehaviourOptions", "TailModel"]
