"""What a decision obliges the guard to do: deny, redact and restore, route, annotate, limit.

An obligation that is unknown here, or that cannot be performed, denies (OpenID AuthZEN obligations profile).
"""

from typing import Final

SUPPORTED: Final = {
    "request": frozenset({"redact", "route", "annotate", "limit"}),
    "response": frozenset({"redact", "annotate"}),
}
"""The obligations that each stage can perform."""
