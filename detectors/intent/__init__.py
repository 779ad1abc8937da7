"""What a request asks a model for, and how hard that reads: for routing, not for security. See ``docs/intent.md``."""

from detectors.intent.model import IntentClassifier, IntentOptions

__all__ = ["IntentClassifier", "IntentOptions"]
