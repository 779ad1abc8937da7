"""Personal data. presidio-analyzer's recognizers under our own bounded, offline matching loop.

``PiiDetector(**options)`` is a ``guard.types.Detector``; importing this package does not import presidio.
"""

from detectors.pii.detector import PiiDetector
from detectors.pii.options import PiiOptions

__all__ = ["PiiDetector", "PiiOptions"]
