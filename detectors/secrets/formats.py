"""Formats of secrets, from what their issuers document or show. Prefixes are facts; the patterns are ours.

Sources: the issuers' reference pages on their tokens and keys; RFC 7468 (PEM), 7519 (JWT), 7617 (Basic), 3986 (URLs),
BIP 173 (Bech32). Case matters. Types are stable names: policies and records hold them.
"""

from __future__ import annotations

from typing import Final

from detectors.secrets.clouds import CLOUDS
from detectors.secrets.credentials import CREDENTIALS, PEM
from detectors.secrets.development import DEVELOPMENT
from detectors.secrets.format import Format
from detectors.secrets.models import MODELS
from detectors.secrets.services import SERVICES

FORMATS: Final[tuple[Format, ...]] = (*CLOUDS, *DEVELOPMENT, *MODELS, *SERVICES, *CREDENTIALS)

__all__ = ["FORMATS", "PEM", "Format"]
