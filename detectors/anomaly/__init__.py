"""Unusual behaviour: per-principal rates and sizes against their own past."""

from detectors.anomaly.model import TailModel
from detectors.anomaly.options import BehaviourOptions

__all__ = ["BehaviourOptions", "TailModel"]
