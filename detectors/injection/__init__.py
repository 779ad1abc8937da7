"""Prompt injection and jailbreaks: a linear model over words and concepts, trained on texts that we made."""

from detectors.injection.detector import Explained, InjectionDetector, InjectionOptions

__all__ = ["Explained", "InjectionDetector", "InjectionOptions"]
