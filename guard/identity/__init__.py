"""Who asks: an ASGI scope becomes a ``Principal``, or its credential is refused.

Sources, in order: a bearer token or an API key, the app's own authentication, a header of a trusted proxy, anonymous.
``docs/identity.md`` says what happens when several are presented.
"""

from __future__ import annotations

from guard.identity.apikeys import hash_api_key
from guard.identity.authenticator import Authenticator

__all__ = ["Authenticator", "hash_api_key"]
