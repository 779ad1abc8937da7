"""Secrets: API keys, tokens and private keys by the formats of their issuers."""

from detectors.secrets.detector import SecretsDetector, SecretsOptions

__all__ = ["SecretsDetector", "SecretsOptions"]
