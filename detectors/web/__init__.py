"""Web attacks in path, query, headers and form values: a tripwire beside the policies, see ``docs/web-attacks.md``."""

from detectors.web.detector import WebDetector, WebOptions

__all__ = ["WebDetector", "WebOptions"]
